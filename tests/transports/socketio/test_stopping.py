"""A server that stops: with polls that wait, upgrades under way and handlers at work."""

import asyncio

import pytest

from gatewright.transports.socketio import SocketIO
from tests._support.server import serve
from tests.transports.socketio.app import Running, Story, make, running, until
from tests.transports.socketio.clients import Closed, Poller, Socket, Transport
from tests.transports.socketio.requests import Reply, request

pytestmark = pytest.mark.anyio


async def waiting(client: Poller, app: Running) -> "asyncio.Task[Reply]":
    polling = asyncio.create_task(client.poll())
    session = app.session(client)
    await until(lambda: session.polling is not None and session.polling.pending)
    return polling


async def test_hooks_are_awaited_and_everybody_is_told(transport: Transport) -> None:
    async with running() as app:
        clients = [await transport.open(app.url) for _ in range(5)]
        for client in clients:
            await client.join()
            await client.join("/lab/1")
        ends = [asyncio.create_task(client.closed()) for client in clients]
        await asyncio.sleep(0)
        story = app.story
    # The server has stopped.
    assert len(story.went) == 10
    assert sorted(story.went) == sorted(story.came)
    for end in ends:
        try:
            assert await end in {200, 400, 503, 1005, 1006, 1012}
        except OSError:
            # It polled once more, and nobody listens any more.
            continue


async def test_a_poll_that_waits_learns_that_the_server_stops() -> None:
    async with running() as app:
        client = await Poller.open(app.url)
        await client.join()
        polling = await waiting(client, app)
        app.engine.stop()
        reply = await polling
        assert (reply.status, reply.text) == (200, "1")
        await until(lambda: app.sessions == 0)
        await until(lambda: app.story.went == app.story.came)
        assert [reason.text for reason in app.story.reasons] == ["server shutting down"]


async def test_no_session_begins_where_everything_ends() -> None:
    story = Story()
    realtime = make(story)
    async with serve(realtime) as url:
        engine = realtime._engine
        assert engine is not None
        realtime._forget()
        target = "/socket.io/?EIO=4&transport=polling"
        reply = await request(url, target)
        assert reply.status == 503
        assert not engine.sockets


async def test_an_upgrade_under_way_does_not_hold_the_server_up() -> None:
    loop = asyncio.get_running_loop()
    async with running(SocketIO(upgrade_timeout=3600)) as app:
        client = await Poller.open(app.url)
        await client.join()
        socket = await Socket.dial(app.url, f"/socket.io/?sid={client.sid}")
        await socket.send("2probe")
        assert await socket.next() == "3probe"
        idle = await Socket.dial(app.url, f"/socket.io/?sid={(await Poller.open(app.url)).sid}")
        start = loop.time()
    # Far less than the probe would have had.
    assert loop.time() - start < 60
    assert await socket.closed()
    assert await idle.closed()
    assert app.story.went == app.story.came


async def test_handlers_and_hooks_have_their_time_and_no_more(transport: Transport) -> None:
    loop = asyncio.get_running_loop()
    async with running(finish_timeout=0.2) as app:
        client = await transport.open(app.url)
        await client.join()
        await client.send('42["wait"]')
        await client.send("40/slow,")
        await until(lambda: app.story.waiting == 2)
        start = loop.time()
    assert loop.time() - start < 30
    assert app.story.waiting == 0
    assert len(app.story.went) == 1
    if isinstance(client, Socket):
        client.abort()


async def test_a_handler_that_ends_in_time_is_awaited(transport: Transport) -> None:
    async with running() as app:
        client = await transport.open(app.url)
        await client.join()
        await client.send('42["wait"]', '42["note",1]')
        await until(lambda: app.story.waiting)
        asyncio.get_running_loop().call_later(0.1, app.story.gate.set)
    # What had been received was handled to its end.
    assert app.story.notes == [1]
    assert app.story.went == app.story.came
    if isinstance(client, Socket):
        client.abort()


@pytest.mark.parametrize(
    "ws", ["websockets-sansio", "wsproto", "gatewright.server:WebSocketProtocol"]
)
async def test_a_crowd_that_does_not_answer_is_cut(ws: str) -> None:
    async with running(ws=ws, finish_timeout=0.2) as app:
        clients = [await Socket.open(app.url) for _ in range(20)]
        for client in clients:
            await client.join()
            client.socket.transport.pause_reading()
    assert sorted(app.story.went) == sorted(app.story.came)
    assert len(app.story.went) == 20
    for client in clients:
        client.abort()


async def test_the_application_starts_again_as_if_nothing_had_been(transport: Transport) -> None:
    story = Story()
    realtime = make(story)
    for number in range(1, 3):
        async with serve(realtime) as url:
            client = await transport.open(url)
            await client.join()
            assert await client.call("echo", number) == [number]
        assert len(story.went) == number
        if isinstance(client, Socket):
            client.abort()
        else:
            with pytest.raises((Closed, OSError)):
                await client.receive()
