"""Redis and NATS servers in processes of their own, to be killed, frozen and emptied."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, TypeAlias

import nats

from tests._support.needs import nats_server, redis_server
from tests.chaos.ports import lasting_port

__all__ = ["Engine", "Kind", "engine"]

Kind: TypeAlias = Literal["redis", "nats"]


class Engine:
    """A server that keeps its port, and its folder, over all its lives."""

    def __init__(self, kind: Kind, folder: Path, *, lasting: bool) -> None:
        self.kind = kind
        self.port = lasting_port()
        self.url = f"{kind}://127.0.0.1:{self.port}"
        self._folder = folder
        self._lasting = lasting
        self._process: asyncio.subprocess.Process | None = None

    def _command(self) -> Sequence[str]:
        port, folder = str(self.port), str(self._folder)
        if self.kind == "nats":
            return nats_server(), "-a", "127.0.0.1", "-p", port, "-js", "-sd", folder
        append = "yes" if self._lasting else "no"
        return (
            *(redis_server(), "--bind", "127.0.0.1", "--port", port, "--dir", folder),
            *("--save", "", "--appendonly", append, "--appendfsync", "always"),
        )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start it and wait until it listens."""
        with (self._folder / "output").open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(), stdout=output, stderr=output, stdin=asyncio.subprocess.DEVNULL
            )
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    assert self._process.returncode is None, self.output
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    await writer.wait_closed()
                    return

    @property
    def output(self) -> str:
        return (self._folder / "output").read_text(encoding="utf-8", errors="replace")

    async def kill(self) -> None:
        """SIGKILL."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    def forget(self) -> None:
        """Lose what it has written, while it does not run."""
        assert self._process is None
        for path in self._folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)

    def freeze(self) -> None:
        """SIGSTOP, and come back when its last thread stands still."""
        os.kill(self.pid, signal.SIGSTOP)
        while not all(map(_stopped, Path(f"/proc/{self.pid}/task").iterdir())):
            pass

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    async def flush(self) -> None:
        """A server that lives on and has forgotten everything: FLUSHALL, or no stream any more."""
        if self.kind == "nats":
            await self._delete_streams()
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"FLUSHALL\r\n")
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
        assert answer == b"+OK\r\n", answer

    async def _delete_streams(self) -> None:
        client = await nats.connect(self.url)
        try:
            streams = client.jsm()
            for each in await streams.streams_info():
                assert each.config.name is not None
                await streams.delete_stream(each.config.name)
        finally:
            await client.close()


def _stopped(thread: Path) -> bool:
    state = (thread / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    return state == "T"


@asynccontextmanager
async def engine(kind: Kind, *, lasting: bool = True) -> AsyncGenerator[Engine]:
    """A server until the block ends; one that is not `lasting` loses everything when killed."""
    with tempfile.TemporaryDirectory() as folder:
        running = Engine(kind, Path(folder), lasting=lasting)
        try:
            await running.start()
            yield running
        finally:
            await running.kill()
