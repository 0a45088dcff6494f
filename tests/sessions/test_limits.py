"""Clients that say too much or read too little."""

import asyncio
import json
from typing import Any

import pytest

from gatewright import Settings
from gatewright.settings import Rate
from tests._support.raw import RawClient
from tests.behaviours.chat import Door
from tests.sessions.chat import Said, Witness, running, until
from tests.sessions.client import Client, Format

pytestmark = pytest.mark.anyio


async def test_what_is_over_the_rate_is_refused_and_the_refusal_is_its_end() -> None:
    settings = Settings(rate=Rate(0.001, 3))
    async with running(settings=settings) as house:
        async with Client.opened(house.url) as ana:
            for number in range(3):
                await ana.call("work", number)
            assert await ana.fails("work", 3) == "too_many"
            # What has become of it is told whatever the rate.
            assert await ana.fails("work", 3, id=4) == "too_many"
            assert await ana.call("work", 9, id=2) == 1
            await ana.send({"op": "ping"})
            told = await ana.receive()
            assert (told["event"], told["data"]["code"]) == ("exception", "too_many")
            ana.cut()
        async with Client.opened(house.url, resume=ana.ticket) as back:
            assert await back.fails("work", 3, id=4) == "too_many"
        assert house.witness.done == [0, 1, 2]


FLOODS: list[Any] = [
    {"op": "ping"},
    {"op": "pong"},
    {"op": "auth", "auth": {"user": "x"}},
    {"op": "open"},
    {"op": "nope"},
    {"op": "cancel", "id": 1},
    {"event": "work", "data": 0, "id": 1},
    {"event": "nope", "id": 2},
    {"id": "1.x", "data": 1},
    "no frame",
]


@pytest.mark.parametrize("flood", FLOODS)
async def test_who_floods_is_closed_with_4508_for_good(flood: Any) -> None:
    settings = Settings(rate=Rate(1, 20), max_violations=20)
    async with running(settings=settings) as house:
        async with Client.opened(house.url) as ana:
            await ana.call("work", "one")
            for _ in range(100):
                await ana.send(flood)
            assert (await ana.closed())[0] == 4508
        await house.empty()
        assert house.witness.reasons[0].resumable is False
        assert len(house.witness.done) == 1
        async with Client.opened(house.url, resume=ana.ticket) as back:
            assert not back.hello["resumed"]


@pytest.mark.parametrize(
    "frame", [{"op": "open"}, {"op": "hello"}, {"op": "away"}, {"op": "resume"}]
)
async def test_an_op_that_the_server_does_not_know_is_a_bad_frame(frame: Any) -> None:
    async with running() as house, Client.opened(house.url) as ana:
        await ana.send(frame)
        told = await ana.receive()
        assert (told["event"], told["data"]["code"]) == ("exception", "bad_frame")
        assert told["data"]["message"].startswith(
            "expected one of the ops auth, bye, ping, pong, or the op cancel with an id, got "
        )
        assert "seq" not in told
        assert await ana.call("echo", 1) == 1


WRONG: list[Any] = [
    {"event": "echo", "id": "1"},
    {"event": "echo", "id": -1},
    {"event": "echo", "id": 2**53},
    {"event": "echo", "id": 1.5},
    {"event": "echo", "id": None},
    {"event": 7, "id": 1},
    {"op": "cancel"},
    {"op": "cancel", "id": "1"},
    {"op": 7},
    {"resume": 7},
    {},
    [],
    7,
    {"op": "open", "resume": {"session": 1}},
]


async def test_garbage_after_hello_is_told_and_closes_nothing(wire: Format) -> None:
    async with running() as house, Client.opened(house.url, wire=wire) as ana:
        for frame in WRONG:
            await ana.send(ana.pack(frame))
            told = await ana.receive()
            assert told["event"] == "exception", frame
            assert told["data"]["code"] == "bad_frame", frame
        await ana.send(b"\x00\xff" if wire == "json" else "text")
        assert (await ana.receive())["data"]["code"] == "bad_frame"
        assert await ana.call("echo", 1) == 1
        assert house.witness.seen == ["connect"]


async def test_who_reads_too_slowly_is_closed_with_4002_and_loses_nothing(door: Door) -> None:
    settings = Settings(outbox=200_000, stall=1, history=100_000, replay=100_000)
    async with running(door=door, settings=settings) as house:
        async with RawClient.connect(house.url, "/chat", subprotocol="gw.v1.json") as slow:
            await slow.send('{"op":"open"}')
            hello = json.loads((await slow.receive())[1])
            (connection,) = house.witness.connections
            number = 0
            while not connection.outbox.closing:
                number += 1
                await house.main.to("lobby").emit(Said(f"{number} {'x' * 5000}"))
                await asyncio.sleep(0)
            heard = 0
            seq = hello["seq"]
            while heard < 3:
                frame = json.loads((await slow.receive())[1])
                heard, seq = heard + 1, frame["seq"]
                assert frame["data"]["text"].startswith(f"{heard} ")
        await house.gone()
        assert house.witness.reasons[0].resumable
        ticket = {"session": hello["session"], "token": hello["token"], "epoch": hello["epoch"]}
        while heard < number:
            # As often as it takes: each time it gets as much as fits, or is told of a gap.
            resume = {**ticket, "seq": seq, "sent": 0}
            async with Client.opened(
                house.url, resume=resume, compression=door.compression
            ) as back:
                assert back.hello["resumed"]
                frame = await back.receive()
                if frame.get("op") == "gap":
                    assert "lobby" in frame["rooms"]
                    assert frame["seq"] == number
                    break
                await back.hear(number - heard)
                assert [int(text.split()[0]) for text in back.said] == list(
                    range(heard + 1, number + 1)
                )
                break


async def test_what_overflows_while_the_hooks_run_closes_with_4002() -> None:
    witness = Witness()
    async with running(witness, settings=Settings(outbox=20_000, replay=5)) as house:
        async with Client.opened(house.url) as ana:
            ana.cut()
        await house.gone()
        witness.resume_gate.clear()
        async with Client.connect(house.url) as back:
            await back.ask(ana.ticket)
            await until(lambda: "resume" in witness.seen)
            for _ in range(5):
                await house.main.to("lobby").emit(Said("x" * 5000))
            assert (await back.closed())[0] == 4002
            assert back.passed == []
        witness.resume_gate.set()
        await house.gone()
        async with Client.opened(house.url, resume=ana.ticket) as again:
            assert again.hello["resumed"]
            gap = await again.op("gap")
            assert "lobby" in gap["rooms"]
            await house.say("lobby", "live")
            assert await again.hear(1) == ["live"]


async def test_a_replay_of_full_size_fits() -> None:
    settings = Settings(outbox=100_000, history=10_000, replay=10_000)
    async with running(settings=settings) as house:
        async with Client.opened(house.url) as ana:
            ana.cut()
        await house.gone()
        for number in range(1100):
            await house.say("lobby", str(number % 10))
        async with Client.opened(house.url, resume=ana.ticket) as back:
            assert len(await back.hear(1100)) == 1100


async def test_reading_pauses_while_too_much_waits_for_handlers() -> None:
    witness = Witness()
    async with running(witness, settings=Settings(inbox=3)) as house:
        async with Client.opened(house.url) as ana:
            await ana.start("slow", "one")
            await until(lambda: witness.done)
            for number in range(20):
                await ana.start("work", number)
            (session,) = house.dispatcher._sessions
            await until(lambda: session.full)
            witness.gate.set()
            await ana.end(21)
        assert witness.done == ["one", *range(20)]
