"""What is emitted here, as other servers hear it, and what they are asked, by the letter."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from gatewright import CallTimeout
from gatewright.bridges import SocketIORedis
from gatewright.errors import EmitError, NotStartedError
from gatewright.testing import TestClient
from tests._support.redises import RedisServer
from tests.bridges.chat import Odd, Question, Said, chat
from tests.bridges.peer import Peer, peer

pytestmark = pytest.mark.anyio


async def heard(other: Peer, count: int) -> list[Any]:
    """The first broadcasts: event, arguments, rooms, except, flags."""
    await other.until(lambda: len(other.broadcasts) >= count)
    return [
        (*packet["data"], options["rooms"], options["except"], options["flags"])
        for _, packet, options in other.broadcasts
    ]


async def test_every_emit_is_told_once(redis: RedisServer) -> None:
    bridge = SocketIORedis(redis.url)
    app = chat(bridge)
    async with TestClient(app) as client, client.connect("/chat") as ada, peer(redis.url) as other:
        id = await ada.call("join", "a")
        emitter = app.emitter.of("/chat")
        await emitter.emit(Said("1"))
        await emitter.to("a").emit(Said("2"))
        await emitter.to("a", "b", "a").except_("c", id).emit(Said("3"))
        await emitter.emit(Said("4"), volatile=True)
        # Nobody there can be meant by these.
        await emitter.to().emit(Said("-"))
        await emitter.to(id).emit(Said("-"))
        await emitter.to_user("ada").emit(Said("-"))
        await ada.call("tell", "-")
        await emitter.to_user("ada").to("b", id).emit(Said("5"))
        assert await heard(other, 5) == [
            ("said", {"text": "1"}, [], [], {}),
            ("said", {"text": "2"}, ["a"], [], {}),
            ("said", {"text": "3"}, ["a", "b"], ["c", id], {}),
            ("said", {"text": "4"}, [], [], {"volatile": True}),
            ("said", {"text": "5"}, ["b"], [], {}),
        ]
        assert {uid for uid, _, _ in other.broadcasts} == {other.broadcasts[0][0]}
        assert bridge.figures.lost == 0


async def test_what_cannot_be_told_is_lost_there_only(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    bridge = SocketIORedis(redis.url)
    app = chat(bridge)
    async with TestClient(app) as client, client.connect("/chat") as ada, peer(redis.url) as other:
        await app.emitter.of("/chat").emit(Odd(2**70))
        assert (await ada.receive())["data"] == {"data": 2**70}
        at = datetime(2026, 11, 24, 12, tzinfo=UTC)
        await app.emitter.of("/chat").emit(Odd([at, b"\0"]))
        assert (await heard(other, 1))[0][1] == {"data": [at, b"\0"]}
    assert bridge.figures.lost == 1
    assert "'odd' is not told" in caplog.text


async def test_namespaces_may_stay_here(redis: RedisServer) -> None:
    app = chat(SocketIORedis(redis.url, namespaces=["/lab/{bench}"]))
    async with (
        TestClient(app) as client,
        client.connect("/chat") as ada,
        peer(redis.url) as other,
        peer(redis.url, "/lab/a%20b") as lab,
    ):
        await app.emitter.of("/chat").emit(Said("-"))
        assert await app.emitter.of("/chat").count() == 1
        assert await app.emitter.of("/chat").to("b").call(Question("?"), Any) == []
        await app.emitter.of("/chat").disconnect()
        await app.emitter.of("/lab/{bench}", bench="a b").emit(Said("1"))
        assert (await heard(lab, 1))[0][0] == "said"
        await other.broadcast("-")
        assert not other.broadcasts
        assert not other.asked
        assert ada.received() == [{"event": "said", "data": {"text": "-"}}]


async def test_keys_are_apart(redis: RedisServer) -> None:
    app = chat(SocketIORedis(redis.url, key="mine"))
    async with (
        TestClient(app) as client,
        client.connect("/chat") as ada,
        peer(redis.url) as other,
        peer(redis.url, key="mine") as mine,
    ):
        await other.broadcast("-")
        await mine.broadcast("1")
        assert (await ada.receive())["event"] == "1"
        await app.emitter.of("/chat").emit(Said("2"))
        assert len(await heard(mine, 1)) == 1
        assert not other.broadcasts


async def test_a_namespace_with_parameters_is_heard_while_somebody_is_there(
    redis: RedisServer,
) -> None:
    app = chat(SocketIORedis(redis.url))
    async with TestClient(app) as client, peer(redis.url, "/lab/7") as other:
        for _ in range(2):
            assert await servers(other) == 1
            async with client.connect("/lab/7") as ada, client.connect("/lab/7"):
                await until_servers(other, 2)
                await other.broadcast("news")
                assert (await ada.receive())["event"] == "news"
            await until_servers(other, 1)
        # Who asks hears the answers even where nobody is.
        counting = asyncio.create_task(app.emitter.of("/lab/{bench}", bench=7).count())
        await other.until(lambda: bool(other.asked))
        asked = other.asked[0]
        await other.answer(asked["uid"], requestId=asked["requestId"], sockets=[{"id": "x"}])
        assert await counting == 1
        await until_servers(other, 1)


async def servers(other: Peer) -> int:
    ((_, count),) = await other._redis.pubsub_numsub(other.requests)
    return int(count)


async def until_servers(other: Peer, count: int) -> None:
    async with asyncio.timeout(10):
        while await servers(other) != count:
            await asyncio.sleep(0.005)


async def test_calls_gather_the_answers_of_all_servers(redis: RedisServer) -> None:
    app = chat(SocketIORedis(redis.url))
    async with TestClient(app) as client, client.connect("/chat") as ada, peer(redis.url) as other:
        id = await ada.call("join", "a")
        calling = asyncio.create_task(
            app.emitter.of("/chat").to("a").except_("b").call(Question("?"), int, timeout=5)
        )
        await ada.answer(await ada.receive(), 1)
        await other.until(lambda: bool(other.asked))
        (asked,) = other.asked
        assert asked["packet"] == {"type": 2, "data": ["question", {"text": "?"}], "nsp": "/chat"}
        assert asked["opts"] == {"rooms": ["a"], "except": ["b"], "flags": {"timeout": 5000}}
        answer = {"requestId": asked["requestId"]}
        # An answer may overtake the number of those to come; others' answers pass by as well.
        await other.answer("", binary=True, type=9, packet=2, **answer)
        await other.answer("", binary=True, type=9, packet=7, requestId="of another")
        await other.answer(asked["uid"], type=8, clientCount=3, **answer)
        await other.answer(asked["uid"], binary=True, type=9, packet="three", **answer)
        await other.answer(asked["uid"], binary=True, type=9, packet=4, **answer)
        answers = await calling
        assert sorted(answers) == [1, 2, 4]
        assert answers.errors["socket.io:2"].code == "invalid"
        # Other servers' clients answer with one argument.
        calling2 = asyncio.create_task(
            app.emitter.of("/chat").to("b").call(Question("?"), tuple[str], timeout=5)
        )
        await other.until(lambda: len(other.asked) == 2)
        answer = {"requestId": other.asked[1]["requestId"]}
        await other.answer("", type=8, clientCount=1, **answer)
        await other.answer("", binary=True, type=9, packet="one", **answer)
        assert await calling2 == [("one",)]
        # A connection is here, whatever is there.
        assert await app.emitter.of("/chat").to(id).members() == [id]
        assert len(other.asked) == 2


async def test_a_call_that_is_not_answered_by_all_says_so(redis: RedisServer) -> None:
    app = chat(SocketIORedis(redis.url))
    async with TestClient(app) as client, client.connect("/chat") as ada, peer(redis.url) as other:
        await ada.call("join", "a")
        calling = asyncio.create_task(
            app.emitter.of("/chat").to("a").call(Question("?"), int, timeout=0.3)
        )
        await other.until(lambda: bool(other.asked))
        answer = {"requestId": other.asked[0]["requestId"]}
        await other.answer("", type=8, clientCount=2, **answer)
        await other.answer("", binary=True, type=9, packet=2, **answer)
        with pytest.raises(CallTimeout) as late:
            await calling
        assert late.value.answers == [2]
        assert len(late.value.missing) == 2


async def test_members_of_servers_that_answer(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    app = chat(SocketIORedis(redis.url, requests_timeout=0.2))
    async with (
        TestClient(app) as client,
        client.connect("/chat") as ada,
        peer(redis.url) as other,
        peer(redis.url) as silent,
    ):
        id = await ada.call("join", "a")
        counting = asyncio.create_task(app.emitter.of("/chat").members())
        await silent.until(lambda: bool(silent.asked))
        asked = silent.asked[0]
        sockets: list[Any] = [{"id": "x", "handshake": {}, "rooms": ["x"], "data": None}]
        await other.answer("", requestId=asked["requestId"], sockets=sockets)
        assert await counting == [id, "x"]
        assert "did not answer" in caplog.text


async def test_moves_are_told_in_the_order_of_emits(redis: RedisServer) -> None:
    app = chat(SocketIORedis(redis.url))
    async with TestClient(app), peer(redis.url) as other:
        target = app.emitter.of("/chat").to("a").except_("b")
        assert await target.join("c", "d") == 0
        await target.leave("c")
        await target.disconnect("enough")
        await other.until(lambda: len(other.asked) == 3)
        opts = {"rooms": ["a"], "except": ["b"], "flags": {}}
        uid = other.asked[0]["uid"]
        assert other.asked == [
            {"uid": uid, "type": 2, "opts": opts, "rooms": ["c", "d"]},
            {"uid": uid, "type": 3, "opts": opts, "rooms": ["c"]},
            {"uid": uid, "type": 4, "opts": opts},
        ]


async def test_servers_are_asked_in_their_own_right(redis: RedisServer) -> None:
    bridge = SocketIORedis(redis.url, requests_timeout=0.2)
    with pytest.raises(NotStartedError, match="has not started"):
        bridge.server_side_emit("hello", namespace="/chat")
    async with TestClient(chat(bridge)):
        # Nobody else is there.
        assert await bridge.server_side_emit_with_ack("hello", namespace="/chat") == []
        async with peer(redis.url) as other:
            bridge.server_side_emit("hello", 1, namespace="/chat")
            await other.until(lambda: len(other.asked) == 1)
            assert other.asked[0]["data"] == ["hello", 1]
            assert "requestId" not in other.asked[0]
            with pytest.raises(CallTimeout, match="1 of 1"):
                await bridge.server_side_emit_with_ack("hello", namespace="/chat")
            with pytest.raises(EmitError, match=r"\(/chat\), got '/unknown'"):
                bridge.server_side_emit("hello", namespace="/unknown")
