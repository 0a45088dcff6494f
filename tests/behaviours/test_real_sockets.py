"""Over real sockets: what NestJS tests end to end, and whatever concerns the socket itself."""

import asyncio
import logging
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import msgspec
import pytest
from injector import Inject, Module, provider
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gatewright import (
    CallNext,
    Connection,
    Context,
    DisconnectReason,
    Emitter,
    Event,
    EventError,
    Gatewright,
    Handshake,
    Identity,
    Settings,
    catch,
    connection_scoped,
    gateway,
    on,
    on_connect,
    on_disconnect,
)
from gatewright.testing import Refused
from tests._support.server import serve
from tests.behaviours.support import until
from tests.behaviours.wire import Wire, opened

pytestmark = pytest.mark.anyio


class Door:
    """A way that uvicorn reads and writes frames, and whether they are compressed."""

    def __init__(self, name: str, ws: str, compression: str | None = None) -> None:
        self.name = name
        self._server: dict[str, Any] = {
            "ws": ws,
            "ws_per_message_deflate": compression is not None,
        }
        self._compression = compression

    def serve(self, app: Any, **config: Any) -> Any:
        return serve(app, **self._server, **config)

    def opened(self, url: str, **options: Any) -> Any:
        return opened(url, compression=self._compression, **options)


DOORS = [
    Door("sansio", "websockets-sansio"),
    Door("sansio compressed", "websockets-sansio", "deflate"),
    Door("ours", "gatewright.server:WebSocketProtocol"),
    Door("wsproto", "wsproto"),
]


@pytest.fixture(params=DOORS, ids=[door.name for door in DOORS])
def door(request: pytest.FixtureRequest) -> Door:
    if "wsproto" in request.param.name:
        pytest.importorskip("wsproto", reason="an extra of uvicorn")
    found: Door = request.param
    return found


class Said(Event, event="said"):
    text: str


class Visitor:
    """One per connection, as NestJS's request-scoped providers of a gateway."""

    made = 0

    def __init__(self, handshake: Handshake) -> None:
        Visitor.made += 1
        self.name = handshake.query.get("name", "nobody")


class Visitors(Module):
    @connection_scoped
    @provider
    def visitor(self, handshake: Handshake) -> Visitor:
        return Visitor(handshake)


class Notes:
    """What the gateways tell the test."""

    def __init__(self) -> None:
        self.patterns: list[str | None] = []
        self.left: list[tuple[str, DisconnectReason]] = []
        self.streams_closed = 0
        self.gate = asyncio.Event()


def chat(notes: Notes, **options: Any) -> Gatewright:
    async def pattern(context: Context, call_next: CallNext) -> Any:
        notes.patterns.append(context.event)
        return await call_next()

    async def allowed(handshake: Handshake) -> None:
        if handshake.query.get("guard") == "slow":
            await notes.gate.wait()
        if handshake.query.get("guard") == "no":
            raise EventError("forbidden", "members only")

    @gateway("/chat", emits=[Said], guards=[allowed])
    class Chat:
        @catch(LookupError)
        async def lost(self, error: LookupError, context: Context) -> EventError:
            return EventError("not_found", f"{context.event}: {error}")

        @on_connect
        async def connected(self, handshake: Handshake) -> None:
            if handshake.query.get("connect") == "breaks":
                raise RuntimeError("of the hook")

        @on_disconnect
        async def left(self, reason: DisconnectReason, visitor: Inject[Visitor]) -> None:
            notes.left.append((visitor.name, reason))

        @on("push", interceptors=[pattern])
        async def push(self, text: str) -> str:
            return text

        @on("nothing")
        async def nothing(self) -> None: ...

        @on("find")
        async def find(self, what: str) -> None:
            raise LookupError(what)

        @on("who")
        async def who(self, visitor: Inject[Visitor]) -> str:
            return visitor.name

        @on("join")
        async def join(self, connection: Connection, room: str) -> None:
            await connection.join(room)

        @on("say")
        async def say(self, emitter: Emitter, room: str, text: str, times: int = 1) -> None:
            for number in range(times):
                await emitter.to(room).emit(Said(f"{text} {number}"))

        @on("leave")
        async def leave(self, connection: Connection, reason: str) -> None:
            await connection.emit(Said("last words"))
            await connection.disconnect(reason)

        @on("wait")
        async def wait(self) -> str:
            await notes.gate.wait()
            return "waited"

        @on("forever")
        async def forever(self) -> AsyncIterator[int]:
            try:
                yield 1
                await asyncio.Event().wait()
            finally:
                notes.streams_closed += 1

        @on("count")
        async def count(self, to: int) -> AsyncIterator[int]:
            for number in range(to):
                yield number

        @on("big")
        async def big(self, size: int) -> str:
            return "x" * size

        @on("cookies")
        async def cookies(self, handshake: Handshake) -> dict[str, str]:
            return dict(handshake.cookies)

    @gateway("/other/{room}/{seat}")
    class Other:
        @on("push")
        async def push(self, text: str, room: str, seat: int) -> list[object]:
            return [room, seat, text]

    return Gatewright([Chat, Other], modules=[Visitors()], **options)


# What NestJS tests end to end


async def test_a_message_is_answered(door: Door) -> None:
    async with (
        door.serve(chat(Notes())) as url,
        door.opened(f"{url.ws}/chat") as ana,
    ):
        assert await ana.call("push", "hello") == "hello"
        assert await ana.call("push", "") == ""
        assert await ana.call("nothing") is None


async def test_errors_are_answered_with_the_id_or_as_an_exception(door: Door) -> None:
    async with door.serve(chat(Notes())) as url, door.opened(f"{url.ws}/chat") as ana:
        with pytest.raises(EventError, match="not_found: find: keys"):
            await ana.call("find", "keys")
        await ana.send({"event": "find", "data": "keys"})
        assert await ana.receive() == {
            "event": "exception",
            "data": {
                "status": "error",
                "code": "not_found",
                "message": "find: keys",
                "event": "find",
            },
        }
        with pytest.raises(EventError, match="invalid"):
            await ana.call("push", 3)
        with pytest.raises(EventError, match="unknown_event"):
            await ana.call("nope")
        assert await ana.call("push", "still here") == "still here"


async def test_gateways_on_several_paths_share_a_port_with_http(door: Door) -> None:
    async with (
        door.serve(chat(Notes())) as url,
        door.opened(f"{url.ws}/chat") as ana,
        door.opened(f"{url.ws}/other/caf%C3%A9/7?x=1") as ben,
        httpx2.AsyncClient() as http,
    ):
        assert await ana.call("push", "a") == "a"
        assert await ben.call("push", "b") == ["café", 7, "b"]
        assert (await http.get(f"{url}/chat")).status_code == 426
        for path in ("/other/x", "/other/x/07", "/other/x/seven", "/other//7", "/nowhere"):
            with pytest.raises(Refused) as refused:
                async with door.opened(f"{url.ws}{path}"):
                    pytest.fail("it must not open")
            assert refused.value.status == 404


async def test_interceptors_know_the_event(door: Door) -> None:
    notes = Notes()
    async with door.serve(chat(notes)) as url, door.opened(f"{url.ws}/chat") as ana:
        await ana.call("push", "x")
    assert notes.patterns == ["push"]


async def test_one_provider_per_connection_also_in_its_disconnect_hook(door: Door) -> None:
    notes = Notes()
    Visitor.made = 0
    async with door.serve(chat(notes)) as url:
        async with (
            door.opened(f"{url.ws}/chat?name=ana") as ana,
            door.opened(f"{url.ws}/chat?name=ben") as ben,
        ):
            for _ in range(2):
                assert [await ana.call("who"), await ben.call("who")] == ["ana", "ben"]
        await until(lambda: len(notes.left) == 2)
    assert sorted(name for name, _ in notes.left) == ["ana", "ben"]
    assert Visitor.made == 2


async def test_a_connect_hook_that_breaks_closes_that_connection_with_1011(door: Door) -> None:
    async with door.serve(chat(Notes())) as url, door.opened(f"{url.ws}/chat") as ana:
        async with door.opened(f"{url.ws}/chat?connect=breaks") as ben:
            assert await ben.closed() == (1011, "internal error")
        assert await ana.call("push", "x") == "x"


async def test_an_open_connection_does_not_hold_up_shutdown(door: Door) -> None:
    notes = Notes()
    app = chat(notes)
    async with AsyncExitStack() as clients:
        async with door.serve(app) as url:
            opening = door.opened(f"{url.ws}/chat?name=ana")
            ana: Wire = await clients.enter_async_context(opening)
            await ana.send({"event": "forever", "id": 1})
            await ana.receive()
        assert (await ana.closed())[0] == 1012
    # The hooks ran before the application was over.
    assert [(name, reason.code) for name, reason in notes.left] == [("ana", 1012)]
    assert notes.streams_closed == 1


# Opening


async def test_a_guard_refuses_before_accept_with_403_and_its_text(door: Door) -> None:
    app = chat(Notes())
    async with door.serve(app) as url:
        with pytest.raises(Refused) as refused:
            async with door.opened(f"{url.ws}/chat?guard=no"):
                pytest.fail("it must not open")
        assert (refused.value.status, refused.value.text) == (403, "forbidden: members only")
        assert len(app) == 0


async def test_a_foreign_origin_is_refused_the_own_one_and_none_are_not(door: Door) -> None:
    async with door.serve(chat(Notes())) as url:
        for origin in ("http://evil.example", "null", f"{url}.evil.example", "http://127.0.0.1:1"):
            with pytest.raises(Refused) as refused:
                async with door.opened(f"{url.ws}/chat", origin=origin):
                    pytest.fail("it must not open")
            assert refused.value.status == 403
        for own in (None, str(url), str(url).upper().replace("HTTP", "http")):
            async with door.opened(f"{url.ws}/chat", origin=own) as ana:
                assert await ana.call("push", "x") == "x"


async def test_origins_may_be_widened() -> None:
    settings = Settings(origins=("https://app.example",))
    async with serve(chat(Notes(), settings=settings)) as url:
        async with opened(f"{url.ws}/chat", origin="https://app.example") as ana:
            assert await ana.call("push", "x") == "x"
        with pytest.raises(Refused):
            async with opened(f"{url.ws}/chat", origin="http://app.example"):
                pytest.fail("it must not open")
    async with (
        serve(chat(Notes(), settings=Settings(origins=("*",)))) as url,
        opened(f"{url.ws}/chat", origin="https://evil.example") as ana,
    ):
        assert await ana.call("push", "x") == "x"


async def test_cookies_come_with_an_origin_or_not_at_all(door: Door) -> None:
    async with door.serve(chat(Notes())) as url:
        headers = {"Cookie": "session=ana; theme=dark"}
        async with door.opened(f"{url.ws}/chat", origin=str(url), headers=headers) as ana:
            assert await ana.call("cookies") == {"session": "ana", "theme": "dark"}
        with pytest.raises(Refused, match="cookies without an Origin") as refused:
            async with door.opened(f"{url.ws}/chat", headers=headers):
                pytest.fail("it must not open")
        assert refused.value.status == 403


async def test_sub_protocols_are_negotiated(door: Door) -> None:
    async with door.serve(chat(Notes())) as url:
        wanted = ["graphql", "plain.msgpack"]
        async with door.opened(f"{url.ws}/chat", subprotocols=wanted) as ana:
            assert ana.socket.subprotocol == "plain.msgpack"
            assert await ana.call("push", "x") == "x"
            await ana.send({"event": "nothing", "id": 1})
            assert isinstance(await ana.socket.recv(), bytes)
        async with door.opened(f"{url.ws}/chat") as ana:
            assert ana.socket.subprotocol is None
        with pytest.raises(Refused) as refused:
            async with door.opened(f"{url.ws}/chat", subprotocols=["graphql"]):
                pytest.fail("it must not open")
        assert refused.value.status == 400


async def test_a_client_that_leaves_while_it_is_let_in_leaves_nothing_behind(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    notes = Notes()
    app = chat(notes)
    async with door.serve(app) as url:
        host, port = str(url).removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"GET /chat?guard=slow HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        dispatcher = app._dispatcher
        assert dispatcher is not None
        await until(lambda: len(dispatcher._tasks) == 1)
        writer.transport.abort()
        for _ in range(20):
            await asyncio.sleep(0)
        notes.gate.set()
        await until(lambda: not dispatcher._tasks)
        assert len(app) == 0
        async with door.opened(f"{url.ws}/chat") as ana:
            assert await ana.call("push", "x") == "x"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


# The end


async def test_the_clients_code_and_reason_reach_the_disconnect_hook(door: Door) -> None:
    notes = Notes()
    async with door.serve(chat(notes)) as url:
        async with door.opened(f"{url.ws}/chat") as ana:
            await ana.socket.close(3001, "gone fishing")
        async with door.opened(f"{url.ws}/chat") as ana:
            await ana.socket.close()
        await until(lambda: len(notes.left) == 2)
    (_, first), (_, second) = notes.left
    assert (first.code, first.text) == (3001, "gone fishing")
    assert second.code == 1000


async def test_an_abrupt_drop_is_a_disconnect_like_any_other(door: Door) -> None:
    notes = Notes()
    app = chat(notes)
    async with door.serve(app) as url, door.opened(f"{url.ws}/chat") as ana:
        async with door.opened(f"{url.ws}/chat") as ben:
            await ben.call("join", "lobby")
            await ben.send({"event": "forever", "id": 1})
            await ben.receive()
            ben.abort()
            await until(lambda: notes.left)
        assert notes.streams_closed == 1
        assert notes.left[0][1].code in {1005, 1006}
        await until(lambda: len(app) == 1)
        assert await app.emitter.of("/chat").to("lobby").count() == 0
        assert await ana.call("push", "x") == "x"


async def test_disconnect_says_goodbye_after_what_was_emitted(door: Door) -> None:
    notes = Notes()
    async with door.serve(chat(notes)) as url:
        async with door.opened(f"{url.ws}/chat") as ana:
            await ana.send({"event": "leave", "data": "é" * 200})
            assert (await ana.receive())["data"] == {"text": "last words"}
            code, reason = await ana.closed()
        # 123 bytes are all that a close frame carries; no character is cut in half.
        assert (code, reason) == (4500, "é" * 61)
        await until(lambda: notes.left)
    assert notes.left[0][1].code == 4500


async def test_a_message_too_large_closes_with_1009(door: Door) -> None:
    async with door.serve(chat(Notes())) as url, door.opened(f"{url.ws}/chat") as ana:
        assert len(await ana.call("push", "x" * 60_000)) == 60_000
        await ana.send({"event": "push", "data": "x" * 70_000, "id": 9})
        assert (await ana.closed())[0] == 1009


async def test_a_message_far_too_large_closes_with_1009(door: Door) -> None:
    async with (
        door.serve(chat(Notes()), ws_max_size=100_000) as url,
        door.opened(f"{url.ws}/chat") as ana,
    ):
        # The server may close before the last byte has left.
        with suppress(ConnectionClosed):
            await ana.send({"event": "push", "data": "x" * 500_000, "id": 9})
        assert (await ana.closed())[0] == 1009


async def test_text_that_is_not_utf8_closes_with_1007(door: Door) -> None:
    notes = Notes()
    async with door.serve(chat(notes)) as url, door.opened(f"{url.ws}/chat") as ana:
        await ana.socket.send(b'{"event":"push","data":"\xff\xfe"}', text=True)
        if "wsproto" in door.name:
            # uvicorn's wsproto class drops the socket without a goodbye.
            with pytest.raises(ConnectionClosed):
                await ana.receive()
        else:
            assert (await ana.closed())[0] == 1007
        await until(lambda: notes.left)


async def test_an_identity_that_expires_closes_with_4004(door: Door) -> None:
    async def briefly(handshake: Handshake) -> Identity[None]:
        return Identity("ana", None, datetime.now(UTC) + timedelta(milliseconds=10))

    async with (
        door.serve(chat(Notes(), authenticate=briefly)) as url,
        door.opened(f"{url.ws}/chat") as ana,
    ):
        assert await ana.closed() == (4004, "the identity has expired")


# Under way


async def test_answers_and_broadcasts_arrive_in_the_order_of_their_causes(door: Door) -> None:
    async with (
        door.serve(chat(Notes())) as url,
        door.opened(f"{url.ws}/chat") as ana,
        door.opened(f"{url.ws}/chat") as ben,
    ):
        for each in (ana, ben):
            await each.call("join", "lobby")
        for number in range(50):
            await ana.send({"event": "say", "data": ["lobby", str(number), 4], "id": number})
        expected = [f"{n} {i}" for n in range(50) for i in range(4)]
        frames = [await ana.receive() for _ in range(250)]
        assert [f["data"]["text"] for f in frames if "event" in f] == expected
        assert [f["id"] for f in frames if "id" in f] == list(range(50))
        assert [(await ben.receive())["data"]["text"] for _ in range(200)] == expected


async def test_a_stream_of_many_items_arrives_whole(door: Door) -> None:
    settings = Settings(outbox=4000)
    async with (
        door.serve(chat(Notes(), settings=settings)) as url,
        door.opened(f"{url.ws}/chat") as ana,
    ):
        await ana.send({"event": "count", "data": 2000, "id": 1})
        for number in range(2000):
            assert await ana.receive() == {"id": 1, "item": number}
        assert await ana.receive() == {"id": 1, "data": None}


async def test_a_fragmented_message_is_one_message(door: Door) -> None:
    async with door.serve(chat(Notes())) as url, door.opened(f"{url.ws}/chat") as ana:
        await ana.socket.send(['{"event":"pu', 'sh","id":1,"da', 'ta":"whole"}'])
        assert await ana.receive() == {"id": 1, "data": "whole"}


async def test_pings_are_answered_and_cancels_seen_while_a_handler_runs(door: Door) -> None:
    notes = Notes()
    async with door.serve(chat(notes)) as url, door.opened(f"{url.ws}/chat") as ana:
        await ana.send({"event": "wait", "id": 1})
        await (await ana.socket.ping())
        await ana.send({"event": "wait", "id": 2})
        await ana.send({"op": "cancel", "id": 2})
        assert (await ana.receive())["error"]["code"] == "cancelled"
        await ana.send({"op": "cancel", "id": 1})
        assert (await ana.receive())["id"] == 1
        assert await ana.call("push", "x") == "x"


async def test_answers_may_be_larger_than_messages_may(door: Door) -> None:
    async with door.serve(chat(Notes())) as url, door.opened(f"{url.ws}/chat") as ana:
        assert len(await ana.call("big", 700_000)) == 700_000


async def test_both_formats_meet_in_a_room(door: Door) -> None:
    async with (
        door.serve(chat(Notes())) as url,
        door.opened(f"{url.ws}/chat") as ana,
        door.opened(f"{url.ws}/chat", subprotocols=["plain.msgpack"]) as ben,
    ):
        for each in (ana, ben):
            await each.call("join", "lobby")
        await ana.send({"event": "say", "data": ["lobby", "hi"]})
        for each in (ana, ben):
            assert await each.receive() == {"event": "said", "data": {"text": "hi 0"}}


async def test_a_client_that_stops_reading_is_dropped_and_nobody_waits_for_it(door: Door) -> None:
    notes = Notes()
    settings = Settings(stall=0.2, outbox=10_000)
    app = chat(notes, settings=settings)
    async with door.serve(app) as url, door.opened(f"{url.ws}/chat?name=ana") as ana:
        address = str(url).removeprefix("http://").split(":")
        reader, writer = await raw_client(address[0], int(address[1]), "/chat?name=deaf")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await until(lambda: len(app) == 2)
        emitter = app.emitter.of("/chat")
        await ana.call("join", "readers")
        text = "".join(chr(33 + n * n % 90) for n in range(9000))
        while not notes.left:
            await emitter.except_("readers").emit(Said(text))
            await asyncio.sleep(0)
        assert [name for name, _ in notes.left] == ["deaf"]
        assert await ana.call("push", "x") == "x"
        await until(lambda: len(app) == 1)
        writer.transport.abort()
        del reader


async def raw_client(
    host: str, port: int, path: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A socket with a small buffer that has been let in and reads no further."""
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (host, port))
    reader, writer = await asyncio.open_connection(sock=raw)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    assert b"101" in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def test_many_connections_come_talk_and_go(door: Door) -> None:
    notes = Notes()
    app = chat(notes)
    async with door.serve(app) as url:

        async def visit(number: int) -> None:
            async with door.opened(f"{url.ws}/chat?name={number}") as one:
                await one.call("join", "lobby")
                assert await one.call("who") == str(number)
                if number % 2:
                    one.abort()

        await asyncio.gather(*(visit(number) for number in range(40)))
        await until(lambda: len(notes.left) == 40 and len(app) == 0)
        assert await app.emitter.of("/chat").to("lobby").count() == 0


async def test_msgspec_reads_what_travels() -> None:
    # The bytes on the wire are the frames of the protocol, nothing around them.
    async with serve(chat(Notes())) as url, connect(f"{url.ws}/chat") as socket:
        await socket.send('{"event":"push","data":"x","id":1}')
        message = await socket.recv()
        assert isinstance(message, str)
        assert msgspec.json.decode(message) == {"id": 1, "data": "x"}
