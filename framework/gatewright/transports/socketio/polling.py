"""HTTP long-polling: what waits for a client's next request."""

import asyncio
from collections.abc import Callable

from gatewright.protocol.engineio import CLOSE, NOOP
from gatewright.types import Frame, Link

__all__ = ["Polling"]

BUFFER = 64 * 1024
"""Bytes that wait here; what is more waits in the outbox, which knows what to do about too much."""


class Polling:
    """The link of a session that polls. One request waits at a time, and takes all there is."""

    immediate = True
    ping = None

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._size = 0
        self._poll: asyncio.Future[list[Frame]] | None = None
        self._changed: asyncio.Future[None] | None = None
        self._over = False
        self._switching = False
        self._successor: Link | None = None
        self.posting: bool = False
        """Whether a request with data is being read."""
        self.taken: int = 0
        """Bytes that polls have taken away."""
        self.given_up: Callable[[], None] | None = None
        """Called when the outbox takes its client for lost; a WebSocket's reader would see it."""
        self.backlog: int = 0
        """Always none: what waits for a poll, the client's heartbeat decides about."""

    # From the outbox

    @property
    def given(self) -> int:
        return self.taken + self._size

    def write(self, frames: list[Frame]) -> bool:
        if self._switching or self._size >= BUFFER:
            return False
        if self._over:
            return True
        for frame in frames:
            self._add(frame)
        self._answer()
        return True

    async def send(self, frame: Frame) -> None:
        while self._switching or self._size >= BUFFER:
            await self._change()
        if self._successor is not None:
            await self._successor.send(frame)
        else:
            self.write([frame])

    async def close(self, code: int, reason: str) -> None:
        """Tell the client with its next poll; the code is for WebSockets."""
        while self._switching:
            await self._change()
        if self._successor is not None:
            await self._successor.close(code, reason)
            return
        self._add(CLOSE)
        self._answer()
        while self._frames and not self._over:
            await self._change()
        self._over = True

    def abort(self) -> None:
        """Forget what waits; a pending poll learns that the session is over."""
        if self._successor is not None:
            self._successor.abort()
        self.finish(CLOSE)
        if self.given_up is not None:
            self.given_up()

    # The upgrade

    async def switch(self, link: Link) -> None:
        """Hand over to a WebSocket; what waits for a poll goes first.

        What the outbox has left here meanwhile follows: its frame is never lost between the two.
        """
        # From here on it is the one to abort: its client may not even read what has waited.
        self._switching, self._successor = True, link
        try:
            for frame in self.finish():
                await link.send(frame)
        finally:
            self._switching = False
            self._wake()

    # From the requests

    @property
    def pending(self) -> bool:
        """Whether a request waits."""
        return self._poll is not None and not self._poll.done()

    def poll(self) -> asyncio.Future[list[Frame]]:
        """What answers a request: done when there is something, or nothing any more."""
        self._poll = asyncio.get_running_loop().create_future()
        if self._over:
            self._poll.set_result([])
        else:
            self._answer()
        return self._poll

    def answered(self, frames: list[Frame]) -> None:
        """The client has got the answer of its poll."""
        self.taken += sum(frame.size for frame in frames)

    def noop(self) -> None:
        """Send a waiting request back, for the client to stop polling while it upgrades.

        The packet is for this request only: left in the buffer, it would go to the WebSocket.
        """
        if self._poll is not None and not self._poll.done():
            self._poll.set_result([NOOP])

    def farewell(self, last: Frame) -> bool:
        """Answer one more request by `last`; False if that is still to come."""
        waiting = self.pending
        self._frames, self._size = [last], 0
        self._answer()
        self._wake()
        return waiting

    def finish(self, last: Frame | None = None) -> list[Frame]:
        """Nothing is polled any more; hands out what has waited.

        A request that still waits is answered by `last`, or refused.
        """
        self._over = True
        frames, self._frames, self._size = self._frames, [], 0
        if self._poll is not None and not self._poll.done():
            self._poll.set_result([last] if last is not None else [])
        self._wake()
        return frames

    def _add(self, frame: Frame) -> None:
        self._frames.append(frame)
        self._size += frame.size

    def _answer(self) -> None:
        if self._frames and self._poll is not None and not self._poll.done():
            self._poll.set_result(self._frames)
            self._frames, self._size = [], 0
            self._wake()

    def _change(self) -> asyncio.Future[None]:
        if self._changed is None:
            self._changed = asyncio.get_running_loop().create_future()
        # Shared by all who wait: none of them may cancel it for the others.
        return asyncio.shield(self._changed)

    def _wake(self) -> None:
        if self._changed is not None:
            if not self._changed.done():
                self._changed.set_result(None)
            self._changed = None
