"""What other servers say and ask, by the letter: done in its order, and every answer given."""

import asyncio
import logging
from typing import Any

import msgspec
import pytest

from gatewright.bridges import SocketIORedis
from gatewright.testing import TestClient
from tests._support.redises import RedisServer
from tests.bridges.chat import Chat, Said, chat
from tests.bridges.peer import peer, until

pytestmark = pytest.mark.anyio

ALL: dict[str, Any] = {"opts": {"rooms": [], "except": []}}


def only(*rooms: str) -> dict[str, Any]:
    return {"opts": {"rooms": rooms, "except": []}}


async def test_sockets_by_room(redis: RedisServer) -> None:
    app = chat(SocketIORedis(redis.url))
    async with TestClient(app) as client, client.connect("/chat") as ada, peer(redis.url) as other:
        id = await ada.call("join", "a")
        assert (await other.ask(0, rooms=["a"]))[0]["sockets"] == [id]
        assert (await other.ask(0, rooms=["b"]))[0]["sockets"] == []
        assert (await other.ask(1))[0]["rooms"] == [id, "a"]
        (answer,) = await other.ask(5, **only("a"))
        (socket,) = answer["sockets"]
        assert socket["id"] == id
        assert socket["rooms"] == [id, "a"]
        assert socket["data"] == {"name": "", "more": None}


async def test_secrets_stay_here_unless_they_are_to_be_shared(redis: RedisServer) -> None:
    fields = {"authorization": "Bearer hush", "user-agent": "test"}
    query = {"token": "hush", "page": "1"}
    for credentials in (False, True):
        app = chat(SocketIORedis(redis.url, credentials=credentials))
        async with (
            TestClient(app) as client,
            client.connect("/chat", session=True, headers=fields, query=query, auth="hush"),
            peer(redis.url) as other,
        ):
            (answer,) = await other.ask(5, **ALL)
            handshake = answer["sockets"][0]["handshake"]
            assert handshake["headers"]["user-agent"] == "test"
            assert handshake["query"]["page"] == "1"
            assert str(answer).count("hush") == (3 if credentials else 0)


async def test_an_answer_is_given_whatever_the_state_is(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    app = chat(SocketIORedis(redis.url))
    async with TestClient(app) as client, client.connect("/chat") as ada, peer(redis.url) as other:
        await ada.call("join", "a")
        await ada.call("save", {"name": "ada", "more": [1]})
        (answer,) = await other.ask(5, **ALL)
        assert answer["sockets"][0]["data"] == {"name": "ada", "more": [1]}
        member = next(iter(next(iter(_node(app).namespaces)).members.values()))
        member._state.more = object()
        (answer,) = await other.ask(5, **ALL)
        assert answer["sockets"][0]["data"] == {}
        assert answer["sockets"][0]["rooms"] == [member.id, "a"]
    assert "the state of <Connection" in caplog.text


async def test_what_comes_behind_a_join_finds_it_done(redis: RedisServer) -> None:
    app = chat(SocketIORedis(redis.url))
    async with (
        TestClient(app) as client,
        client.connect("/chat") as ada,
        client.connect("/lab/7") as bob,
        peer(redis.url) as other,
    ):
        await ada.call("join", "a")
        await other.request(2, **only("a"), rooms=["slow"])
        await other.broadcast("entered", rooms=["slow"])
        await other.request(3, **only("slow"), rooms=["slow"])
        await other.broadcast("left", rooms=["slow"])
        await other.broadcast("last", rooms=["a"])
        await other.request(5, requestId="r", **only("slow"))
        # Nothing of this waits for another namespace.
        async with peer(redis.url, "/lab/7") as lab:
            await lab.broadcast("meanwhile")
            assert (await bob.receive())["event"] == "meanwhile"
        assert not other.to("r")
        Chat.door.open.set()
        assert [(await ada.receive())["event"] for _ in range(2)] == ["entered", "last"]
        await other.until(lambda: bool(other.to("r")))
        assert other.to("r")[0]["sockets"] == []


async def test_who_waits_too_long_for_a_join_goes_on(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gatewright.bridges.adapter.MOVING", 0.05)
    monkeypatch.setattr("gatewright.bridges.adapter.WAITING", 1)
    app = chat(SocketIORedis(redis.url))
    async with TestClient(app) as client, client.connect("/chat") as ada, peer(redis.url) as other:
        await ada.call("join", "a")
        await other.request(2, **only("a"), rooms=["slow"])
        for number in range(3):
            await other.broadcast("news", number, rooms=["a"])
        assert await ada.receive() == {"event": "news", "data": 0}
        await other.broadcast("last", rooms=["a"])
        assert (await ada.receive())["event"] == "last"
    assert "too much waits for a join" in caplog.text


async def test_older_servers_move_one_socket_and_want_an_answer(redis: RedisServer) -> None:
    app = chat(SocketIORedis(redis.url))
    async with TestClient(app) as client, client.connect("/chat") as ada, peer(redis.url) as other:
        id = await ada.call("join", "a")
        assert await other.ask(2, sid=id, room="b") == [{"requestId": "r0"}]
        assert await ada.call("rooms") == ["a", "b"]
        await other.ask(3, sid=id, room="b")
        assert await ada.call("rooms") == ["a"]
        await other.request(4, requestId="unknown", sid="nobody")
        await other.ask(4, sid=id)
        await until(lambda: ada.closed is not None)
        assert not other.to("unknown")
    assert ada.closed == (4500, "disconnected by another server")


async def test_a_call_is_answered_by_whoever_is_there(redis: RedisServer) -> None:
    app = chat(SocketIORedis(redis.url))
    packet: dict[str, Any] = {"packet": {"type": 2, "data": ["question", 1], "nsp": "/chat"}}
    async with TestClient(app) as client, peer(redis.url) as other:
        assert (await other.ask(7, binary=True, **ALL, **packet))[0]["clientCount"] == 0
        async with client.connect("/chat") as ada, client.connect("/chat") as bob:
            await ada.call("join", "a")
            (count,) = await other.ask(7, binary=True, **only("a"), **packet)
            assert count == {"requestId": "r1", "type": 8, "clientCount": 1}
            asked = await ada.receive()
            assert (asked["event"], asked["data"]) == ("question", 1)
            await ada.answer(asked, {"yes": [True]})
            await other.until(lambda: len(other.to("r1")) == 2)
            answer = {"requestId": "r1", "type": 9, "packet": {"yes": [True]}}
            assert other.to("r1")[1] == answer
            # Nobody answers for those who leave: whoever asks knows how long it waits.
            await other.ask(7, binary=True, **ALL, **packet)
            await bob.answer(await bob.receive(), 1)
            await other.until(lambda: len(other.to("r3")) == 2)
        await other.ask(1)
        assert [answer.get("packet") for answer in other.to("r3")] == [None, 1]


async def test_an_answer_that_cannot_be_told_is_nothing(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    app = chat(SocketIORedis(redis.url))
    packet: dict[str, Any] = {"packet": {"data": ["question"], "nsp": "/chat"}}
    async with TestClient(app) as client, client.connect("/chat") as ada, peer(redis.url) as other:
        await other.ask(7, binary=True, **ALL, **packet)
        asked = await ada.receive()
        # An integer that JSON has and MessagePack has not.
        await ada.answer(asked, 2**70)
        await other.until(lambda: len(other.to("r0")) == 2)
        assert other.to("r0")[1] == {"requestId": "r0", "type": 9, "packet": None}
    assert "is not told" in caplog.text


async def test_not_too_much_is_under_way(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gatewright.bridges.adapter.BUSY", 1)
    bridge = SocketIORedis(redis.url)
    opened = asyncio.Event()

    @bridge.on("wait", namespace="/chat")
    async def wait() -> str:
        await opened.wait()
        return "done"

    packet: dict[str, Any] = {"packet": {"data": ["question"], "nsp": "/chat"}}
    async with (
        TestClient(chat(bridge)) as client,
        client.connect("/chat"),
        peer(redis.url) as other,
    ):
        await other.request(6, requestId="first", data=["wait"])
        assert await other.ask(6, data=["wait"]) == [{"requestId": "r0", "type": 6, "data": None}]
        (count,) = await other.ask(7, binary=True, **ALL, **packet)
        assert count["clientCount"] == 0
        opened.set()
        await other.until(lambda: bool(other.to("first")))
        assert other.to("first")[0]["data"] == "done"
    assert "too much is under way" in caplog.text


async def test_events_of_servers_that_fail_are_answered(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    bridge = SocketIORedis(redis.url)

    @bridge.on("crash", namespace="/chat")
    async def crash(how: str = "badly") -> None:
        raise RuntimeError(how)

    @bridge.on("odd", namespace="/chat")
    async def odd(*, size: int = 1) -> Any:
        return object()

    async with TestClient(chat(bridge)), peer(redis.url) as other:
        (answer,) = await other.ask(6, data=["crash"])
        assert answer["data"]["code"] == "internal"
        assert (await other.ask(6, data=["crash", 1]))[0]["data"]["code"] == "invalid"
        assert (await other.ask(6, data=["odd"]))[0] == {"requestId": "r2", "type": 6, "data": None}
        assert (await other.ask(6, data=[]))[0]["data"] is None
        await other.request(6, data=["crash", "unasked"])
        await other.ask(6, data=[1])
    assert "unasked" in caplog.text
    assert "RuntimeError: badly" in caplog.text


GARBAGE: list[bytes] = [
    b"",
    b"{",
    b"{}",
    b"null",
    b"\xc1",
    b"\xff" * 100,
    b"[" * 100_000,
    b"\x91" * 100_000,
    msgspec.msgpack.encode(["x", {"data": []}, {}]),
    msgspec.msgpack.encode(["x", {"data": [1]}, {}]),
    msgspec.msgpack.encode(["x", {"data": ["connect"]}, {}]),
    msgspec.msgpack.encode(["x", {"data": ["a"], "nsp": "/else"}, {}]),
    msgspec.msgpack.encode(["x", {"data": ["a"]}, {"rooms": [None]}]),
    *[b'{"type": %d, "uid": "x"}' % kind for kind in range(12)],
    b'{"type": 7, "uid": "x", "opts": {}}',
    b'{"type": 7, "uid": "x", "packet": {"data": ["a"]}}',
    b'{"type": 2, "uid": "x", "opts": {}, "rooms": [""]}',
    b'{"type": 2, "uid": "x", "opts": {}, "rooms": ["~a", "\\u0000", "secret"]}',
    b'{"requestId": "r"}',
    b'{"requestId": "r", "type": 8, "clientCount": -1}',
]


async def test_garbage_is_refused_with_a_line_of_log_and_nothing_else(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    bridge = SocketIORedis(redis.url)
    app = chat(bridge)
    async with TestClient(app) as client, client.connect("/chat") as ada, peer(redis.url) as other:
        await ada.call("join", "a")
        asking = asyncio.create_task(app.emitter.of("/chat").members())
        await other.until(lambda: bool(other.asked))
        for message in GARBAGE:
            for channel in (other.channel, f"{other.channel}a#", f"{other.channel}\xff#"):
                await other.say(channel, message)
            for channel in (other.requests, other.responses):
                await other.say(channel, message)
        await other.answer(other.asked[0]["uid"], requestId=other.asked[0]["requestId"])
        assert len(await asking) == 1
        await other.broadcast("last")
        assert (await ada.receive())["event"] == "last"
        assert await ada.call("rooms") == ["a"]
    assert bridge.figures.refused > len(GARBAGE)
    warnings = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert warnings
    assert all("refused" in each.getMessage() for each in warnings)
    # However much comes: one a second.
    assert len(warnings) < 10


async def test_an_event_that_a_format_cannot_carry_is_left_out_of_it(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    app = chat(SocketIORedis(redis.url))
    async with (
        TestClient(app) as client,
        client.connect("/chat", session=True) as json,
        client.connect("/chat", session=True, codec="msgpack") as msgpack,
        peer(redis.url) as other,
    ):
        await other.broadcast("odd", {(1, 2): "JSON has no such keys"})
        await other.broadcast("last")
        assert (await json.receive())["event"] == "last"
        assert (await msgpack.receive())["event"] == "odd"
        assert (await msgpack.receive())["event"] == "last"
    assert "for clients of" in caplog.text


async def test_numbers_are_rooms_in_javascript(redis: RedisServer) -> None:
    app = chat(SocketIORedis(redis.url))
    async with TestClient(app) as client, client.connect("/chat") as ada, peer(redis.url) as other:
        await ada.call("join", "42")
        await other.broadcast("answer", rooms=[42])
        assert (await ada.receive())["event"] == "answer"


async def test_users_are_rooms_where_it_is_said_how(redis: RedisServer) -> None:
    app = chat(SocketIORedis(redis.url, user_room="user:{}"))
    async with (
        TestClient(app) as client,
        client.connect("/chat", query={"user": "ada"}) as ada,
        client.connect("/chat", query={"user": "bob"}) as bob,
        peer(redis.url) as other,
    ):
        await other.broadcast("for ada", rooms=["user:ada"])
        await other.broadcast("not for ada", out=["user:ada"])
        await other.broadcast("for nobody", rooms=["user:"])
        await other.broadcast("last")
        assert [(await ada.receive())["event"] for _ in range(2)] == ["for ada", "last"]
        assert [(await bob.receive())["event"] for _ in range(2)] == ["not for ada", "last"]
        assert {"user:ada", "user:bob"} < set((await other.ask(1))[0]["rooms"])
        await app.emitter.of("/chat").to_user("ada").emit(Said("hi"))
        await other.until(lambda: bool(other.broadcasts))
        assert other.broadcasts[0][2]["rooms"] == ["user:ada"]


def _node(app: Any) -> Any:
    return app.emitter._node
