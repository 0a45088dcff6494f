"""The engine over Redis, on real servers."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from secrets import token_hex

from typing_extensions import override

from gatewright.backplane.redis.log import RedisLog
from tests._support.redises import RedisServer, redis_server, shared_cluster, shared_server
from tests.backplane.logs.engines import Engine

__all__ = ["RedisEngine", "redis_alone", "redis_clustered", "redis_shared"]


class RedisEngine(Engine):
    """Each has a prefix of its own."""

    def __init__(self, url: str, servers: Sequence[RedisServer]) -> None:
        self.url = url
        self.prefix = token_hex(4)
        self.servers = servers

    @override
    def log(self) -> RedisLog:
        return RedisLog(self.url, prefix=self.prefix)

    @override
    def freeze(self) -> None:
        for server in self.servers:
            server.freeze()

    @override
    def thaw(self) -> None:
        for server in self.servers:
            server.thaw()

    @override
    async def kill(self) -> None:
        for server in self.servers:
            server.kill()

    @override
    async def start(self) -> None:
        for server in self.servers:
            server.start()
        for server in self.servers:
            server.wait()

    @override
    async def cut(self) -> None:
        for server in self.servers:
            server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            server.run("CLIENT", "KILL", "TYPE", "pubsub")

    @override
    async def wipe(self) -> None:
        for server in self.servers:
            server.run("FLUSHALL")


@asynccontextmanager
async def redis_shared() -> AsyncGenerator[Engine]:
    server = shared_server()
    yield RedisEngine(server.url, [server])


@asynccontextmanager
async def redis_clustered() -> AsyncGenerator[Engine]:
    servers = shared_cluster()
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    yield RedisEngine(f"redis+cluster://{hosts}", servers)


@asynccontextmanager
async def redis_alone() -> AsyncGenerator[Engine]:
    with redis_server() as server:
        yield RedisEngine(server.url, [server])
