"""Whatever a Redis has lost is never taken for what was there before (rule R9)."""

import asyncio
import itertools
import re
from collections.abc import Generator
from pathlib import Path

import pytest

from gatewright.backplane.base import Bounds
from gatewright.backplane.redis import checks
from gatewright.backplane.redis.layout import Names
from gatewright.backplane.shared.log import Head, Unreachable
from tests._support.redises import RedisServer, redis_server
from tests.backplane.logs.engines import Node, key, node
from tests.backplane.logs.redises import RedisEngine

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Generator[RedisServer]:
    options = ("--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0")
    with redis_server(*options) as server:
        yield server


@pytest.fixture
def engine(server: RedisServer) -> RedisEngine:
    return RedisEngine(server.url, [server])


async def until_back(ana: Node) -> Head:
    async with asyncio.timeout(15):
        while True:
            try:
                return await ana.log.subscribe("/a")
            except Unreachable:
                await asyncio.sleep(0.02)


async def test_a_server_that_was_restarted_has_another_epoch(engine: RedisEngine) -> None:
    """Its file may be older than what was told: nobody can know whether it is."""
    async with node(engine) as ana:
        await ana.append(b"one", 3)
        before = await ana.log.subscribe("/a")
        await engine.kill()
        await engine.start()
        after = await until_back(ana)
        assert after.epoch != before.epoch
        assert (after.n > before.n, after.seq) == (True, before.seq)
        page = await ana.log.read("/a", before.n)
        assert (page.head, list(page.messages)) == (after, [])
        assert await until_back(ana) == after, "once is enough"


async def test_a_number_that_was_appended_before_a_restart_is_known(engine: RedisEngine) -> None:
    async with node(engine) as ana:
        appended = await ana.log.append("/a", b"one", 1, 7)
        await engine.kill()
        await engine.start()
        await until_back(ana)
        assert await ana.log.append("/a", b"one", 1, 7) == appended
        assert (await ana.log.append("/a", b"two", 1, 8)).epoch != appended.epoch


async def test_records_outlive_a_restart(engine: RedisEngine) -> None:
    async with node(engine) as ana:
        await ana.create("~1", key("one"))
        await ana.append(b"joined", 0, member="~1")
        stored = await ana.load("~1")
        await engine.kill()
        await engine.start()
        await until_back(ana)
        assert await ana.log.find("/a", key("one")) == stored
        replaced = await ana.log.replace("/a", stored, b"", "v2", folded=0, marker=b"resumed")
        assert replaced is not None
        assert [each.body for each in replaced.marks] == [b"joined", b"resumed"]
        assert replaced.head.epoch != stored.marks[0].epoch


async def test_a_replica_that_leads_now_has_another_epoch(
    engine: RedisEngine, server: RedisServer, tmp_path: Path
) -> None:
    """It may lack the last that its primary has told."""
    replica = RedisServer(tmp_path, "--replicaof", "127.0.0.1", str(server.port))
    replica.start()
    try:
        replica.wait()
        async with node(engine) as ana:
            await ana.append(b"one", 3)
            # Its first replica gives a server another replid.
            async with asyncio.timeout(15):
                while replica.run("INFO", "replication")["master_link_status"] != "up":
                    await asyncio.sleep(0.02)
            before = await ana.append(b"two", 3)
            server.run("WAIT", 1, 5000)
            replica.run("REPLICAOF", "NO", "ONE")
            async with node(RedisEngineAt(engine, replica.url)) as ben:
                after = await ben.append(b"three")
                assert after.epoch != before.epoch
                assert after.n > before.n
                assert after.seq > before.seq
    finally:
        replica.kill()


class RedisEngineAt(RedisEngine):
    """The same keys on another server."""

    def __init__(self, engine: RedisEngine, url: str) -> None:
        super().__init__(url, [])
        self.prefix = engine.prefix


async def test_a_primary_that_leads_no_more_is_left(
    engine: RedisEngine, server: RedisServer
) -> None:
    """Its lanes go on after it has become a replica, and would bring only what it is told."""
    with redis_server() as other:
        async with node(engine) as ana:
            before = await ana.log.subscribe("/a")
            server.run("REPLICAOF", "127.0.0.1", other.port)
            await ana.ears.until(lambda: ana.ears.is_broken("/a"))
            with pytest.raises(Unreachable, match=r"replica|primary|READONLY|read only|closed"):
                await ana.append(b"lost?")
            server.run("REPLICAOF", "NO", "ONE")
            assert (await until_back(ana)).epoch != before.epoch


@pytest.mark.parametrize("part", ["state", "messages", "record", "index"])
async def test_a_key_that_was_evicted_is_a_gap_or_a_new_session(
    engine: RedisEngine, server: RedisServer, part: str
) -> None:
    """What is lost with it is seen to be lost: nothing that is left can be mistaken for all."""
    async with node(engine) as ana:
        await ana.create("~1", key("one"))
        await ana.append(b"joined", 0, member="~1")
        before = await ana.append(b"missed")
        names = Names(engine.prefix, "/a")
        evicted = {
            "state": names.state,
            "messages": names.messages,
            "record": names.record + "~1",
            "index": names.index + key("one").hex(),
        }[part]
        assert server.run("DEL", evicted) == 1
        after = await ana.append(b"after")
        page = await ana.log.read("/a", before.n - 1)
        stored = await ana.log.find("/a", key("one"))
        assert after.n > before.n
        match part:
            case "state":
                assert after.epoch != before.epoch
            case "messages":
                assert page.since == before.n
                assert [each.body for each in page.messages] == [b"after"]
            case _:
                assert stored is None
        if part in {"state", "messages"}:
            assert stored is not None
            assert [each.body for each in stored.marks] == [b"joined"]


async def test_who_is_late_with_a_number_is_refused(engine: RedisEngine) -> None:
    """One that was sent on a connection that is gone may arrive behind a later one."""
    async with node(engine) as ana:
        start = await ana.log.append("/a", b"two", 1, 2)
        with pytest.raises(Unreachable, match="STALE"):
            await ana.log.append("/a", b"one", 1, 1)
        assert await ana.log.head("/a") == start


async def test_messages_are_trimmed_by_their_age(
    engine: RedisEngine, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewright.backplane.redis.log.MARGIN", -9.9)
    async with node(engine, Bounds(age=10.0, grace=1.0)) as ana:
        names = Names(engine.prefix, "/a")
        old = [await ana.append(str(index).encode()) for index in range(300)]
        # As if they had been written long ago.
        server.run("HSET", names.state, "oldest_at", 1)
        await asyncio.sleep(0.2)
        await ana.append(b"new")
        server.run("HSET", names.state, "oldest_at", 1)
        for _ in range(5):
            await ana.append(b"newer")
            server.run("HSET", names.state, "oldest_at", 1)
        page = await ana.log.read("/a", old[0].n)
        assert page.since >= old[-1].n
        assert page.messages


async def test_nothing_stays_for_ever(engine: RedisEngine, server: RedisServer) -> None:
    async with node(engine, Bounds(age=100.0, grace=50.0)) as ana:
        await ana.append(b"one")
        stored = await ana.create("~1", key("one"), key("two"))
        await ana.log.replace("/a", stored, b"", "v2", folded=0, add=[key("three")], marker=b"m")
        await ana.log.remind("/a", "~1", 1000.0)
        names = Names(engine.prefix, "/a")
        keys = [each.decode() for each in server.run("KEYS", "*")]
        left = {name: server.run("PTTL", name) / 1000 for name in keys}
        assert all(seconds > 0 for seconds in left.values()), left
        week = 7 * 24 * 3600
        assert 100 <= left[names.messages] <= 400
        assert left[names.record + "~1"] > week
        # The numbers outlive whatever refers to them.
        assert left[names.state] > max(
            seconds for name, seconds in left.items() if ":session:" in name or ":key:" in name
        )
        assert len([name for name in left if ":key:" in name]) == 3


async def test_nodes_that_are_gone_are_forgotten(engine: RedisEngine, server: RedisServer) -> None:
    names = Names(engine.prefix, "/a")
    for _ in range(3):
        async with node(engine) as ana:
            await ana.append(b"one")
    assert nodes(server, names) == 3
    fields = server.run("HGETALL", names.state)
    for name, value in fields.items():
        if name.startswith(b"b:"):
            number, n, seq, _, epoch = value.decode().split(" ")
            server.run("HSET", names.state, name, f"{number} {n} {seq} 1 {epoch}")
    server.run("HSET", names.state, "refreshed", 1)
    async with node(engine) as ana:
        await ana.append(b"one")
        assert nodes(server, names) == 1


def nodes(server: RedisServer, names: Names) -> int:
    return len([name for name in server.run("HKEYS", names.state) if name.startswith(b"b:")])


async def test_a_namespace_goes_on_after_its_messages_have_gone_by_themselves(
    engine: RedisEngine, server: RedisServer
) -> None:
    async with node(engine) as ana:
        before = await ana.append(b"one")
        names = Names(engine.prefix, "/a")
        server.run("PEXPIRE", names.messages, 1)
        server.run("HSET", names.state, "oldest_at", 1, "refreshed", 1)
        async with asyncio.timeout(10):
            while server.run("EXISTS", names.messages):
                await asyncio.sleep(0.01)
        page = await ana.log.read("/a", before.n - 1)
        assert (page.since, list(page.messages), page.head) == (before.n, [], before)
        after = await ana.append(b"two")
        assert (after.epoch, after.n, after.seq) == (before.epoch, before.n + 1, before.seq + 1)
        assert server.run("PTTL", names.messages) > 0
        assert [each.body for each in await ana.read(before.n)] == [b"two"]


async def test_scripts_are_sent_again_to_a_server_that_has_lost_them(
    engine: RedisEngine, server: RedisServer
) -> None:
    async with node(engine) as ana:
        numbers = itertools.count(1)
        first = await ana.log.append("/a", b"one", 1, next(numbers))
        server.run("SCRIPT", "FLUSH")
        second = await ana.log.append("/a", b"two", 1, next(numbers))
        assert second.n == first.n + 1


def test_lua_does_not_need_what_is_not_probed() -> None:
    """`RedisLog.start` tries every command that a script may run."""
    folder = Path(checks.__file__).parent / "lua"
    used = {
        command.lower()
        for script in folder.glob("*.lua")
        for command in re.findall(r"redis\.call\(\s*'(\w+)'", script.read_text("utf-8"))
    }
    probed = {right.removeprefix("+") for right in checks.rights(cluster=False)}
    assert used
    assert used <= probed
