"""NATS servers for the tests: one that they share, and ones that a test may do anything to."""

import atexit
import itertools
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from gatewright.backplane.nats.connection import Connection
from gatewright.backplane.nats.jetstream import JetStream
from gatewright.backplane.nats.log import NatsLog
from gatewright.backplane.nats.streams import Layout
from gatewright.backplane.shared.log import Log
from tests._support.needs import nats_server
from tests.backplane.logs.engines import Engine
from tests.chaos import engines
from tests.chaos.ports import lasting_port
from tests.chaos.proxy import Proxy, proxy

__all__ = ["NatsEngine", "fresh_prefix", "jetstream", "nats", "nats_alone", "shared_server"]

_prefixes = itertools.count(1)


@cache
def shared_server() -> str:
    """The URL of a server that runs until the tests have ended."""
    port, folder = lasting_port(), tempfile.mkdtemp()
    command = [nats_server(), "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", folder]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end() -> None:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    for _ in range(1000):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert process.poll() is None, "nats-server has ended"
            time.sleep(0.01)
        else:
            return f"nats://127.0.0.1:{port}"
    raise AssertionError("nats-server does not listen")


def fresh_prefix() -> str:
    """One that no other test has."""
    return f"test{next(_prefixes)}"


@asynccontextmanager
async def jetstream(url: str, **options: Any) -> AsyncGenerator[JetStream]:
    """What a test does to streams behind an engine's back."""
    connection = await Connection.open([url], options, lambda *_: None)

    async def reach() -> Connection:
        return connection

    try:
        yield JetStream(reach)
    finally:
        await connection.close()


class NatsEngine(Engine):
    """A prefix on a server; one that is `alone` is reached through a proxy, to be cut there."""

    def __init__(
        self,
        url: str,
        alone: tuple[engines.Engine, Proxy] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.url = url
        self.layout = Layout(fresh_prefix(), 1, "file")
        self._alone = alone
        self._options = options or {}

    def log(self) -> Log:
        return NatsLog([self.url], self.layout, self._options)

    @property
    def server(self) -> engines.Engine:
        assert self._alone is not None
        return self._alone[0]

    def freeze(self) -> None:
        self.server.freeze()

    def thaw(self) -> None:
        self.server.thaw()

    async def kill(self) -> None:
        await self.server.kill()

    async def start(self) -> None:
        await self.server.start()

    async def cut(self) -> None:
        assert self._alone is not None
        self._alone[1].cut()

    async def wipe(self) -> None:
        async with jetstream(self.server.url) as js:
            for info in await js.streams(">"):
                await js.delete(info.config.name)


@asynccontextmanager
async def nats() -> AsyncGenerator[Engine]:
    yield NatsEngine(shared_server())


@asynccontextmanager
async def nats_alone() -> AsyncGenerator[Engine]:
    async with (
        engines.engine("nats") as server,
        proxy(f"http://127.0.0.1:{server.port}") as network,
    ):
        yield NatsEngine(f"nats://127.0.0.1:{network.port}", (server, network))
