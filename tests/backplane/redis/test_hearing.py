"""What comes on channels: garbage, floods, and another's words."""

import asyncio
import logging
from collections.abc import Generator

import pytest

from gatewright.backplane.redis.layout import MESSAGE, Garbage, Names, cast, unpack
from gatewright.backplane.shared.log import Unreachable
from tests._support.redises import RedisServer, redis_server
from tests.backplane.logs.engines import node
from tests.backplane.logs.redises import RedisEngine

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Generator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def engine(server: RedisServer) -> RedisEngine:
    return RedisEngine(server.url, [server])


GARBAGE = [
    b"",
    b"hello",
    bytes([MESSAGE]),
    bytes([MESSAGE]) + b"\0" * 44,
    bytes([MESSAGE]) + b"\xff" * 60,
    bytes([77]) + b"\1" * 60,
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_is_not_taken_for_a_message(garbage: bytes) -> None:
    with pytest.raises(Garbage):
        unpack(garbage)


async def test_garbage_on_a_channel_is_logged_and_ignored(
    engine: RedisEngine, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with node(engine) as ana:
        await ana.log.subscribe("/a")
        names = Names(engine.prefix, "/a")
        with caplog.at_level(logging.WARNING, "gatewright"):
            for garbage in GARBAGE:
                server.run("SPUBLISH", names.channel, garbage)
            await ana.append(b"after")
            assert [each.body for each in await ana.ears.first(1)] == [b"after"]
        assert caplog.text.count("somebody else has published") == len(GARBAGE)
        server.run("SPUBLISH", names.channel, cast(b""))
        await ana.ears.until(lambda: ana.ears.casts == [("/a", b"")])
        assert not ana.ears.breaks


async def test_garbage_among_reminders_is_thrown_away(
    engine: RedisEngine, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with node(engine) as ana:
        due = Names(engine.prefix, "").due
        await ana.log.remind("/a", "~1", 2.0)
        server.run("ZADD", due, 1, b"\xc1", 1, b"[]")
        assert list(await ana.log.due(3.0, 10)) == [("/a", "~1")]
        assert server.run("ZCARD", due) == 1


async def test_a_record_that_somebody_has_changed_is_none(
    engine: RedisEngine, server: RedisServer
) -> None:
    async with node(engine) as ana:
        await ana.create("~1")
        server.run("HSET", Names(engine.prefix, "/a").record + "~1", "m1", b"?")
        assert await ana.log.load("/a", "~1") is None


async def test_who_hears_too_slowly_is_cut_off_and_told(
    engine: RedisEngine, server: RedisServer
) -> None:
    """Redis ends a connection to which it cannot get rid of 32 MB; here of much less."""
    server.run("CONFIG", "SET", "client-output-buffer-limit", "pubsub 65536 0 0")
    async with node(engine) as ana:
        head = await ana.log.subscribe("/a")
        # In one go: the loop that would read it stands still meanwhile.
        names = Names(engine.prefix, "/a")
        for _ in range(100):
            server.run("SPUBLISH", names.channel, cast(b"x" * 200_000))
        await ana.ears.until(lambda: ana.ears.is_broken("/a"))
        async with asyncio.timeout(10):
            while True:
                try:
                    assert await ana.log.subscribe("/a") == head
                    break
                except Unreachable:
                    await asyncio.sleep(0.02)
        await ana.append(b"after")
        assert [each.body for each in await ana.ears.first(1)] == [b"after"]


@pytest.mark.parametrize("kind", ["normal", "pubsub"])
async def test_either_connection_may_be_cut(
    engine: RedisEngine, server: RedisServer, kind: str
) -> None:
    async with node(engine) as ana:
        before = await ana.log.subscribe("/a")
        server.run("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        if kind == "pubsub":
            await ana.ears.until(lambda: ana.ears.breaks == [None])
        async with asyncio.timeout(10):
            while True:
                try:
                    await ana.log.listen()
                    assert await ana.log.subscribe("/a") == before
                    await ana.log.append("/a", b"after", 1, 1)
                    break
                except Unreachable:
                    await asyncio.sleep(0.02)
        assert [each.body for each in await ana.ears.first(1)] == [b"after"]
        assert ana.ears.breaks == ([None] if kind == "pubsub" else [])
