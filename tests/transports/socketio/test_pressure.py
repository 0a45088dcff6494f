"""Clients that come in crowds, do not read, do not poll, or never say a word."""

import asyncio
from typing import Any

import pytest

from gatewright.settings import Rate
from gatewright.transports.socketio import SocketIO
from gatewright.transports.socketio.client import Client as ServerClient
from gatewright.transports.socketio.engine import EngineSocket
from tests._support.raw import RawClient
from tests._support.remains import nothing_remains
from tests.transports.socketio.app import Number, Running, running, until
from tests.transports.socketio.clients import Poller, Socket, Transport
from tests.transports.socketio.requests import start

pytestmark = pytest.mark.anyio


def timers() -> list[Any]:
    """What sessions still wait for."""
    handles: list[asyncio.TimerHandle] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    found = [getattr(each._callback, "__self__", None) for each in handles if not each.cancelled()]  # type: ignore[attr-defined]
    return [each for each in found if isinstance(each, EngineSocket | ServerClient)]


async def held(session: EngineSocket) -> None:
    """Wait until the server waits for the rest of a request, or for something to answer it with."""
    polling = session.polling
    assert polling is not None
    await until(lambda: polling.pending or polling.posting)


async def empty(app: Running, before: "set[asyncio.Task[Any]]") -> None:
    """Nothing is left of anybody."""
    await until(lambda: app.sessions == 0)
    assert await nothing_remains(app.app, before) == {}
    assert timers() == []
    assert sorted(app.story.came) == sorted(app.story.went)


async def test_sessions_that_never_join_are_sent_away(transport: Transport) -> None:
    config = SocketIO(connect_timeout=0.5, ping_interval=60, ping_timeout=0.2)
    async with running(config, accept_rate=None, stall=1) as app:
        before = asyncio.all_tasks()
        at_once = asyncio.Semaphore(50)

        async def come() -> RawClient | None:
            async with at_once:
                if transport.name == "polling":
                    await Poller.open(app.url)
                    return None
                return await RawClient.open(app.url, "/socket.io/?EIO=4&transport=websocket")

        clients = await asyncio.gather(*(come() for _ in range(500)))
        await until(lambda: app.sessions == 0)
        for client in clients:
            if client is not None:
                # It was told to go, and goes.
                while (await client.receive())[0] != 8:
                    pass
                client.close()
        await empty(app, before)


async def test_polls_that_were_only_half_sent_hold_nobody_up() -> None:
    async with running(SocketIO(ping_timeout=0.05), stall=0.1) as app:
        before = asyncio.all_tasks()
        writers: list[asyncio.StreamWriter] = []
        for number in range(30):
            client = await Poller.open(app.url)
            await client.join()
            target = client.target("polling", sid=client.sid)
            method = "POST" if number % 2 else "GET"
            length = 1000 if number % 2 else None
            _, writer = await start(
                app.url, target, method, body=b"4" * (number % 2), length=length
            )
            writers.append(writer)
            await held(app.session(client))
        assert app.sessions == 30
        for writer in writers:
            writer.transport.abort()
        await empty(app, before)


# Outboxes


@pytest.mark.parametrize("ws", ["websockets-sansio", "wsproto"])
async def test_a_websocket_that_does_not_read_is_aborted(ws: str) -> None:
    async with running(ws=ws, outbox=20_000_000, stall=0.2, finish_timeout=1) as app:
        before = asyncio.all_tasks()
        async with RawClient.connect(app.url, "/socket.io/?EIO=4&transport=websocket") as raw:
            await raw.send("40")
            await until(lambda: app.story.came)
            while not app.story.went:
                await app.app.emitter.of("/").emit(Number(1, "x" * 50_000))
                await asyncio.sleep(0.001)
            await raw.until_reset()
        await empty(app, before)


async def test_a_client_that_does_not_poll_is_let_go_of() -> None:
    """It still posts, so that its heart beats: the outbox decides."""
    config = SocketIO(ping_interval=0.05, ping_timeout=0.05)
    async with running(config, outbox=100_000, stall=0.2) as app:
        before = asyncio.all_tasks()
        client = await Poller.open(app.url)
        await client.join()
        for number in range(30):
            await app.app.emitter.of("/").emit(Number(number, "x" * 30_000))
        async with asyncio.timeout(5):
            while app.sessions:
                await client.post("6")
                await asyncio.sleep(0.01)
        assert (await client.poll()).status == 400
        await empty(app, before)


async def test_a_client_that_polls_too_late_gets_its_goodbye() -> None:
    async with running(outbox=100_000, stall=0.5) as app:
        before = asyncio.all_tasks()
        client = await Poller.open(app.url)
        await client.join()
        for number in range(30):
            await app.app.emitter.of("/").emit(Number(number, "x" * 30_000))
        assert await client.closed() == 200
        await until(lambda: app.story.went)
        await empty(app, before)


async def test_a_client_that_polls_slowly_gets_everything() -> None:
    """More than one poll takes, and more than an outbox holds at a time."""
    async with running(outbox=400_000) as app:
        client = await Poller.open(app.url)
        await client.join()
        for number in range(100):
            await app.app.emitter.of("/").emit(Number(number, "x" * 10_000))
            if number % 20 == 19:
                got = [str(await client.receive()) for _ in range(20)]
                assert got[0].startswith(f'42["number",{number - 19},')
        assert not app.story.went


async def test_what_is_sent_before_connect_has_its_limit(transport: Transport) -> None:
    """The hook waits at the gate, and meanwhile its room is flooded."""
    async with running(outbox=50_000) as app, transport.opened(app.url) as client:
        await client.send("40/slow,")
        await until(lambda: app.story.waiting)
        dispatcher = app.app._dispatcher
        assert dispatcher is not None
        (session,) = dispatcher._sessions
        frame = session.connection.codec.event("/slow", "big", "x" * 30_000, None)
        for _ in range(3):
            session.connection.outbox.push(frame)
        assert await client.closed() in {200, 4002}
        app.story.gate.set()
        await until(lambda: len(app.app) == 0)


async def test_a_handler_that_is_busy_stops_the_reading(transport: Transport) -> None:
    async with running(inbox=5) as app, transport.opened(app.url) as client:
        await client.join()
        flood = asyncio.create_task(
            client.send('42["wait"]', *(f'42["note",{number}]' for number in range(300)))
        )
        session = app.session(client)
        await until(lambda: not session.heart.reading)
        assert app.story.notes == []
        app.story.gate.set()
        await until(lambda: len(app.story.notes) == 300)
        assert app.story.notes == list(range(300))
        await flood


async def test_the_rate_of_messages_has_its_limit(transport: Transport) -> None:
    rate = Rate(per_second=0.001, burst=100)
    async with running(rate=rate, max_violations=20) as app, transport.opened(app.url) as client:
        await client.join()
        await client.send(*(['42["nobody"]'] * 150))
        refused = 0
        while (packet := await client.receive()) != "41":
            refused += '"code":"too_many"' in str(packet)
        assert refused == 20
        await until(lambda: app.story.went)
        assert app.sessions == 1


async def test_a_crowd_comes_and_goes(transport: Transport) -> None:
    async with running(accept_rate=None, finish_timeout=1, stall=0.1) as app:
        before = asyncio.all_tasks()
        for _ in range(3):
            clients = await asyncio.gather(*(transport.open(app.url) for _ in range(40)))
            await asyncio.gather(*(each.join() for each in clients))
            await asyncio.gather(*(each.call("join", "crowd") for each in clients))
            assert len(app.app) == 40
            await app.app.emitter.of("/").to("crowd").emit(Number(1))
            for each in clients:
                if isinstance(each, Socket):
                    each.abort()
                else:
                    await each.send("1")
                    # The last one of a client that says goodbye.
                    await each.closed()
            await empty(app, before)
