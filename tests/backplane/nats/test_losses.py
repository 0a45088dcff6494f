"""Streams of NATS that lose something: it is told, by another epoch or as what is not kept."""

import shutil
from collections.abc import Generator

import pytest

from gatewright.backplane.base import Bounds
from gatewright.backplane.nats.jetstream import JetStream
from gatewright.backplane.shared.log import Head, Unreachable
from tests._support.natses import NatsServer, server
from tests.backplane.logs.engines import Node, key, node
from tests.backplane.logs.nats import NatsEngine, jetstream
from tests.backplane.logs.test_failures import insist

pytestmark = pytest.mark.anyio


async def broken(each: Node) -> None:
    await each.ears.until(lambda: each.ears.is_broken("/a"))


async def test_a_stream_that_was_deleted_breaks_its_lane(engine: NatsEngine, js: JetStream) -> None:
    async with node(engine) as ana, node(engine) as ben:
        for each in (ana, ben):
            await each.log.subscribe("/a")
            await each.log.subscribe("/b")
        before = await ana.append(b"before")
        await js.delete(engine.layout.lane("/a"))
        # One notices when it appends, the other when it looks where the lane ends.
        with pytest.raises(Unreachable):
            await ana.append(b"after")
        await broken(ana)
        head = await ben.log.head("/a")
        await broken(ben)
        assert head.epoch != before.epoch
        assert not ana.ears.is_broken("/b")
        for each in (ana, ben):
            assert await each.log.subscribe("/a") == head
        after = await ana.append(b"after")
        await ben.ears.until(lambda: ben.ears.lane("/a")[-1].body == b"after")
        heard = ben.ears.lane("/a")[-1]
        assert Head(heard.epoch, heard.n, heard.seq) == after
        assert after.epoch == head.epoch


async def test_a_stream_made_anew_in_its_place_is_another_one(
    engine: NatsEngine, js: JetStream
) -> None:
    async with node(engine) as ana:
        before = await ana.append(b"before")
        await ana.append(b"before")
        info = await js.info(engine.layout.lane("/a"))
        assert info is not None
        await js.delete(info.config.name)
        assert await js.create(info.config) is not None
        # Its subjects are the same: only the number tells.
        with pytest.raises(Unreachable, match="lost a part"):
            await ana.log.append("/a", b"after", 1, 7)
        after = await ana.log.append("/a", b"after", 1, 7)
        assert after.epoch != before.epoch
        assert [each.body for each in await ana.read(0)] == [b"after"]


async def test_one_made_anew_that_nobody_writes_to_is_another_one_too(
    engine: NatsEngine, js: JetStream
) -> None:
    async with node(engine) as ana:
        before = await ana.log.subscribe("/a")
        info = await js.info(engine.layout.lane("/a"))
        assert info is not None
        await js.delete(info.config.name)
        assert await js.create(info.config) is not None
        assert (await ana.log.head("/a")).epoch != before.epoch
        await broken(ana)


async def test_what_was_purged_is_not_kept(engine: NatsEngine, js: JetStream) -> None:
    async with node(engine) as ana:
        start = await ana.log.head("/a")
        heads = [await ana.append(b"gone", 2) for _ in range(5)]
        life = (await ana.log._lanes.known("/a")).life  # type: ignore[attr-defined]
        await js.purge(engine.layout.lane("/a"), engine.layout.appended(life), heads[-1].n + 1)
        page = await ana.log.read("/a", start.n)
        assert (page.head, list(page.messages), page.since) == (heads[-1], [], heads[-1].n)
        last = await ana.append(b"kept")
        assert last.epoch == heads[0].epoch
        page = await ana.log.read("/a", start.n)
        assert [each.body for each in page.messages] == [b"kept"]
        assert page.since == heads[-1].n
        assert page.messages[0].before == heads[-1].seq


async def test_a_hole_is_told(engine: NatsEngine, js: JetStream) -> None:
    async with node(engine) as ana:
        heads = [await ana.append(str(index).encode()) for index in range(6)]
        await js.take_away(engine.layout.lane("/a"), heads[2].n)
        page = await ana.log.read("/a", 0)
        assert page.since == heads[2].n
        assert [each.body for each in page.messages] == [b"3", b"4", b"5"]
        page = await ana.log.read("/a", heads[3].n)
        assert page.since <= heads[3].n
        assert [each.body for each in page.messages] == [b"4", b"5"]


async def test_markers_outlive_the_entries_around_them(engine: NatsEngine) -> None:
    async with node(engine, Bounds(namespace_bytes=20_000)) as ana:
        await ana.create("~1", key("one"))
        joined = await ana.append(b"joined", 0, member="~1")
        for _ in range(20):
            await ana.append(b"x" * 3000)
        left = await ana.append(b"left", 0, member="~1")
        last = await ana.append(b"last")
        stored = await ana.load("~1")
        assert [(each.n, each.body) for each in stored.marks] == [
            (joined.n, b"joined"),
            (left.n, b"left"),
        ]
        page = await ana.log.read("/a", 0)
        assert page.since > joined.n
        assert page.messages[0].n == page.since + 1
        assert page.messages[-1].n == last.n


@pytest.fixture
def lasting() -> Generator[NatsServer]:
    with server() as running:
        yield running


async def test_after_a_restart_numbers_go_on_in_another_epoch(lasting: NatsServer) -> None:
    engine = NatsEngine(lasting.url)
    async with node(engine) as ana:
        start = await ana.log.subscribe("/a")
        stored = await ana.create("~1", key("one"))
        await ana.append(b"joined", 0, member="~1")
        before = await ana.append(b"before")
        lasting.kill()
        await broken(ana)
        lasting.start()
        head = await insist(lambda: ana.log.subscribe("/a"))
        # Nobody can tell whether this server lost what was not on its disk yet.
        assert head.epoch != before.epoch
        assert (head.n, head.seq) == (before.n, before.seq)
        after = await ana.append(b"after")
        assert after.n == before.n + 1
        assert [each.body for each in await ana.read(start.n)] == [b"joined", b"before", b"after"]
        found = await ana.load("~1")
        assert (found.record, found.version) == (stored.record, stored.version)
        assert [each.body for each in found.marks] == [b"joined"]


async def test_everything_acknowledged_is_there_after_a_kill(lasting: NatsServer) -> None:
    engine = NatsEngine(lasting.url)
    for _ in range(3):
        async with node(engine) as ana:
            start = await ana.log.head("/a")
            bodies = [f"{index}".encode() for index in range(100)]
            for body in bodies:
                await ana.append(body)
            lasting.kill()
            lasting.start()
        async with node(engine) as ben:
            assert [each.body for each in await ben.read(start.n)] == bodies


async def test_a_store_of_another_day_is_another_epoch(lasting: NatsServer) -> None:
    engine = NatsEngine(lasting.url)
    copy = lasting.folder / "copy"
    async with node(engine) as ana:
        await ana.create("~1", key("one"))
        for _ in range(3):
            await ana.append(b"kept")
        lasting.stop()
        shutil.copytree(lasting.store, copy)
        lasting.start()
        before = await insist(lambda: ana.log.subscribe("/a"))
        stored = await ana.load("~1")
        marker = await ana.log.replace("/a", stored, b"newer", "v2", folded=0, marker=b"m")
        assert marker is not None
        later = await ana.append(b"lost", 0, member="~1")
        lasting.kill()
        shutil.rmtree(lasting.store)
        copy.rename(lasting.store)
        lasting.start()
        head = await insist(lambda: ana.log.subscribe("/a"))
        assert head.epoch not in {before.epoch, later.epoch}
        assert head.n < later.n
        page = await ana.log.read("/a", later.n)
        assert (page.head, list(page.messages)) == (head, [])
        # The record is of that day as well, and what comes now is in its marks.
        joined = await ana.append(b"joined", 0, member="~1")
        assert joined.n <= later.n
        found = await ana.load("~1")
        assert (found.version, [each.body for each in found.marks]) == ("v1", [b"joined"])


async def test_marks_are_told_again_where_their_numbers_are_those_of_others(
    engine: NatsEngine, js: JetStream
) -> None:
    async with node(engine) as ana:
        stored = await ana.create("~1", key("one"))
        lefts = [await ana.append(b"left", 0, member="~1") for _ in range(5)]
        left = lefts[-1]
        await ana.log.replace("/a", await ana.load("~1"), b"", "v2", folded=left.n)
        assert not (await ana.load("~1")).marks
        await js.delete(engine.layout.lane("/a"))
        await ana.log.head("/a")
        joined = await ana.append(b"joined", 0, member="~1")
        assert joined.n < left.n
        stored = await ana.load("~1")
        assert [each.body for each in stored.marks] == [b"joined"]
        # The number is judged by the mark that it belongs to.
        assert await ana.log.replace("/a", stored, b"", "v3", folded=joined.n) is not None
        assert not (await ana.load("~1")).marks


async def test_an_empty_store_is_a_new_beginning(lasting: NatsServer) -> None:
    engine = NatsEngine(lasting.url)
    async with node(engine) as ana:
        await ana.create("~1", key("one"))
        before = await ana.append(b"before")
        await ana.log.remind("/a", "~1", 1000.0)
        assert await ana.log.due(900.0, 10) == []
        lasting.kill()
        shutil.rmtree(lasting.store)
        lasting.start()
        head = await insist(lambda: ana.log.head("/a"))
        assert head.epoch != before.epoch
        assert await insist(lambda: ana.log.load("/a", "~1")) is None
        assert await insist(lambda: ana.log.due(2000.0, 10)) == []
        await ana.log.remind("/a", "~2", 1000.0)
        assert await ana.log.due(2000.0, 10) == [("/a", "~2")]


async def test_streams_of_records_that_were_deleted_are_made_again(
    engine: NatsEngine, js: JetStream
) -> None:
    async with node(engine) as ana:
        await ana.create("~1", key("one"))
        await ana.log.remind("/a", "~1", 1000.0)
        await js.delete(engine.layout.records)
        await js.delete(engine.layout.reminders)
        assert await insist(lambda: ana.log.find("/a", key("one"))) is None
        assert await insist(lambda: ana.log.due(2000.0, 10)) == []
        await ana.create("~1", key("one"))


async def test_memory_lasts_as_long_as_the_server(lasting: NatsServer) -> None:
    engine = NatsEngine(lasting.url, storage="memory")
    async with node(engine) as ana:
        await ana.create("~1", key("one"))
        before = await ana.append(b"before")
    async with node(engine) as ana, jetstream(lasting.url) as js:
        assert await ana.log.head("/a") == before
        info = await js.info(engine.layout.lane("/a"))
        assert info is not None
        assert info.config.storage == "memory"
        lasting.stop()
        lasting.start()
        assert (await insist(lambda: ana.log.head("/a"))).n == 0
        assert await ana.log.load("/a", "~1") is None
