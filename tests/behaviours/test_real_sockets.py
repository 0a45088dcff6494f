"""Over real sockets: what NestJS tests end to end, and what is said once it is open."""

import asyncio
import socket as sockets
from contextlib import AsyncExitStack

import httpx2
import msgspec
import pytest
from websockets.asyncio.client import connect

from gatewright import EventError, Settings
from gatewright.testing import Refused
from tests._support.server import serve
from tests.behaviours.chat import Door, Notes, Said, Visitor, chat
from tests.behaviours.support import until
from tests.behaviours.wire import Wire

pytestmark = pytest.mark.anyio


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
