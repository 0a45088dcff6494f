"""What is heard of NATS, and what is known when something was not."""

import asyncio

import pytest

from gatewright.backplane.nats import connection
from gatewright.backplane.nats.jetstream import JetStream
from gatewright.backplane.nats.log import NatsLog
from tests.backplane.logs.engines import Node, node
from tests.backplane.logs.nats import NatsEngine, publishing

pytestmark = pytest.mark.anyio


async def life(each: Node) -> str:
    assert isinstance(each.log, NatsLog)
    return (await each.log._lanes.known("/a")).life


async def test_who_does_not_keep_up_is_told(
    engine: NatsEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MOST_PENDING", 10)
    async with node(engine) as ana:
        await ana.log.subscribe("/a")
        await ana.log.subscribe("/b")
        subject = engine.layout.heard(await life(ana)).replace(">", "b")
        async with publishing(engine.url) as client:
            # They come at once, and no task gets a turn before all have been read.
            for number in range(200):
                headers = {"Nats-Sequence": str(number + 1)}
                await client.publish(subject, b"\0\1x", headers=headers)
            await client.flush()
        await ana.ears.until(lambda: bool(ana.ears.breaks))
        assert ana.ears.breaks == [frozenset({"/a"})]
        heard = len(ana.ears.lane("/a"))
        head = await ana.log.subscribe("/a")
        await ana.append(b"again")
        await ana.ears.until(lambda: len(ana.ears.lane("/a")) > heard)
        last = ana.ears.lane("/a")[-1]
        assert (last.body, last.prev) == (b"again", head.n)


async def test_a_lane_that_nobody_hears_any_more_is_not_broken(
    engine: NatsEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MOST_PENDING", 10)
    async with node(engine) as ana:
        await ana.log.subscribe("/a")
        subject = engine.layout.heard(await life(ana)).replace(">", "b")
        await ana.log.unsubscribe("/a")
        async with publishing(engine.url) as client:
            for number in range(200):
                await client.publish(subject, b"\0\1x", headers={"Nats-Sequence": str(number + 1)})
            await client.flush()
        await ana.log.send(b"mail", ana.name)
        await ana.ears.until(lambda: bool(ana.ears.mails))
        assert not ana.ears.breaks
        assert not ana.ears.messages


async def test_mail_to_one_and_to_all_comes_in_the_order_in_which_it_was_sent(
    engine: NatsEngine,
) -> None:
    async with node(engine) as ana, node(engine) as ben:
        for number in range(300):
            await ana.log.send(str(number).encode(), ben.name if number % 3 else None)
        await ben.ears.until(lambda: len(ben.ears.mails) == 300)
        await ana.ears.until(lambda: len(ana.ears.mails) == 100)
        assert [int(each) for each in ben.ears.mails] == list(range(300))
        assert [int(each) for each in ana.ears.mails] == list(range(0, 300, 3))


async def test_mail_that_was_dropped_breaks_all(
    engine: NatsEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with node(engine) as ana:
        monkeypatch.setattr(connection, "MOST_PENDING", 10)
        async with node(engine) as ben:
            async with publishing(engine.url) as client:
                for _ in range(200):
                    await client.publish(engine.layout.node(ben.name), b"mail")
                await client.flush()
            await ben.ears.until(lambda: None in ben.ears.breaks)
            assert len(ben.ears.breaks) == 1
            await ben.log.listen()
            before = len(ben.ears.mails)
            await ana.log.send(b"again", ben.name)
            await ben.ears.until(lambda: len(ben.ears.mails) > before)
            assert ben.ears.mails[-1] == b"again"
        assert not ana.ears.breaks


async def test_it_may_be_subscribed_to_twice_at_once(engine: NatsEngine) -> None:
    async with node(engine) as ana:
        heads = await asyncio.gather(*(ana.log.subscribe("/a") for _ in range(5)))
        assert len(set(heads)) == 1
        await ana.append(b"one")
        await ana.append(b"two")
        await ana.ears.first(2)
        assert [each.body for each in ana.ears.lane("/a")] == [b"one", b"two"]
        await ana.log.unsubscribe("/a")
        await ana.log.unsubscribe("/a")
        await ana.append(b"three")
        await ana.log.send(b"mail", ana.name)
        await ana.ears.until(lambda: bool(ana.ears.mails))
        assert len(ana.ears.messages) == 2


async def test_pages_end_where_messages_are_large(engine: NatsEngine, js: JetStream) -> None:
    async with node(engine) as ana:
        sizes = [900_000, 10, 1_000_000, 1_000_000, 10, 10]
        for size in sizes:
            await ana.append(b"x" * size)
        page = await ana.log.read("/a", 0)
        assert 1 <= len(page.messages) < len(sizes)
        assert [len(each.body) for each in await ana.read(0)] == sizes
        for _ in range(600):
            await ana.append(b"")
        assert len((await ana.log.read("/a", 6)).messages) == 500
        assert len(await ana.read(6)) == 600
        # No consumer is left of all that reading.
        info = await js.info(engine.layout.lane("/a"))
        assert info is not None
        assert info.state.consumer_count == 0
