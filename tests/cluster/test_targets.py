"""Whom an emit is for, and what else is done with them, wherever they are connected."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from gatewright import CallTimeout, Settings
from gatewright.errors import BackplaneError, RequestTimeout
from gatewright.transports.socketio.config import SocketIO
from tests.cluster.conftest import Join
from tests.cluster.joined import Hub
from tests.cluster.nodes import cluster, empty, name_of, net
from tests.sessions.chat import Ask, House, Said, until
from tests.sessions.client import Client
from tests.transports.socketio.clients import Socket

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def two(join: Any, **options: Any) -> AsyncGenerator[tuple[House, House, Client, Client]]:
    """Two nodes with a client each, whose name is its user's."""
    async with (
        cluster(join, **options) as (a, b),
        Client.opened(a.url, auth={"user": "ana"}) as ana,
        Client.opened(b.url, auth={"user": "bob"}, wire="msgpack") as bob,
    ):
        yield a, b, ana, bob


async def answer(client: Client, data: Any) -> None:
    asked = await client.event("ask")
    await client.send({"id": asked["id"], "data": data})


async def test_emits_reach_the_members_of_all_nodes_in_one_order(join: Join) -> None:
    async with two(join) as (a, b, ana, bob):
        await asyncio.gather(*(each.say("lobby", *"123456789") for each in (a, b)))
        assert await ana.hear(18) == await bob.hear(18)
        await a.main.to_user("bob").emit(Said("for bob"))
        await b.main.to(ana.id).emit(Said("for ana"))
        await a.main.to("lobby").except_(bob.id).emit(Said("not for bob"))
        assert (await bob.hear(19))[18:] == ["for bob"]
        assert (await ana.hear(20))[18:] == ["for ana", "not for bob"]
        assert (await bob.quiet()) == []


async def test_a_volatile_event_reaches_them_too(join: Join) -> None:
    async with two(join) as (a, _, ana, bob):
        await a.main.emit(Said("all"), volatile=True)
        await a.main.to("lobby").except_(ana.id).emit(Said("bob"), volatile=True, key="k")
        assert await bob.hear(2) == ["all", "bob"]
        assert await ana.hear(1) == ["all"]
        assert not any("seq" in frame for frame in bob.passed)


async def test_a_volatile_event_that_cannot_reach_them_says_so(hub: Hub) -> None:
    async with two(hub.node) as (a, _, ana, __):
        hub.part(net(a))
        with pytest.raises(BackplaneError):
            await a.main.emit(Said("here"), volatile=True)
        assert await ana.hear(1) == ["here"]
        # It is for nobody else, so that nobody else is told.
        await a.main.to(ana.id).emit(Said("me"), volatile=True)
        assert await ana.hear(2) == ["here", "me"]
        hub.heal(net(a))


async def test_a_volatile_event_that_a_format_cannot_carry_costs_only_itself(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    async with two(hub.node) as (a, _, __, bob):
        event = Said(2**70)  # type: ignore[arg-type]
        await a.main.emit(event, volatile=True)
        await a.main.emit(Said("next"), volatile=True)
        assert await bob.hear(1) == ["next"]
        assert "volatile" in caplog.text or "failed" in caplog.text


async def test_members_are_counted_and_named_over_all_nodes(join: Join) -> None:
    async with two(join) as (a, b, ana, bob):
        for house in (a, b):
            assert sorted(await house.main.members()) == sorted([ana.id, bob.id])
            assert await house.main.count() == 2
            assert await house.main.to_user("bob").members() == [bob.id]
            assert await house.main.to("lobby").except_(ana.id).count() == 1
            assert await house.main.to("nowhere").members() == []


async def test_they_are_moved_wherever_they_are(join: Join) -> None:
    async with two(join) as (a, b, ana, bob):
        b.witness.closed_rooms.add("cellar")
        assert await a.main.join("attic", "roof") == 2
        assert await a.main.to("attic").join("cellar") == 1
        await b.main.to("attic").leave("roof")
        assert await ana.call("rooms") == ["attic", "cellar", "lobby"]
        assert await bob.call("rooms") == ["attic", "lobby"]
        await a.say("attic", "up")
        assert (await ana.hear(1), await bob.hear(1)) == (["up"], ["up"])


async def test_whom_an_emit_is_for_is_disconnected_after_it(hub: Hub) -> None:
    async with two(hub.node) as (a, b, ana, bob):
        net(b).lane.lag = 50
        await a.main.emit(Said("bye"))
        await a.main.disconnect("closing time")
        for client in (ana, bob):
            assert await client.closed() == (4500, "closing time")
            assert client.said == ["bye"]
        await empty(a, b)


async def test_a_connection_is_disconnected_after_what_was_emitted_to_it(hub: Hub) -> None:
    async with two(hub.node) as (a, _, ana, __):
        net(a).lane.lag = 50
        (connection,) = a.witness.connections
        await connection.emit(Said("bye"))
        await connection.disconnect()
        assert (await ana.closed())[0] == 4500
        assert ana.said == ["bye"]


async def test_who_is_away_is_moved_and_disconnected_too(join: Join) -> None:
    async with two(join) as (a, b, ana, bob):
        bob.cut()
        await b.gone()
        assert await a.main.to("lobby").join("attic") == 2
        assert await a.main.members() == [ana.id]
        await a.main.to("attic").leave("lobby")
        async with Client.opened(
            b.url, resume=bob.ticket, auth={"user": "bob"}, wire="msgpack"
        ) as back:
            assert await back.call("rooms", id=9) == ["attic"]
            back.cut()
        await b.gone()
        await a.main.to_user("bob").disconnect("out")
        await until(lambda: "end" in b.witness.seen)
        async with Client.opened(b.url, resume=bob.ticket, auth={"user": "bob"}) as again:
            assert not again.hello["resumed"]


async def test_all_are_asked_and_answer(join: Join) -> None:
    async with two(join) as (a, b, ana, bob):
        asking = asyncio.create_task(a.main.to("lobby").call(Ask("name"), str))
        await answer(ana, "ana")
        await answer(bob, "bob")
        assert sorted(await asking) == ["ana", "bob"]
        asking = asyncio.create_task(b.main.to_user("ana").call(Ask("name"), str))
        await answer(ana, 7)
        answers = await asking
        assert (list(answers), answers.errors[ana.id].code) == ([], "invalid")
        asking = asyncio.create_task(b.main.to(ana.id).call(Ask("name"), str))
        asked = await ana.event("ask")
        await ana.send({"id": asked["id"], "error": {"code": "no", "message": "not now"}})
        error = (await asking).errors[ana.id]
        assert (error.code, error.message) == ("no", "not now")
        assert list(await a.main.to("nowhere").call(Ask("?"), str)) == []
        await until(lambda: not len(a.dispatcher.node.calls) and not len(b.dispatcher.node.calls))


async def test_who_does_not_answer_in_time_is_named(join: Join) -> None:
    async with two(join) as (a, b, ana, bob):
        asking = asyncio.create_task(a.main.call(Ask("name"), str, timeout=0.3))
        await answer(ana, "ana")
        with pytest.raises(CallTimeout) as late:
            await asking
        assert late.value.answers == ["ana"]
        assert late.value.missing == [bob.id]
        assert late.value.nodes == []
        await until(lambda: not b.remains().get("calls"))
        await answer(bob, "late")
        assert await bob.call("who") == "bob"


async def test_who_leaves_meanwhile_is_interrupted(join: Join) -> None:
    async with two(join) as (a, _, ana, bob):
        asking = asyncio.create_task(a.main.call(Ask("name"), str))
        await answer(ana, "ana")
        await bob.event("ask")
        await bob.send({"op": "bye"})
        answers = await asking
        assert list(answers) == ["ana"]
        assert answers.errors[bob.id].code == "interrupted"


async def test_whose_node_dies_meanwhile_is_interrupted(hub: Hub) -> None:
    async with two(hub.node) as (a, b, ana, bob):
        asking = asyncio.create_task(a.main.call(Ask("name"), str, timeout=60))
        await answer(ana, "ana")
        await bob.event("ask")
        hub.kill(net(b))
        answers = await asking
        assert list(answers) == ["ana"]
        assert answers.errors[bob.id].code == "interrupted"
        await bob.send({"op": "bye"})
        await bob.closed()


async def test_a_node_that_does_not_say_whom_it_asks_is_named(hub: Hub) -> None:
    async with two(hub.node) as (a, b, ana, _):
        net(b).mail.hold()
        asking = asyncio.create_task(a.main.call(Ask("name"), str, timeout=0.3))
        await answer(ana, "ana")
        with pytest.raises(CallTimeout) as late:
            await asking
        assert (late.value.answers, late.value.missing) == (["ana"], [])
        assert late.value.nodes == [name_of(b)]
        assert name_of(b) in str(late.value)
        net(b).mail.drop()
        net(b).mail.let()


async def test_a_call_follows_what_was_emitted_before(hub: Hub) -> None:
    async with two(hub.node) as (a, b, ana, bob):
        net(a).lane.lag = net(b).lane.lag = 50
        await a.main.emit(Said("first"))
        asking = asyncio.create_task(a.main.call(Ask("then"), str))
        for client in (ana, bob):
            await answer(client, "ok")
            assert client.said == ["first"]
        assert await asking == ["ok", "ok"]
        (connection,) = a.witness.connections
        await connection.emit(Said("second"))
        alone = asyncio.create_task(connection.call(Ask("then"), str))
        await answer(ana, "ok")
        assert ana.said == ["first", "second"]
        assert await alone == "ok"


async def test_a_node_that_says_nothing_is_no_silent_zero(hub: Hub) -> None:
    async with two(hub.node, settings=Settings(request_timeout=0.1)) as (a, b, _, __):
        net(b).mail.hold()
        for ask in (a.main.count, a.main.members, a.main.disconnect):
            with pytest.raises(RequestTimeout, match=name_of(b)) as late:
                await ask()
            assert late.value.missing == [name_of(b)]
        hub.kill(net(b))
        assert await a.main.count() == 0


async def test_where_there_are_no_others_nobody_is_told_anything(join: Join) -> None:
    async with cluster(join, 1) as (a,), Client.opened(a.url) as ana:
        sent: list[bytes] = []

        async def record(*message: Any) -> None:
            sent.append(message[0])

        a.backplane.send = a.backplane.cast = record
        await a.main.emit(Said("hi"), volatile=True)
        asking = asyncio.create_task(a.main.call(Ask("name"), str))
        await answer(ana, "ana")
        assert await asking == ["ana"]
        assert await a.main.members() == [ana.id]
        assert await a.main.count() == await a.main.join("attic") == 1
        await a.main.leave("attic")
        await a.main.disconnect()
        await ana.closed()
        assert sent == []


async def test_the_clients_of_socketio_are_asked_too(join: Join) -> None:
    async with cluster(join, socketio=SocketIO(recovery=True)) as (a, b):
        client = await Socket.open(b.url)
        await client.join("/chat", {})

        async def ask(kind: Any, *packets: str | bytes) -> Any:
            asking = asyncio.create_task(a.main.call(Ask("?"), kind))
            head, _, arguments = str(await client.receive()).partition("[")
            assert json.loads("[" + arguments) == ["ask", {"what": "?"}]
            first, *rest = packets
            id = head.removeprefix("42/chat,")
            await client.send(str(first).replace("ID", id), *rest)
            return (await asking)[0]

        assert await ask(str, '43/chat,ID["ana"]') == "ana"
        assert await ask(tuple[str, int], '43/chat,ID["a",1]') == ("a", 1)
        assert await ask(Decimal, '43/chat,ID["0.10"]') == Decimal("0.10")
        placeholder = '[{"_placeholder":true,"num":0}]'
        assert await ask(bytes, f"461-/chat,ID{placeholder}", b"\x00\xff") == b"\x00\xff"
        assert await ask(None, "43/chat,ID[]") is None
        await client.socket.close()


async def test_ids_of_calls_over_socketio_begin_anywhere() -> None:
    """So that an answer to another process is not taken for one to this."""
    async with cluster(Hub().node, socketio=SocketIO(recovery=True)) as houses:
        ids: set[int] = set()
        for house in houses:
            client = await Socket.open(house.url)
            await client.join("/chat", {})
            asking = asyncio.create_task(house.main.to("lobby").call(Ask("name"), str))
            packet = str(await client.receive())
            head, _, _ = packet.removeprefix("42/chat,").partition("[")
            ids.add(int(head))
            await client.send(f"43/chat,1{json.dumps(['wrong'])}")
            await client.send(f"43/chat,{head}{json.dumps(['right'])}")
            assert await asking == ["right"]
            await client.socket.close()
        assert len(ids) == 2
        assert all(id < 2**31 for id in ids)


async def test_who_is_refused_does_not_count(join: Join) -> None:
    async with cluster(join) as (a, b), Client.opened(b.url) as bob:
        assert await a.main.join("~no") == 0
        assert await bob.call("rooms") == ["lobby"]
