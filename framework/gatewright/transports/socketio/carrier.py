"""The link of an Engine.IO session, whose transport may change while it lives."""

import asyncio

from gatewright.transports.socketio.polling import Polling
from gatewright.types import Frame, Link

__all__ = ["Carrier"]


class Carrier:
    """Hands what the outbox sends to the transport of the moment: one `Polling`, or a WebSocket."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._switching: asyncio.Future[None] | None = None
        self._before = 0

    @property
    def polling(self) -> Polling | None:
        """The transport, while the session polls."""
        return self._link if isinstance(self._link, Polling) else None

    @property
    def immediate(self) -> bool:
        return self._link.immediate

    @property
    def taken(self) -> int:
        return self._before + self._link.taken

    @property
    def backlog(self) -> int:
        return self._link.backlog

    def write(self, frames: list[Frame]) -> bool:
        return self._switching is None and self._link.write(frames)

    async def send(self, frame: Frame) -> None:
        await self._switched()
        await self._link.send(frame)

    async def close(self, code: int, reason: str) -> None:
        await self._switched()
        await self._link.close(code, reason)

    def abort(self) -> None:
        self._link.abort()

    async def switch(self, link: Link) -> None:
        """Go on with a WebSocket; what waits for a poll goes first."""
        polling = self.polling
        assert polling is not None
        self._switching = asyncio.get_running_loop().create_future()
        try:
            for frame in polling.finish():
                await link.send(frame)
        finally:
            self._before = polling.taken
            self._link = link
            self._switching.set_result(None)
            self._switching = None

    async def _switched(self) -> None:
        while self._switching is not None:
            await asyncio.shield(self._switching)
