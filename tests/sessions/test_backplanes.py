"""Sessions over backplanes that take their time, between whose steps others happen."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gatewright import Settings
from gatewright.backplane import SQLite
from tests.sessions.chat import House, Said, Witness, running, until
from tests.sessions.client import Client, Format
from tests.sessions.deferred import Deferred

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def late(
    witness: Witness | None = None, **options: Any
) -> AsyncGenerator[tuple[House, Deferred]]:
    backplane = Deferred()
    async with running(witness, backplane=backplane, **options) as house:
        yield house, backplane


@asynccontextmanager
async def others(house: House, count: int) -> AsyncGenerator[None]:
    """So many who are there all the time."""
    async with AsyncExitStack() as stack:
        for _ in range(count):
            await stack.enter_async_context(Client.opened(house.url))
        yield


@pytest.mark.parametrize("count", [0, 1])
async def test_what_passes_between_the_opening_and_the_registration_arrives_once(
    count: int, wire: Format
) -> None:
    async with (
        late() as (house, backplane),
        others(house, count),
        Client.connect(house.url, wire=wire) as ana,
    ):
        backplane.hold_at = "open"
        await ana.ask()
        await until(lambda: not backplane.held.is_set())
        saying = asyncio.create_task(house.main.emit(Said("one")))
        await until(lambda: backplane.done[-1] == "publish")
        backplane.tell()
        await saying
        hello = await ana.receive()
        assert (hello["op"], hello["seq"]) == ("hello", 0)
        ana.epoch, ana.seq = hello["epoch"], hello["seq"]
        assert await ana.receive() == {"event": "said", "data": {"text": "one"}, "seq": 1}
        await house.main.emit(Said("two"))
        assert await ana.hear(2) == ["one", "two"]


@pytest.mark.parametrize("count", [0, 1])
async def test_what_passes_between_the_resume_and_the_registration_arrives_once(
    count: int, wire: Format
) -> None:
    async with late() as (house, backplane), others(house, count):
        async with Client.opened(house.url, wire=wire) as ana:
            await ana.call("join", "attic")
            ana.cut()
        await until(lambda: len(house.app) == count)
        await house.say("lobby", "missed")
        backplane.hold_at = "resume"
        async with Client.connect(house.url, wire=wire) as back:
            await back.ask(ana.ticket)
            await until(lambda: not backplane.held.is_set())
            published = len(backplane.done)
            to_lobby = house.main.to("lobby")
            says: list[Any] = []
            for saying in (
                house.say("lobby", "held"),
                house.say("attic", "too"),
                house.say("cellar", "not me"),
                to_lobby.except_("attic").emit(Said("excluded")),
            ):
                says.append(asyncio.create_task(saying))
                await until(lambda: len(backplane.done) == published + len(says))
            backplane.tell()
            await asyncio.gather(*says)
            hello = await back.receive()
            assert hello["resumed"]
            back.epoch, back.seq = hello["epoch"], hello["seq"]
            assert await back.hear(3) == ["missed", "held", "too"]
            assert back.seq == ana.seq + 3
            await house.say("lobby", "live")
            assert await back.hear(4) == ["missed", "held", "too", "live"]
            back.hello = hello
        async with Client.opened(house.url, resume=back.ticket) as again:
            assert again.hello["resumed"]
            assert [f for f in await again.quiet() if "event" in f] == []


@pytest.mark.parametrize("how", ["join attic", "leave attic"])
async def test_a_handler_that_moves_while_its_client_returns_has_moved(how: str) -> None:
    """At whatever moment of the return its marker passes."""
    for steps in range(0, 60, 3):
        witness = Witness()
        async with late(witness, settings=Settings(finish_timeout=0.02)) as (house, _):
            async with Client.opened(house.url) as ana:
                if how.startswith("leave"):
                    await ana.call("join", "attic")
                await ana.start("slow", how)
                await until(lambda w=witness: w.done)
                ana.cut()
            await house.gone()
            async with Client.connect(house.url) as back:
                await back.ask(ana.ticket)
                for _ in range(steps):
                    await asyncio.sleep(0)
                witness.gate.set()
                await back.op("hello")
                expected = ["attic", "lobby"] if how.startswith("join") else ["lobby"]
                assert await back.call("rooms", id=9) == expected, steps
                members = await house.main.to("attic").members()
                assert members == ([ana.id] if how.startswith("join") else []), steps
                await back.send({"op": "bye"})
                await back.closed()
            await house.empty()


async def test_losses_at_every_step_of_a_return_leave_nothing_and_lose_nothing() -> None:
    async with late(settings=Settings(finish_timeout=1, grace=1)) as (house, _):
        async with Client.opened(house.url) as ana:
            ticket = ana.ticket
            ana.cut()
        for step in range(25):
            await house.say("lobby", str(step))
            async with Client.connect(house.url) as back:
                await back.ask(ticket)
                for _ in range(3 * step):
                    await asyncio.sleep(0)
                back.cut()
        async with Client.opened(house.url, resume=ticket) as last:
            assert last.hello["resumed"]
            assert await last.hear(25) == [str(step) for step in range(25)]
        await house.empty()


async def test_sessions_outlive_the_process_in_a_file(tmp_path: Path, wire: Format) -> None:
    path = tmp_path / "sessions.sqlite"
    witness = Witness()
    async with running(witness, backplane=SQLite(path)) as house:
        async with Client.opened(house.url, wire=wire) as ana:
            await ana.call("join", "attic")
            await ana.call("save", 7)
            await ana.call("work", "one")
            await house.say("attic", "heard")
            await ana.hear(1)
            ana.cut()
        await house.gone()
        await house.say("attic", "missed")
    assert "end" not in witness.seen
    async with running(witness, backplane=SQLite(path)) as house:
        async with Client.opened(house.url, resume=ana.ticket, wire=wire) as back:
            assert back.hello["resumed"]
            # It was stopped, not killed, and has said what it had taken.
            assert back.hello["last"] == 3
            assert await back.hear(1) == ["missed"]
            assert await back.call("state") == 7
            assert await back.call("rooms") == ["attic", "lobby"]
            assert await back.fails("work", "one", id=3) == "reply_lost"
            assert await back.call("again", "two", id=2) == "two"
            await back.send({"op": "bye"})
            await back.closed()
        await house.empty()
    assert witness.done == ["one", "two"]
    assert witness.seen.count("end") == 1


async def test_the_grace_of_a_process_that_is_gone_ends_in_the_next(tmp_path: Path) -> None:
    path = tmp_path / "sessions.sqlite"
    witness = Witness()
    settings = Settings(grace=0.5)
    async with running(witness, backplane=SQLite(path), settings=settings) as house:
        async with Client.opened(house.url) as ana:
            await ana.call("join", "attic")
            ana.cut()
        await house.gone()
    async with running(witness, backplane=SQLite(path), settings=settings) as house:
        await until(lambda: "end" in witness.seen)
        assert witness.rooms == [["attic", "lobby"]]
        async with Client.opened(house.url, resume=ana.ticket) as back:
            assert not back.hello["resumed"]


async def test_everything_over_a_file(tmp_path: Path) -> None:
    async with running(backplane=SQLite(tmp_path / "sessions.sqlite")) as house:
        async with Client.opened(house.url) as ana:
            ticket = ana.ticket
        for number in range(8):
            await house.say("lobby", str(number))
            async with Client.opened(house.url, resume=ticket) as back:
                assert back.hello["resumed"]
                assert await back.hear(1) == [str(number)]
                assert await back.call("work", number) == number
                ticket = back.ticket
                if number % 3 == 1:
                    back.cut()
        assert house.witness.done == list(range(8))
