"""What the client's tests talk to: `uvicorn tests.client_js.server:app`."""

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route

from gatewright import (
    Connection,
    Emitter,
    Event,
    EventError,
    Gatewright,
    Handshake,
    Identity,
    Settings,
    gateway,
    on,
    on_disconnect,
    on_end,
    on_resume,
)
from gatewright.backplane import Backplane, SQLite

__all__ = ["app"]


class Said(Event, event="said"):
    author: str
    text: str


class Sure(Event, event="sure"):
    about: str


class Say(Struct):
    room: str
    text: str


async def authenticate(handshake: Handshake) -> Identity[str] | None:
    auth: Any = handshake.auth
    match auth:
        case {"token": "wrong"}:
            raise EventError("unauthenticated", "who are you?")
        case {"token": str(user), "seconds": int(seconds) | float(seconds)}:
            return Identity(user, user, expires=datetime.now(UTC) + timedelta(seconds=seconds))
        case {"token": str(user)}:
            return Identity(user, user)
        case _:
            return None


@gateway("/chat", emits=[Said, Sure])
class Chat:
    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter
        self.away: set[str] = set()
        self.ended: set[str] = set()
        self.effects: list[int] = []
        self.stopped = 0

    @on_disconnect
    async def disconnect(self, connection: Connection) -> None:
        self.away.add(connection.id)

    @on_resume
    async def resume(self, connection: Connection) -> None:
        self.away.discard(connection.id)

    @on_end
    async def end(self, connection: Connection) -> None:
        self.ended.add(connection.id)

    @on("join")
    async def join(self, connection: Connection, room: str) -> None:
        await connection.join(room)

    @on("say")
    async def say(self, connection: Connection, message: Say) -> int:
        if message.room not in connection.joined:
            raise EventError("forbidden", f"join {message.room} first")
        return await self.emitter.to(message.room).emit(Said(connection.id, message.text))

    @on("said by others")
    async def said_by_others(self, connection: Connection, message: Say) -> None:
        await connection.to(message.room).emit(Said(connection.id, message.text))

    @on("effect")
    async def effect(self, n: int) -> int:
        self.effects.append(n)
        return n

    @on("effects")
    async def all_effects(self) -> list[int]:
        return self.effects

    @on("count")
    async def count(self, to: int, start: int = 0) -> AsyncIterator[int]:
        for number in range(start, to):
            yield number

    @on("forever")
    async def forever(self) -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            self.stopped += 1

    @on("stopped")
    async def how_many_stopped(self) -> int:
        return self.stopped

    @on("fail")
    async def fail(self, code: str) -> None:
        raise EventError(code, "As you wish.", {"asked": code})

    @on("delete")
    async def delete(self, connection: Connection, what: str) -> bool:
        return await connection.call(Sure(what), bool)

    @on("is away")
    async def is_away(self, id: str) -> bool:
        return id in self.away

    @on("is ended")
    async def is_ended(self, id: str) -> bool:
        return id in self.ended

    @on("user")
    async def user(self, connection: Connection) -> str | None:
        return connection.user


@gateway("/patient", concurrency=8)
class Patient:
    """Calls that end when somebody says so."""

    def __init__(self) -> None:
        self.begun: dict[str, int] = defaultdict(int)
        self.doors: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    @on("wait")
    async def wait(self, key: str) -> int:
        self.begun[key] += 1
        await self.doors[key].wait()
        return self.begun[key]

    @on("begun")
    async def how_often(self, key: str) -> int:
        return self.begun[key]

    @on("release")
    async def release(self, key: str) -> None:
        self.doors[key].set()


def application(backplane: Backplane | None = None, **settings: Any) -> Gatewright:
    return Gatewright(
        [Chat, Patient],
        authenticate=authenticate,
        backplane=backplane,
        settings=Settings(origins=("*",), **settings),
    )


applications = {
    # Where silence is noticed soon.
    "/quick": application(ping_interval=0.3, ping_timeout=0.3),
    # Where little is remembered.
    "/forgetful": application(history=3),
    "": application(),
}
if DATABASE := os.environ.get("DATABASE"):
    # What outlives the process.
    applications = {"/kept": application(SQLite(DATABASE), drain=1), **applications}

PAGE = """<!doctype html>
<title>A page</title>
<link rel="icon" href="data:,">
<script type="module">
  import { connect } from "/gatewright.js";
  window.connect = connect;
  window.log = [];
  window.open_chat = (path, options) => {
    window.chat = connect(path, options);
    chat.onStatus((change) => log.push({ ...change, at: Date.now() }));
  };
</script>
"""


async def page(request: Request) -> HTMLResponse:
    return HTMLResponse(PAGE)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        for each in applications.values():
            await stack.enter_async_context(each.lifespan(app))
        yield


app = Starlette(
    routes=[
        Route("/page", page),
        *(Mount(path, each) for path, each in applications.items()),
    ],
    lifespan=lifespan,
)
