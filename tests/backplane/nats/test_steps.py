"""Records and reminders of NATS where somebody dies, or is overtaken, between two steps."""

import asyncio
from collections.abc import Generator

import pytest

from gatewright.backplane.nats.jetstream import JetStream
from gatewright.backplane.shared.log import Unreachable
from tests._support.natses import server
from tests.backplane.logs.engines import Node, key, node
from tests.backplane.logs.nats import NatsEngine

pytestmark = pytest.mark.anyio

USERS = """
authorization { users: [
  { user: all, password: secret }
  { user: half, password: secret, permissions: { publish: { deny: ["*.lane.*.m.>"] } } }
] }
"""


class Pair:
    """Two ways to one engine: who comes by the first gets no marker of a member into a lane."""

    def __init__(self, url: str) -> None:
        self.half = NatsEngine(url, options={"user": "half", "password": "secret"})
        self.all = NatsEngine(url, options={"user": "all", "password": "secret"})
        self.all.layout = self.half.layout


@pytest.fixture(scope="module")
def url() -> Generator[str]:
    with server(USERS) as running:
        yield running.url


@pytest.fixture
def pair(url: str) -> Pair:
    return Pair(url)


async def test_whoever_loads_a_record_puts_its_marker_in_the_lane(pair: Pair) -> None:
    async with node(pair.half) as ana:
        start = await ana.log.head("/a")
        stored = await ana.create("~1", key("one"))
        with pytest.raises(Unreachable, match="no right to publish"):
            await ana.log.replace("/a", stored, b"2", "v2", folded=0, marker=b"resumed")
        assert await ana.read(start.n) == []
    async with node(pair.all) as ben, node(pair.all) as eve:
        await eve.log.subscribe("/a")
        found = await asyncio.gather(*(each.load("~1") for each in (ben, eve) for _ in range(3)))
        assert all(each == found[0] for each in found)
        assert (found[0].version, [each.body for each in found[0].marks]) == ("v2", [b"resumed"])
        (told,) = await ben.read(start.n)
        assert found[0].marks == (told,)
        assert await eve.ears.first(1) == [told]
        # What follows has it in itself.
        replaced = await ben.log.replace("/a", found[0], b"3", "v3", folded=told.n)
        assert replaced is not None
        assert not (await eve.load("~1")).marks
        assert len(await ben.read(start.n)) == 1


async def test_the_marker_of_one_that_was_removed_comes_too(pair: Pair) -> None:
    async with node(pair.half) as ana:
        stored = await ana.create("~1", key("one"))
        await ana.create("~2", key("two"))
        start = await ana.log.head("/a")
        with pytest.raises(Unreachable):
            await ana.log.remove("/a", stored, [key("one")], b"ended")
        assert await ana.read(start.n) == []
    async with node(pair.all) as ben:
        assert await ben.log.find("/a", key("one")) is None
        assert await ben.log.load("/a", "~1") is None
        assert [each.body for each in await ben.read(start.n)] == [b"ended"]
        assert await ben.log.load("/a", "~1") is None
        fresh = await ben.create("~1", key("one"))
        assert not fresh.marks
        assert len(await ben.read(start.n)) == 1


async def test_one_that_begins_in_the_place_of_another_lets_it_end_first(pair: Pair) -> None:
    async with node(pair.half) as ana:
        stored = await ana.create("~1", key("one"))
        start = await ana.log.head("/a")
        with pytest.raises(Unreachable):
            await ana.log.remove("/a", stored, [key("one")], b"ended")
    async with node(pair.all) as ben:
        await ben.create("~1", key("two"))
        assert [each.body for each in await ben.read(start.n)] == [b"ended"]
        assert await ben.log.find("/a", key("one")) is None


async def test_a_key_of_one_that_never_began_is_free(engine: NatsEngine, js: JetStream) -> None:
    async with node(engine) as ana:
        await js.publish(engine.layout.key("/a", key("one")), b"~dead")
        assert await ana.log.find("/a", key("one")) is None
        stored = await ana.create("~1", key("one"))
        assert await ana.log.find("/a", key("one")) == stored
        # It was only slow: it has to look again.
        assert await ana.log.create("/a", "~dead", b"", "v1", [key("one")]) is None
        assert await ana.log.create("/a", "~dead", b"", "v1", [key("two")]) is not None
        assert await ana.log.load("/a", "~dead") is not None


async def test_a_key_that_its_session_has_dropped_is_free(
    engine: NatsEngine, js: JetStream
) -> None:
    async with node(engine) as ana:
        stored = await ana.create("~1", key("one"))
        await ana.log.replace(
            "/a", stored, b"", "v2", folded=0, add=[key("two")], drop=[key("one")]
        )
        # As if whoever dropped it had died before it was forgotten.
        await js.publish(engine.layout.key("/a", key("one")), b"~1")
        assert await ana.log.find("/a", key("one")) is None
        await ana.create("~2", key("one"))


async def test_of_several_sessions_one_gets_a_key(engine: NatsEngine) -> None:
    async with node(engine) as ana, node(engine) as ben:

        async def create(each: Node, id: str) -> bool:
            return await each.log.create("/a", id, b"", "v1", [key("one")]) is not None

        names = [f"~{index}" for index in range(8)]
        done = await asyncio.gather(
            *(create(each, name) for each, name in zip((ana, ben) * 4, names, strict=True))
        )
        assert sum(done) == 1
        found = await ana.log.find("/a", key("one"))
        assert found is not None
        assert found.id == names[done.index(True)]


async def test_what_another_node_has_forgotten_or_moved_is_not_told(engine: NatsEngine) -> None:
    async with node(engine) as ana, node(engine) as ben:
        for id in ("~1", "~2", "~3"):
            await ben.log.remind("/a", id, 1000.0)
        assert await ana.log.due(999.0, 10) == []
        # Of what was forgotten nothing is left to be read.
        await ben.log.forget("/a", "~1")
        await ben.log.remind("/a", "~2", 2000.0)
        assert await ana.log.due(1001.0, 10) == [("/a", "~3")]
        assert await ana.log.due(2001.0, 10) == [("/a", "~3"), ("/a", "~2")]


async def test_many_are_told_once(engine: NatsEngine) -> None:
    async with node(engine) as ana, node(engine) as ben:
        names = [("/a", f"~{index}") for index in range(300)]
        await asyncio.gather(*(ana.log.remind(*name, 1000.0) for name in names))
        told = await asyncio.gather(
            *(each.log.due(1001.0, 100) for each in (ana, ben) for _ in range(2))
        )
        assert sorted(each for some in told for each in some) == sorted(names)


async def test_the_index_does_not_grow_with_what_is_over(engine: NatsEngine) -> None:
    async with node(engine) as ana:
        for _ in range(30):
            for id in range(40):
                await ana.log.remind("/a", f"~{id}", 1000.0)
            assert await ana.log.due(900.0, 1) == []
        reminders = ana.log._reminders  # type: ignore[attr-defined]
        assert len(reminders._all) == 40
        assert len(reminders._heap) <= 2 * 40 + 1000
