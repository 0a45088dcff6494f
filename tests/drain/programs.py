"""Programs of `tests.drain.app` in processes of their own, and what they are asked for."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests._support.server import Launched, launch_uvicorn
from tests.behaviours.wire import Wire
from tests.transports.socketio.requests import Reply, request

__all__ = ["ENDS", "GOODBYE", "OURS", "STOCK", "WAYS", "Program", "program"]

STOCK = ()
OURS = ("--ws", "gatewright.server:WebSocketProtocol")
WAYS = [STOCK, OURS, ("--ws", "wsproto"), ("--loop", "asyncio")]
"""How a uvicorn is told to serve sockets."""

GOODBYE = (1012, "the server stops")

ENDS = {signal.SIGTERM: -signal.SIGTERM, signal.SIGINT: 0}
"""The exit codes of a uvicorn without us."""

TROUBLE = ("Traceback", "ERROR", "WARNING", "never awaited", "was destroyed", "Cancel ")


class Program:
    """A launched uvicorn, without ever blocking the test's loop."""

    def __init__(self, launched: Launched) -> None:
        self.launched = launched
        self.url = launched.url

    @property
    def output(self) -> str:
        return self.launched.output

    async def says(self, text: str, count: int = 1) -> None:
        """Wait until it has printed that so many times."""
        await asyncio.to_thread(self.launched.wait_for, text, count)

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.launched.signal(number)

    async def ended(self) -> int:
        """Wait for its end; returns the exit code."""
        return await asyncio.to_thread(self.launched.wait)

    async def ask(self, target: str, method: str = "GET", **options: Any) -> Reply:
        return await request(self.url, target, method, **options)

    async def unready(self) -> None:
        """Wait until its load balancer would send nobody here any more."""
        async with asyncio.timeout(20):
            while (await self.ask("/ready")).status != 503:
                await asyncio.sleep(0.01)

    async def goes_on(self) -> None:
        """Wait until it is sure that the server has not begun to stop.

        Its main loop, which looks for that ten times a second, sets the date once a second.
        """
        dates: set[str] = set()
        async with asyncio.timeout(20):
            while len(dates) < 3:
                dates.add((await self.ask("/ready")).headers["date"])
                await asyncio.sleep(0.01)
        assert "Shutting down" not in self.output

    async def open_gate(self) -> None:
        assert (await self.ask("/open", "POST")).status == 200

    def in_order(self, *texts: str) -> None:
        """Assert that it has printed all of that, for the last time each, in this order."""
        places = [self.output.rfind(text) for text in texts]
        assert -1 not in places, f"{texts[places.index(-1)]!r} is not in\n{self.output}"
        assert places == sorted(places), f"expected {texts} in this order:\n{self.output}"

    def untroubled(self) -> None:
        for word in TROUBLE:
            assert word not in self.output, self.output


@asynccontextmanager
async def program(
    target: str, *options: str, finish: float = 30, file: Path | None = None
) -> AsyncGenerator[Program]:
    """Run `tests.drain.app:target`; `finish` is its `finish_timeout`, `file` keeps its sessions."""
    env = {"FINISH": str(finish), "SESSIONS": str(file or "")}
    launching = launch_uvicorn(f"tests.drain.app:{target}", *options, env=env)
    launched = await asyncio.to_thread(launching.__enter__)
    try:
        yield Program(launched)
    finally:
        await asyncio.to_thread(launching.__exit__, None, None, None)


async def begin(wire: Wire, event: str, program: Program, said: str) -> None:
    """Call an event and wait until its handler has begun."""
    await wire.send({"event": event, "id": 1})
    await program.says(said)
