"""The bounded outgoing queue of one socket.

Everything that a connection sends goes through its outbox: replies, emits, stream items and the
goodbye. So nothing overtakes anything, a broadcast never waits for a socket, and what one turn of
the event loop produced leaves in one write where the server allows it.
"""

import asyncio
import logging
from collections import deque
from typing import Final, cast

from gatewright.flusher import Flusher
from gatewright.protocol.close import CloseCode
from gatewright.types import Frame, Link

__all__ = ["Outbox"]

logger: logging.Logger = logging.getLogger("gatewright.outbox")

VOLATILE_SHARE: Final = 0.5
"""The part of an outbox that volatile frames may fill: the rest is kept for what must arrive."""


LOST: Final = (CloseCode.GOING_AWAY, "")
"""What stands for the goodbye of a socket that was lost without one of ours."""


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
        "_gone",
        "_keyed",
        "_link",
        "_mark",
        "_marked",
        "_moved",
        "_queue",
        "_room",
        "_scheduled",
        "_taken",
        "_waits",
        "_wake",
        "_writer",
        "dropped",
        "limit",
        "size",
        "watched",
    )

    def __init__(self, link: Link, flusher: Flusher, limit: int) -> None:
        self._link = link
        self._flusher = flusher
        self._queue: deque[Frame | _Latest] = deque()
        self._keyed: dict[str, _Latest] = {}
        self._scheduled = False
        self._writer: asyncio.Task[None] | None = None
        self._wake: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._closing: tuple[int, str] | None = None
        self._gone = False
        self._waits = False
        self._moved = 0.0
        self._taken: int | None = None
        """What the socket had taken at the last look; to ask costs a call of the system, which
        most are spared since by the first look everything has left."""
        self._mark = 0
        self._marked = 0
        self.limit: int = limit
        self.size: int = 0
        self.dropped: int = 0
        self.watched: bool = False
        """Whether the flusher looks after the socket."""

    @property
    def closing(self) -> bool:
        """Whether the last frame has been said: what is pushed now goes nowhere."""
        return self._closing is not None

    @property
    def goodbye(self) -> tuple[int, str] | None:
        """The code and the reason with which it was closed here; None if the peer was first."""
        return None if self._closing is LOST else self._closing

    def push(self, frame: Frame) -> None:
        """Queue a frame that must arrive; over the limit, closes the connection instead."""
        if self._closing is not None:
            return
        size = self.size + frame.size
        if size > self.limit:
            self._overflow(frame)
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
            size = self.size - waiting.frame.size + frame.size
            if size > self.limit:
                self.dropped += 1
                return False
            self.size = size
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

    async def room(self, wanted: int = 0) -> None:
        """Wait until half of the outbox is free and `wanted` bytes fit; streams ask for each item.

        What is larger than the whole outbox waits until that is empty, for `push` to refuse it.
        """
        while self._closing is None and (
            self.size > self.limit // 2 or (self.size and self.size + wanted > self.limit)
        ):
            if self._room is None:
                self._room = asyncio.get_running_loop().create_future()
            # One future serves all who wait, so none of them may cancel it for the others.
            await asyncio.shield(self._room)

    def away(self, after: float, reason: str) -> None:
        """Nothing: a plain client has only the close code to go by."""

    def close(self, code: int, reason: str = "") -> None:
        """Say goodbye after everything that was pushed before; later calls change nothing."""
        if self._closing is None:
            self._closing = (code, reason)
            self._let_in()
            if not self._scheduled:
                self._scheduled = True
                self._flusher.add(self)

    def relink(self, link: Link) -> None:
        """Go on with another link; what the old one has been handed stays its affair."""
        self._link = link
        self._taken = link.taken
        self._mark = 0

    def lose(self) -> None:
        """The socket is gone: what waits, and what is pushed from now on, goes nowhere."""
        self._leave(LOST)

    def abort(self, code: int = CloseCode.SLOW_CONSUMER, reason: str = "") -> None:
        """Drop the socket and what waits for it; the reason is for our own hooks."""
        self._leave((code, reason))
        self._link.abort()

    async def aclose(self) -> None:
        """End the writer of a lost socket.

        What the server still holds for a peer that does not read stays watched: no server gives
        such a socket up by itself.
        """
        self.lose()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.cancel()
            await asyncio.wait([writer])

    def mark(self) -> None:
        """Remember how much stands before what is pushed next: a ping."""
        self._mark = self._link.given + self.size
        self._marked = self._link.taken

    def moving(self) -> bool:
        """Whether the socket still takes what stood before the mark, and did since the last look.

        A peer on a thin line has not read the ping yet, and is not to blame for its silence.
        """
        taken = self._link.taken
        moved = self._marked < taken < self._mark
        self._marked = taken
        return moved

    @property
    def stuck(self) -> bool:
        """Whether something waits for the socket, here or in the server's buffer."""
        return self._waits or self._link.backlog > 0

    def stillness(self, now: float) -> float:
        """For how many seconds the socket has taken nothing, as far as earlier calls know."""
        taken = self._link.taken
        if self._taken is None or taken > self._taken:
            self._taken = taken
            self._moved = now
        return now - self._moved

    def _be_watched(self) -> None:
        if not self.watched:
            self.watched = True
            self._taken = None
            self._flusher.watch(self)

    def _leave(self, goodbye: tuple[int, str]) -> None:
        self._gone = True
        self._closing = self._closing or goodbye
        self._forget_queue()
        self._let_in()

    def _overflow(self, frame: Frame) -> None:
        if frame.size > self.limit:
            reason = f"a message of {frame.size} bytes; an outbox holds {self.limit}"
        else:
            reason = "messages arrive faster than they are read"
        self._forget_queue()
        self.close(CloseCode.SLOW_CONSUMER, reason)

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
        if self._gone:
            return
        self._be_watched()
        if self._link.immediate:
            if self._keyed:
                frames = [each.frame if type(each) is _Latest else each for each in self._queue]
            else:
                frames = list(self._queue)
            if self._link.write(cast(list[Frame], frames)):
                if self._flusher.observers:
                    self._flusher.tell(len(frames), self.size)
                self._queue.clear()
                self._keyed.clear()
                self.size = 0
                self._let_in()
                if self._closing is None:
                    return
        self._writer = asyncio.get_running_loop().create_task(self._write())

    def _frame(self, queued: Frame | _Latest) -> Frame:
        """What leaves the queue now: from here on its key has no place."""
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
                self._waits = True
                self._be_watched()
                while self._queue:
                    # One by one: each frame that the socket takes counts as progress.
                    frame = self._frame(self._queue.popleft())
                    await self._link.send(frame)
                    self._flusher.tell(1, frame.size)
                    self._sent(frame.size)
                if self._gone:
                    return
                if self._closing is not None:
                    await self._link.close(*self._closing)
                    return
                self._waits = False
                if self._link.immediate:
                    self._writer = None
                    return
                self._wake = loop.create_future()
                await self._wake
        except Exception as error:
            # The peer is gone, in the words of whichever server or middleware it is. The reader
            # learns it too and ends the connection; abort makes sure of it.
            logger.debug("a socket refused a message: %r", error)
            self.lose()
            self._link.abort()
        finally:
            self._waits = False
