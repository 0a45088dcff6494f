"""What is found out before a node starts, and who gets in."""

import asyncio
import ssl
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from gatewright.backplane import connect
from gatewright.backplane.base import DEFAULT_BOUNDS, Bounds
from gatewright.backplane.nats import Nats
from gatewright.backplane.nats.jetstream import Config, JetStream
from gatewright.backplane.nats.log import NatsLog
from gatewright.backplane.nats.streams import Layout
from gatewright.errors import BackplaneError, StartupError
from tests._support.natses import server
from tests._support.needs import need
from tests.backplane.logs.engines import Heard, node
from tests.backplane.logs.nats import NatsEngine
from tests.chaos.ports import lasting_port

pytestmark = pytest.mark.anyio


async def refused(engine: NatsEngine, match: str, bounds: Bounds = DEFAULT_BOUNDS) -> str:
    """Start a node, which must fail with these words; returns all of them."""
    log = engine.log()
    async with asyncio.timeout(10):
        with pytest.raises(StartupError, match=match) as failed:
            await log.start("ana", Heard(), bounds)
        await log.stop()
    return str(failed.value)


@pytest.mark.parametrize(
    ("configuration", "options", "match"),
    [
        ("", {"jetstream": False}, "a server with JetStream"),
        ("max_payload: 65536", {}, "max_payload 65536"),
    ],
)
async def test_a_server_that_cannot_keep_what_is_promised(
    configuration: str, options: dict[str, bool], match: str
) -> None:
    with server(configuration, **options) as running:
        await refused(NatsEngine(running.url), match)


async def test_no_server_at_all() -> None:
    port = lasting_port()
    said = await refused(
        NatsEngine(f"nats://ana:s3cret@127.0.0.1:{port}"),
        f"127.0.0.1:{port}: .*Connect call failed",
    )
    assert "s3cret" not in said


async def test_copies_that_there_cannot_be(engine: NatsEngine) -> None:
    await refused(NatsEngine(engine.url, replicas=3), "a cluster of at least 3 servers")
    with server() as other:
        await refused(NatsEngine(f"{engine.url},{other.url}"), "servers of one cluster")


async def test_a_stream_of_somebody_else_in_the_way(engine: NatsEngine, js: JetStream) -> None:
    prefix = engine.layout.prefix
    await js.create(Config(name=f"{prefix}-everything", subjects=[f"{prefix}.>"]))
    await refused(engine, "overlap")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"max_msgs_per_subject": 5}, "max_msgs_per_subject 1, got 5"),
        ({"subjects": ["elsewhere.>"]}, r"subjects .*, got \['elsewhere.>'\]"),
        ({"storage": "memory"}, "storage 'file', got 'memory'"),
        ({"max_bytes": 1000}, "max_bytes -1, got 1000"),
        ({"discard": "new"}, "discard 'old', got 'new'"),
    ],
)
async def test_a_stream_that_is_not_as_it_has_to_be(
    engine: NatsEngine, js: JetStream, change: dict[str, Any], match: str
) -> None:
    layout = engine.layout
    subjects = [f"{layout.prefix}.{kind}.>" for kind in ("record", "key")]
    config = layout.newest_only(layout.records, subjects)
    for field, value in change.items():
        setattr(config, field, value)
    await js.create(config)
    said = await refused(engine, f"the NATS stream {layout.records}: expected .*{match}")
    assert f"nats stream rm {layout.records}" in said


async def test_a_lane_is_kept_for_the_longest_time_that_a_node_was_told(
    engine: NatsEngine, js: JetStream
) -> None:
    ages: list[int] = []
    for grace in (10.0, 1000.0, 10.0):
        async with node(engine, Bounds(age=10.0, grace=grace)) as ana:
            await ana.log.head("/a")
            info = await js.info(engine.layout.lane("/a"))
            assert info is not None
            ages.append(info.config.max_age)
    assert 10e9 < ages[0] < ages[1] == ages[2] > 1000e9


async def test_a_namespace_may_not_have_what_the_account_may_not() -> None:
    limits = {
        "small": "max_store: 1000000",
        "few": "max_streams: 2",
        "bounded": "max_bytes_required: true",
    }
    accounts = "\n".join(
        f"{user} {{ jetstream {{ {limit} }}, users: [ {{ user: {user}, password: p }} ] }}"
        for user, limit in limits.items()
    )
    with server(f"accounts {{ {accounts} }}") as running:
        for user, match in (
            ("small", "an account that may have 1000000"),
            ("few", "two streams, and one more"),
            ("bounded", "max_bytes_required"),
        ):
            options = {"user": user, "password": "p"}
            await refused(NatsEngine(running.url, options=options), match)
        options = {"user": "small", "password": "p"}
        async with node(NatsEngine(running.url, options=options), Bounds(namespace_bytes=100_000)):
            pass


RIGHTS = """
authorization {{ users: [
  {{ user: ana, password: secret, permissions: {{
    publish: {{ {publish} }}
    subscribe: {{ {subscribe} }}
  }} }}
] }}
"""
ENOUGH_TO_PUBLISH = ", ".join(
    f'"{each}"'
    for each in (
        "_INBOX.>",
        "app.>",
        "$JS.API.INFO",
        *("$JS.API.STREAM.INFO.*", "$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.UPDATE.*"),
        *("$JS.API.STREAM.LIST", "$JS.API.STREAM.DELETE.*", "$JS.API.STREAM.PURGE.*"),
        *("$JS.API.STREAM.MSG.GET.*", "$JS.API.STREAM.MSG.DELETE.*"),
        *("$JS.API.CONSUMER.CREATE.*", "$JS.API.CONSUMER.DELETE.*.*"),
        "$JS.API.CONSUMER.MSG.NEXT.*.*",
    )
)
"""As the documentation says it."""
ENOUGH_TO_HEAR = '"_INBOX.>", "app.heard.>", "app.cast.>", "app.node.*", "app.nodes"'


def rights(publish: str, subscribe: str) -> str:
    return RIGHTS.format(publish=publish, subscribe=subscribe)


async def use(log: NatsLog) -> None:
    """Everything that takes a right of its own."""
    heard = Heard()
    await log.start("ana", heard, Bounds(namespace_bytes=2000))
    try:
        await log.subscribe("/a")
        head = [await log.append("/a", b"x" * 1000, 1, number) for number in range(1, 6)][-1]
        await log.append("/a", b"joined", 0, 9, "~1")
        await heard.first(6)
        assert (await log.read("/a", head.n)).messages
        assert await log.create("/a", "~1", b"", "v1", [b"k" * 32]) is not None
        stored = await log.find("/a", b"k" * 32)
        assert stored is not None
        assert await log.replace("/a", stored, b"", "v2", folded=0, marker=b"m") is not None
        await log.remind("/a", "~1", 10.0)
        assert await log.due(11.0, 5) == [("/a", "~1")]
        await log.forget("/a", "~1")
        await log.cast("/a", b"cast")
        await log.send(b"mail", "ana")
        await heard.until(lambda: bool(heard.casts and heard.mails))
    finally:
        await log.stop()


async def test_these_rights_are_enough() -> None:
    enough = rights(f"allow: [{ENOUGH_TO_PUBLISH}]", f"allow: [{ENOUGH_TO_HEAR}]")
    with server(enough) as running:
        options = {"user": "ana", "password": "secret"}
        await use(NatsLog([running.url], Layout("app", 1, "file"), options))


@pytest.mark.parametrize(
    ("publish", "subscribe", "match"),
    [
        ('deny: "$JS.API.STREAM.CREATE.>"', "", r"no right to publish to .*stream\.create"),
        ('deny: "$JS.API.CONSUMER.>"', "", r"no right to publish to .*consumer\.create"),
        ('deny: "$JS.API.STREAM.MSG.DELETE.>"', "", "no right to publish to .*msg.delete"),
        ('deny: "*.lane.>"', "", r"no right to publish to '.*\.lane\."),
        ('deny: "*.key.>"', "", r"no right to publish to '.*\.key\."),
        ("", 'deny: "*.heard.>"', r"no right to subscribe to '.*\.heard\."),
        ("", 'deny: "*.nodes"', r"no right to subscribe to '.*\.nodes"),
        ('deny: "_INBOX.>"', "", "no right to publish to '_inbox"),
    ],
)
async def test_a_right_that_is_missing_is_named(publish: str, subscribe: str, match: str) -> None:
    with server(rights(publish, subscribe)) as running:
        options = {"user": "ana", "password": "secret"}
        await refused(NatsEngine(running.url, options=options), match)


async def test_who_is_not_known_is_not_let_in() -> None:
    with server(rights("", "")) as running:
        wrong = NatsEngine(running.url, options={"user": "ana", "password": "wr0ng"})
        said = await refused(wrong, "(?i)authorization violation")
        assert "wr0ng" not in said
        place = running.url.removeprefix("nats://")
        backplane = Nats(f"nats://ana:secret@{place}")
        await backplane.start(lambda _: None)
        await backplane.stop()
        assert "secret" not in backplane.address


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


@pytest.fixture
def secure(certificate: Path) -> Generator[str]:
    files = f'cert_file: "{certificate}/certificate.pem", key_file: "{certificate}/key.pem"'
    with server(f"tls {{ {files} }}") as running:
        yield running.url.replace("nats:", "tls:")


async def test_tls(secure: str, certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=certificate / "certificate.pem")
    await use(NatsLog([secure], Layout("app", 1, "file"), {"tls": trusting}))
    await refused(NatsEngine(secure), "(?i)certificate")


async def test_who_wants_tls_tells_nothing_to_a_server_without(engine: NatsEngine) -> None:
    await refused(NatsEngine(engine.url.replace("nats:", "tls:")), "secure connection")
    context = {"tls": ssl.create_default_context()}
    await refused(NatsEngine(engine.url, options=context), "secure connection")


async def test_a_message_that_is_too_large_is_refused_and_the_next_is_not(
    engine: NatsEngine,
) -> None:
    async with node(engine) as ana:
        with pytest.raises(BackplaneError, match="raise max_payload"):
            await ana.append(b"x" * 1_100_000)
        await ana.append(b"x" * 1_000_000)
        assert [len(each.body) for each in await ana.read(0)] == [1_000_000]
        assert not ana.ears.breaks


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("nats://localhost", "nats://localhost:4222"),
        ("nats://ana:secret@b:4223,a", "nats://a:4222,b:4223"),
        ("tls://[::1]:4222?prefix=chat&replicas=3", "tls://[::1]:4222?prefix=chat"),
        ("nats://localhost?storage=memory", "nats://localhost:4222"),
    ],
)
def test_a_url_says_which_backplane_it_is(url: str, address: str) -> None:
    backplane = connect(url)
    assert isinstance(backplane, Nats)
    assert backplane.address == address
    assert Nats(url.split(",") if "," not in url else [url]).address == address


@pytest.mark.parametrize(
    ("url", "options", "match"),
    [
        ("http://localhost", {}, "nats://host:4222"),
        ("localhost:4222", {}, "nats://host:4222"),
        ("nats://localhost/chat", {}, "nats://host:4222"),
        ("nats://", {}, "nats://host:4222"),
        ("nats://localhost:port", {}, "a host and a port"),
        ("nats://:4222", {}, "a host in the URL"),
        ("nats://[half", {}, "cannot be read"),
        (["nats://a", "tls://b"], {}, "one scheme"),
        ("nats://localhost?ttl=5", {}, "ttl"),
        ("nats://localhost?replicas=7", {}, "1 to 5 replicas, got '7'"),
        ("nats://localhost", {"replicas": 0}, "1 to 5 replicas, got 0"),
        ("nats://localhost", {"prefix": "my.chat"}, "letters, digits and underscores"),
        ("nats://localhost", {"storage": "disk"}, "'file' or 'memory' as storage, got 'disk'"),
        ("nats://localhost", {"allow_reconnect": True}, "Leave it out"),
    ],
)
def test_what_cannot_be_right_is_refused(url: Any, options: dict[str, Any], match: str) -> None:
    with pytest.raises(StartupError, match=match):
        Nats(url, **options)
