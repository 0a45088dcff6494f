"""The bounded outgoing queue of one socket, and the node's one flusher for all of them.

Everything that a connection sends goes through its outbox: replies, emits, stream items and the
goodbye. So nothing overtakes anything, a broadcast never waits for a socket, and what one turn of
the event loop produced leaves in one write where the server allows it.
"""

import asyncio
import logging
from collections import deque
from typing import Final, cast

from gatewright.protocol.close import CloseCode
from gatewright.types import Frame, Link

__all__ = ["Flusher", "Outbox"]

logger = logging.getLogger("gatewright.outbox")

VOLATILE_SHARE: Final = 0.5
"""The part of an outbox that volatile frames may fill: the rest is kept for what must arrive."""


class _Latest:
    """A queued place for the newest frame of one key."""

    __slots__ = ("frame", "key")

    def __init__(self, key: str, frame: Frame) -> None:
        self.key = key
        self.frame = frame


class Outbox:
    """At most `limit` bytes that wait for one socket.

    What overflows is decided by what it is: a volatile frame is dropped, one with a key replaces
    the frame of the same key that still waits, anything else closes the connection (4002), since
    to drop it in silence would be a lie.
    """

    __slots__ = (
        "_closing",
        "_flusher",
        "_keyed",
        "_link",
        "_queue",
        "_room",
        "_scheduled",
        "_wake",
        "_writer",
        "blocked_since",
        "dropped",
        "limit",
        "size",
    )

    def __init__(self, link: Link, flusher: "Flusher", limit: int) -> None:
        self._link = link
        self._flusher = flusher
        self._queue: deque[Frame | _Latest] = deque()
        self._keyed: dict[str, _Latest] = {}
        self._scheduled = False
        self._writer: asyncio.Task[None] | None = None
        self._wake: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._closing: tuple[int, str] | None = None
        self.limit = limit
        self.size = 0
        self.blocked_since: float | None = None
        self.dropped = 0

    @property
    def closing(self) -> bool:
        """Whether the last frame has been said: what is pushed now goes nowhere."""
        return self._closing is not None

    def push(self, frame: Frame) -> None:
        """Queue a frame that must arrive; over the limit, closes the connection instead."""
        if self._closing is not None:
            return
        size = self.size + frame.size
        if size > self.limit:
            self._overflow()
            return
        self._queue.append(frame)
        self.size = size
        if not self._scheduled:
            self._scheduled = True
            self._flusher.add(self)

    def push_volatile(self, frame: Frame, key: str | None = None) -> bool:
        """Queue a frame that may be lost; with a key, in the place of an older one that waits."""
        if self._closing is not None:
            return False
        if key is not None and (waiting := self._keyed.get(key)) is not None:
            self.size += frame.size - waiting.frame.size
            waiting.frame = frame
            return True
        if self.size + frame.size > self.limit * VOLATILE_SHARE:
            self.dropped += 1
            return False
        if key is None:
            self._queue.append(frame)
        else:
            self._keyed[key] = place = _Latest(key, frame)
            self._queue.append(place)
        self.size += frame.size
        if not self._scheduled:
            self._scheduled = True
            self._flusher.add(self)
        return True

    async def room(self) -> None:
        """Wait until half of the outbox is free; streams ask this before each item."""
        while self.size > self.limit // 2 and self._closing is None:
            if self._room is None:
                self._room = asyncio.get_running_loop().create_future()
            # One future serves all who wait, so none of them may cancel it for the others.
            await asyncio.shield(self._room)

    def close(self, code: int, reason: str = "") -> None:
        """Say goodbye after everything that was pushed before; later calls change nothing."""
        if self._closing is None:
            self._closing = (code, reason)
            self._let_in()
            if not self._scheduled:
                self._scheduled = True
                self._flusher.add(self)

    def lose(self) -> None:
        """The socket is gone: what waits, and what is pushed from now on, goes nowhere."""
        self._closing = self._closing or (CloseCode.GOING_AWAY, "")
        self._forget_queue()
        self._let_in()

    def abort(self) -> None:
        """Drop the socket and what waits for it."""
        self._forget_queue()
        self._closing = self._closing or (CloseCode.SLOW_CONSUMER, "")
        self._let_in()
        self._link.abort()

    async def aclose(self) -> None:
        """End the writer of a lost socket."""
        self.lose()
        self._flusher.unblock(self)
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.cancel()
            await asyncio.wait([writer])

    def _overflow(self) -> None:
        self._forget_queue()
        self.close(CloseCode.SLOW_CONSUMER, "messages arrive faster than they are read")

    def _forget_queue(self) -> None:
        self._queue.clear()
        self._keyed.clear()
        self.size = 0

    def _let_in(self) -> None:
        if self._room is not None:
            if not self._room.done():
                self._room.set_result(None)
            self._room = None

    def flush(self) -> None:
        """Hand everything to the socket if it can take it now, else leave it to the writer."""
        self._scheduled = False
        if self._writer is not None:
            if self._wake is not None and not self._wake.done():
                self._wake.set_result(None)
            return
        if self._link.immediate:
            frames = [self._frame(queued) for queued in self._queue]
            if self._link.write(frames):
                self._queue.clear()
                self._sent(sum([frame.size for frame in frames]))
                if self._closing is None:
                    return
            else:
                # The link took none of them; what had a key is an ordinary frame by now.
                self._queue = deque(frames)
        self._writer = asyncio.get_running_loop().create_task(self._write())

    def _frame(self, queued: Frame | _Latest) -> Frame:
        if type(queued) is _Latest:
            del self._keyed[queued.key]
            return queued.frame
        return cast(Frame, queued)

    def _sent(self, size: int) -> None:
        # An overflow may have forgotten the queue while a frame was under way.
        self.size = max(self.size - size, 0)
        if self._room is not None and self.size <= self.limit // 2:
            self._let_in()

    async def _write(self) -> None:
        """Send what the socket would not take at once; one such task per socket at the most."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                while self._queue:
                    # One by one: each frame that the socket takes counts as progress.
                    frame = self._frame(self._queue.popleft())
                    self._flusher.block(self)
                    await self._link.send(frame)
                    self._sent(frame.size)
                if self._closing is not None:
                    self._flusher.block(self)
                    await self._link.close(*self._closing)
                    return
                self._flusher.unblock(self)
                if self._link.immediate:
                    self._writer = None
                    return
                self._wake = loop.create_future()
                await self._wake
        except Exception as error:
            # The peer is gone, in the words of whichever server or middleware it is. The reader
            # learns it too and ends the connection; abort makes sure of it.
            logger.debug("a socket refused a message: %r", error)
            self.abort()
        finally:
            self._flusher.unblock(self)


class Flusher:
    """Flushes the outboxes of one node, once per turn of the event loop, and aborts stalled ones."""

    def __init__(self, stall: float) -> None:
        self._stall = stall
        self._dirty: list[Outbox] = []
        self._blocked: set[Outbox] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, outbox: Outbox) -> None:
        self._dirty.append(outbox)
        if len(self._dirty) == 1:
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for outbox in dirty:
            try:
                outbox.flush()
            except Exception:
                # One socket's trouble must not keep the others of this tick from being served.
                logger.exception("a socket failed while it was written to")
                outbox.abort()

    def block(self, outbox: Outbox) -> None:
        """Watch an outbox whose socket takes nothing at the moment."""
        loop = asyncio.get_running_loop()
        outbox.blocked_since = loop.time()
        self._blocked.add(outbox)
        if self._timer is None:
            # One timer for all: a stalled socket is found at most a quarter of the limit late.
            self._timer = loop.call_later(self._stall / 4, self._check)

    def unblock(self, outbox: Outbox) -> None:
        outbox.blocked_since = None
        self._blocked.discard(outbox)

    def _check(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        for outbox in list(self._blocked):
            if outbox.blocked_since is not None and now - outbox.blocked_since >= self._stall:
                self.unblock(outbox)
                outbox.abort()
        if self._blocked:
            self._timer = loop.call_later(self._stall / 4, self._check)

    def stop(self) -> None:
        """Forget everyone: the node is going away."""
        self._dirty.clear()
        self._blocked.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
