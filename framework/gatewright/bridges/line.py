"""Redis, as a bridge needs it: channels to listen to and to publish on, mended when it breaks."""

import asyncio
import contextlib

from gatewright.bridges.clients import PATIENCE, Breaks, connector, without_password
from gatewright.bridges.figures import Complaints, Figures
from gatewright.bridges.listening import Listener
from gatewright.bridges.telling import Teller
from gatewright.errors import StartupError

__all__ = ["Line"]


class Line:
    """Two connections to one Redis."""

    def __init__(self, url: str, lifeline: str, figures: Figures, complaints: Complaints) -> None:
        self._name = without_password(url)
        self._redis = connector()(url)
        self._breaks = Breaks(self._name, figures)
        self.listener: Listener = Listener(self._redis, lifeline, self._breaks)
        self.teller: Teller = Teller(self._redis, figures, complaints, self._breaks)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def up(self) -> bool:
        """Whether Redis was there when it was needed last."""
        return self._breaks.none

    async def open(self) -> None:
        """Connect, and hear what has been followed so far; raises `StartupError`."""
        try:
            pubsub = await self.listener.subscribe()
        except Exception as error:
            await self._redis.aclose()
            raise StartupError(
                f"SocketIORedis({self._name!r})",
                expected=f"a Redis that answers within {PATIENCE:g} s",
                got=f"{type(error).__name__}: {error}".rstrip(".: "),
                fix="Start it, or correct the URL or what its user may do.",
            ) from None
        self._tasks = [
            asyncio.create_task(self.listener.listen(pubsub), name="bridge: listens"),
            asyncio.create_task(self.listener.follow_changes(), name="bridge: follows"),
            asyncio.create_task(self.teller.write(), name="bridge: tells"),
        ]

    async def aclose(self) -> None:
        """Send what waits, unless Redis is lost, and disconnect."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE / 2 if self.up else 0):
                await self.teller.idle.wait()
        running = set(self._tasks)
        while running:
            for task in running:
                task.cancel()
            # The client awaits `asyncio.wait_for`, which until Python 3.12 may swallow a cancel.
            _, running = await asyncio.wait(running, timeout=0.1)
        self.teller.give_up()
        with contextlib.suppress(Exception):
            await self.listener.hang_up()
            await self._redis.aclose()
