"""Programs that tell on their output what happens in which order while they are stopped.

`tests.drain.app:alone`, `:inside` (a Starlette app) and `:nested` (two applications in one). Of the
environment they take `FINISH`, their `finish_timeout` in seconds, and `SESSIONS`, a file for these.
"""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from injector import Inject, Module
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gatewright import (
    DisconnectReason,
    Gatewright,
    Handshake,
    Identity,
    Settings,
    app_scoped,
    gateway,
    on,
    on_connect,
    on_disconnect,
    on_end,
    on_start,
    on_stop,
    resource,
)
from gatewright.backplane import SQLite
from gatewright.transports.socketio import SocketIO

gate = asyncio.Event()
"""What those wait for who hold up the end; opened by `/open`."""


def tell(*words: object) -> None:
    sys.stdout.write(" ".join(str(word) for word in words) + "\n")
    sys.stdout.flush()


class Stock:
    apples = 3


class Stocks(Module):
    @app_scoped
    @resource
    async def stock(self) -> AsyncIterator[Stock]:
        yield Stock()
        tell("stock closed")


def make(path: str) -> Gatewright:
    """An application whose gateway tells of `path` with all that it says."""

    @gateway(path)
    class Told:
        def __init__(self, stock: Inject[Stock]) -> None:
            self.stock = stock

        @on_start
        async def started(self) -> None:
            tell(path, "started in", os.getpid())

        @on_connect
        async def came(self, handshake: Handshake) -> None:
            if "hesitant" in handshake.query:
                await hold("hesitating")
            tell(path, "came")

        @on("ready")
        async def ready(self) -> bool:
            return realtime.ready

        @on("hold")
        async def hold(self) -> int:
            await hold("holding")
            tell(path, "handled")
            return self.stock.apples

        @on("wait")
        async def wait(self) -> None:
            tell(path, "waiting")
            while realtime.ready:
                await asyncio.sleep(0.01)
            tell(path, "handled")

        @on("flood")
        async def flood(self, size: int) -> AsyncGenerator[str]:
            loop = asyncio.get_running_loop()
            while True:
                # Told once nobody takes a further item.
                full = loop.call_later(0.3, tell, path, "full")
                yield "x" * size
                full.cancel()

        @on_disconnect
        async def left(self, reason: DisconnectReason) -> None:
            tell(path, "left", reason.code)

        @on_end
        async def ended(self) -> None:
            tell(path, "ended")

        @on_stop
        async def stopped(self) -> None:
            tell(path, "stopped")

    async def authenticate(handshake: Handshake) -> Identity[None] | None:
        if "late" in handshake.query:
            await hold("authenticating")
        return None

    settings = Settings(finish_timeout=float(os.environ["FINISH"]), open_timeout=30)
    realtime = Gatewright(
        gateways=[Told],
        modules=[Stocks],
        authenticate=authenticate,
        settings=settings,
        backplane=SQLite(file) if (file := os.environ["SESSIONS"]) else None,
        socketio=SocketIO(recovery=True, path=f"{path}.io/"),
    )
    return realtime


async def hold(name: str) -> None:
    tell(name)
    await gate.wait()


async def release(_: Request) -> PlainTextResponse:
    gate.set()
    return PlainTextResponse("open")


async def apples(_: Request) -> PlainTextResponse:
    """What a route gets of the application, whether or not its connections are there."""
    return PlainTextResponse(str((await chat.aget(Stock)).apples))


alone = make("/chat")
chat = make("/chat")
other = make("/other")

inside = Starlette(
    routes=[
        *chat.routes,
        Route("/ready", chat.readiness),
        Route("/open", release, methods=["POST"]),
        Route("/apples", apples),
    ],
    lifespan=chat.lifespan,
)


@asynccontextmanager
async def both(app: Starlette) -> AsyncGenerator[None]:
    async with chat.lifespan(app), other.lifespan(app):
        yield
    tell("outer end")


nested = Starlette(
    routes=[
        *chat.routes,
        *other.routes,
        Route("/ready", chat.readiness),
        Route("/open", release, methods=["POST"]),
    ],
    lifespan=both,
)
