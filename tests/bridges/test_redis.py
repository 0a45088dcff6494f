"""A Redis that is not there, goes away, comes back, or does not keep up."""

import asyncio
import logging
import sys
from functools import partial

import pytest

from gatewright.bridges import SocketIORedis
from gatewright.errors import BridgeError, StartupError
from gatewright.testing import TestClient
from tests._support.redises import RedisServer
from tests.bridges.chat import Question, Said, chat
from tests.bridges.peer import Peer, peer, until

pytestmark = pytest.mark.anyio


async def start(bridge: SocketIORedis) -> None:
    async with TestClient(chat(bridge)):
        pass


async def test_without_redis_there_is_no_start(frail_redis: RedisServer) -> None:
    frail_redis.kill()
    url = frail_redis.url.replace("//", "//ada:hush@")
    bridge = SocketIORedis(url)
    with pytest.raises(StartupError) as refused:
        await start(bridge)
    assert f"SocketIORedis('{frail_redis.url}'): expected a Redis that answers" in str(
        refused.value
    )
    assert "ConnectionError" in str(refused.value)
    assert "hush" not in str(refused.value) + repr(bridge)
    # The same one starts when there is one.
    frail_redis.start()
    frail_redis.wait()
    await start(SocketIORedis(frail_redis.url))


async def test_a_wrong_password_is_told_at_the_start(redis: RedisServer) -> None:
    with pytest.raises(StartupError, match="Authentication"):
        await start(SocketIORedis(redis.url.replace("//", "//ada:hush@")))


async def test_a_url_that_is_none(redis: RedisServer) -> None:
    with pytest.raises(StartupError, match="redis://"):
        await start(SocketIORedis("127.0.0.1:6379"))


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(StartupError, match=r"pip install 'gatewright\[redis\]'"):
        SocketIORedis("redis://127.0.0.1")


async def test_what_is_wrong_is_told_at_the_start(redis: RedisServer) -> None:
    with pytest.raises(StartupError, match=r"user:\{\}"):
        SocketIORedis(redis.url, user_room="user:")
    with pytest.raises(StartupError, match="'/chats'"):
        await start(SocketIORedis(redis.url, namespaces=["/chats"]))
    bridge = SocketIORedis(redis.url)

    async def handler(text: str) -> None: ...

    bridge.on("a", namespace="/chat")(handler)
    with pytest.raises(StartupError, match="a second one"):
        bridge.on("a", namespace="/chat")(handler)
    with pytest.raises(StartupError, match="'connection'"):
        bridge.on("connection", namespace="/chat")(handler)
    bridge.on("a", namespace="/elsewhere")(handler)
    with pytest.raises(StartupError, match="'/elsewhere'"):
        await start(bridge)


async def test_handlers_of_server_events_are_read_once(redis: RedisServer) -> None:
    bridge = SocketIORedis(redis.url)

    def plain() -> None: ...
    async def several(*all_of_them: str) -> None: ...
    async def bare(what) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001

    for wrong, reason in ((plain, "async def"), (several, "named"), (bare, "annotation")):
        with pytest.raises(StartupError, match=reason):
            bridge.on("a", namespace="/chat")(wrong)  # type: ignore[type-var]


async def test_one_bridge_serves_one_application_at_a_time(redis: RedisServer) -> None:
    bridge = SocketIORedis(redis.url)
    async with TestClient(chat(bridge)):
        with pytest.raises(StartupError, match="Make one for each"):
            await start(bridge)
    await start(bridge)


async def test_a_redis_that_starts_again(
    frail_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bridge = SocketIORedis(frail_redis.url)
    app = chat(bridge)
    async with TestClient(app) as client, client.connect("/chat") as ada, client.connect("/lab/7"):
        id = await ada.call("join", "a")
        emitter = app.emitter.of("/chat")
        frail_redis.kill()
        await until(lambda: not bridge.up)
        # All goes on here.
        await emitter.emit(Said("1"))
        assert (await ada.receive())["data"] == {"text": "1"}
        assert await emitter.members() == [id]
        calling = asyncio.create_task(emitter.call(Question("?"), int, timeout=5))
        await ada.answer(await ada.receive(), 7)
        assert await calling == [7]
        with pytest.raises(BridgeError, match="out of reach"):
            await bridge.server_side_emit_with_ack("hello", namespace="/chat")
        frail_redis.start()
        frail_redis.wait()
        await until(lambda: bridge.up)
        async with peer(frail_redis.url) as other, peer(frail_redis.url, "/lab/7") as lab:
            for each in (other, lab):
                assert len(await each.ask(1)) == 1
            await other.broadcast("back")
            assert (await ada.receive())["event"] == "back"
            await emitter.emit(Said("2"))
            await other.until(lambda: bool(other.broadcasts))
            assert other.broadcasts[-1][1]["data"] == ["said", {"text": "2"}]
    messages = [each.getMessage() for each in caplog.records if "Redis at" in each.getMessage()]
    assert ["is lost" in message for message in messages] == [True, False]
    assert "is back" in messages[1]
    assert bridge.figures.breaks == 1


async def test_connections_that_are_cut(frail_redis: RedisServer) -> None:
    bridge = SocketIORedis(frail_redis.url)
    app = chat(bridge)
    async with TestClient(app) as client, client.connect("/chat") as ada:
        for number in (1, 2):
            async with peer(frail_redis.url) as other:
                await app.emitter.of("/chat").emit(Said(str(number)))
                await other.until(lambda: bool(other.broadcasts))
                assert other.broadcasts[0][1]["data"][1] == {"text": str(number)}
                await ada.receive()
                await other._redis.execute_command("CLIENT", "KILL", "TYPE", "PUBSUB")
            await until(partial(_mended, bridge, number))


def _mended(bridge: SocketIORedis, breaks: int) -> bool:
    return bridge.up and bridge.figures.breaks == breaks


async def test_a_redis_that_stands_still_is_found_lost(
    frail_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewright.bridges.listening.PATIENCE", 0.1)
    bridge = SocketIORedis(frail_redis.url)
    async with TestClient(chat(bridge)) as client, client.connect("/chat") as ada:
        frail_redis.freeze()
        try:
            await until(lambda: not bridge.up)
        finally:
            frail_redis.thaw()
        await until(lambda: bridge.up)
        async with peer(frail_redis.url) as other:
            await other.broadcast("back")
            assert (await ada.receive())["event"] == "back"


async def test_what_was_emitted_last_is_told_before_the_end(redis: RedisServer) -> None:
    app = chat(SocketIORedis(redis.url))
    async with peer(redis.url) as other:
        async with TestClient(app):
            for number in range(500):
                await app.emitter.of("/chat").emit(Said(str(number)))
        await other.until(lambda: len(other.broadcasts) == 500)
        told = [packet["data"][1]["text"] for _, packet, _ in other.broadcasts]
        assert told == [str(number) for number in range(500)]


async def test_what_is_too_much_or_too_old_is_lost(
    frail_redis: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gatewright.bridges.telling.LIMIT", 10_000)
    bridge = SocketIORedis(frail_redis.url)
    app = chat(bridge)
    async with TestClient(app), peer(frail_redis.url) as other:
        emitter = app.emitter.of("/chat")
        frail_redis.freeze()
        try:
            await emitter.emit(Said("under way"))
            await asyncio.sleep(0)
            for number in range(20):
                await emitter.emit(Said(f"{number} " + 1000 * "x"))
        finally:
            frail_redis.thaw()
        await other.until(lambda: bool(other.broadcasts) and _text(other, -1).startswith("19 "))
        assert bridge.figures.lost == 21 - len(other.broadcasts)
        assert 5 < len(other.broadcasts) < 15
        monkeypatch.setattr("gatewright.bridges.telling.KEEP", 0)
        await emitter.emit(Said("too old at once"))
        monkeypatch.setattr("gatewright.bridges.telling.KEEP", 5)
        await emitter.emit(Said("last"))
        await other.until(lambda: _text(other, -1) == "last")
    assert "too much waits for Redis" in caplog.text


def _text(other: Peer, index: int) -> str:
    text: str = other.broadcasts[index][1]["data"][1]["text"]
    return text


async def test_a_refused_command_loses_one_message(
    frail_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with peer(frail_redis.url) as other:
        rights = ["on", ">hush", "resetchannels", "&socket.io#/chat#*", "&socket.io-*", "+@all"]
        await other._redis.execute_command("ACL", "SETUSER", "ada", *rights)
        bridge = SocketIORedis(
            frail_redis.url.replace("//", "//ada:hush@"), namespaces=["/chat", "/lab/{bench}"]
        )
        app = chat(bridge)
        async with TestClient(app):
            await app.emitter.of("/lab/{bench}", bench=7).emit(Said("refused"))
            await app.emitter.of("/chat").emit(Said("told"))
            await other.until(lambda: bool(other.broadcasts))
            assert _text(other, 0) == "told"
            await until(lambda: bridge.figures.lost == bridge.figures.told == 1)
            assert bridge.up
    assert "socket.io#/lab/7# is not told" in caplog.text
