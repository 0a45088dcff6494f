"""Whom Redis lets in, and what is refused at the start (ACL, TLS, versions, slips of the pen)."""

import asyncio
import logging
import subprocess
from collections.abc import Generator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from gatewright.backplane.base import DEFAULT_BOUNDS
from gatewright.backplane.redis import Redis
from gatewright.backplane.redis.checks import check_server, rights
from gatewright.backplane.redis.line import Line
from gatewright.backplane.redis.log import RedisLog
from gatewright.backplane.redis.options import Options
from gatewright.errors import StartupError
from tests._support.needs import need
from tests._support.redises import RedisServer, redis_server, shared_cluster, shared_server
from tests.backplane.lanes import entry, started
from tests.backplane.logs.engines import Heard, Node, key, node
from tests.backplane.logs.redises import RedisEngine

pytestmark = pytest.mark.anyio

PREFIX = "chat"


@pytest.fixture(scope="module")
def server() -> Generator[RedisServer]:
    with redis_server() as server:
        yield server


def allow(server: RedisServer, user: str, *rules: str) -> None:
    server.run("ACL", "SETUSER", user, "reset", "on", ">secret", *rules)


KEYS = (f"~{{{PREFIX}:*", f"&{{{PREFIX}:*")


async def use(log: RedisLog) -> None:
    """Everything that a backplane does."""
    ears = Heard()
    ana = Node(token_hex(4), log, ears)
    try:
        await log.start(ana.name, ears, DEFAULT_BOUNDS)
        head = await log.subscribe("/a")
        await ana.append(b"one")
        stored = await ana.create("~1", key("one"))
        await ana.append(b"joined", 0, member="~1")
        assert await log.find("/a", key("one")) is not None
        replaced = await log.replace(
            "/a", stored, b"", "v2", folded=0, add=[key("two")], drop=[key("one")], marker=b"m"
        )
        assert replaced is not None
        assert len(await ana.read(head.n)) == 3
        assert await log.remove("/a", await ana.load("~1"), [key("two")], b"gone")
        await log.remind("/a", "~1", 1.0)
        assert list(await log.due(2.0, 10)) == [("/a", "~1")]
        await log.forget("/a", "~1")
        await log.cast("/a", b"cast")
        await log.send(b"mail")
        await ears.until(lambda: len(ears.messages) == 4 and bool(ears.mails and ears.casts))
        await log.unsubscribe("/a")
    finally:
        await log.stop()


async def test_the_least_rights_are_enough(server: RedisServer) -> None:
    allow(server, "least", *KEYS, *rights(cluster=False))
    await use(RedisLog(server.url, prefix=PREFIX, username="least", password="secret"))
    url = server.url.replace("redis://", "redis://least:secret@")
    await use(RedisLog(url, prefix=PREFIX))


@pytest.mark.parametrize("right", ["xadd", "spublish", "evalsha", "info", "ssubscribe", "zadd"])
async def test_a_right_that_is_missing_is_named(server: RedisServer, right: str) -> None:
    allow(server, "less", *KEYS, *rights(cluster=False), f"-{right}")
    log = RedisLog(server.url, prefix=PREFIX, username="less", password="secret")
    with pytest.raises(StartupError, match=f"(?i){right}"):
        await log.start("ana", Heard(), DEFAULT_BOUNDS)
    await log.stop()


@pytest.mark.parametrize("rules", [("~other*", KEYS[1]), (KEYS[0], "&other*")])
async def test_keys_and_channels_that_are_forbidden_are_named(
    server: RedisServer, rules: tuple[str, ...]
) -> None:
    allow(server, "elsewhere", *rules, *rights(cluster=False))
    log = RedisLog(server.url, prefix=PREFIX, username="elsewhere", password="secret")
    with pytest.raises(StartupError, match=r"begin with \{chat:.*no permissions to access one of"):
        await log.start("ana", Heard(), DEFAULT_BOUNDS)
    await log.stop()


async def test_a_wrong_password_is_a_startup_error_that_does_not_tell_it(
    server: RedisServer,
) -> None:
    allow(server, "least", *KEYS, *rights(cluster=False))
    log = RedisLog(server.url.replace("//", "//least:wr0ng@"), prefix=PREFIX)
    with pytest.raises(StartupError, match="invalid username-password") as failed:
        await log.start("ana", Heard(), DEFAULT_BOUNDS)
    assert "wr0ng" not in str(failed.value)
    await log.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    openssl = need("openssl", package="openssl")
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return folder


async def test_tls(certificate: Path) -> None:
    files = [str(certificate / "certificate.pem"), str(certificate / "key.pem")]
    port = RedisServer(certificate).port
    with redis_server(
        *("--tls-port", str(port), "--tls-cert-file", files[0], "--tls-key-file", files[1]),
        *("--tls-ca-cert-file", files[0], "--tls-auth-clients", "no"),
    ):
        url = f"rediss://127.0.0.1:{port}"
        await use(RedisLog(url, ssl_ca_certs=files[0]))
        await use(RedisLog(f"{url}/?ssl_ca_certs={files[0]}"))
        untrusted = RedisLog(url)
        with pytest.raises(StartupError, match=r"(?i)certificate"):
            await untrusted.start("ana", Heard(), DEFAULT_BOUNDS)
        await untrusted.stop()
        plain = RedisLog(f"redis://127.0.0.1:{port}")
        with pytest.raises(StartupError):
            await plain.start("ana", Heard(), DEFAULT_BOUNDS)
        await plain.stop()


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with redis_server("--unixsocket", str(path)):
        await use(RedisLog(f"unix://{path}"))


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        ("http://localhost", {}, "schemes redis"),
        ("localhost:6379", {}, "schemes redis"),
        ("redis://a:1,b:2", {}, "one server"),
        ("redis://localhost:port", {}, "a URL"),
        ("redis+cluster://localhost/1", {}, "database 0"),
        ("redis://localhost", {"prefix": "a{b"}, "letters, digits"),
        ("redis://localhost", {"prefix": ""}, "letters, digits"),
        ("redis://localhost", {"pasword": "x"}, "pasword"),
        ("redis://localhost", {"ssl_ca_certs": "ca.pem"}, "ssl_ca_certs"),
        ("redis://localhost?retry_on_timeout=yes", {}, "Leave it out"),
        ("redis://localhost", {"decode_responses": True}, "Leave it out"),
    ],
)
def test_slips_of_the_pen_are_found_before_anything_is_connected(
    url: str, options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(StartupError, match=expected):
        Redis(url, **options)


def test_addresses_have_no_secrets() -> None:
    assert Redis("redis://me:secret@host:6379/2").address == "redis://host:6379/2"
    assert Redis("redis://host?password=secret", prefix="b").address == "redis://host?prefix=b"
    clusters = [Redis("redis+cluster://:s@a:1,b:2"), Redis("redis://:s@a:1,b:2", cluster=True)]
    assert {each.address for each in clusters} == {"redis+cluster://a:1,b:2"}


async def test_a_cluster_is_not_a_server_and_a_server_no_cluster() -> None:
    for url, expected in [
        (shared_server().url.replace("redis://", "redis+cluster://"), "a cluster|cluster"),
        (shared_cluster()[0].url, "a single server"),
    ]:
        log = RedisLog(url)
        with pytest.raises(StartupError, match=expected):
            await log.start("ana", Heard(), DEFAULT_BOUNDS)
        await log.stop()


async def test_a_replica_is_no_primary() -> None:
    primary = shared_server()
    with redis_server("--replicaof", "127.0.0.1", str(primary.port)) as replica:
        log = RedisLog(replica.url)
        with pytest.raises(StartupError, match="primary"):
            await log.start("ana", Heard(), DEFAULT_BOUNDS)
        await log.stop()


def test_an_old_server_is_refused() -> None:
    options = Options.of("redis://localhost", PREFIX, {})
    line = Line(options, options.addresses[0], lambda _: None)
    line.info = {"redis_version": "6.2.14", "role": "master"}
    with pytest.raises(StartupError, match=r"7\.0 or later.*got version 6\.2\.14"):
        check_server(options, line)


async def test_a_server_that_evicts_is_used_with_a_warning(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.run("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        with caplog.at_level(logging.WARNING, "gatewright"):
            async with node(RedisEngine(server.url, [server])):
                pass
        assert "maxmemory-policy is allkeys-lru" in caplog.text
    finally:
        server.run("CONFIG", "SET", "maxmemory-policy", "noeviction")


async def test_a_server_that_is_full_refuses_and_loses_nothing(server: RedisServer) -> None:
    async with node(RedisEngine(server.url, [server])) as ana:
        first = await ana.append(b"one")
        server.run("CONFIG", "SET", "maxmemory", "1")
        try:
            with pytest.raises(Exception, match="used memory"):
                await ana.log.append("/a", b"two", 1, 2)
            assert await ana.log.head("/a") == first
        finally:
            server.run("CONFIG", "SET", "maxmemory", "0")
        assert (await ana.log.append("/a", b"two", 1, 2)).n == first.n + 1


async def test_databases_and_prefixes_are_worlds_of_their_own(server: RedisServer) -> None:
    backplanes = [
        Redis(server.url),
        Redis(f"{server.url}/1"),
        Redis(server.url, prefix="gatewright2"),
        Redis(server.url, prefix="gatewright:"),
    ]
    async with asyncio.timeout(20):
        for index, backplane in enumerate(backplanes):
            async with started(backplane) as lane:
                await backplane.follow("/a")
                others = [each for each in backplanes if each is not backplane]
                for other in others:
                    async with started(other):
                        await other.publish("/a", [entry("elsewhere")])
                await backplane.publish("/a", [entry(index)])
                await lane.first(1)
                assert [data for _, data in lane.heard("/a")] == [index]
