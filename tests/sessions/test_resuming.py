"""Sessions that return: as whom, to what, and what they are told of the time between."""

import asyncio
from typing import Any

import pytest

from gatewright import EventError, Settings
from tests.behaviours.chat import Door
from tests.sessions.chat import Said, Witness, running, until
from tests.sessions.client import Client, Format

pytestmark = pytest.mark.anyio


async def test_what_was_missed_comes_in_order_and_once(door: Door, wire: Format) -> None:
    options: dict[str, Any] = {"wire": wire, "compression": door.compression}
    async with running(door=door) as house:
        async with Client.opened(house.url, auth={"user": "ana"}, **options) as ana:
            await house.say("lobby", "before")
            await ana.hear(1)
            ana.cut()
        await house.gone()
        await house.say("lobby", "to the lobby")
        await house.say(ana.id, "to me")
        await house.main.emit(Said("to everyone"))
        await house.main.to_user("ana").emit(Said("to ana"))
        await house.main.to("lobby", ana.id).to_user("ana").emit(Said("each once"))
        await house.say("attic", "not there")
        await house.main.to_user("ben").emit(Said("not me"))
        await house.main.to("lobby").except_(ana.id).emit(Said("without me"))
        await house.main.emit(Said("volatile"), volatile=True)
        auth = {"user": "ana"}
        async with Client.opened(house.url, resume=ana.ticket, auth=auth, **options) as back:
            assert back.hello["resumed"] is True
            assert back.id == ana.id
            assert (back.epoch, back.seq) == (ana.epoch, ana.seq)
            assert back.hello["last"] == 0
            missed = ["to the lobby", "to me", "to everyone", "to ana", "each once"]
            assert await back.hear(5) == missed
            assert back.passed == [] or all("seq" in frame for frame in back.passed)
            await house.say("lobby", "after")
            assert await back.hear(6) == [*missed, "after"]
            assert [f for f in await back.quiet() if "event" in f] == []
        assert house.witness.seen[:3] == ["connect", "disconnect", "resume"]
        assert house.witness.gaps == [None]
        assert house.witness.reasons[0].resumable


async def test_rooms_and_state_are_what_they_were() -> None:
    async with running() as house:
        async with Client.opened(house.url) as ana:
            await ana.call("join", "attic")
            await ana.call("leave", "lobby")
            await ana.call("save", 7)
            ana.cut()
        await house.gone()
        assert await house.main.to("attic").members() == []
        async with Client.opened(house.url, resume=ana.ticket) as back:
            assert await house.main.to("attic").members() == [ana.id]
            assert await house.main.to("lobby").members() == []
            assert await back.call("rooms") == ["attic"]
            assert await back.call("state") == 7
        assert house.witness.states == [7]
        assert house.witness.rooms[0] == ["attic"]


async def test_memberships_count_as_they_were_at_each_message() -> None:
    async with running() as house:
        async with Client.opened(house.url) as ana:
            await ana.call("join", "attic")
            await ana.call("say", ["lobby", "seen"])
            ticket = ana.ticket
            # What follows is lost on the way: the position stays where it was.
            await house.say("attic", "while in the attic")
            await ana.call("leave", "attic")
            await house.say("attic", "after the attic")
            await house.say("cellar", "before the cellar")
            await ana.call("join", "cellar")
            await house.say("cellar", "while in the cellar")
            ana.cut()
        await house.gone()
        ticket["sent"] = ana.sent
        async with Client.opened(house.url, resume=ticket) as back:
            assert await back.hear(2) == ["while in the attic", "while in the cellar"]
            assert [f for f in await back.quiet() if "event" in f] == []


async def test_a_message_that_excluded_a_room_stays_excluded() -> None:
    async with running() as house:
        async with Client.opened(house.url) as ana:
            await ana.call("join", "quiet")
            ticket = ana.ticket
            await house.main.to("lobby").except_("quiet").emit(Said("not to the quiet"))
            await ana.call("leave", "quiet")
            await house.main.to("lobby").except_("quiet").emit(Said("to the lobby"))
            ana.cut()
        await house.gone()
        ticket["sent"] = ana.sent
        async with Client.opened(house.url, resume=ticket) as back:
            assert await back.hear(1) == ["to the lobby"]


async def test_a_room_that_is_refused_now_is_left_and_not_replayed() -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            await ana.call("join", "attic")
            ana.cut()
        await house.gone()
        await house.say("attic", "secret")
        await house.say("lobby", "open")
        witness.closed_rooms.add("attic")
        async with Client.opened(house.url, resume=ana.ticket) as back:
            assert back.hello["resumed"]
            assert await back.hear(1) == ["open"]
            assert await back.call("rooms") == ["lobby"]
            assert await house.main.to("attic").members() == []
        assert witness.rooms[0] == ["lobby"]


async def test_a_session_returns_again_and_again(door: Door) -> None:
    async with running(door=door) as house:
        async with Client.opened(house.url, compression=door.compression) as ana:
            id, ticket = ana.id, ana.ticket
            ana.cut()
        for number in range(5):
            await house.say("lobby", str(number))
            async with Client.opened(
                house.url, resume=ticket, compression=door.compression
            ) as back:
                assert (back.id, back.hello["resumed"]) == (id, True)
                assert await back.hear(1) == [str(number)]
                ticket = back.ticket
                if number % 2:
                    back.cut()
        await house.gone()
        assert house.witness.seen.count("resume") == 5
        assert house.witness.seen.count("end") == 0


async def test_a_session_may_return_in_the_other_format() -> None:
    async with running() as house:
        async with Client.opened(house.url) as ana:
            await ana.call("say", ["lobby", "one"])
            ana.cut()
        await house.say("lobby", "two")
        async with Client.opened(house.url, resume=ana.ticket, wire="msgpack") as back:
            assert back.hello["resumed"]
            assert await back.hear(1) == ["two"]
            back.cut()
        await house.say("lobby", "three")
        async with Client.opened(house.url, resume=back.ticket) as again:
            assert await again.hear(1) == ["three"]


@pytest.mark.parametrize("wrong", ["token", "session", "user", "nobody", "other namespace"])
async def test_whoever_asks_for_another_ones_session_gets_a_new_one(wrong: str) -> None:
    async with running() as house:
        async with Client.opened(house.url, auth={"user": "ana"}) as ana:
            await ana.call("join", "attic")
            ticket = ana.ticket
            ana.cut()
        await house.gone()
        await house.say("attic", "secret")
        auth: dict[str, str] | None = {"user": "ana"}
        asked, path = dict(ticket), "/chat"
        if wrong == "token":
            asked["token"] = "x" * 22
        elif wrong == "session":
            asked["session"] = "~somebody"
        elif wrong == "user":
            auth = {"user": "eve"}
        elif wrong == "nobody":
            auth = None
        else:
            path = "/room/1"
        async with Client.opened(house.url, path, resume=asked, auth=auth) as eve:
            assert eve.hello["resumed"] is False
            assert eve.hello["last"] == 0
            assert eve.id != ana.id
            assert await eve.quiet() == []
        # It is still there for the one whose it is.
        async with Client.opened(house.url, resume=ticket, auth={"user": "ana"}) as back:
            assert back.hello["resumed"]
            assert await back.hear(1) == ["secret"]


async def test_a_session_that_has_ended_is_not_resumed() -> None:
    async with running(settings=Settings(grace=0.1)) as house:
        async with Client.opened(house.url) as ana:
            ana.cut()
        await until(lambda: "end" in house.witness.seen)
        async with Client.opened(house.url, resume=ana.ticket) as back:
            assert back.hello["resumed"] is False
            assert back.id != ana.id


async def test_a_resume_hook_that_refuses_ends_the_session() -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            ana.cut()
        await house.gone()
        witness.trouble = EventError("forbidden", "once is enough")
        async with Client.connect(house.url) as back:
            await back.ask(ana.ticket)
            assert await back.closed() == (4503, "once is enough")
            assert back.passed == []
        witness.trouble = None
        await house.empty()
        assert witness.seen == ["connect", "disconnect", "resume", "disconnect", "end"]
        async with Client.opened(house.url, resume=ana.ticket) as again:
            assert again.hello["resumed"] is False


async def test_a_resume_that_takes_too_long_costs_no_session() -> None:
    witness = Witness()
    async with running(witness, settings=Settings(open_timeout=0.2)) as house:
        async with Client.opened(house.url) as ana:
            ana.cut()
        await house.gone()
        await house.say("lobby", "one")
        for gate in (witness.resume_gate, witness.room_gate):
            gate.clear()
            async with Client.connect(house.url) as back:
                await back.ask(ana.ticket)
                assert (await back.closed())[0] == 4005
                assert back.passed == []
            gate.set()
            await house.gone()
        async with Client.opened(house.url, resume=ana.ticket) as again:
            assert again.hello["resumed"]
            assert await again.hear(1) == ["one"]
            assert await again.call("rooms") == ["lobby"]


async def test_what_is_said_while_it_returns_comes_after_the_replay() -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            ana.cut()
        await house.gone()
        await house.say("lobby", "one")
        witness.resume_gate.clear()
        async with Client.connect(house.url) as back:
            await back.ask(ana.ticket)
            await until(lambda: "resume" in witness.seen)
            await house.say("lobby", "two")
            await witness.connections[0].emit(Said("three"))
            witness.resume_gate.set()
            hello = await back.receive()
            assert hello["resumed"]
            back.epoch, back.seq = hello["epoch"], hello["seq"]
            assert await back.hear(3) == ["one", "two", "three"]
            await house.say("lobby", "four")
            assert await back.hear(4) == ["one", "two", "three", "four"]


async def test_of_many_who_return_at_once_one_stays(wire: Format) -> None:
    async with running() as house:
        async with Client.opened(house.url, wire=wire) as ana:
            ana.cut()
        await house.gone()
        await house.say("lobby", "one")

        async def back() -> int:
            async with Client.connect(house.url, wire=wire) as client:
                await client.ask(ana.ticket)
                code, _ = await client.closed()
                # Who was taken over at once has heard nothing; the others are that session.
                assert {f["session"] for f in client.passed if f.get("op") == "hello"} <= {ana.id}
                return code

        tries = [asyncio.create_task(back()) for _ in range(5)]
        await until(lambda: sum(each.done() for each in tries) == 4)
        assert len(house.app) == 1
        (last,) = [each for each in tries if not each.done()]
        assert {each.result() for each in tries if each is not last} == {4009}
        last.cancel()
        await asyncio.wait([last])
        await house.gone()
        assert house.witness.seen.count("resume") == 5
