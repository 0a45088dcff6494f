"""What every engine does when its servers fail (`gatewright.backplane.shared.log`)."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import pytest

from gatewright.backplane.shared.log import Head, Unreachable
from gatewright.errors import BackplaneError, StartupError
from tests.backplane.logs.engines import Engine, Node, key, node

pytestmark = pytest.mark.anyio

T = TypeVar("T")


async def insist(step: Callable[[], Awaitable[T]]) -> T:
    """Do something that is safe to repeat until it is done."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await step()
            except Unreachable:
                await asyncio.sleep(0.02)


async def broken(each: Node) -> None:
    await each.ears.until(lambda: each.ears.is_broken("/a"))


async def back(each: Node) -> Head:
    """Subscribe to `/a` and take mail again."""
    await insist(each.log.listen)
    return await insist(lambda: each.log.subscribe("/a"))


async def test_what_is_asked_of_a_frozen_engine_ends(alone: Engine) -> None:
    async with node(alone) as ana:
        stored = await ana.create("~1", key("one"))
        head = await ana.log.subscribe("/a")
        alone.freeze()
        asked: list[Awaitable[object]] = [
            ana.append(b"x"),
            ana.log.head("/a"),
            ana.log.subscribe("/b"),
            ana.log.read("/a", 0),
            ana.log.load("/a", "~1"),
            ana.log.find("/a", key("one")),
            ana.log.create("/a", "~2", b"", "v1", [key("two")]),
            ana.log.replace("/a", stored, b"", "v2", folded=0),
            ana.log.remove("/a", stored, [key("one")]),
            ana.log.remind("/a", "~1", 1000.0),
            ana.log.due(1000.0, 10),
            ana.log.forget("/a", "~1"),
            ana.log.cast("/a", b""),
            ana.log.send(b""),
        ]
        async with asyncio.timeout(15):
            ended = await asyncio.gather(*asked, return_exceptions=True)
        # What nobody answers may have been sent in vain, without anybody knowing.
        silent = (None,) * 2
        assert all(isinstance(each, Unreachable) for each in ended[:-2]), ended
        assert all(each in silent or isinstance(each, Unreachable) for each in ended[-2:]), ended
        await broken(ana)
        alone.thaw()
        assert (await back(ana)).epoch == head.epoch


async def test_silence_is_noticed_without_asking(alone: Engine) -> None:
    async with node(alone) as ana, node(alone) as ben:
        for each in (ana, ben):
            await each.log.subscribe("/a")
        alone.freeze()
        for each in (ana, ben):
            await broken(each)
        alone.thaw()
        for each in (ana, ben):
            await back(each)
        await insist(lambda: ana.log.append("/a", b"again", 1, 1))
        for each in (ana, ben):
            await each.ears.first(1)
            assert [message.body for message in each.ears.lane("/a")] == [b"again"]


async def test_who_was_cut_off_reads_what_was_missed(alone: Engine) -> None:
    async with node(alone) as ana, node(alone) as ben:
        await ana.log.subscribe("/a")
        heard = await ana.append(b"heard")
        await ana.ears.first(1)
        await alone.cut()
        await broken(ana)
        missed = await insist(lambda: ben.log.append("/a", b"missed", 2, 1))
        head = await back(ana)
        assert head == missed
        assert [each.body for each in await ana.read(heard.n)] == [b"missed"]
        await ana.append(b"after")
        await ana.ears.until(lambda: ana.ears.lane("/a")[-1].body == b"after")
        await insist(lambda: ben.log.send(b"mail", ana.name))
        await ana.ears.until(lambda: b"mail" in ana.ears.mails)
        assert ana.ears.lane("/a")[-1].prev == head.n


async def test_a_server_that_comes_back_is_used_again(alone: Engine) -> None:
    async with node(alone) as ana:
        before = await ana.log.subscribe("/a")
        await ana.append(b"before")
        await alone.kill()
        await broken(ana)
        with pytest.raises(Unreachable):
            await ana.append(b"meanwhile")
        with pytest.raises(Unreachable):
            await ana.log.subscribe("/a")
        await alone.start()
        head = await back(ana)
        after = await insist(lambda: ana.log.append("/a", b"after", 1, 99))
        assert after.n > head.n
        assert after.epoch == head.epoch
        await ana.ears.until(lambda: ana.ears.lane("/a")[-1].body == b"after")
        if head.epoch == before.epoch:
            read = [each.body for each in await ana.read(before.n)]
            assert read[0] == b"before", "numbers of an epoch are never lost and used again"


async def test_each_number_is_appended_once_whatever_happens(alone: Engine) -> None:
    count = 150
    async with node(alone) as ana, node(alone) as ben:
        start = await ana.log.head("/a")

        async def appends(each: Node) -> list[Head]:
            return [await insist(partial(append, each, number)) for number in range(1, count + 1)]

        async def append(each: Node, number: int) -> Head:
            return await each.log.append("/a", f"{each.name}/{number}".encode(), 1, number)

        working = asyncio.gather(appends(ana), appends(ben))
        while not working.done():
            await alone.cut()
            await asyncio.sleep(0.02)
        heads = await working
        read = {
            (each.n, each.seq): each.body.decode()
            for each in await insist(lambda: ben.read(start.n))
        }
        assert len(read) == 2 * count
        for each, own in zip((ana, ben), heads, strict=True):
            assert [read[head.n, head.seq] for head in own] == [
                f"{each.name}/{number}" for number in range(1, count + 1)
            ]


async def test_a_node_stops_beside_a_frozen_engine(alone: Engine) -> None:
    async with node(alone) as ana:
        await ana.log.subscribe("/a")
        alone.freeze()
        async with asyncio.timeout(10):
            await ana.log.stop()
        alone.thaw()
        assert not ana.ears.breaks


async def test_no_node_starts_without_an_engine(alone: Engine) -> None:
    await alone.kill()
    async with asyncio.timeout(15):
        with pytest.raises((BackplaneError, StartupError)):
            async with node(alone):
                pass
    await alone.start()
    async with node(alone) as ana:
        await ana.append(b"x")


async def test_no_node_starts_on_a_frozen_engine(alone: Engine) -> None:
    alone.freeze()
    async with asyncio.timeout(15):
        with pytest.raises((BackplaneError, StartupError)):
            async with node(alone):
                pass
    alone.thaw()
