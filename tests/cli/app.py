"""What the command line is told to serve: `tests.cli.app:name`."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route

from gatewright import (
    DisconnectReason,
    Emitter,
    Event,
    Gatewright,
    gateway,
    on,
    on_disconnect,
    on_start,
)
from gatewright.backplane import SQLite


def tell(*words: object) -> None:
    sys.stdout.write(" ".join(str(word) for word in words) + "\n")
    sys.stdout.flush()


def fail(error: Exception) -> None:
    raise error


class Said(Event, event="said"):
    text: str


@gateway("/chat", emits=[Said])
class Chat:
    @on_start
    async def started(self) -> None:
        tell("started in", os.getpid())

    @on("who")
    async def who(self) -> int:
        return os.getpid()

    @on("echo")
    async def echo(self, text: str) -> str:
        return text

    @on("say")
    async def say(self, emitter: Emitter, text: str) -> None:
        await emitter.emit(Said(text))

    @on("die")
    async def die(self) -> None:
        os._exit(1)

    @on_disconnect
    async def left(self, reason: DisconnectReason) -> None:
        tell("left", reason.code)


app = Gatewright(gateways=[Chat])
filed = Gatewright(gateways=[Chat], backplane=SQLite(os.environ.get("SESSIONS", "sessions.db")))

inner = Gatewright(gateways=[Chat])


@asynccontextmanager
async def lifespan(outer: Starlette) -> AsyncGenerator[None]:
    async with inner.lifespan(outer):
        yield


inside = Starlette(routes=[*inner.routes, Route("/ready", inner.readiness)], lifespan=lifespan)


def make() -> Gatewright:
    return Gatewright(gateways=[Chat])


async def make_later() -> Gatewright:
    await asyncio.sleep(0)
    return app


def make_for(name: str) -> Gatewright:
    return app


async def anything(*args: Any) -> None:
    """An ASGI application that says nothing of its arguments."""


@asynccontextmanager
async def failing(outer: Starlette) -> AsyncGenerator[None]:
    fail(RuntimeError("the database is not there"))
    yield


broken = Starlette(lifespan=failing)
