"""Calls over one socket and over several: executed once, ended once, whatever was lost."""

import asyncio
from typing import Any

import pytest

from gatewright import Settings
from gatewright.settings import Rate
from tests.behaviours.chat import Door
from tests.sessions.chat import Witness, running, until
from tests.sessions.client import Client, Format

pytestmark = pytest.mark.anyio


async def test_a_call_that_ended_is_told_again_and_not_executed(door: Door, wire: Format) -> None:
    options: dict[str, Any] = {"wire": wire, "compression": door.compression}
    async with running(door=door) as house:
        async with Client.opened(house.url, **options) as ana:
            assert await ana.call("work", "one") == "one"
            assert await ana.call("work", "other", id=1) == "one"
            bad = await ana.fails("nope", id=2)
            ana.cut()
        async with Client.opened(house.url, resume=ana.ticket, **options) as back:
            assert back.hello["last"] == 2
            assert await back.call("work", "other", id=1) == "one"
            assert await back.fails("work", "other", id=2) == bad == "unknown_event"
        assert house.witness.done == ["one"]


async def test_a_call_that_never_arrived_is_new() -> None:
    async with running() as house:
        async with Client.opened(house.url) as ana:
            await ana.call("work", "one", id=3)
            ana.cut()
        async with Client.opened(house.url, resume={**ana.ticket, "sent": 9}) as back:
            assert back.hello["last"] == 3
            assert await back.call("work", "two", id=7) == "two"
        assert house.witness.done == ["one", "two"]


async def test_ids_may_leave_holes_and_what_is_below_the_highest_is_not_new() -> None:
    async with running() as house, Client.opened(house.url) as ana:
        assert await ana.call("work", "five", id=5) == "five"
        assert await ana.fails("work", "three", id=3) == "reply_lost"
        assert await ana.fails("work", "zero", id=0) == "reply_lost"
        assert await ana.call("again", "four", id=4) == "four"
        assert await ana.call("work", "last", id=2**53 - 1) == "last"
        assert house.witness.done == ["five", "four", "last"]


async def test_a_running_call_is_acknowledged_with_the_highest_id_taken() -> None:
    witness = Witness()
    async with running(witness) as house, Client.opened(house.url) as ana:
        await ana.start("slow", "one")
        await ana.start("work", "two")
        await ana.start("slow", "again", id=1)
        assert await ana.receive() == {"op": "ack", "id": 2}
        witness.gate.set()
        assert (await ana.end(1))["data"] == "did one"
        assert (await ana.end(2))["data"] == "two"
        assert witness.done == ["one", "two"]


async def test_an_ack_comes_before_a_ping_while_calls_run() -> None:
    witness = Witness()
    settings = Settings(ping_interval=0.05, ping_timeout=5)
    async with running(witness, settings=settings) as house, Client.opened(house.url) as ana:
        assert (await ana.receive())["op"] == "ping"
        await ana.start("slow", "one")
        await until(lambda: witness.done)
        await ana.op("ack")
        assert ana.passed[-1:] == [] or ana.passed[-1]["op"] in ("ping", "ack")
        assert (await ana.receive())["op"] == "ping"
        witness.gate.set()
        await ana.end(1)
        await ana.op("ping")
        assert (await ana.receive())["op"] == "ping"


async def test_ends_are_forgotten_when_a_pong_confirms_them() -> None:
    settings = Settings(ping_interval=0.05, ping_timeout=5)
    async with running(settings=settings) as house, Client.opened(house.url) as ana:
        await ana.call("work", "one")
        # One that was on its way already confirms nothing that came after it.
        await ana.op("ping")
        assert await ana.call("work", "x", id=1) == "one"
        await ana.call("work", "two")
        # The second of these at the latest was asked after all that, and answered for.
        for _ in range(4):
            await ana.op("ping")
            await ana.send({"op": "pong"})
        await ana.quiet()
        assert await ana.fails("work", "x", id=1) == "reply_lost"
        assert await ana.call("again", "executed again", id=2) == "executed again"
        assert house.witness.done == ["one", "two", "executed again"]


async def test_what_was_not_confirmed_over_this_socket_is_kept() -> None:
    settings = Settings(ping_interval=0.05, ping_timeout=5)
    async with running(settings=settings) as house:
        async with Client.opened(house.url) as ana:
            await ana.call("work", "one")
            await ana.op("ping")
            ana.cut()
        async with Client.opened(house.url, resume=ana.ticket) as back:
            for _ in range(3):
                await back.op("ping")
                await back.send({"op": "pong"})
            await back.quiet()
            # The end was never sent over this socket: its pongs say nothing about it.
            assert await back.call("work", "x", id=1) == "one"


async def test_the_ends_of_the_last_128_ids_are_kept() -> None:
    async with running() as house, Client.opened(house.url) as ana:
        for number in range(1, 131):
            await ana.call("work", number)
        assert await ana.fails("work", "x", id=1) == "reply_lost"
        assert await ana.fails("work", "x", id=2) == "reply_lost"
        assert await ana.call("work", "x", id=3) == 3
        assert await ana.call("work", "x", id=130) == 130
        assert len(house.witness.done) == 130


async def test_no_more_bytes_of_ends_are_kept_than_may_wait_for_a_socket() -> None:
    async with running(settings=Settings(outbox=10_000)) as house:
        async with Client.opened(house.url) as ana:
            for _ in range(3):
                await ana.call("big", 4000)
            assert await ana.fails("big", 1, id=1) == "reply_lost"
            assert len(await ana.call("big", 1, id=3)) == 4000
            # Larger than the whole of it: it can be told to nobody, and that is told.
            await ana.start("big", 20_000)
            assert (await ana.closed())[0] == 4002
        async with Client.opened(house.url, resume=ana.ticket) as back:
            assert await back.fails("big", 20_000, id=4) == "reply_lost"


async def test_a_call_that_was_refused_keeps_its_one_end() -> None:
    settings = Settings(max_calls=1, event_rates={"work": Rate(0.001, 1)})
    async with running(settings=settings) as house:
        async with Client.opened(house.url) as ana:
            await ana.start("forever")
            await ana.until(lambda frame: "item" in frame)
            assert await ana.fails("nope") == "unknown_event"
            assert await ana.fails("forever") == "too_many"
            assert await ana.fails("save", "no number") == "invalid"
            assert await ana.call("work", 1) == 1
            assert await ana.fails("work", 2) == "too_many"
            ana.cut()
        async with Client.opened(house.url, resume=ana.ticket) as back:
            codes = [await back.fails("again", 0, id=id) for id in (1, 2, 3, 4, 6)]
            assert codes == ["interrupted", "unknown_event", "too_many", "invalid", "too_many"]
            assert await back.call("again", 0, id=5) == 1
        assert house.witness.done == [1]


async def test_a_message_without_an_id_is_handled_once_and_has_no_end() -> None:
    async with running() as house:
        async with Client.opened(house.url) as ana:
            await ana.send({"event": "work", "data": "one"})
            await ana.quiet()
            ana.cut()
        async with Client.opened(house.url, resume=ana.ticket) as back:
            assert back.hello["last"] == 0
            assert await back.quiet() == []
        assert house.witness.done == ["one"]


# Streams


async def test_a_stream_ends_interrupted_with_its_socket() -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            await ana.start("forever")
            await ana.until(lambda frame: "item" in frame)
            ana.cut()
        await until(lambda: "stream closed" in witness.seen)
        async with Client.opened(house.url, resume=ana.ticket) as back:
            assert await back.quiet() == []
            # It is not to be sent again; who does so learns how it ended.
            assert await back.fails("forever", id=1) == "interrupted"
            assert await back.call("count", 0, id=2) is None
        (session,) = (house.absences._here or house.absences._away).values() or (None,)
        assert session is None or not session.ledger.window.running


async def test_a_stream_that_waited_for_its_turn_ends_interrupted_too() -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            await ana.start("slow", "one")
            await ana.start("forever")
            await until(lambda: witness.done)
            await ana.quiet()
            ana.cut()
        async with Client.opened(house.url, resume=ana.ticket) as back:
            witness.gate.set()
            await back.start("slow", "one", id=1)
            await back.end(1)
            assert await back.fails("forever", id=2) == "interrupted"
            (session,) = house.dispatcher._sessions
            assert not session.ledger.window.running
            assert not session.ledger.calls


async def test_a_stream_that_never_took_its_first_step_ends_interrupted_too() -> None:
    witness = Witness()
    async with running(witness) as house, Client.opened(house.url) as ana:
        (session,) = house.dispatcher._sessions
        ledger = session.ledger
        session.feed(session.connection.codec.envelope('{"event":"forever","id":1}'))
        while not session._lanes._streams:
            await asyncio.sleep(0)
        session._lanes.wind_up()
        await until(lambda: not ledger.calls)
        assert not ledger.window.running
        assert (await ana.end(1))["error"]["code"] == "interrupted"


async def test_calls_behind_a_lane_that_fell_end_interrupted() -> None:
    witness = Witness()

    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            await ana.start("slow", "one")
            await ana.start("work", "two")
            await until(lambda: witness.done)
            await ana.quiet()
            (session,) = house.dispatcher._sessions
            ledger = session.ledger
            (lane,) = session._lanes._lanes
            # As a handler does that cancels its own task.
            lane.cancel()
            assert (await ana.closed())[0] == 1011
            await until(lambda: not ledger.calls)
            assert not ledger.window.running
        async with Client.opened(house.url, resume=ana.ticket) as back:
            assert await back.fails("slow", "one", id=1) == "interrupted"
            assert await back.fails("work", "two", id=2) == "interrupted"
            assert await back.call("work", "three", id=3) == "three"
        assert witness.done == ["one", "three"]


# Cancel


async def test_cancel_ends_a_call_once() -> None:
    async with running() as house, Client.opened(house.url) as ana:
        await ana.start("slow", "one")
        await ana.send({"op": "cancel", "id": 1})
        assert (await ana.end(1))["error"]["code"] == "cancelled"
        await ana.send({"op": "cancel", "id": 1})
        await ana.send({"op": "cancel", "id": 77})
        assert await ana.fails("slow", "one", id=1) == "cancelled"
        assert await ana.call("echo", 2) == 2


# Of another process


async def test_of_calls_that_nobody_knows_any_more_idempotent_ones_are_executed() -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            await ana.call("work", "one")
            ana.cut()
        await house.gone()
        # As if another process had had it, and had been killed.
        (key,) = house.absences._away
        house.absences._forget(key)
        sequences = house.dispatcher.node.backplane._sequences
        sequences.find_namespace(key[0]).sessions[key[1]].taken = None
        async with Client.opened(house.url, resume={**ana.ticket, "sent": 5}) as back:
            assert back.hello["resumed"]
            assert back.hello["last"] is None
            assert await back.fails("work", "one", id=1) == "reply_lost"
            assert await back.call("again", "two", id=2) == "two"
            assert await back.fails("nope", id=3) == "reply_lost"
            assert await back.fails("count", 1, id=5) == "reply_lost"
            assert await back.call("work", "six", id=6) == "six"
            ticket = back.ticket
            back.cut()
        async with Client.opened(house.url, resume={**ticket, "sent": 6}) as again:
            assert again.hello["last"] == 6
            assert await again.call("again", "x", id=2) == "two"
            assert await again.fails("work", "one", id=1) == "reply_lost"
        assert witness.done == ["one", "two", "six"]
