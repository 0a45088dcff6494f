"""Clients of the Socket.IO door who mean no good."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncGenerator

import pytest
from starlette.types import Message

from gatewright import (
    Connection,
    Emitter,
    Event,
    EventError,
    Gatewright,
    Handshake,
    Settings,
    gateway,
    on,
    on_connect,
)
from gatewright.transports.socketio import SocketIO
from tests._support.server import serve
from tests.transports.socketio.app import Running, running, until
from tests.transports.socketio.clients import Client, Closed, Poller, Socket
from tests.transports.socketio.requests import request, start

pytestmark = pytest.mark.anyio


class Ask(Event, event="ask"):
    what: str


class Told(Event, event="told"):
    secret: str


def guarded(handshake: Handshake) -> None:
    if handshake.auth != {"token": "right"}:
        raise EventError("unauthenticated", "no")


@gateway("/secret/{who}", emits=[Told], guards=[guarded])
class Secrets:
    @on("tell")
    async def tell(self, emitter: Emitter) -> None:
        await emitter.emit(Told("only here"))


@gateway("/", emits=[Ask])
class Asking:
    def __init__(self) -> None:
        self.answers: list[str] = []

    @on("ask me")
    async def ask_me(self, connection: Connection) -> str:
        return await connection.call(Ask("who"), str, timeout=5)

    @on("room")
    async def room(self, connection: Connection, name: str) -> None:
        await connection.join(name)

    @on("are you there")
    async def there(self) -> str:
        return "yes"


@pytest.fixture(scope="module")
async def url() -> AsyncGenerator[str]:
    async with serve(Gatewright([Asking, Secrets])) as address:
        yield address


@pytest.fixture(scope="module")
async def app() -> AsyncGenerator[Running]:
    async with running() as started:
        yield started


async def opened(url: str) -> Socket:
    client = await Socket.open(url)
    await client.join()
    return client


async def test_nobody_answers_for_somebody_else(url: str) -> None:
    ana, eve = await opened(url), await opened(url)
    await ana.send('421["ask me"]')
    packet = str(await ana.receive())
    id = int(packet[2 : packet.index("[")])
    await eve.send(f'43{id}["eve"]', *(f'43{number}["eve"]' for number in range(20)))
    assert await eve.call("are you there") == ["yes"]
    await ana.send(f'43{id}["ana"]')
    assert await ana.receive() == '431["ana"]'
    # A second answer is nobody's.
    await ana.send(f'43{id}["again"]')
    assert await ana.call("are you there") == ["yes"]
    ana.abort()
    eve.abort()


async def test_nobody_takes_the_room_of_somebody_else(url: str) -> None:
    ana = await Socket.open(url)
    sid = (await ana.join())["sid"]
    eve = await opened(url)
    (error,) = await eve.call("room", sid)
    assert error["code"] in {"invalid", "forbidden"}
    # The transport's session id is no room of anybody.
    assert await eve.call("room", ana.sid) == [None]
    ana.abort()
    eve.abort()


async def test_a_namespace_is_guarded_whatever_else_was_joined(url: str) -> None:
    eve = await opened(url)
    for packet in ("40/secret/ana,", '40/secret/ana,{"token":["right"]}'):
        await eve.send(packet)
        assert str(await eve.receive()).startswith("44/secret/ana,")
    await eve.send('42/secret/ana,["tell"]')
    assert await eve.call("are you there") == ["yes"]
    await eve.send('42/secret/ben,["tell"]')
    assert await eve.closed() == 1002


@pytest.mark.parametrize(
    "name", ["__proto__", "constructor", "a/../b", "..", "%2e%2e", "a%2Fb", "a,b", "a\x00", "~x"]
)
async def test_odd_names_of_namespaces_are_one_s_own(url: str, name: str) -> None:
    ana, eve = await opened(url), await opened(url)
    await ana.send('40/secret/ana,{"token":"right"}')
    assert str(await ana.receive()).startswith("40/secret/ana,")
    await eve.send(f'40/secret/{name},{{"token":"right"}}')
    answer = await told(eve)
    if answer.startswith("40"):
        await eve.send(f'42/secret/{name},["tell"]')
        assert (await told(eve)).startswith(f"42/secret/{name},")
    else:
        assert answer[:2] in {"44", "no"}
    # Ana has heard nothing of it: her answer is the next that she gets.
    assert await ana.call("are you there") == ["yes"]
    ana.abort()
    eve.abort()


async def told(client: Client) -> str:
    """The next packet, or that there is none any more."""
    try:
        return str(await client.receive())
    except Closed:
        return "no more"


async def test_names_that_nobody_serves_leave_nothing_behind() -> None:
    """Sent back with the refusal and then forgotten, or too long to be one."""
    async with running() as app:
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            for number in range(3):
                await name_much(app.url, number)
            await until(lambda: app.sessions == 0)
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert after - before < 8_000_000


async def name_much(url: str, number: int) -> None:
    client = await Socket.open(url)
    for second in range(10):
        await client.send(f"40/{number}/{second}/{'x' * 900},")
        assert (await client.receive())[:2] == "44"
    await client.send(f"40/{number}/{'x' * 900_000},")
    assert await client.closed() == 1002


@pytest.mark.parametrize(
    "query",
    [
        "EIO=4&transport=polling&sid=%00",
        "EIO=4&transport=polling&sid=__proto__",
        "EIO=4&transport=polling&sid=%ff%fe",
        "EIO=4&transport=polling&sid=" + "x" * 10_000,
        "EIO=4&transport=polling&sid=a&sid=b",
        "EIO=4&transport=__proto__",
        "EIO=4&transport=",
        "EIO=4&transport=polling%00",
        "EIO=4&EIO=3&transport=polling",
        "EIO=%ff&transport=polling",
        "EIO[]=4&transport[]=polling",
        "&&&===&%",
        "",
    ],
)
async def test_odd_queries_are_refused(app: Running, query: str) -> None:
    sessions = set(app.engine.sockets)
    for method in ("GET", "POST"):
        reply = await request(app.url, f"/socket.io/?{query}", method)
        assert reply.status == 400
        assert set(reply.json) == {"code", "message"}
    assert set(app.engine.sockets) <= sessions


async def test_a_session_id_is_no_key_to_more_than_its_session(app: Running) -> None:
    """Who knows it can speak in its name, as with every Socket.IO server; no one learns it."""
    ana = await Poller.open(app.url)
    body = await ana.join()
    said = json.dumps([body, await ana.call("echo", "x")])
    assert ana.sid not in said
    eve = await Poller.open(app.url)
    await eve.join()
    await eve.send('421["join","room"]')
    assert ana.sid not in str(await eve.receive())
    for each in (ana, eve):
        await each.send("1")


async def test_requests_that_dribble_in_are_read_to_their_end() -> None:
    async with running(SocketIO(ping_interval=0.05, ping_timeout=0.1)) as app:
        client = await Poller.open(app.url)
        await client.join()
        body = b'421["echo",1]'
        reader, writer = await _dribble(app.url, client, body)
        # One byte is no sign of life, and the session does not wait for the rest.
        await until(lambda: app.sessions == 0)
        writer.write(body[-1:])
        assert b" 200 " in await reader.readline()
        writer.transport.abort()
        await until(lambda: len(app.story.went) == 1)


async def _dribble(
    url: str, client: Client, body: bytes
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    target = client.target("polling", sid=client.sid)
    reader, writer = await start(url, target, "POST", body=body[:1], length=len(body))
    for each in body[1:-1]:
        writer.write(bytes([each]))
        await writer.drain()
    return reader, writer


async def test_events_while_the_hook_still_decides_reach_no_handler_if_it_refuses() -> None:
    handled: list[str] = []
    gate = asyncio.Event()

    @gateway("/")
    class Doubting:
        @on_connect
        async def decide(self) -> None:
            await gate.wait()
            raise EventError("forbidden", "after all not")

        @on("steal")
        async def steal(self) -> None:
            handled.append("stolen")

    app = Gatewright([Doubting])
    async with serve(app) as url:
        eve = await Socket.open(url)
        await eve.send("40")
        await until(lambda: len(app) == 1)
        await eve.send('42["steal"]', '421["steal"]')
        gate.set()
        packets = [str(await eve.receive())]
        assert packets[0].startswith("44")
        assert "after all not" in packets[0]
        await until(lambda: len(app) == 0)
        # It is out: what it sends now goes nowhere.
        await eve.send('422["steal"]')
        eve.abort()
    assert handled == []


async def test_a_server_that_cannot_say_no_in_words_says_no() -> None:
    """Without the extension for denials a WebSocket is refused by a close before the accept."""
    app = Gatewright([Asking], settings=Settings())
    sent: list[Message] = []
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    incoming.put_nowait({"type": "websocket.connect"})

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/socket.io/",
        "headers": [],
        "query_string": b"EIO=3&transport=websocket",
        "subprotocols": [],
        "raw_path": b"/socket.io/",
    }
    async with app.run():
        await app(scope, incoming.get, send)
    assert [each["type"] for each in sent] == ["websocket.close"]


async def test_a_websocket_that_leaves_before_it_is_accepted_was_never_there() -> None:
    app = Gatewright([Asking])
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    for kind in ("websocket.connect", "websocket.disconnect"):
        incoming.put_nowait({"type": kind, "code": 1006})

    async def send(message: Message) -> None:
        raise OSError("gone")

    scope = {
        "type": "websocket",
        "path": "/socket.io/",
        "headers": [],
        "query_string": b"EIO=4&transport=websocket",
        "subprotocols": [],
        "raw_path": b"/socket.io/",
    }
    async with app.run():
        await app(scope, incoming.get, send)
        assert app._engine is not None
        assert not app._engine.sockets


async def test_a_socket_that_dies_in_the_middle_of_its_upgrade_ends_the_session() -> None:
    """Its server raises at the first frame that waited for a poll."""
    story: list[str] = []

    @gateway("/")
    class Seen:
        @on_connect
        async def connected(self) -> None:
            story.append("came")

    app = Gatewright([Seen])
    async with app.run():
        engine = app._engine
        assert engine is not None
        session = engine.open(Handshake(namespace="/socket.io/"))
        session.receive("40")
        await until(lambda: len(app) == 1)
        incoming: asyncio.Queue[Message] = asyncio.Queue()
        incoming.put_nowait({"type": "websocket.connect"})
        for text in ("2probe", "5"):
            incoming.put_nowait({"type": "websocket.receive", "text": text})

        async def send(message: Message) -> None:
            if message["type"] == "websocket.send" and message["text"] != "3probe":
                raise OSError("gone")

        scope = {
            "type": "websocket",
            "path": "/socket.io/",
            "headers": [],
            "query_string": f"EIO=4&transport=websocket&sid={session.id}".encode(),
            "subprotocols": [],
            "raw_path": b"/socket.io/",
        }
        await app(scope, incoming.get, send)
        assert session.closed
        assert not engine.sockets
        await until(lambda: len(app) == 0)
    assert story == ["came"]
