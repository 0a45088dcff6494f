"""A link whose socket does what the test says: takes, holds back, breaks."""

import asyncio

from gatewright.types import Frame


class ScriptedLink:
    """One socket as the outbox sees it, and everything that reached it.

    `writable` says whether the server takes another frame, `reading` whether the peer reads what
    the server has taken; until it does, that is the backlog.
    """

    def __init__(self, *, immediate: bool) -> None:
        self.immediate = immediate
        self.sent: list[Frame] = []
        self.said: tuple[int, str] | None = None
        self.aborted: int = 0
        self.reading = True
        self.ping = None
        self.taken = 0
        self.backlog = 0
        self._writable = True
        self._broken = False
        self._waiting: set[asyncio.Future[None]] = set()

    # What the test says

    def block(self) -> None:
        self._writable = False

    def unblock(self) -> None:
        self._writable = True
        self._wake()

    def shatter(self) -> None:
        """From now on every use raises, as a server does whose peer is gone."""
        self._broken = True
        self._wake()

    def read(self, size: int | None = None) -> None:
        """The peer reads some of the backlog, or all of it."""
        amount = self.backlog if size is None else min(size, self.backlog)
        self.backlog -= amount
        self.taken += amount

    # What the outbox asks

    @property
    def given(self) -> int:
        return self.taken + self.backlog

    def write(self, frames: list[Frame]) -> bool:
        if self._broken:
            raise OSError("the peer is gone")
        if not self._writable and not self.aborted:
            return False
        for frame in frames:
            self._take(frame)
        return True

    async def send(self, frame: Frame) -> None:
        await self._until_writable()
        self._take(frame)

    async def close(self, code: int, reason: str) -> None:
        await self._until_writable()
        if not self.aborted:
            assert self.said is None, "said goodbye twice"
            self.said = (code, reason)

    def abort(self) -> None:
        self.aborted += 1
        self._wake()

    def _take(self, frame: Frame) -> None:
        if self.aborted:
            return
        assert self.said is None, "sent after the goodbye"
        self.sent.append(frame)
        if self.reading:
            self.taken += frame.size
        else:
            self.backlog += frame.size

    async def _until_writable(self) -> None:
        while not (self._writable or self._broken or self.aborted):
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(waiting)
            try:
                await waiting
            finally:
                self._waiting.discard(waiting)
        if self._broken:
            raise OSError("the peer is gone")

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
