"""Identities that expire, and are renewed over the open socket."""

import asyncio
from typing import Any

import pytest

from gatewright import Settings
from tests.behaviours.chat import Door
from tests.sessions.chat import Witness, running, until
from tests.sessions.client import Client, Format

pytestmark = pytest.mark.anyio


async def test_it_is_renewed(door: Door, wire: Format) -> None:
    auth = {"user": "ana", "expires": 0.3}
    async with (
        running(door=door) as house,
        Client.opened(house.url, auth=auth, wire=wire, compression=door.compression) as ana,
    ):
        assert 0 < ana.hello["expires"] <= 0.3
        await ana.send({"op": "auth", "auth": {"user": "ana", "expires": 3600}})
        answer = await ana.receive()
        assert answer.pop("op") == "auth"
        assert 3590 < answer.pop("expires") <= 3600
        assert answer == {}
        await ana.send({"op": "auth", "auth": {"user": "ana"}})
        assert await ana.receive() == {"op": "auth", "expires": None}
        await asyncio.sleep(0.4)
        assert await ana.call("who") == "ana"


async def test_who_does_not_is_closed_with_4004_and_may_return(door: Door) -> None:
    auth = {"user": "ana", "expires": 0.1}
    async with running(door=door) as house:
        async with Client.opened(house.url, auth=auth, compression=door.compression) as ana:
            assert (await ana.closed())[0] == 4004
        await house.gone()
        await house.say("lobby", "one")
        async with Client.opened(
            house.url, resume=ana.ticket, auth={"user": "ana"}, compression=door.compression
        ) as back:
            assert await back.hear(1) == ["one"]


@pytest.mark.parametrize(
    ("auth", "code"),
    [
        ({"user": "eve"}, "forbidden"),
        ({}, "forbidden"),
        (None, "forbidden"),
        ({"refuse": "unauthenticated"}, "unauthenticated"),
        ({"refuse": "of_our_own"}, "of_our_own"),
        ({"break": 1}, "internal"),
        ({"hang": 1}, "timeout"),
    ],
)
async def test_if_not_the_identity_is_what_it_was(auth: Any, code: str) -> None:
    before = {"user": "ana", "expires": 3600}
    settings = Settings(open_timeout=0.2)
    async with (
        running(settings=settings) as house,
        Client.opened(house.url, auth=before) as ana,
    ):
        await ana.send({"op": "auth", "auth": auth})
        answer = await ana.receive()
        assert set(answer) == {"op", "error"}
        assert answer["error"]["code"] == code
        assert answer["error"]["message"]
        assert await ana.call("who") == "ana"
        (connection,) = house.witness.connections
        assert connection.handshake.auth == before
        assert connection.identity is not None
        assert connection.identity.expires is not None


async def test_credentials_that_cannot_be_read_are_refused() -> None:
    async with running() as house, Client.opened(house.url, auth={"user": "ana"}) as ana:
        await ana.send('{"op":"auth","auth":' + "[" * 2000 + "]" * 2000 + "}")
        frame = await ana.receive()
        assert frame.get("event") == "exception" or frame["error"]["code"] == "invalid"
        await ana.send({"op": "auth", "auth": {"user": "ana"}})
        assert await ana.receive() == {"op": "auth", "expires": None}


async def test_one_at_a_time() -> None:
    async with running() as house, Client.opened(house.url, auth={"user": "ana"}) as ana:
        await ana.send({"op": "auth", "auth": {"hang": 1}})
        await ana.send({"op": "auth", "auth": {"user": "ana"}})
        answer = await ana.receive()
        assert (answer["op"], answer["error"]["code"]) == ("auth", "too_many")


async def test_it_does_not_wait_for_handlers() -> None:
    witness = Witness()
    async with running(witness) as house, Client.opened(house.url, auth={"user": "ana"}) as ana:
        await ana.start("slow", "one")
        await until(lambda: witness.done)
        await ana.send({"op": "auth", "auth": {"user": "ana"}})
        assert await ana.receive() == {"op": "auth", "expires": None}
        witness.gate.set()
        await ana.end(1)


async def test_a_refusal_that_cannot_be_encoded_is_told_as_internal() -> None:
    async with running() as house, Client.opened(house.url, auth={"user": "ana"}) as ana:
        await ana.send('{"op":"auth","auth":{"refuse":"\\\\ud800"}}'.replace("\\\\", "\\"))
        answer = await ana.receive()
        error: Any = answer.get("error") or answer["data"]
        assert error["code"] in ("internal", "invalid", "bad_frame")
        await ana.send({"op": "auth", "auth": {"user": "ana"}})
        assert await ana.receive() == {"op": "auth", "expires": None}
