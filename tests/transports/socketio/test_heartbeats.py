"""Who is silent is gone; who is merely busy, or kept busy, is not."""

import asyncio

import pytest

from gatewright.transports.socketio import SocketIO
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
        await until(lambda: not session.reading)
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
