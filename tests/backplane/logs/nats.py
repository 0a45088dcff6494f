"""NATS servers for the tests: one that they share, and ones that a test may do anything to."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Any

from nats.aio.client import Client

from gatewright.backplane.nats.connection import Connection
from gatewright.backplane.nats.jetstream import JetStream
from gatewright.backplane.nats.log import NatsLog
from gatewright.backplane.nats.streams import Layout, Storage
from gatewright.backplane.shared.log import Log
from tests._support.natses import shared_server
from tests.backplane.logs.engines import Engine
from tests.chaos import engines
from tests.chaos.proxy import Proxy, proxy

__all__ = ["NatsEngine", "jetstream", "nats", "nats_alone", "publishing"]


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


@asynccontextmanager
async def publishing(url: str) -> AsyncGenerator[Client]:
    """What others send."""
    client = Client()
    await client.connect(url, allow_reconnect=False)
    try:
        yield client
    finally:
        await client.close()


class NatsEngine(Engine):
    """A prefix on a server; one that is `alone` is reached through a proxy, to be cut there."""

    def __init__(
        self,
        url: str,
        alone: tuple[engines.Engine, Proxy] | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        replicas: int = 1,
        storage: Storage = "file",
    ) -> None:
        self.url = url
        self.layout = Layout(token_hex(4), replicas, storage)
        self._alone = alone
        self._options = options or {}

    def log(self) -> Log:
        return NatsLog(self.url.split(","), self.layout, self._options)

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
