"""What is said before `hello`, by either side, and what `hello` says."""

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from gatewright import EventError, Settings
from tests.behaviours.chat import Door
from tests.behaviours.wire import opened
from tests.sessions.chat import Ask, House, Said, Witness, running, until
from tests.sessions.client import Client, Format

pytestmark = pytest.mark.anyio


async def test_hello_answers_open(door: Door, wire: Format) -> None:
    settings = Settings(ping_interval=20, ping_timeout=5, grace=60, max_frame=4000)
    async with (
        running(door=door, settings=settings) as house,
        Client.opened(house.url, wire=wire, compression=door.compression) as ana,
    ):
        hello = dict(ana.hello)
        assert hello.pop("session").startswith("~")
        assert len(hello.pop("token")) >= 22
        assert hello.pop("epoch")
        assert hello == {
            "op": "hello",
            "resumed": False,
            "seq": 0,
            "last": 0,
            "heartbeat": {"interval": 20, "timeout": 5},
            "grace": 60,
            "max": 4000,
        }
        assert await ana.call("echo", [1, {"a": None}]) == [1, {"a": None}]
        assert await ana.quiet() == []


async def test_hello_says_when_the_identity_expires() -> None:
    async with running() as house:
        auth = {"user": "ana", "expires": 3600}
        async with Client.opened(house.url, auth=auth) as ana:
            assert 3590 < ana.hello["expires"] <= 3600
            assert await ana.call("who") == "ana"
        async with Client.opened(house.url, auth={"user": "ben"}) as ben:
            assert "expires" not in ben.hello


async def test_the_credentials_are_in_the_handshake() -> None:
    async with running() as house:
        auth = {"user": "ana", "more": [1, 2, {"three": None}]}
        async with Client.opened(house.url, "/chat?a=b", auth=auth):
            (handshake,) = house.witness.handshakes
            assert handshake.auth == auth
            assert handshake.query == {"a": "b"}
            assert handshake.namespace == "/chat"


async def test_the_first_known_sub_protocol_is_taken() -> None:
    async with running() as house:
        for offered, taken in (
            (["other", "gw.v1.msgpack", "gw.v1.json"], "gw.v1.msgpack"),
            (["gw.v1.json", "plain.json"], "gw.v1.json"),
            (["plain.json", "gw.v1.json"], "plain.json"),
        ):
            names = [Subprotocol(name) for name in offered]
            async with connect(f"{house.url.ws}/chat", subprotocols=names) as socket:
                assert socket.subprotocol == taken


RESUME = {"session": "~x", "token": "t", "epoch": "e", "seq": 0, "sent": 0}
WRONG: dict[str, list[Any]] = {
    "session": [None, 1, ["~x"]],
    "token": [None, 7, {}],
    "epoch": [None, 0],
    "seq": [None, -1, 1.5, "0", True, [0]],
    "sent": [None, -1, 2**53, "0", 0.5],
}
NO_OPEN: list[Any] = [
    {},
    {"op": "hello"},
    {"op": "ping"},
    {"op": "bye"},
    {"op": "OPEN"},
    {"op": ["open"]},
    {"op": None},
    {"event": "echo", "data": 1},
    {"event": "echo", "data": 1, "id": 1},
    {"op": "open", "event": "echo"},
    {"id": 1, "data": 1},
    [{"op": "open"}],
    "open",
    None,
    {"op": "open", "id": "1"},
    {"op": "open", "id": -1},
    *(
        {"op": "open", "resume": {**RESUME, key: value}}
        for key, values in WRONG.items()
        for value in values
    ),
    *(
        {"op": "open", "resume": {name: each for name, each in RESUME.items() if name != key}}
        for key in ("session", "token", "epoch", "seq")
    ),
    *({"op": "open", "resume": wrong} for wrong in (None, "x", 1, [], [RESUME], True)),
]


async def _refused(house: House, wire: Format, *frames: Any) -> None:
    for frame in frames:
        async with Client.connect(house.url, wire=wire) as ana:
            await ana.send(frame if isinstance(frame, bytes) else ana.pack(frame))
            assert (await ana.closed())[0] == 1002, frame
            assert ana.passed == [], frame


async def test_whatever_else_comes_first_closes_with_1002(wire: Format) -> None:
    async with running() as house:
        await _refused(house, wire, *NO_OPEN)
        assert house.remains() == {}
        assert house.witness.seen == []


UNREADABLE: dict[Format, list[str | bytes]] = {
    "json": [
        '{"op":"open"',
        "",
        "open",
        '{"op":"open","auth":}',
        b'{"op":"open"}',
        b"",
        '{"op":"open","auth":' + "[" * 5000 + "]" * 5000 + "}",
    ],
    "msgpack": [
        b"",
        b"\xc1",
        b"\x81\xa2op\xa5open",
        '{"op":"open"}',
        "\x00",
        b"\x82\xa2op\xa4open\xa4auth" + b"\x91" * 5000 + b"\xc0",
    ],
}


async def test_what_cannot_be_read_closes_with_1002(door: Door, wire: Format) -> None:
    async with running(door=door) as house:
        for text in UNREADABLE[wire]:
            async with Client.connect(house.url, wire=wire) as ana:
                await ana.socket.send(text)
                assert (await ana.closed())[0] == 1002, text
                assert ana.passed == []
        assert house.remains() == {}


async def test_what_is_odd_about_an_open_is_read_over(wire: Format) -> None:
    async with running() as house:
        for more in (
            {"auth": None},
            {"auth": "text"},
            {"id": 7},
            {"data": {"x": 1}},
            {"error": 3},
            {"seq": "no", "more": [{}]},
            {"resume": {**RESUME, "more": 1}},
            {"resume": {key: RESUME[key] for key in ("session", "token", "epoch", "seq")}},
            {"resume": {**RESUME, "seq": 2**60}},
            {"resume": {**RESUME, "token": "", "session": "", "epoch": ""}},
            {"resume": {**RESUME, "token": "x" * 5000, "session": "\x00", "epoch": "é" * 2000}},
        ):
            async with Client.connect(house.url, wire=wire) as ana:
                await ana.send({"op": "open", **more})
                hello = await ana.receive()
                assert (hello["op"], hello["resumed"], hello["last"]) == ("hello", False, 0)


async def test_a_frame_that_is_too_large_closes_with_1009(door: Door, wire: Format) -> None:
    async with running(door=door, settings=Settings(max_frame=200)) as house:
        for first in (True, False):
            async with Client.connect(house.url, wire=wire) as ana:
                if not first:
                    await ana.open()
                await ana.send({"op": "open", "auth": "é" * 100 if first else "x" * 300})
                assert (await ana.closed())[0] == 1009
                assert ana.passed == []


async def test_who_says_nothing_in_time_is_closed_with_4005(door: Door) -> None:
    async with (
        running(door=door, settings=Settings(open_timeout=0.1)) as house,
        Client.connect(house.url) as ana,
    ):
        assert (await ana.closed())[0] == 4005
        assert ana.passed == []
        assert house.witness.seen == []


@pytest.mark.parametrize(
    ("auth", "code"),
    [
        ({"refuse": "unauthenticated"}, 4501),
        ({"refuse": "forbidden"}, 4503),
        ({"refuse": "of_our_own"}, 4503),
        ({"guard": "unauthenticated"}, 4501),
        ({"guard": "forbidden"}, 4503),
        ({"break": True}, 1011),
        ({"hang": True}, 4005),
    ],
)
async def test_refusals_close_and_nothing_else_is_said(
    door: Door, auth: dict[str, Any], code: int
) -> None:
    async with running(door=door, settings=Settings(open_timeout=0.2)) as house:
        async with Client.connect(house.url) as ana:
            await ana.ask(auth=auth)
            got, reason = await ana.closed()
            assert got == code
            assert ana.passed == []
            if "refuse" in auth:
                assert reason == "not you"
        assert house.witness.seen == []
        assert house.remains() == {}


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (EventError("unauthenticated", "who?"), 4501),
        (EventError("forbidden", "not today"), 4503),
        (LookupError("a bug"), 1011),
        (None, 4005),
    ],
)
async def test_a_connect_hook_that_refuses_closes_and_nothing_was_said(
    trouble: Exception | None, code: int
) -> None:
    witness = Witness()
    witness.trouble = trouble
    if trouble is None:
        witness.connect_gate.clear()
    settings = Settings(open_timeout=0.1 if trouble is None else 5)
    async with running(witness, settings=settings) as house:
        async with Client.connect(house.url) as ana:
            await ana.ask()
            if trouble is not None:
                await until(lambda: len(house.app) or witness.seen)
                await house.main.emit(Said("to everyone"))
            assert (await ana.closed())[0] == code
            assert ana.passed == []
        await house.empty()


async def test_a_connect_hook_that_disconnects_has_refused() -> None:
    witness = Witness()
    witness.connect_gate.clear()
    async with running(witness) as house:
        async with Client.connect(house.url) as ana:
            await ana.ask()
            await until(lambda: witness.connections)
            await witness.connections[0].disconnect("not you")
            witness.connect_gate.set()
            assert await ana.closed() == (4500, "not you")
            assert ana.passed == []
        await house.empty()


async def test_what_is_emitted_while_the_hooks_run_comes_after_hello(wire: Format) -> None:
    witness = Witness()
    witness.connect_gate.clear()
    async with running(witness) as house, Client.connect(house.url, wire=wire) as ana:
        await ana.ask()
        await until(lambda: witness.connections)
        (connection,) = witness.connections
        await connection.emit(Said("one"))
        await house.main.emit(Said("two"))
        await house.main.emit(Said("typing"), volatile=True)
        asking = asyncio.create_task(connection.call(Ask("name"), str))
        await until(lambda: len(house.dispatcher.node.calls))
        await house.main.to(connection.id).emit(Said("three"))
        witness.connect_gate.set()
        hello = await ana.receive()
        assert (hello["op"], hello["seq"]) == ("hello", 0)
        ana.epoch, ana.seq = hello["epoch"], hello["seq"]
        frames = [await ana.receive() for _ in range(4)]
        assert [frame["data"].get("text") for frame in frames] == ["one", "two", None, "three"]
        assert [frame.get("seq") for frame in frames] == [1, 2, None, 3]
        await ana.send({"id": frames[2]["id"], "data": "ana"})
        assert await asking == "ana"


async def test_who_leaves_while_it_opens_leaves_nothing(door: Door) -> None:
    witness = Witness()
    async with running(witness, door=door, settings=Settings(open_timeout=0.5)) as house:
        async with Client.connect(house.url) as ana:
            ana.cut()
        async with Client.connect(house.url) as ana:
            await ana.ask(auth={"hang": True})
            ana.cut()
        witness.connect_gate.clear()
        async with Client.connect(house.url) as ana:
            await ana.ask()
            await until(lambda: witness.connections)
            ana.cut()
        await until(lambda: witness.connections[0].outbox.closing)
        witness.connect_gate.set()
        await house.empty()
        # Whoever never heard of being let in has nothing to return to.
        assert witness.seen == ["connect", "disconnect", "end"]
        assert [reason.resumable for reason in witness.reasons] == [False]


async def test_plain_and_sessions_share_rooms(wire: Format) -> None:
    async with (
        running() as house,
        opened(f"{house.url.ws}/chat") as plain,
        Client.opened(house.url, wire=wire) as ana,
    ):
        await plain.send({"event": "say", "data": ["lobby", "hello"]})
        assert await plain.receive() == {"event": "said", "data": {"text": "hello"}}
        assert await ana.receive() == {"event": "said", "data": {"text": "hello"}, "seq": 1}
        assert await house.main.to("lobby").count() == 2
