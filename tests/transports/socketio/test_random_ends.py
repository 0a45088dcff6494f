"""Sessions that end at any moment and in any way: hooks pair up, and nothing is left."""

import asyncio
import logging
import random
from collections.abc import Coroutine
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from gatewright.transports.socketio import SocketIO, engine
from gatewright.transports.websocket import NOT_STARTED
from tests._support.remains import journal
from tests._support.server import serve
from tests.transports.socketio.app import Number, Running, Story, make, running, until
from tests.transports.socketio.clients import Client, Closed, Poller, Socket
from tests.transports.socketio.requests import start
from tests.transports.socketio.test_pressure import empty, timers

pytestmark = pytest.mark.anyio

ROUNDS = 40
AT_ONCE = 12

PACKETS: list[list[str | bytes]] = [
    ["40"],
    ["40/lab/1,"],
    ["40/slow,"],
    ["40/guarded,"],
    ['40/guarded,{"token":"right"}'],
    ["40/nowhere,"],
    ["41"],
    ["41/lab/1,"],
    ['421["join","crowd"]'],
    ['42["wait"]'],
    ['422["wait"]'],
    ['423["stream",50]'],
    ['42["count",40,2000]'],
    ['42["leave"]'],
    ['424["bytes",3]'],
    ['451-["note",{"_placeholder":true,"num":0}]', b"x"],
    ['451-["note",{"_placeholder":true,"num":0}]'],
    ["3", "6"],
    ["1"],
    ["nonsense"],
]


@pytest.fixture(autouse=True)
def _nobody_waits_for_a_last_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that has said goodbye is remembered for a moment, which these do not need."""
    monkeypatch.setattr(engine, "LAST_POLL", 0.05)


class Guest:
    """One client that does anything, and then is gone."""

    def __init__(self, app: Running, rng: random.Random) -> None:
        self.app = app
        self.rng = rng
        self.tasks: set[asyncio.Task[Any]] = set()

    def beside(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Do something while other things go on; how it ends does not matter."""
        task = asyncio.create_task(self.whatever(coroutine))
        self.tasks.add(task)

    async def whatever(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        try:
            await coroutine
        except (Closed, OSError, EOFError, AssertionError, ValueError, IndexError):
            # Refused, closed or cut: all of it may be.
            pass
        except Exception as error:
            # What the clients' library calls a socket that is gone.
            if type(error).__module__.partition(".")[0] != "websockets":
                raise

    async def come(self) -> None:
        client: Client
        kind = Poller if self.rng.random() < 0.5 else Socket
        client = await kind.open(self.app.url)
        if self.rng.random() < 0.8:
            await self.whatever(client.send("40"))
        for _ in range(self.rng.randrange(8)):
            await self.whatever(self.step(client))
        await self.whatever(self.leave(client))

    async def step(self, client: Client) -> None:
        kind = self.rng.randrange(6)
        if kind < 3:
            await client.send(*self.rng.choice(PACKETS))
        elif kind == 3:
            async with asyncio.timeout(0.02):
                await client.receive()
        elif kind == 4 and isinstance(client, Poller):
            await self.upgrade(client)
        else:
            await asyncio.sleep(self.rng.random() * 0.01)

    async def upgrade(self, client: Poller) -> None:
        socket = await Socket.dial(client.url, f"/socket.io/?sid={client.sid}")
        if self.rng.random() < 0.3:
            self.beside(client.poll())
        await socket.send(*self.rng.choice([["2probe"], ["2probe", "5"], ["5"], ["x"], []]))
        if self.rng.random() < 0.5:
            await socket.next()
            await socket.send("5", '425["count",20,5000]')
            await socket.next()
        self.beside(self.drop(socket, self.rng.random() * 0.02))

    async def drop(self, socket: Socket, after: float) -> None:
        await asyncio.sleep(after)
        if self.rng.random() < 0.5:
            socket.abort()
        else:
            await socket.socket.close()

    async def leave(self, client: Client) -> None:
        if isinstance(client, Socket):
            await self.drop(client, 0)
            return
        assert isinstance(client, Poller)
        way = self.rng.randrange(4)
        if way == 0:
            await client.send("1")
        elif way == 1:
            await asyncio.wait_for(client.poll(), 0.01)
        elif way == 2:
            await self.cut(client)
        # Else it is merely never heard of again.

    async def cut(self, client: Poller) -> None:
        target = client.target("polling", sid=client.sid)
        _, writer = await start(client.url, target, "POST", body=b"42", length=50)
        await asyncio.sleep(0.002)
        writer.transport.abort()

    async def gone(self) -> None:
        if self.tasks:
            await asyncio.wait(self.tasks)
            for task in self.tasks:
                task.result()


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("ws", ["websockets-sansio", "wsproto"])
async def test_however_they_end_nothing_is_left(seed: int, ws: str) -> None:
    config = SocketIO(
        ping_interval=0.1,
        ping_timeout=0.1,
        connect_timeout=0.3,
        upgrade_timeout=0.1,
        max_payload=10_000,
    )
    rng = random.Random(seed)
    async with (
        journal(logging.ERROR) as entries,
        running(
            config, ws=ws, finish_timeout=0.3, stall=0.2, outbox=100_000, accept_rate=None
        ) as app,
    ):
        before = asyncio.all_tasks()
        at_once = asyncio.Semaphore(AT_ONCE)

        async def visit(guest: Guest) -> None:
            async with at_once:
                await guest.come()
                await guest.gone()

        guests = [Guest(app, random.Random(rng.random())) for _ in range(ROUNDS)]
        visits = [asyncio.create_task(visit(guest)) for guest in guests]
        while not all(each.done() for each in visits):
            await app.app.emitter.of("/").to("crowd").emit(Number(1, "x" * 1000))
            await asyncio.sleep(0.01)
        for each in visits:
            each.result()
        app.story.gate.set()
        await until(lambda: app.sessions == 0)
        await empty(app, before)
        assert app.story.came
    assert entries == []


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_however_they_are_when_the_application_stops(seed: int) -> None:
    """The server around it goes on: every request still gets an answer, if only a refusal."""
    rng = random.Random(seed)
    story = Story()
    realtime = make(story, SocketIO(), finish_timeout=0.3, stall=0.2, outbox=100_000)
    outer = Starlette(routes=[Mount("/", realtime)])
    async with serve(outer) as url:
        before = asyncio.all_tasks()
        async with journal(logging.ERROR, NOT_STARTED) as entries:
            async with realtime.run():
                app = Running(url, realtime, story)
                guests = [Guest(app, random.Random(rng.random())) for _ in range(20)]
                visits = [asyncio.create_task(guest.whatever(guest.come())) for guest in guests]
                await until(lambda: len(story.came) >= 10)
            assert sorted(story.came) == sorted(story.went)
            assert timers() == []
            await asyncio.gather(*visits)
            for guest in guests:
                await guest.gone()
            await until(lambda: asyncio.all_tasks() <= before)
    assert entries == []
