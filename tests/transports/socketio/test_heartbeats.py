"""Who is silent is gone; who is merely busy, or kept busy, is not."""

import asyncio

import pytest

from gatewright import DisconnectReason, Handshake
from gatewright.flusher import Flusher
from gatewright.liveness import Wheel
from gatewright.transports.socketio import SocketIO
from gatewright.transports.socketio.engine import Engine, EngineSocket
from tests._support.clock import ManualLoop
from tests._support.sockets import ScriptedLink
from tests.transports.socketio.app import running, until
from tests.transports.socketio.clients import Client, Closed, Poller, Socket, Transport

pytestmark = pytest.mark.anyio

BRISK = SocketIO(ping_interval=0.05, ping_timeout=0.05)


async def passes(seconds: float) -> None:
    """Let some of the server's heartbeats pass: it is their number that these tests are about."""
    loop = asyncio.get_running_loop()
    passed = loop.create_future()
    loop.call_later(seconds, passed.set_result, None)
    await passed


async def unanswered(client: Client) -> None:
    """Take what comes and say nothing."""
    while True:
        await client.next()


async def test_pings_come_as_long_as_they_are_answered(transport: Transport) -> None:
    config = SocketIO(ping_interval=0.02, ping_timeout=10)
    async with running(config) as app, transport.opened(app.url) as client:
        await client.join()
        for _ in range(5):
            assert await client.next() == "2"
            await client.send("3")
        assert not app.story.went


async def test_a_client_that_answers_no_ping_is_lost(transport: Transport) -> None:
    async with running(BRISK) as app, transport.opened(app.url) as client:
        await client.join()
        await until(lambda: app.sessions == 0)
        await until(lambda: app.story.went)
        assert [each.text for each in app.story.reasons] == ["ping timeout"]
        with pytest.raises(Closed):
            await unanswered(client)


async def test_a_client_that_never_joined_is_lost_as_well(transport: Transport) -> None:
    async with running(BRISK) as app, transport.opened(app.url):
        assert app.sessions == 1
        await until(lambda: app.sessions == 0)


async def test_whatever_a_client_sends_is_a_sign_of_life(transport: Transport) -> None:
    config = SocketIO(ping_interval=0.05, ping_timeout=0.25)
    async with running(config) as app, transport.opened(app.url) as client:
        await client.join()
        for number in range(25):
            # No pong among it.
            await client.send(f'42["note",{number}]')
            await passes(0.015)
        assert app.story.notes == list(range(25))
        assert not app.story.went
        # Silence is still found.
        await until(lambda: app.story.went)


async def test_a_poll_alone_is_no_sign_of_life() -> None:
    """A connection that some proxy holds open says nothing about who is behind it."""
    async with running(BRISK) as app:
        client = await Poller.open(app.url)
        await client.join()
        with pytest.raises(Closed) as caught:
            await unanswered(client)
        assert caught.value.code in {200, 400}
        await until(lambda: app.sessions == 0)


async def test_a_busy_handler_is_no_dead_client(transport: Transport) -> None:
    """The inbox is full, nothing is read, and so no pong is seen: that is our silence."""
    config = SocketIO(ping_interval=0.03, ping_timeout=0.03)
    async with (
        running(config, inbox=2, finish_timeout=5) as app,
        transport.opened(app.url) as client,
    ):
        await client.join()
        packets = [f'42["note",{number}]' for number in range(10)]
        sending = asyncio.create_task(client.send('42["wait"]', *packets))
        session = app.session(client)
        await until(lambda: not session.heart.reading)
        await passes(0.3)
        assert not app.story.went
        app.story.gate.set()
        await until(lambda: len(app.story.notes) == 10)
        assert app.story.notes == list(range(10))
        await asyncio.wait([sending])


async def test_a_slow_handler_holds_no_heartbeat_up(transport: Transport) -> None:
    config = SocketIO(ping_interval=0.03, ping_timeout=5)
    async with running(config) as app, transport.opened(app.url) as client:
        await client.join()
        await client.send('421["wait"]')
        for _ in range(4):
            assert await client.next() == "2"
            await client.send("3")
        app.story.gate.set()
        assert await client.receive() == '431["done"]'


async def test_pongs_that_nobody_asked_for_harm_nobody(transport: Transport) -> None:
    async with running() as app, transport.opened(app.url) as client:
        await client.join()
        await client.send(*["3"] * 500, "3probe", "3 anything")
        assert await client.call("echo", 1) == [1]


async def test_a_noop_of_the_client_is_one(transport: Transport) -> None:
    async with running() as app, transport.opened(app.url) as client:
        await client.join()
        await client.send("6", "6x")
        assert await client.call("echo", 1) == [1]


async def test_a_websocket_that_vanished_is_dropped() -> None:
    """Nobody closes it for us: its end is the server's to make."""
    async with running(BRISK) as app:
        client = await Socket.open(app.url)
        await client.join()
        # As a phone without network: its kernel answers, nobody reads.
        client.socket.transport.pause_reading()
        await until(lambda: app.story.went)
        await until(lambda: not app.app._dispatcher._tasks)  # type: ignore[union-attr]
        client.abort()


class Marks:
    """What is told of heartbeats, in order."""

    def __init__(self, socket: EngineSocket) -> None:
        self.told: list[str] = []

    def message(self, message: str | bytes, start: int) -> None:
        return None

    def pinged(self) -> None:
        self.told.append("pinged")

    def ponged(self) -> None:
        self.told.append("ponged")

    def lost(self, reason: DisconnectReason) -> None:
        self.told.append(reason.text)


def test_a_late_answer_confirms_no_later_ping() -> None:
    """What a pong confirms was queued before the very ping that it answers."""
    loop = ManualLoop()
    config = SocketIO(ping_interval=1, ping_timeout=8)

    async def opened() -> tuple[Engine, Marks, EngineSocket]:
        engine = Engine(config, Flusher(10), Wheel(), 100_000, Marks)
        socket = engine.open(Handshake(namespace="/"), ScriptedLink(immediate=True))
        assert isinstance(socket._receiver, Marks)
        return engine, socket._receiver, socket

    async def hear(socket: EngineSocket, *packets: str) -> None:
        for packet in packets:
            socket.receive(packet)

    engine, marks, socket = loop.run(opened())
    loop.advance(3.5, step=0.125)
    assert marks.told == ["pinged"]
    # To the first of three pings.
    loop.run(hear(socket, "3"))
    assert marks.told == ["pinged", "ponged"]
    loop.advance(1.25, step=0.125)
    assert marks.told == ["pinged", "ponged", "pinged"]
    loop.run(hear(socket, "3", "3"))
    assert marks.told == ["pinged", "ponged", "pinged"]
    loop.run(hear(socket, "3", "3", "3"))
    assert marks.told == ["pinged", "ponged", "pinged", "ponged"]
    loop.advance(20, step=0.125)
    assert marks.told[-1] == "ping timeout"
    assert not engine.sockets
    loop.close()
