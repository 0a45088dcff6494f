"""Calls of the server, whose clients may lose their sockets before they answer."""

import asyncio
from typing import Any

import pytest

from gatewright import CallTimeout, EventError, Settings
from tests.behaviours.chat import Door
from tests.sessions.chat import Ask, Witness, running, until
from tests.sessions.client import Client, Format

pytestmark = pytest.mark.anyio


async def test_the_id_is_text_to_be_given_back_as_it_came(door: Door, wire: Format) -> None:
    async with (
        running(door=door) as house,
        Client.opened(house.url, wire=wire, compression=door.compression) as ana,
    ):
        id = await ana.start("ask", "name")
        asked = await ana.event("ask")
        assert asked["data"] == {"what": "name"}
        assert isinstance(asked["id"], str)
        await ana.send({"id": asked["id"], "data": "ana"})
        assert (await ana.end(id))["data"] == "ana"
        id = await ana.start("ask", "name")
        asked = await ana.event("ask")
        error = {"code": "busy", "message": "later", "details": {"after": 3}}
        await ana.send({"id": asked["id"], "error": error})
        assert (await ana.end(id))["error"] == error


async def test_an_answer_that_was_lost_is_asked_for_again_after_the_replay(
    door: Door, wire: Format
) -> None:
    options: dict[str, Any] = {"wire": wire, "compression": door.compression}
    async with running(door=door) as house:
        async with Client.opened(house.url, **options) as ana:
            (connection,) = house.witness.connections
            asking = asyncio.create_task(connection.call(Ask("name"), str))
            asked = await ana.event("ask")
            ana.cut()
        await house.gone()
        await house.say("lobby", "missed")
        async with Client.opened(house.url, resume=ana.ticket, **options) as back:
            assert (await back.receive())["event"] == "said"
            assert await back.receive() == asked
            await back.send({"id": asked["id"], "data": "ana"})
            assert await asking == "ana"
            # A second answer is nobody's.
            await back.send({"id": asked["id"], "data": "ben"})
            assert await back.quiet() == []


async def test_it_is_the_same_call_in_the_other_format() -> None:
    async with running() as house:
        async with Client.opened(house.url) as ana:
            (connection,) = house.witness.connections
            asking = asyncio.create_task(connection.call(Ask("name"), str))
            asked = await ana.event("ask")
            ana.cut()
        await house.gone()
        async with Client.opened(house.url, resume=ana.ticket, wire="msgpack") as back:
            assert (await back.event("ask"))["id"] == asked["id"]
            await back.send({"id": asked["id"], "data": "ana"})
            assert await asking == "ana"


async def test_a_call_that_is_made_while_it_returns_is_asked_once() -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            (connection,) = witness.connections
            first = asyncio.create_task(connection.call(Ask("first"), str))
            await ana.event("ask")
            ana.cut()
        await house.gone()
        witness.resume_gate.clear()
        async with Client.connect(house.url) as back:
            await back.ask(ana.ticket)
            await until(lambda: "resume" in witness.seen)
            second = asyncio.create_task(connection.call(Ask("second"), str))
            await until(lambda: len(house.dispatcher.node.calls) == 2)
            witness.resume_gate.set()
            await back.op("hello")
            asked = [await back.event("ask") for _ in range(2)]
            assert [each["data"]["what"] for each in asked] == ["first", "second"]
            assert [f for f in await back.quiet() if "event" in f] == []
            for each in asked:
                await back.send({"id": each["id"], "data": "yes"})
            assert [await first, await second] == ["yes", "yes"]


async def test_its_time_goes_on_while_it_is_away() -> None:
    async with running(settings=Settings(call_timeout=0.1)) as house:
        async with Client.opened(house.url) as ana:
            (connection,) = house.witness.connections
            asking = asyncio.create_task(connection.call(Ask("name"), str))
            asked = await ana.event("ask")
            ana.cut()
        await house.gone()
        with pytest.raises(CallTimeout):
            await asking
        async with Client.opened(house.url, resume=ana.ticket) as back:
            assert await back.quiet() == []
            await back.send({"id": asked["id"], "data": "late"})
            assert await back.quiet() == []


@pytest.mark.parametrize("how", ["grace", "bye", "quit", "max_away"])
async def test_it_ends_interrupted_when_the_session_ends(how: str) -> None:
    settings = Settings(
        grace=0.2 if how == "grace" else 60, max_away=1 if how == "max_away" else 100
    )
    async with running(settings=settings) as house:
        async with Client.opened(house.url) as ana:
            (connection,) = house.witness.connections
            asking = asyncio.create_task(connection.call(Ask("name"), str))
            await ana.event("ask")
            if how == "bye":
                await ana.send({"op": "bye"})
                await ana.closed()
            elif how == "quit":
                await connection.disconnect()
                await ana.closed()
            else:
                ana.cut()
        if how == "max_away":
            await house.gone()
            async with Client.opened(house.url) as other:
                other.cut()
        with pytest.raises(EventError, match="interrupted"):
            await asking


@pytest.mark.parametrize(
    "mark", ["1.x", "1", "1.", ".x", "", "٣.x", "999999999999999999999.x", "x" * 3000]
)
async def test_answers_to_the_calls_of_others_are_nobodys(mark: str) -> None:
    async with running() as house, Client.opened(house.url) as ana:
        (connection,) = house.witness.connections
        asking = asyncio.create_task(connection.call(Ask("name"), str))
        asked = await ana.event("ask")
        await ana.send({"id": mark, "data": "of another process"})
        number = asked["id"].partition(".")[0]
        await ana.send({"id": int(number), "data": "an integer"})
        await ana.send({"id": f"{number}.other", "data": "of another process"})
        assert await ana.quiet() == []
        await ana.send({"id": asked["id"], "data": "ana"})
        assert await asking == "ana"


async def test_an_answer_of_another_session_counts_for_nothing() -> None:
    async with (
        running() as house,
        Client.opened(house.url) as ana,
        Client.opened(house.url) as eve,
    ):
        asking = asyncio.create_task(house.witness.connections[0].call(Ask("name"), str))
        asked = await ana.event("ask")
        await eve.send({"id": asked["id"], "data": "eve"})
        await eve.quiet()
        await ana.send({"id": asked["id"], "data": "ana"})
        assert await asking == "ana"


async def test_a_handler_that_asks_goes_on_over_the_next_socket() -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            id = await ana.start("slow", "ask name")
            await until(lambda: witness.done)
            witness.gate.set()
            asked = await ana.event("ask")
            ana.cut()
        async with Client.opened(house.url, resume=ana.ticket) as back:
            again = await back.event("ask")
            assert again == asked
            await back.send({"id": again["id"], "data": "ana"})
            assert (await back.end(id))["data"] == "ana"
        assert witness.done == ["ask name"]


async def test_a_full_inbox_does_not_keep_the_answer_out() -> None:
    witness = Witness()
    async with running(witness, settings=Settings(inbox=2)) as house:
        async with Client.opened(house.url) as ana:
            id = await ana.start("slow", "ask name")
            await until(lambda: witness.done)
            witness.gate.set()
            await ana.event("ask")
            ana.cut()
        async with Client.opened(house.url, resume=ana.ticket) as back:
            asked = await back.event("ask")
            for number in range(5):
                await back.send({"event": "work", "data": number})
            await back.send({"id": asked["id"], "data": "ana"})
            assert (await back.end(id))["data"] == "ana"
            await back.call("work", "last")
            await until(lambda: "last" in witness.done)


async def test_everybody_in_a_room_may_be_asked() -> None:
    async with (
        running() as house,
        Client.opened(house.url) as ana,
        Client.opened(house.url, wire="msgpack") as ben,
    ):
        asking = asyncio.create_task(house.main.to("lobby").call(Ask("name"), str))
        for client, name in ((ana, "ana"), (ben, "ben")):
            await client.send({"id": (await client.event("ask"))["id"], "data": name})
        assert sorted(await asking) == ["ana", "ben"]


async def test_a_handler_that_asks_while_its_client_is_away_waits_for_it() -> None:
    witness = Witness()
    async with running(witness, settings=Settings(finish_timeout=0.05)) as house:
        async with Client.opened(house.url) as ana:
            id = await ana.start("slow", "ask name")
            await until(lambda: witness.done)
            ana.cut()
        await house.gone()
        witness.gate.set()
        await until(lambda: len(house.dispatcher.node.calls))
        async with Client.opened(house.url, resume=ana.ticket) as back:
            asked = await back.event("ask")
            await back.send({"id": asked["id"], "data": "ana"})
            assert (await back.end(id))["data"] == "ana"
            assert [f for f in await back.quiet() if "event" in f] == []


async def test_a_call_to_who_is_away_has_its_time_and_ends_with_the_session() -> None:
    async with running(settings=Settings(grace=0.3)) as house:
        async with Client.opened(house.url) as ana:
            (connection,) = house.witness.connections
            ana.cut()
        await house.gone()
        with pytest.raises(CallTimeout):
            await connection.call(Ask("name"), str, timeout=0.01)
        with pytest.raises(EventError, match="interrupted"):
            await connection.call(Ask("name"), str, timeout=60)
        assert connection.ended
        with pytest.raises(EventError, match="interrupted"):
            await connection.call(Ask("name"), str, timeout=60)


async def test_a_call_to_who_will_not_return_ends_at_once() -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            await ana.start("slow", "ask name")
            await until(lambda: witness.done)
            await ana.send({"op": "bye"})
            await ana.closed()
        await until(lambda: witness.connections[0].outbox.closing)
        (session,) = house.dispatcher._sessions
        await until(lambda: session._lanes.over)
        witness.gate.set()
        # Not when its time is over, which is longer than this test waits.
        await house.empty()
        assert "slow: EventError" in witness.seen
