"""What every engine promises of lanes (`gatewright.backplane.shared.log`)."""

import asyncio
from collections.abc import Sequence

import pytest

from gatewright.backplane.base import Bounds
from gatewright.backplane.shared.log import Head, Message
from tests.backplane.logs.engines import Engine, Node, node

pytestmark = pytest.mark.anyio


def follows(messages: Sequence[Message], after: int) -> bool:
    """Whether they stand in the lane one behind the other, the first behind a number."""
    befores = [after, *(message.n for message in messages)]
    return all(
        message.prev == before < message.n
        for before, message in zip(befores, messages, strict=False)
    )


def place(message: Message) -> Head:
    return Head(message.epoch, message.n, message.seq)


async def test_numbers_rise_with_what_is_appended(engine: Engine) -> None:
    async with node(engine) as ana:
        new = await ana.log.head("/a")
        one = await ana.append(b"one", 1)
        three = await ana.append(b"three", 3)
        marker = await ana.append(b"marker", 0)
        last = await ana.append(b"last", 1)
        assert new.n < one.n < three.n < marker.n < last.n
        assert new.seq < one.seq
        assert one.seq <= three.seq - 3
        assert three.seq <= marker.seq <= last.seq - 1
        assert {new.epoch, one.epoch, three.epoch, marker.epoch} == {last.epoch}
        assert await ana.log.head("/a") == last


async def test_an_empty_lane_ends_where_it_began(engine: Engine) -> None:
    async with node(engine) as ana, node(engine) as ben:
        head = await ana.log.head("/a")
        assert head.epoch
        assert await ben.log.head("/a") == head
        assert await ben.log.subscribe("/a") == head
        page = await ben.log.read("/a", head.n)
        assert (page.head, list(page.messages)) == (head, [])


async def test_who_subscribes_hears_what_is_appended(engine: Engine) -> None:
    async with node(engine) as ana, node(engine) as ben:
        await ana.append(b"before")
        head = await ben.log.subscribe("/a")
        appended = [await ana.append(b"two", 2), await ben.append(b"marker", 0)]
        heard = [each for each in await ben.ears.first(2) if each.n > head.n]
        assert [place(each) for each in heard] == appended
        assert [(each.count, each.body) for each in heard] == [(2, b"two"), (0, b"marker")]
        assert follows(heard, head.n)
        assert not ana.ears.messages, "who has not subscribed hears nothing"


@pytest.mark.parametrize("body", [b"", b"\r\n$3\r\n\0\xff", b"x" * 300_000])
async def test_a_body_is_carried_as_it_is(engine: Engine, body: bytes) -> None:
    async with node(engine) as ana:
        head = await ana.log.subscribe("/a")
        await ana.append(body)
        (heard,) = await ana.ears.first(1)
        (read,) = await ana.read(head.n)
        assert heard == read
        assert heard.body == body


async def test_all_hear_all_in_one_order(engine: Engine) -> None:
    async with node(engine) as ana, node(engine) as ben, node(engine) as eve:
        heads = [await each.log.subscribe("/a") for each in (ana, ben, eve)]

        async def appends(each: Node) -> list[Head]:
            return [await each.append(f"{each.name} {index}".encode()) for index in range(100)]

        appended = await asyncio.gather(appends(ana), appends(ben))
        lanes = [await each.ears.first(200) for each in (ana, ben, eve)]
        assert lanes[0] == lanes[1] == lanes[2] == await eve.read(heads[0].n)
        assert follows(lanes[0], heads[0].n)
        assert [place(each) for each in lanes[0]] == sorted(
            [*appended[0], *appended[1]], key=lambda head: head.n
        )
        for each, heads in zip((ana, ben), appended, strict=True):
            own = [message for message in lanes[2] if message.body.startswith(each.name.encode())]
            assert [place(message) for message in own] == heads


async def test_entries_have_numbers_of_their_own(engine: Engine) -> None:
    async with node(engine) as ana, node(engine) as ben:
        await ana.log.subscribe("/a")
        counts = [1, 100, 0, 7, 0, 0, 3]
        await asyncio.gather(
            *(
                each.log.append("/a", b"", count, index)
                for each in (ana, ben)
                for index, count in enumerate(counts, 1)
                if index == 1
            )
        )
        for index, count in enumerate(counts[1:], 2):
            for each in (ana, ben):
                await each.log.append("/a", b"", count, index)
        last = 0
        for message in await ana.ears.first(2 * len(counts)):
            assert message.seq - message.count >= last
            last = message.seq


async def test_the_same_number_is_not_appended_again(engine: Engine) -> None:
    async with node(engine) as ana, node(engine) as ben:
        start = await ana.log.subscribe("/a")
        first = await ana.log.append("/a", b"first", 2, 7)
        await ben.log.append("/a", b"of another", 1, 7)
        assert await ana.log.append("/a", b"first", 2, 7) == first
        await ana.log.append("/b", b"elsewhere", 1, 8)
        assert await ana.log.append("/a", b"first", 2, 7) == first
        await ana.log.append("/a", b"next", 1, 9)
        heard = await ana.ears.first(3)
        assert [each.body for each in heard] == [b"first", b"of another", b"next"]
        assert await ana.read(start.n) == heard


async def test_namespaces_have_lanes_of_their_own(engine: Engine) -> None:
    names = ["/a", "/a/b", "/a%20b", "/a b", "/{a}", "/a}:x", "%7B", "/é✓", "/a:log", "/*", "/a.>"]
    async with node(engine) as ana:
        heads = {name: await ana.log.subscribe(name) for name in names}
        for name in names:
            await ana.append(name.encode(), namespace=name)
        await ana.ears.until(lambda: len(ana.ears.messages) == len(names))
        heard = [(name, message.body.decode()) for name, message in ana.ears.messages]
        assert sorted(heard) == sorted((name, name) for name in names)
        for name, head in heads.items():
            assert [each.body.decode() for each in await ana.read(head.n, name)] == [name]


async def test_who_unsubscribes_hears_no_more(engine: Engine) -> None:
    async with node(engine) as ana:
        await ana.log.subscribe("/a")
        await ana.log.subscribe("/b")
        await ana.append(b"heard")
        await ana.ears.first(1)
        await ana.log.unsubscribe("/a")
        await ana.append(b"not heard")
        await ana.append(b"later", namespace="/b")
        await ana.ears.first(1, "/b")
        assert [each.body for each in ana.ears.lane("/a")] == [b"heard"]
        head = await ana.log.subscribe("/a")
        await ana.append(b"again")
        await ana.ears.until(lambda: ana.ears.lane("/a")[-1].body == b"again")
        assert follows(ana.ears.lane("/a")[-1:], head.n)
        assert not ana.ears.breaks


async def test_what_was_not_heard_can_be_read(engine: Engine) -> None:
    async with node(engine) as ana, node(engine) as ben:
        start = await ana.log.head("/a")
        heads = [await ana.append(str(index).encode()) for index in range(20)]
        assert [each.body for each in await ben.read(start.n)] == [
            str(index).encode() for index in range(20)
        ]
        later = await ben.read(heads[11].n)
        assert [place(each) for each in later] == heads[12:]
        assert follows(later, heads[11].n)
        page = await ben.log.read("/a", heads[-1].n)
        assert (page.head, list(page.messages)) == (heads[-1], [])
        assert page.since <= heads[-1].n


async def test_a_long_lane_is_read_in_pages(engine: Engine) -> None:
    async with node(engine) as ana:
        start = await ana.log.head("/a")
        for index in range(40):
            await ana.append(index.to_bytes() * 100_000)
        pages = [await ana.log.read("/a", start.n)]
        while pages[-1].messages:
            pages.append(await ana.log.read("/a", pages[-1].messages[-1].n))
        assert len(pages) > 2, "a page is not too large for one answer"
        read = [message for page in pages for message in page.messages]
        assert [message.body[0] for message in read] == list(range(40))
        assert follows(read, start.n)


async def test_a_page_tells_what_is_not_kept_any_more(engine: Engine) -> None:
    bounds = Bounds(namespace_bytes=100_000)
    async with node(engine, bounds) as ana:
        start = await ana.log.head("/a")
        heads = [await ana.append(index.to_bytes() * 5_000) for index in range(100)]
        page = await ana.log.read("/a", start.n)
        assert page.since > start.n
        assert page.head == heads[-1]
        assert follows(page.messages, page.since)
        assert place(page.messages[-1]) == heads[-1]
        # As much is kept as was promised, and not much more.
        assert 15 <= len(page.messages) <= 30
        later = await ana.log.read("/a", heads[-3].n)
        assert later.since <= heads[-3].n
        assert [place(each) for each in later.messages] == heads[-2:]


async def test_an_engine_that_has_lost_everything_begins_another_epoch(alone: Engine) -> None:
    async with node(alone) as ana:
        before = [await ana.append(b"one", 5), await ana.append(b"two", 5)][-1]
        epochs = {before.epoch}
        for _ in range(3):
            await alone.wipe()
            async with node(alone) as ben:
                after = await ben.log.head("/a")
                assert after.epoch not in epochs
                epochs.add(after.epoch)
                page = await ben.log.read("/a", before.n)
                assert page.head == after
                assert not page.messages
                appended = await ben.append(b"three")
                assert appended.epoch == after.epoch
                assert appended.n > after.n
