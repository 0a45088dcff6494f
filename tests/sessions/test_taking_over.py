"""A session that is asked for while its former socket is still there, and the tokens for it."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gatewright import Settings
from gatewright.protocol.sessions.codecs import SessionJsonCodec
from tests._support.raw import CLOSE, RawClient
from tests.behaviours.chat import Door
from tests.sessions.chat import House, Said, Witness, running, until
from tests.sessions.client import Client, Format, Resume

pytestmark = pytest.mark.anyio


async def test_the_former_socket_is_closed_with_4009(door: Door, wire: Format) -> None:
    options: dict[str, Any] = {"wire": wire, "compression": door.compression}
    async with running(door=door) as house:
        async with Client.opened(house.url, **options) as ana:
            await ana.call("join", "attic")
            async with Client.opened(house.url, resume=ana.ticket, **options) as back:
                assert (back.hello["resumed"], back.id) == (True, ana.id)
                assert (await ana.closed())[0] == 4009
                assert ana.passed == []
                assert len(house.app) == 1
                await house.say("attic", "hello")
                assert await back.hear(1) == ["hello"]
                assert await house.main.to(ana.id).members() == [ana.id]
        assert house.witness.seen[:3] == ["connect", "disconnect", "resume"]
        assert house.witness.reasons[0].code == 4009
        assert house.witness.reasons[0].resumable


@asynccontextmanager
async def dead(house: House) -> AsyncGenerator[Resume]:
    """A session whose socket takes nothing any more; hands out what asks for the session."""
    async with RawClient.connect(house.url, "/chat", subprotocol="gw.v1.json") as client:
        await client.send('{"op":"open","auth":{"user":"ana"}}')
        hello = json.loads((await client.receive())[1])
        outbox = house.witness.connections[-1].outbox
        while not outbox._outbox._waits:  # type: ignore[attr-defined]
            # More than the kernel takes of what this client will never read.
            await house.main.emit(Said("x" * 60_000), volatile=True)
            await asyncio.sleep(0)
        await house.main.emit(Said("behind"))
        yield {key: hello[key] for key in ("session", "token", "epoch", "seq")} | {"sent": 0}


async def test_a_socket_that_takes_nothing_is_not_waited_for(door: Door) -> None:
    async with running(door=door) as house, dead(house) as ticket:
        auth = {"user": "ana"}
        async with Client.opened(
            house.url, resume=ticket, auth=auth, compression=door.compression
        ) as back:
            assert back.hello["resumed"]
            assert await back.hear(1) == ["behind"]
            assert await back.call("echo", 1) == 1
            assert len(house.app) == 1


async def test_a_former_socket_beats_no_more() -> None:
    # Its pings would be answered by the next one, and confirm what that has not got.
    settings = Settings(ping_interval=0.05, ping_timeout=20)
    async with (
        running(settings=settings) as house,
        dead(house) as ticket,
        Client.opened(house.url, resume=ticket, auth={"user": "ana"}) as back,
    ):
        (session,) = house.dispatcher._sessions
        conversation = session._controls.__self__
        for number in range(1, 10):
            await back.op("ping")
            assert conversation._pongs.pings >= number


async def test_credentials_that_are_looked_at_when_the_socket_is_lost_change_nothing() -> None:
    async with running() as house, dead(house) as ticket:
        auth = {"user": "ana"}
        (session,) = house.dispatcher._sessions
        former = session._controls.__self__
        former.control(SessionJsonCodec().envelope('{"op":"auth","auth":{"hang":1}}'))
        looking = former._refreshing
        async with Client.opened(house.url, resume=ticket, auth=auth) as back:
            await until(looking.done)
            await back.send({"op": "auth", "auth": auth})
            assert await back.op("auth") == {"op": "auth", "expires": None}
            assert [f for f in await back.quiet() if f.get("op") == "auth"] == []


async def test_what_a_former_socket_says_after_the_take_over_is_not_heard() -> None:
    async with (
        running() as house,
        RawClient.connect(house.url, "/chat", subprotocol="gw.v1.json") as former,
    ):
        await former.send('{"op":"open"}')
        hello = json.loads((await former.receive())[1])
        ticket = {key: hello[key] for key in ("session", "token", "epoch", "seq")} | {"sent": 0}
        async with Client.opened(house.url, resume=ticket) as back:
            for frame in (
                {"event": "work", "data": "from the former", "id": 1},
                {"event": "work", "data": "from the former"},
                {"op": "ping"},
                {"op": "auth", "auth": {"user": "eve"}},
                {"op": "bye"},
            ):
                await former.send(json.dumps(frame))
            opcode, payload = await former.receive()
            assert opcode == CLOSE
            assert int.from_bytes(payload[:2], "big") == 4009
            assert await back.call("echo", "here") == "here"
            assert await back.call("who") is None
            assert [f for f in await back.quiet() if f.get("op") == "pong"] == []
            assert house.witness.done == []


async def test_of_two_who_ask_at_once_the_one_that_is_cut_off_leaves_nothing() -> None:
    witness = Witness()
    settings = Settings(grace=2, open_timeout=0.3)
    async with running(witness, settings=settings) as house:
        async with Client.opened(house.url) as ana:
            ana.cut()
        await house.gone()
        witness.room_gate.clear()
        async with Client.connect(house.url) as second, Client.connect(house.url) as third:
            # One of them has the session, and the other waits; both take too long.
            await second.ask(ana.ticket)
            await third.ask(ana.ticket)
            await until(lambda: house.absences._taking)
            assert {(await each.closed())[0] for each in (second, third)} == {4005}
        witness.room_gate.set()
        await house.empty()
        assert witness.seen[-1] == "end"


# Tokens


async def test_each_hello_brings_a_new_token() -> None:
    async with running() as house:
        async with Client.opened(house.url) as ana:
            tokens = [ana.hello["token"]]
            ticket = ana.ticket
        for _ in range(3):
            async with Client.opened(house.url, resume=ticket) as back:
                assert back.hello["resumed"]
                tokens.append(back.hello["token"])
                ticket = back.ticket
        assert len(set(tokens)) == 4


async def test_a_hello_that_was_lost_strands_nobody() -> None:
    async with running() as house:
        async with Client.opened(house.url) as ana:
            first = second = ana.ticket
        for _ in range(3):
            # It never heard of any other token than its first one.
            async with Client.opened(house.url, resume=first) as back:
                assert back.hello["resumed"]
                second = back.ticket
                back.cut()
            await house.gone()
        async with Client.opened(house.url, resume=second) as back:
            assert back.hello["resumed"]
            back.cut()
        # Whoever had the second one has shown it: the first is void.
        async with Client.opened(house.url, resume=first) as late:
            assert not late.hello["resumed"]


@pytest.mark.parametrize(
    "frame",
    [
        {"op": "ping"},
        {"op": "pong"},
        {"event": "nope"},
        {"event": "echo", "data": 1, "id": 1},
        {"id": "1.x", "data": 1},
        "no frame",
    ],
)
async def test_a_former_token_is_void_after_the_first_frame_that_follows_hello(frame: Any) -> None:
    async with running() as house:
        async with Client.opened(house.url) as ana:
            first = ana.ticket
        async with Client.opened(house.url, resume=first) as back:
            second = back.ticket
            await back.send(frame)
            await back.quiet()
            async with Client.opened(house.url, resume=first) as thief:
                assert not thief.hello["resumed"]
            # And it was no reason to close anything.
            assert await back.call("echo", 2, id=2) == 2
        async with Client.opened(house.url, resume=second) as again:
            assert again.hello["resumed"]


async def test_what_is_said_before_hello_does_not_follow_it() -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            first = ana.ticket
        witness.resume_gate.clear()
        async with Client.connect(house.url) as hasty:
            await hasty.ask(first)
            await hasty.send({"event": "echo", "data": 1})
            await until(lambda: "resume" in witness.seen)
            # Lost before its hello.
            await asyncio.sleep(0.05)
            hasty.cut()
            await until(lambda: witness.connections[0].outbox.closing)
        witness.resume_gate.set()
        await house.gone()
        async with Client.opened(house.url, resume=first) as back:
            assert back.hello["resumed"]
