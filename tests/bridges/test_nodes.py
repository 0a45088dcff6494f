"""Several nodes of ours in one cluster: with one backplane, and each with its own."""

import asyncio
from typing import Any

import pytest

from gatewright.bridges import SocketIORedis
from gatewright.testing import TestClient
from tests._support.redises import RedisServer
from tests.backplane.hub import Hub, Hubbed
from tests.bridges.chat import Question, Said, chat
from tests.bridges.peer import peer, until

pytestmark = pytest.mark.anyio

SIBLING = "gatewright.0123456789abcdef"


async def test_with_one_backplane_nothing_arrives_twice(redis: RedisServer) -> None:
    hub = Hub()
    apps = [chat(SocketIORedis(redis.url), backplane=Hubbed(hub)) for _ in range(2)]
    async with (
        TestClient(apps[0]) as first,
        TestClient(apps[1]) as second,
        first.connect("/chat", session=True) as ada,
        second.connect("/chat", session=True) as bob,
        peer(redis.url) as other,
    ):
        for each in (ada, bob):
            await each.call("join", "a")
        await apps[0].emitter.of("/chat").to("a").emit(Said("1"))
        await apps[1].emitter.of("/chat").emit(Said("2"))
        await other.broadcast("3", rooms=["a"])
        await other.broadcast("last")
        for each in (ada, bob):
            assert [(await each.receive())["event"] for _ in range(4)] == [
                *("said", "said", "3", "last")
            ]
        assert len(other.broadcasts) == 2
        assert other.broadcasts[0][0] != other.broadcasts[1][0]
        # Both have their say where strangers ask.
        sockets = [each["sockets"] for each in await other.ask(5, 2, opts={})]
        assert [len(each) for each in sockets] == [1, 1]


async def test_those_of_one_backplane_ask_each_other_there(redis: RedisServer) -> None:
    app = chat(SocketIORedis(redis.url), backplane=Hubbed(Hub()))
    async with (
        TestClient(app) as client,
        client.connect("/chat", session=True) as ada,
        peer(redis.url) as other,
    ):
        await ada.call("join", "a")
        packet = {"data": ["question"], "nsp": "/chat"}
        await other.broadcast("unheard", uid=SIBLING)
        await other.request(2, uid=SIBLING, opts={}, rooms=["b"])
        await other.request(3, uid=SIBLING, opts={}, rooms=["a"])
        await other.request(4, uid=SIBLING, opts={})
        for number, kind in enumerate((0, 1, 5, 6)):
            await other.request(kind, uid=SIBLING, requestId=f"s{number}", opts={}, data=["x"])
        await other.request(7, uid=SIBLING, binary=True, requestId="s4", opts={}, packet=packet)
        await other.broadcast("last")
        assert (await ada.receive())["event"] == "last"
        assert await ada.call("rooms") == ["a"]
        # An answer each: who counts servers counts these as well.
        await other.until(lambda: len(other.answers) == 5)
        assert [other.to(f"s{number}") for number in range(5)] == [
            [{"requestId": "s0", "sockets": []}],
            [{"requestId": "s1", "rooms": []}],
            [{"requestId": "s2", "sockets": []}],
            [{"requestId": "s3", "type": 6, "data": None}],
            [{"requestId": "s4", "type": 8, "clientCount": 0}],
        ]


async def test_with_backplanes_of_their_own_the_bridge_joins_them(redis: RedisServer) -> None:
    bridges = [SocketIORedis(redis.url) for _ in range(2)]
    apps = [chat(bridge) for bridge in bridges]

    @bridges[1].on("hello", namespace="/chat")
    async def hello(text: str) -> str:
        return f"{text} to you"

    async with (
        TestClient(apps[0]) as first,
        TestClient(apps[1]) as second,
        first.connect("/chat") as ada,
        second.connect("/chat", session=True, codec="msgpack") as bob,
    ):
        emitter = apps[0].emitter.of("/chat")
        ids = [await each.call("join", "a") for each in (ada, bob)]
        await emitter.to("a").emit(Said("1"))
        await emitter.to(ids[1]).emit(Said("2"))
        assert (await ada.receive())["data"] == {"text": "1"}
        assert [(await bob.receive())["data"]["text"] for _ in range(2)] == ["1", "2"]
        assert sorted(await emitter.to("a").members()) == sorted(ids)
        calling = asyncio.create_task(emitter.to("a").call(Question("?"), Any))
        for number, each in enumerate((ada, bob)):
            await each.answer(await each.receive(), number)
        assert sorted(await calling) == [0, 1]
        await emitter.to("a").join("b")
        assert await emitter.to("b").count() == 2
        assert await bob.call("rooms") == ["a", "b"]
        answers = await bridges[0].server_side_emit_with_ack("hello", "hi", namespace="/chat")
        assert answers == ["hi to you"]
        await emitter.to(ids[1]).disconnect()
        await until(lambda: bob.closed is not None)
        assert ada.closed is None
