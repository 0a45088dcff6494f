"""A server in its own process that is frozen, killed and started again behind one address."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests._support.server import Launched, Url, launch
from tests.chaos.ports import lasting_port

__all__ = ["Server", "command", "server"]


def command(port: int, host: str = "127.0.0.1") -> list[str]:
    """How `tests.chaos.app` is started."""
    return [sys.executable, "-m", "tests.chaos.app", "--host", host, "--port", str(port)]


class Server:
    """A program that listens on one port for all its lives."""

    def __init__(
        self, command: Sequence[str], url: Url, env: Mapping[str, str], timeout: float
    ) -> None:
        self.url = url
        self.starts = 0
        self._command = command
        self._env = env
        self._timeout = timeout
        self._life: contextlib.ExitStack | None = None
        self._launched: Launched | None = None

    @property
    def output(self) -> str:
        """What it has printed in the life that runs or has ended last."""
        return self._launched.output if self._launched is not None else ""

    @property
    def pid(self) -> int:
        return self._running.process.pid

    @property
    def rss(self) -> int:
        """The memory of the process, in bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    async def start(self) -> None:
        """Start it and wait until it listens; RuntimeError with what it printed if it does not."""
        assert self._life is None, "it runs already"
        self._life = life = contextlib.ExitStack()
        launching = launch(self._command, env=self._env, timeout=self._timeout)
        # In a thread: clients in this loop go on while the server comes back.
        starting = asyncio.create_task(asyncio.to_thread(life.enter_context, launching))
        try:
            self._launched = await asyncio.shield(starting)
        finally:
            # Cancelled or not: what has been started will be ended.
            await asyncio.wait([starting])
        self.starts += 1

    async def kill(self) -> None:
        """SIGKILL: no goodbye, nothing is flushed; a process that is frozen dies as well."""
        if self._life is not None:
            life, self._life = self._life, None
            await asyncio.to_thread(life.close)

    async def terminate(self, timeout: float = 30) -> int:
        """SIGTERM; returns its exit code, TimeoutError if it has not ended in so many seconds."""
        process = self._running.process
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(timeout):
            while process.poll() is None:
                await asyncio.sleep(0.01)
        await self.kill()  # what it started, and its pipe
        return process.returncode

    async def restart(self) -> None:
        """Kill it and start it again at once."""
        await self.kill()
        await self.start()

    def freeze(self) -> None:
        """SIGSTOP: the kernel accepts and acknowledges for it, and nobody answers."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.killpg(self.pid, signal.SIGCONT)

    @property
    def _running(self) -> Launched:
        assert self._launched is not None, "it was never started"
        assert self._life is not None, "it does not run"
        return self._launched


@asynccontextmanager
async def server(
    *options: str, env: Mapping[str, str] | None = None, timeout: float = 20
) -> AsyncGenerator[Server]:
    """Run `tests.chaos.app` with these options until the block ends; `timeout` is for a start."""
    port = lasting_port()
    url = Url(f"http://127.0.0.1:{port}")
    running = Server([*command(port), *options], url, env or {}, timeout)
    try:
        await running.start()
        yield running
    finally:
        await running.kill()
