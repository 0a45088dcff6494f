"""Handlers that outlive the socket over which they were called."""

import asyncio
from typing import Any

import pytest

from gatewright import Settings
from tests.behaviours.chat import Door
from tests.sessions.chat import Witness, running, until
from tests.sessions.client import Client, Format

pytestmark = pytest.mark.anyio


async def test_the_answer_reaches_the_next_socket(door: Door, wire: Format) -> None:
    options: dict[str, Any] = {"wire": wire, "compression": door.compression}
    witness = Witness()
    async with running(witness, door=door) as house:
        async with Client.opened(house.url, **options) as ana:
            id = await ana.start("slow", "work")
            await until(lambda: witness.done)
            ana.cut()
        async with Client.opened(house.url, resume=ana.ticket, **options) as back:
            assert back.hello["last"] == id
            await back.start("slow", "work", id=id)
            assert await back.receive() == {"op": "ack", "id": id}
            witness.gate.set()
            assert await back.receive() == {"id": id, "data": "did work"}
            assert await back.quiet() == []
        assert witness.done == ["work"]


async def test_an_end_while_it_is_away_waits_for_it() -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            id = await ana.start("slow", "work")
            await until(lambda: witness.done)
            ana.cut()
        await until(lambda: witness.connections[0].outbox.closing)
        witness.gate.set()
        await until(lambda: witness.ended)
        await house.gone()
        async with Client.opened(house.url, resume=ana.ticket) as back:
            assert await back.call("slow", "work", id=id) == "did work"
        assert witness.done == ["work"]


async def test_the_next_sockets_events_wait_for_it() -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            await ana.start("slow", "one")
            await ana.start("work", "two")
            await until(lambda: witness.done)
            await ana.quiet()
            ana.cut()
        async with Client.opened(house.url, resume=ana.ticket) as back:
            three = await back.start("work", "three")
            assert [f for f in await back.quiet() if "id" in f] == []
            witness.gate.set()
            ends = [await back.end(id) for id in (three - 2, three - 1, three)]
            assert [each["data"] for each in ends] == ["did one", "two", "three"]
        assert witness.done == ["one", "two", "three"]


@pytest.mark.parametrize("losses", [2, 4])
async def test_it_outlives_several_sockets(losses: int) -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            await ana.start("slow", "work")
            await until(lambda: witness.done)
            ticket = ana.ticket
            ana.cut()
        for number in range(losses):
            async with Client.opened(house.url, resume=ticket) as back:
                assert back.hello["resumed"]
                await back.start("work", number)
                await back.quiet()
                ticket = back.ticket
                back.cut()
        async with Client.opened(house.url, resume=ticket) as back:
            last = await back.start("work", "last")
            witness.gate.set()
            assert (await back.end(last))["data"] == "last"
        assert witness.done == ["work", *range(losses), "last"]
        await house.gone()


async def test_a_resume_hook_that_is_cut_off_does_not_stop_the_next_one() -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            ana.cut()
        await house.gone()
        witness.resume_gate.clear()
        async with Client.connect(house.url) as second:
            await second.ask(ana.ticket)
            await until(lambda: witness.seen.count("resume") == 1)
            async with Client.connect(house.url) as third:
                await third.ask(ana.ticket)
                await until(lambda: witness.seen.count("resume") == 2)
                assert (await second.closed())[0] == 4009
                assert second.passed == []
                witness.resume_gate.set()
                assert (await third.op("hello"))["resumed"]
                assert await third.call("echo", 1, id=1) == 1


@pytest.mark.parametrize("trouble", [LookupError("late"), TimeoutError()])
async def test_a_resume_hook_of_a_former_socket_closes_nothing(trouble: Exception) -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            ana.cut()
        await house.gone()
        witness.resume_gate.clear()
        async with Client.connect(house.url) as second:
            await second.ask(ana.ticket)
            await until(lambda: witness.seen.count("resume") == 1)
            gate, witness.resume_gate = witness.resume_gate, asyncio.Event()
            witness.resume_gate.set()
            async with Client.opened(house.url, resume=ana.ticket) as third:
                assert third.hello["resumed"]
                witness.trouble = trouble
                gate.set()
                await second.closed()
                assert await third.call("echo", 1) == 1
                assert await third.quiet() == []


async def test_what_it_does_while_away_holds() -> None:
    for what, check, expected in (
        ("join attic", "rooms", ["attic", "lobby"]),
        ("leave lobby", "rooms", []),
        ("save 7", "state", 7),
    ):
        for present in (False, True):
            witness = Witness()
            async with running(witness) as house:
                async with Client.opened(house.url) as ana:
                    await ana.start("slow", what)
                    await until(lambda w=witness: w.done)
                    ana.cut()
                if present:
                    async with Client.opened(house.url, resume=ana.ticket) as back:
                        witness.gate.set()
                        assert await back.call(check) == expected
                else:
                    await until(lambda w=witness: w.connections[0].outbox.closing)
                    witness.gate.set()
                    await house.gone()
                    async with Client.opened(house.url, resume=ana.ticket) as back:
                        assert await back.call(check) == expected
                        ticket = back.ticket
                    async with Client.opened(house.url, resume=ticket) as again:
                        assert await again.call(check) == expected


async def test_what_it_does_when_the_hooks_have_long_been_called_holds() -> None:
    """The session is away for good by then: its socket waited as long as it waits."""
    for what, check, expected in (
        ("join attic", "rooms", ["attic", "lobby"]),
        ("leave lobby", "rooms", []),
        ("save 7", "state", 7),
    ):
        witness = Witness()
        async with running(witness, settings=Settings(finish_timeout=0.05)) as house:
            async with Client.opened(house.url) as ana:
                await ana.start("slow", what)
                await until(lambda w=witness: w.done)
                ana.cut()
            await house.gone()
            assert len(house.absences) == 1
            assert witness.seen[-1] == "disconnect"
            witness.gate.set()
            await until(lambda w=witness: w.ended)
            await house.say("attic", "to the attic")
            async with Client.opened(house.url, resume=ana.ticket) as back:
                assert await back.call(check) == expected
                if what == "join attic":
                    assert back.said == ["to the attic"]


async def test_what_it_leaves_while_the_rooms_are_asked_for_is_left() -> None:
    witness = Witness()
    async with running(witness, settings=Settings(finish_timeout=0.05)) as house:
        async with Client.opened(house.url) as ana:
            await ana.call("join", "attic")
            await ana.start("slow", "leave attic")
            await until(lambda: witness.done)
            ana.cut()
        await house.gone()
        witness.room_gate.clear()
        async with Client.connect(house.url) as back:
            await back.ask(ana.ticket)
            await until(lambda: house.absences._taking)
            await asyncio.sleep(0)
            witness.gate.set()
            await until(lambda: witness.ended)
            witness.room_gate.set()
            assert (await back.receive())["resumed"]
            assert await back.call("rooms", id=3) == ["lobby"]
            assert await house.main.to("attic").members() == []


async def test_what_it_saves_while_it_is_taken_over_is_what_the_next_socket_sees() -> None:
    witness = Witness()
    witness.disconnect_gate.clear()
    async with running(witness) as house, Client.opened(house.url) as ana:
        await ana.start("slow", "save 7")
        await until(lambda: witness.done)
        async with Client.connect(house.url) as back:
            await back.ask(ana.ticket)
            await until(lambda: "disconnect" in witness.seen)
            witness.gate.set()
            await until(lambda: witness.ended)
            witness.disconnect_gate.set()
            assert (await back.receive())["resumed"]
            assert witness.states == [7]
            assert await back.call("state", id=2) == 7


@pytest.mark.parametrize("which", ["running", "waiting"])
async def test_a_call_of_a_former_socket_can_be_cancelled(which: str) -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            slow = await ana.start("slow", "work")
            waiting = await ana.start("work", "waiting")
            await until(lambda: witness.done)
            await ana.quiet()
            ana.cut()
        async with Client.opened(house.url, resume=ana.ticket) as back:
            cancelled = slow if which == "running" else waiting
            await back.send({"op": "cancel", "id": cancelled})
            assert (await back.end(cancelled))["error"]["code"] == "cancelled"
            witness.gate.set()
            other = waiting if which == "running" else slow
            assert "data" in await back.end(other)
            assert await back.call("work", "next") == "next"
        waited = ["waiting"] if which == "running" else []
        assert witness.done == ["work", *waited, "next"]


async def test_its_failure_is_told_to_the_next_socket() -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            await ana.send({"event": "slow", "data": "leave "})
            bad = await ana.start("slow", "save no number")
            await until(lambda: witness.done)
            ana.cut()
        async with Client.opened(house.url, resume=ana.ticket) as back:
            witness.gate.set()
            assert (await back.end(bad))["error"]["code"] == "internal"


async def test_what_waits_for_it_is_read_in_the_format_in_which_it_came() -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            await ana.start("slow", "one")
            await ana.start("work", {"in": "json"})
            await until(lambda: witness.done)
            await ana.quiet()
            ana.cut()
        async with Client.opened(house.url, resume=ana.ticket, wire="msgpack") as back:
            witness.gate.set()
            assert (await back.end(2))["data"] == {"in": "json"}
        assert witness.done == ["one", {"in": "json"}]


async def test_several_at_a_time_too() -> None:
    witness = Witness()
    async with running(witness, concurrency=3) as house:
        async with Client.opened(house.url) as ana:
            ids = [await ana.start("slow", f"work {number}") for number in range(3)]
            await until(lambda: len(witness.done) == 3)
            ana.cut()
        async with Client.opened(house.url, resume=ana.ticket) as back:
            for id in ids:
                await back.start("slow", "again", id=id)
                assert await back.receive() == {"op": "ack", "id": 3}
            witness.gate.set()
            got = {(await back.receive())["id"] for _ in ids}
            assert got == set(ids)
        assert len(witness.done) == 3
