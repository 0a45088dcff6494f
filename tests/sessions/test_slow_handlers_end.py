"""Handlers that outlive their socket: how they end, and what ends with them."""

import asyncio

import pytest

from gatewright import Settings
from tests.sessions.chat import Said, Witness, running, until
from tests.sessions.client import Client

pytestmark = pytest.mark.anyio


async def test_its_emit_to_itself_comes_in_the_sequence() -> None:
    witness = Witness()
    async with running(witness, settings=Settings(finish_timeout=0.05)) as house:
        async with Client.opened(house.url) as ana:
            await ana.start("slow", "emit from away")
            await until(lambda: witness.done)
            ana.cut()
        await house.gone()
        witness.gate.set()
        await until(lambda: witness.ended)
        async with Client.opened(house.url, resume=ana.ticket) as back:
            assert await back.hear(1) == ["from away"]


async def test_its_resources_are_closed_when_it_has_ended() -> None:
    witness = Witness()
    async with running(witness, settings=Settings(finish_timeout=0.05)) as house:
        async with Client.opened(house.url) as ana:
            await ana.start("slow", "work")
            await until(lambda: witness.done)
            ana.cut()
        await house.gone()
        assert witness.seen == ["connect", "open thing", "disconnect"]
        async with Client.opened(house.url, resume=ana.ticket) as back:
            await back.start("slow", "more")
            await back.quiet()
            assert witness.seen[3:] == ["resume"]
            witness.gate.set()
            await back.end(2)
            await until(lambda: "close thing" in witness.seen)
            assert witness.seen[3:] in (
                ["resume", "close thing", "open thing"],
                ["resume", "open thing", "close thing"],
            )
    assert witness.seen.count("open thing") == witness.seen.count("close thing") == 2


async def test_the_disconnect_hook_waits_for_it_unless_the_client_is_back() -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            await ana.start("slow", "work")
            await until(lambda: witness.done)
            ana.cut()
        await until(lambda: witness.connections[0].outbox.closing)
        await asyncio.sleep(0.05)
        assert "disconnect" not in witness.seen
        async with Client.opened(house.url, resume=ana.ticket):
            assert witness.seen == ["connect", "open thing", "disconnect", "resume"]
            witness.gate.set()
            await until(lambda: "close thing" in witness.seen)


async def test_a_session_that_expires_while_it_runs_ends_it() -> None:
    witness = Witness()
    settings = Settings(finish_timeout=0.05, grace=0.2)
    async with running(witness, settings=settings) as house:
        async with Client.opened(house.url) as ana:
            await ana.start("slow", "work")
            await until(lambda: witness.done)
            ana.cut()
        await until(lambda: "end" in witness.seen)
        await house.empty()
        assert witness.seen == [
            "connect",
            "open thing",
            "disconnect",
            "slow: CancelledError",
            "close thing",
            "end",
        ]


async def test_a_disconnect_of_it_is_for_good() -> None:
    witness = Witness()
    async with running(witness, settings=Settings(finish_timeout=0.05)) as house:
        async with Client.opened(house.url) as ana:
            await ana.start("slow", "disconnect enough")
            await until(lambda: witness.done)
            ana.cut()
        async with Client.opened(house.url, resume=ana.ticket) as back:
            witness.gate.set()
            assert await back.closed() == (4500, "enough")
        await house.empty()
        assert witness.seen[-1] == "end"


async def test_an_identity_that_it_renews_while_away_does_not_close_the_next_socket() -> None:
    witness = Witness()
    async with running(witness, settings=Settings(finish_timeout=0.05)) as house:
        async with Client.opened(house.url, auth={"user": "ana"}) as ana:
            await ana.start("slow", "renew 0.3")
            await until(lambda: witness.done)
            ana.cut()
        await house.gone()
        witness.gate.set()
        await until(lambda: witness.ended)
        auth = {"user": "ana", "expires": 3600}
        async with Client.opened(house.url, resume=ana.ticket, auth=auth) as back:
            await asyncio.sleep(0.4)
            assert await back.call("who") == "ana"


async def test_what_it_emits_to_rooms_reaches_its_own_client_once() -> None:
    witness = Witness()
    async with running(witness) as house:
        async with Client.opened(house.url) as ana:
            await ana.start("slow", "work")
            await until(lambda: witness.done)
            ana.cut()
        await until(lambda: witness.connections[0].outbox.closing)
        await house.main.to("lobby").emit(Said("one"))
        async with Client.opened(house.url, resume=ana.ticket) as back:
            await house.main.to("lobby").emit(Said("two"))
            witness.gate.set()
            assert await back.hear(2) == ["one", "two"]
            await back.call("echo", 1)
            assert back.said == ["one", "two"]
