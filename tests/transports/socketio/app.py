"""The application that these tests talk to, and what it tells of itself."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from injector import Binder
from msgspec import UNSET

from gatewright import (
    Connection,
    DisconnectReason,
    Event,
    EventError,
    Gatewright,
    Handshake,
    Settings,
    gateway,
    on,
    on_connect,
    on_disconnect,
)
from gatewright.transports.socketio import SocketIO
from gatewright.transports.socketio.engine import TRANSPORT_ERROR, Engine, EngineSocket
from tests._support.server import Url, serve
from tests.transports.socketio.clients import Client

__all__ = ["Back", "Number", "Running", "Story", "make", "running", "until"]


class Story:
    """What has happened, and a gate that handlers wait at."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.came: list[str] = []
        self.went: list[str] = []
        self.reasons: list[DisconnectReason] = []
        self.notes: list[Any] = []
        self.connections: dict[str, Connection] = {}
        self.waiting = 0
        self.gate = asyncio.Event()

    async def wait(self) -> None:
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1


class Back(Event, event="back", array_like=True):
    a: Any = UNSET
    b: Any = UNSET
    c: Any = UNSET


class Number(Event, event="number", array_like=True):
    number: int
    padding: str = ""


class Hello(Event, event="hello"):
    auth: Any


class Hooked:
    """Its hooks tell the story."""

    def __init__(self, story: Story) -> None:
        self.story = story

    @on_connect
    async def connected(self, connection: Connection) -> None:
        await self.greet(connection)
        self.story.came.append(connection.id)
        self.story.connections[connection.id] = connection

    async def greet(self, connection: Connection) -> None:
        """What a gateway does on top of that."""

    @on_disconnect
    async def gone(self, connection: Connection, reason: DisconnectReason) -> None:
        self.story.went.append(connection.id)
        self.story.reasons.append(reason)
        del self.story.connections[connection.id]


@gateway("/", emits=[Back, Number])
class Main(Hooked):
    @on("echo")
    async def echo(self, a: Any = UNSET, b: Any = UNSET, c: Any = UNSET) -> Any:
        return tuple(each for each in (a, b, c) if each is not UNSET)

    @on("send back")
    async def send_back(
        self, connection: Connection, a: Any = UNSET, b: Any = UNSET, c: Any = UNSET
    ) -> None:
        await connection.emit(Back(a, b, c))

    @on("note")
    async def note(self, what: Any) -> int:
        self.story.notes.append(what)
        return len(self.story.notes)

    @on("count")
    async def count(self, connection: Connection, to: int, padding: int = 0) -> None:
        for number in range(to):
            await connection.emit(Number(number, "x" * padding))

    @on("bytes")
    async def bytes(self, count: int) -> tuple[bytes, ...]:
        return tuple([b"x"] * count)

    @on("stream")
    async def stream(self, to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    @on("wait")
    async def wait(self) -> str:
        await self.story.wait()
        return "done"

    @on("fail")
    async def fail(self) -> None:
        raise EventError("teapot", "short and stout", {"handle": 1})

    @on("join")
    async def join(self, connection: Connection, room: str) -> int:
        await connection.join(room)
        return len(connection.rooms)

    @on("leave")
    async def leave(self, connection: Connection) -> None:
        await connection.disconnect("enough")


@gateway("/custom", emits=[Back, Hello])
class Custom(Hooked):
    async def greet(self, connection: Connection) -> None:
        await connection.emit(Hello(connection.handshake.auth))

    @on("send back")
    async def send_back(self, connection: Connection, a: Any) -> None:
        await connection.emit(Back(a))

    @on("leave")
    async def leave(self, connection: Connection) -> None:
        await connection.disconnect("enough")


@gateway("/lab/{bench}")
class Lab(Hooked):
    @on("where")
    async def where(self, bench: int) -> int:
        return bench


async def closed_to_most(handshake: Handshake) -> None:
    if handshake.auth != {"token": "right"}:
        raise EventError("unauthenticated", "who are you?", {"hint": "token"})


@gateway("/guarded", guards=[closed_to_most])
class Guarded(Hooked):
    pass


@gateway("/slow")
class Slow(Hooked):
    """Its hook waits at the gate."""

    async def greet(self, connection: Connection) -> None:
        await self.story.wait()

    @on("note")
    async def note(self, what: Any) -> None:
        self.story.notes.append(what)


GATEWAYS: list[type] = [Main, Custom, Lab, Guarded, Slow]


class Running:
    """A running application, seen from outside and from inside."""

    def __init__(self, url: Url, app: Gatewright, story: Story) -> None:
        self.url = url
        self.app = app
        self.story = story

    @property
    def engine(self) -> Engine:
        assert self.app._engine is not None, "the application has stopped"
        return self.app._engine

    def session(self, client: Client) -> EngineSocket:
        """The other side of a client."""
        return self.engine.sockets[client.sid]

    @property
    def sessions(self) -> int:
        """Engine.IO sessions that the door still knows."""
        return len(self.engine.sockets)

    async def clear(self) -> None:
        """End what a test has left, and see to it that nobody stays."""
        for socket in list(self.engine.sockets.values()):
            socket.lose(TRANSPORT_ERROR)
            socket.outbox.abort()
        self.story.gate.set()
        await until(lambda: not len(self.app))
        assert sorted(self.story.came) == sorted(self.story.went)


def make(story: Story, config: SocketIO | None = None, **settings: Any) -> Gatewright:
    def modules(binder: Binder) -> None:
        binder.bind(Story, to=story)

    return Gatewright(
        gateways=GATEWAYS,
        modules=[modules],
        socketio=config or SocketIO(),
        settings=Settings(**settings),
    )


@asynccontextmanager
async def running(
    config: SocketIO | None = None, *, ws: str = "websockets-sansio", **settings: Any
) -> AsyncGenerator[Running]:
    """Serve it; the defaults of heartbeats and timeouts are longer than any of these tests."""
    story = Story()
    app = make(story, config, **settings)
    async with serve(app, ws=ws, timeout_graceful_shutdown=2) as url:
        yield Running(url, app, story)


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)
