"""An application to be watched, and its administrators."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Annotated, Any

import bcrypt
from injector import singleton
from msgspec import Meta, Struct

from gatewright import (
    Connection,
    DisconnectReason,
    Emitter,
    Event,
    EventError,
    Gatewright,
    authorize_room,
    gateway,
    on,
    on_connect,
    on_disconnect,
)
from gatewright.inspector import Admin
from tests._support.server import Url, serve
from tests.inspector.wire import Wire, wire

__all__ = ["HASH", "LOGIN", "PASSWORD", "Gone", "Lab", "application", "lab", "shown", "watching"]

PASSWORD = "correct horse"
# The lowest cost: these tests log in often.
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
LOGIN = {"username": "admin", "password": PASSWORD}


class Said(Event, event="said"):
    text: str
    password: str = "hunter2"


class Moved(Event, event="moved", array_like=True):
    x: int
    y: int


class Login(Struct):
    name: Annotated[str, Meta(max_length=20)]
    password: str


class Gone(list[tuple[str, frozenset[str], str]]):
    """Who has disconnected: id, rooms, reason."""


@gateway("/chat", emits=[Said, Moved])
class Chat:
    def __init__(self, emitter: Emitter, gone: Gone) -> None:
        self.emitter = emitter
        self.gone = gone

    @on_connect
    async def greet(self, connection: Connection) -> None:
        if connection.handshake.auth == {"stay": "out"}:
            raise EventError("forbidden", "as you wish")
        await connection.join("hall")

    @on_disconnect
    async def remember(self, connection: Connection, reason: DisconnectReason) -> None:
        self.gone.append((connection.id, connection.rooms, reason.text))

    @authorize_room
    async def may_enter(self, connection: Connection, room: str) -> bool:
        return room != "vault"

    @on("join")
    async def join(self, connection: Connection, room: str) -> None:
        await connection.join(room)

    @on("leave")
    async def leave(self, connection: Connection, room: str) -> None:
        await connection.leave(room)

    @on("say")
    async def say(self, room: str, text: str) -> int:
        return await self.emitter.to(room).emit(Said(text))

    @on("move")
    async def move(self) -> None:
        await self.emitter.emit(Moved(1, 2), volatile=True)

    @on("login")
    async def login(self, given: Login) -> str:
        return given.name

    @on("count")
    async def count(self, to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    @on("fail")
    async def fail(self) -> None:
        raise EventError("broken", "as expected")

    @on("ask")
    async def ask(self, connection: Connection, text: str) -> str:
        return await connection.call(Said(text), str)


@gateway("/lab/{bench}")
class Bench:
    @on("hello")
    async def hello(self, bench: int) -> int:
        return bench


def application(admin: Admin | None = None, **options: Any) -> Gatewright:
    config = admin or Admin(username="admin", password_hash=HASH)
    modules = [lambda binder: binder.bind(Gone, to=Gone(), scope=singleton)]
    return Gatewright(gateways=[Chat, Bench], admin=config, modules=modules, **options)


class Lab:
    """The running application."""

    def __init__(self, app: Gatewright, url: Url) -> None:
        self.app = app
        self.url = url

    @property
    def gone(self) -> Gone:
        return self.app.get(Gone)

    @property
    def observers(self) -> Sequence[object]:
        """Who watches its node."""
        node = self.app.emitter._node
        assert node is not None
        return node.observers


@contextlib.asynccontextmanager
async def lab(admin: Admin | None = None, **options: Any) -> AsyncGenerator[Lab]:
    """Serve the application with an administrator."""
    app = application(admin, **options)
    async with serve(app) as url:
        yield Lab(app, url)


@contextlib.asynccontextmanager
async def watching(running: Lab) -> AsyncGenerator[Wire]:
    """A page that has logged in."""
    async with wire(running.url) as page:
        await page.join("/admin", LOGIN)
        await page.heard("/admin", "server_stats")
        yield page


async def shown(page: Wire, id: str | None = None, nsp: str = "/chat") -> dict[str, Any]:
    """The socket of this id, or the first of a namespace, once the page is told of it."""

    def found() -> dict[str, Any] | None:
        for name, *arguments in page.events["/admin"]:
            if name == "socket_connected":
                socket: dict[str, Any] = arguments[0]
                if id == socket["id"] or (id is None and nsp == socket["nsp"]):
                    return socket
        return None

    return await page.until(found)
