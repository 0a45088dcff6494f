"""Clients of Socket.IO whose connection state is recovered by another node."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gatewright import Settings
from gatewright.transports.socketio.config import SocketIO
from tests.cluster.conftest import Join
from tests.cluster.joined import Hub
from tests.cluster.nodes import cluster, empty, net
from tests.sessions.chat import House, until
from tests.transports.socketio.clients import Poller, Socket

pytestmark = pytest.mark.anyio

RECOVERING = SocketIO(recovery=True)


@asynccontextmanager
async def socketio(house: House) -> AsyncGenerator[Socket]:
    socket = await Socket.open(house.url)
    try:
        yield socket
    finally:
        await socket.socket.close()


async def heard(client: Socket) -> tuple[str, str]:
    """The text of the next event, and its offset."""
    packet = str(await client.receive())
    name, data, offset = json.loads(packet.removeprefix("42/chat,"))
    assert name == "said"
    return data["text"], offset


async def call(client: Socket, event: str, *arguments: Any) -> Any:
    await client.send(f"42/chat,7{json.dumps([event, *arguments])}")
    return json.loads(str(await client.receive()).removeprefix("43/chat,7"))[0]


async def test_it_is_recovered_by_another_node(join: Join) -> None:
    async with cluster(join, socketio=RECOVERING) as (a, b):
        async with socketio(a) as ana:
            body = await ana.join("/chat", {})
            await call(ana, "join", "attic")
            await call(ana, "save", 4)
            await b.say("attic", "heard")
            _, offset = await heard(ana)
            ana.abort()
        await a.gone()
        await b.say("attic", "missed")
        async with socketio(b) as back:
            again = await back.join("/chat", {"pid": body["pid"], "offset": offset})
            assert again == body
            assert (await heard(back))[0] == "missed"
            assert await call(back, "state") == 4
            assert await call(back, "rooms") == ["attic", "lobby"]
            await a.say("attic", "live")
            assert (await heard(back))[0] == "live"
            await back.send("41/chat,")
        await empty(a, b)
        assert (a.witness.seen.count("end"), b.witness.seen.count("end")) == (0, 1)


async def test_its_former_socket_is_closed(join: Join) -> None:
    async with cluster(join, socketio=RECOVERING) as (a, b), socketio(a) as ana:
        body = await ana.join("/chat", {})
        async with socketio(b) as back:
            assert await back.join("/chat", {"pid": body["pid"]}) == body
            await ana.closed()
            await until(lambda: (len(a.app), len(b.app)) == (0, 1))
            assert await a.main.members() == [body["sid"]]


async def test_by_polling_too(join: Join) -> None:
    async with cluster(join, socketio=RECOVERING) as (a, b):
        async with socketio(a) as ana:
            body = await ana.join("/chat", {})
            ana.abort()
        await a.gone()
        await b.say("lobby", "missed")
        poller = await Poller.open(b.url)
        assert await poller.join("/chat", {"pid": body["pid"]}) == body
        assert "missed" in str(await poller.receive())
        await poller.send("41/chat,")


async def test_after_a_kill(hub: Hub) -> None:
    async with cluster(hub.node, socketio=RECOVERING) as (a, b), socketio(a) as ana:
        body = await ana.join("/chat", {})
        hub.kill(net(a))
        await b.say("lobby", "missed")
        async with socketio(b) as back:
            assert await back.join("/chat", {"pid": body["pid"]}) == body
            assert (await heard(back))[0] == "missed"


async def test_one_that_is_away_is_ended_by_whoever_disconnects_it(join: Join) -> None:
    settings = Settings(grace=60)
    async with cluster(join, socketio=RECOVERING, settings=settings) as (a, b):
        async with socketio(a) as ana:
            body = await ana.join("/chat", {"user": "ana"})
            ana.abort()
        await a.gone()
        await b.main.to_user("ana").disconnect()
        await until(lambda: "end" in a.witness.seen)
        async with socketio(b) as back:
            again = await back.join("/chat", {"pid": body["pid"], "user": "ana"})
            assert again["sid"] != body["sid"]
