"""A cluster: slots that move, and servers that go."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from typing import TypeVar

import pytest

from gatewright.backplane.redis.layout import Names
from gatewright.backplane.shared.log import Unreachable
from tests._support.redises import RedisServer, cluster
from tests.backplane.logs.engines import Node, key, node
from tests.backplane.logs.redises import RedisEngine

pytestmark = pytest.mark.anyio

T = TypeVar("T")


@pytest.fixture(scope="module")
def servers() -> Generator[Sequence[RedisServer]]:
    with cluster() as servers:
        yield servers


@pytest.fixture
async def engine(servers: Sequence[RedisServer], anyio_backend: str) -> AsyncGenerator[RedisEngine]:
    yield RedisEngine(f"redis+cluster://127.0.0.1:{servers[0].port}", servers)
    for server in servers:
        server.thaw()


async def insist(step: Callable[[], Awaitable[T]]) -> T:
    async with asyncio.timeout(20):
        while True:
            try:
                return await step()
            except Unreachable:
                await asyncio.sleep(0.05)


def owner(servers: Sequence[RedisServer], slot: int) -> RedisServer:
    for first, last, (_, port, *_), *_ in servers[0].run("CLUSTER", "SLOTS"):
        if first <= slot <= last:
            return next(server for server in servers if server.port == port)
    raise AssertionError(slot)


def identity(server: RedisServer) -> str:
    found = server.run("CLUSTER", "MYID")
    return found.decode() if isinstance(found, bytes) else str(found)


def namespaces(servers: Sequence[RedisServer], prefix: str) -> dict[RedisServer, str]:
    """One for each server."""
    found: dict[RedisServer, str] = {}
    for index in range(200):
        name = f"/{index}"
        found.setdefault(owner(servers, Names(prefix, name).slot), name)
    assert len(found) == len(servers)
    return found


class Move:
    """A slot on its way from one server to another, step by step."""

    def __init__(self, servers: Sequence[RedisServer], slot: int) -> None:
        self.servers = servers
        self.slot = slot
        self.source = owner(servers, slot)
        self.target = next(server for server in servers if server is not self.source)

    def begin(self) -> None:
        self.target.run("CLUSTER", "SETSLOT", self.slot, "IMPORTING", identity(self.source))
        self.source.run("CLUSTER", "SETSLOT", self.slot, "MIGRATING", identity(self.target))

    def carry(self, *keys: str) -> None:
        known = keys or self.source.run("CLUSTER", "GETKEYSINSLOT", self.slot, 1000)
        for name in known:
            self.source.run("MIGRATE", "127.0.0.1", self.target.port, name, 0, 5000)

    def finish(self) -> None:
        for server in (self.target, self.source, *self.servers):
            server.run("CLUSTER", "SETSLOT", self.slot, "NODE", identity(self.target))


async def test_a_slot_moves_while_its_lane_is_used(
    engine: RedisEngine, servers: Sequence[RedisServer]
) -> None:
    async with node(engine) as ana, node(engine) as ben:
        names = Names(engine.prefix, "/a")
        start = await ana.log.subscribe("/a")
        await ben.append(b"before")
        await ana.ears.first(1)
        stored = await ben.create("~1", key("one"))
        await ben.append(b"joined", 0, member="~1")
        await ana.ears.first(2)
        move = Move(servers, names.slot)
        move.begin()
        # Everything is where it was still.
        assert (await ben.append(b"while it moves")).n == start.n + 3
        await ana.ears.first(3)
        # Half of it is here and half there: nothing may be done by halves.
        move.carry(names.messages)
        number = next(ben.numbers)
        with pytest.raises(Unreachable, match=r"TRYAGAIN|Multiple keys"):
            await ben.log.append("/a", b"by halves", 1, number)
        assert await ben.log.find("/a", key("one")) is not None, "each key is where it is"
        move.carry(names.record + "~1")
        assert await ben.log.find("/a", key("one")) is not None
        move.carry()
        # All of it is there: the other server answers, though it does not have the slot yet.
        there = await ben.log.append("/a", b"by halves", 1, number)
        assert there.n > start.n + 3
        move.finish()
        await ana.ears.until(lambda: ana.ears.is_broken("/a"))
        head = await insist(lambda: ana.log.subscribe("/a"))
        assert (head.epoch, head.n) == (there.epoch, there.n)
        # That server cannot know whether all has come along: it begins another epoch.
        assert there.epoch != start.epoch
        assert [each.body for each in await ana.read(there.n - 1)] == [b"by halves"]
        await ben.append(b"after")
        await ana.ears.until(lambda: ana.ears.lane("/a")[-1].body == b"after")
        found = await ben.log.find("/a", key("one"))
        assert found is not None
        assert found.record == stored.record
        assert [each.body for each in found.marks] == [b"joined"]


async def test_a_slot_without_lanes_moves_unnoticed(
    engine: RedisEngine, servers: Sequence[RedisServer]
) -> None:
    async with node(engine) as ana:
        slot = Names(engine.prefix, "/a").slot
        mine = {Names(engine.prefix, name).slot for name in ("/b", "")}
        await ana.log.subscribe("/b")
        if slot not in mine:
            move = Move(servers, slot)
            move.begin()
            move.finish()
        await ana.log.head("/a")  # MOVED
        await ana.append(b"one")
        await ana.append(b"two", namespace="/b")
        await ana.ears.first(1, "/b")
        assert not ana.ears.breaks


async def test_the_mail_moves(engine: RedisEngine, servers: Sequence[RedisServer]) -> None:
    async with node(engine) as ana:
        await ana.log.subscribe("/a")
        move = Move(servers, Names(engine.prefix, "").slot)
        move.begin()
        move.carry()
        move.finish()
        await ana.ears.until(lambda: None in ana.ears.breaks)
        await insist(ana.log.listen)
        await insist(lambda: ana.log.subscribe("/a"))
        await insist(lambda: ana.log.send(b"mail", ana.name))
        await ana.ears.until(lambda: ana.ears.mails == [b"mail"])


async def test_one_of_three_that_is_silent_takes_its_lanes_with_it(
    engine: RedisEngine, servers: Sequence[RedisServer]
) -> None:
    async with node(engine) as ana:
        mail = owner(servers, Names(engine.prefix, "").slot)
        names = namespaces(servers, engine.prefix)
        for name in names.values():
            await ana.log.subscribe(name)
        silent = next(server for server in servers if server is not mail)
        silent.freeze()
        await ana.ears.until(lambda: bool(ana.ears.breaks))
        assert ana.ears.breaks == [frozenset({names[silent]})]
        with pytest.raises(Unreachable):
            await ana.log.append(names[silent], b"", 1, 1)
        silent.thaw()
        await back(ana, names[silent])
        for server, name in names.items():
            await insist(lambda name=name: ana.log.append(name, b"again", 1, 2))  # type: ignore[misc]
            await ana.ears.first(1, name)
            assert server.port


async def back(ana: Node, namespace: str) -> None:
    await insist(lambda: ana.log.subscribe(namespace))


async def test_other_servers_are_learned_from_one(
    engine: RedisEngine, servers: Sequence[RedisServer]
) -> None:
    async with node(engine) as ana:
        for name in namespaces(servers, engine.prefix).values():
            head = await ana.log.head(name)
            assert (await ana.append(b"one", namespace=name)).n == head.n + 1


async def test_one_of_the_servers_that_are_named_is_enough(
    engine: RedisEngine, servers: Sequence[RedisServer]
) -> None:
    nobody = RedisServer(servers[0].folder).port
    engine.url = f"redis+cluster://127.0.0.1:{nobody},127.0.0.1:{servers[1].port}"
    async with node(engine) as ana:
        await ana.append(b"one")
