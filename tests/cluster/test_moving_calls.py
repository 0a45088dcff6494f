"""Calls to clients whose sessions go to another node meanwhile (rule R13)."""

import asyncio

import pytest

from gatewright import CallTimeout, EventError, Settings
from tests.cluster.conftest import Join
from tests.cluster.joined import Hub
from tests.cluster.nodes import bye, cluster, empty, name_of, net
from tests.sessions.chat import Ask, until
from tests.sessions.client import Client

pytestmark = pytest.mark.anyio


async def test_an_answer_finds_the_node_that_has_asked(join: Join) -> None:
    async with cluster(join) as (a, b):
        async with Client.opened(a.url) as ana:
            (connection,) = a.witness.connections
            asking = asyncio.create_task(connection.call(Ask("name"), str))
            asked = await ana.event("ask")
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket) as back:
            # It may have lost it with its socket.
            assert (await back.event("ask")) == asked
            await back.send({"id": asked["id"], "data": "ana"})
            assert await asking == "ana"
            await bye(back)
        await empty(a, b)


async def test_in_another_format_as_well(join: Join) -> None:
    async with cluster(join) as (a, b):
        async with Client.opened(a.url) as ana:
            (connection,) = a.witness.connections
            asking = asyncio.create_task(connection.call(Ask("name"), str))
            asked = await ana.event("ask")
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket, wire="msgpack") as back:
            assert (await back.event("ask")) == asked
            await back.send({"id": asked["id"], "error": {"code": "no"}})
            with pytest.raises(EventError, match="no"):
                await asking


async def test_an_answer_follows_over_many_nodes(join: Join) -> None:
    async with cluster(join, 3) as (a, b, c):
        async with Client.opened(a.url) as ana:
            (connection,) = a.witness.connections
            asking = asyncio.create_task(connection.call(Ask("name"), str))
            asked = await ana.event("ask")
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket) as back:
            back.cut()
        async with Client.opened(c.url, resume=back.ticket) as last:
            assert (await last.event("ask")) == asked
            last.cut()
        async with Client.opened(a.url, resume=last.ticket) as home:
            assert (await home.event("ask")) == asked
            assert len([f for f in await home.quiet() if "event" in f]) == 0
            await home.send({"id": asked["id"], "data": "ana"})
            assert await asking == "ana"
            await bye(home)
        await empty(a, b, c)


async def test_whoever_has_answered_is_not_asked_again(join: Join) -> None:
    async with cluster(join) as (a, b):
        async with Client.opened(a.url) as ana:
            (connection,) = a.witness.connections
            asking = asyncio.create_task(connection.call(Ask("name"), str))
            asked = await ana.event("ask")
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket) as back:
            await back.send({"id": asked["id"], "data": "ana"})
            assert await asking == "ana"
            back.cut()
        await b.gone()
        async with Client.opened(b.url, resume=back.ticket) as again:
            assert [f for f in await again.quiet() if "event" in f] == []


async def test_nobody_is_asked_what_nobody_waits_for_any_more(join: Join) -> None:
    async with cluster(join) as (a, b):
        async with Client.opened(a.url) as ana:
            (connection,) = a.witness.connections
            with pytest.raises(CallTimeout):
                await connection.call(Ask("name"), str, timeout=0.01)
            late = asyncio.create_task(connection.call(Ask("late"), str, timeout=0.2))
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket) as back:
            assert (await back.event("ask"))["data"]["what"] == "late"
            back.cut()
        with pytest.raises(CallTimeout):
            await late
        async with Client.opened(b.url, resume=back.ticket) as again:
            assert [f for f in await again.quiet() if "event" in f] == []
            await bye(again)
        await empty(a, b)


async def test_answers_for_nodes_that_are_gone_are_nobodys(hub: Hub) -> None:
    async with cluster(hub.node) as (a, b):
        async with Client.opened(a.url) as ana:
            (connection,) = a.witness.connections
            asking = asyncio.create_task(connection.call(Ask("name"), str))
            asked = await ana.event("ask")
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket) as back:
            hub.kill(net(a))
            sent = len(net(b).sent)
            for id in (asked["id"], f"7.{name_of(a)}", f"1.{name_of(b)}", "x.y"):
                await back.send({"id": id, "data": "ana"})
            assert await back.call("who") is None
            assert len(net(b).sent) == sent
            await bye(back)
        asking.cancel()


async def test_an_answer_is_its_own_clients(join: Join) -> None:
    async with cluster(join) as (a, b), Client.opened(a.url) as ana, Client.opened(b.url) as eve:
        (connection,) = a.witness.connections
        asking = asyncio.create_task(connection.call(Ask("name"), str))
        asked = await ana.event("ask")
        await eve.send({"id": asked["id"], "data": "eve"})
        await eve.quiet()
        await ana.send({"id": asked["id"], "data": "ana"})
        assert await asking == "ana"


async def test_a_call_ends_interrupted_with_the_session_wherever(join: Join) -> None:
    async with cluster(join) as (a, b):
        async with Client.opened(a.url) as ana:
            (connection,) = a.witness.connections
            await ana.start("slow", "say")
            await until(lambda: a.witness.done)
            asking = asyncio.create_task(connection.call(Ask("name"), str, timeout=60))
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket) as back:
            a.witness.gate.set()
            await back.call("who", id=7)
            await bye(back)
        with pytest.raises(EventError, match="interrupted"):
            await asking


async def test_a_handler_that_still_runs_asks_where_its_session_is(join: Join) -> None:
    async with cluster(join, settings=Settings(finish_timeout=0.1)) as (a, b):
        async with Client.opened(a.url) as ana:
            id = await ana.start("slow", "ask name")
            await until(lambda: a.witness.done)
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket) as back:
            back.cut()
        await b.gone()
        a.witness.gate.set()
        # It is away there, and asked when it is back.
        await until(lambda: b.remains().get("calls"))
        async with Client.opened(b.url, resume=back.ticket) as again:
            asked = await again.event("ask")
            await again.send({"id": asked["id"], "data": "ana"})
            assert (await again.end(id))["data"] == "ana"
            await bye(again)
        await empty(a, b)


async def test_one_of_those_that_were_asked_may_move(join: Join) -> None:
    async with cluster(join, 3) as (a, b, c):
        async with Client.opened(b.url) as bob:
            asking = asyncio.create_task(a.main.to("lobby").call(Ask("name"), str))
            asked = await bob.event("ask")
            bob.cut()
        async with Client.opened(c.url, resume=bob.ticket) as back:
            assert await back.event("ask") == asked
            await back.send({"id": asked["id"], "data": "bob"})
            assert await asking == ["bob"]
            await bye(back)
        await empty(a, b, c)


async def test_a_full_inbox_does_not_keep_an_answer_from_another_node_out(join: Join) -> None:
    async with cluster(join, settings=Settings(inbox=2)) as (a, b):
        async with Client.opened(a.url) as ana:
            id = await ana.start("slow", "ask name")
            await until(lambda: a.witness.done)
            a.witness.gate.set()
            asked = await ana.event("ask")
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket) as back:
            for number in range(5):
                await back.send({"event": "work", "data": number})
            await back.send({"id": asked["id"], "data": "ana"})
            assert (await back.end(id))["data"] == "ana"
            await until(lambda: len(b.witness.done) >= 2)
            await bye(back)
