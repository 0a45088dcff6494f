"""The cable between a client and a server: a TCP proxy that is cut, stalled and plugged in."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from tests._support.server import Url

__all__ = ["Cable", "cable"]


class Cable:
    """Carries bytes both ways while it is plugged in.

    `url` is its near end. Where it `swallows`, what is sent is taken and never arrives: a network
    that drops without a word.
    """

    def __init__(self) -> None:
        self.url = Url()
        self.far: Url = Url()
        self.plugged = True
        self.swallows = False
        self.opened = 0
        """How many connections have been made."""
        self.refused = 0
        """How many came while it was unplugged."""
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Reset every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    def unplug(self) -> None:
        """Reset every connection, and refuse new ones."""
        self.plugged = False
        self.cut()

    def plug(self) -> None:
        self.plugged = True
        self.swallows = False

    async def carry(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self._writers.add(back)
        try:
            if not self.plugged:
                self.refused += 1
                return
            host, _, port = self.far.removeprefix("http://").partition(":")
            far, forth = await asyncio.open_connection(host, int(port))
            self.opened += 1
            self._writers.add(forth)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._copy(near, forth))
                    group.create_task(self._copy(far, back))
            finally:
                self._writers.discard(forth)
                forth.transport.abort()
        except OSError:
            pass  # nobody there: the near end is reset, too
        finally:
            self._writers.discard(back)
            back.transport.abort()

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if not self.swallows:
                    sink.write(data)
                    await sink.drain()
        sink.close()


@asynccontextmanager
async def cable(far: Url) -> AsyncGenerator[Cable]:
    """A cable to a server."""
    line = Cable()
    line.far = far
    server = await asyncio.start_server(line.carry, "127.0.0.1", 0)
    line.url = Url(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield line
    finally:
        server.close()
        line.unplug()
        await server.wait_closed()
