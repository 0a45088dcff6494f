"""Hooks that hang, resources that fail, middleware without patience: every client gets an end."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from injector import Binder, Inject
from starlette.types import ASGIApp, Receive, Scope, Send

from gatewright import (
    Connection,
    Emitter,
    Event,
    EventError,
    Gatewright,
    Handshake,
    Settings,
    connection_scoped,
    gateway,
    on,
    on_connect,
    resource,
)
from tests._support.server import serve
from tests.transports.socketio.app import until
from tests.transports.socketio.clients import TRANSPORTS, Poller

pytestmark = pytest.mark.anyio

WEBSOCKET = TRANSPORTS[-1]


class Tick(Event, event="tick"):
    n: int


async def test_a_namespace_that_ends_while_it_is_full_holds_up_no_other() -> None:
    connections: list[Connection] = []

    @gateway("/slow")
    class Slow:
        @on_connect
        async def connected(self, connection: Connection) -> None:
            connections.append(connection)

        @on("work")
        async def work(self) -> None:
            await asyncio.Event().wait()

    @gateway("/quick")
    class Quick:
        @on("echo")
        async def echo(self, number: int) -> int:
            return number

    settings = Settings(inbox=2, finish_timeout=0.1)
    app = Gatewright(gateways=[Slow, Quick], settings=settings)
    async with serve(app) as url, WEBSOCKET.opened(url) as client:
        await client.join("/quick")
        await client.join("/slow")
        await client.send(*['42/slow,["work"]'] * 6, '42/quick,7["echo",1]')
        await connections[0].disconnect()
        got = [await client.receive(), await client.receive()]
        assert sorted(map(str, got)) == ["41/slow,", "43/quick,7[1]"]


async def test_a_name_without_end_is_no_namespace() -> None:
    @gateway("/lab/{bench}")
    class Lab:
        @on("hi")
        async def hi(self, bench: str) -> None: ...

    async with serve(Gatewright(gateways=[Lab])) as url:
        async with WEBSOCKET.opened(url) as client:
            await client.join(f"/lab/{'x' * 1000}")
        async with WEBSOCKET.opened(url) as client:
            await client.send(f"40/lab/{'x' * 1100},")
            assert await client.closed() == 1002


class Session:
    """What a guard has opened."""


@connection_scoped
@resource
async def session(handshake: Handshake) -> AsyncGenerator[Session]:
    try:
        yield Session()
    finally:
        raise RuntimeError("it does not close")


async def test_a_refusal_is_told_though_a_resource_fails_to_close(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def closed(_: Inject[Session]) -> bool:
        raise EventError("forbidden", "not today")

    @gateway("/", guards=[closed])
    class Closed:
        @on("hi")
        async def hi(self) -> None: ...

    def module(binder: Binder) -> None:
        binder.bind(Session, to=session)

    app = Gatewright(gateways=[Closed], modules=[module])
    async with serve(app) as url, WEBSOCKET.opened(url) as client:
        await client.send("40")
        expected = '44{"message":"not today","data":{"code":"forbidden"}}'
        assert await client.receive() == expected
    assert "failed to close" in caplog.text


class Impatient:
    """Middleware that gives a request up after a tenth of a second."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.cut = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(0.1 if scope["type"] == "http" else None):
                await self.app(scope, receive, send)
        except TimeoutError:
            self.cut += 1
            await send({"type": "http.response.start", "status": 504, "headers": []})
            await send({"type": "http.response.body", "body": b""})


async def test_a_poll_that_middleware_gives_up_loses_nothing_in_silence() -> None:
    @gateway("/", emits=[Tick])
    class Clock:
        def __init__(self, emitter: Emitter) -> None:
            self.emitter = emitter

        @on("tick")
        async def tick(self) -> None:
            await self.emitter.emit(Tick(1))

    app = Gatewright(gateways=[Clock])
    middleware = Impatient(app)
    async with serve(middleware) as url:
        client = await Poller.open(url)
        await client.join()
        reply = await client.poll()
        assert (reply.status, middleware.cut) == (504, 1)
        await until(lambda: len(app) == 0)
        reply = await client.poll()
        expected: Any = {"code": 1, "message": "Session ID unknown"}
        assert (reply.status, reply.json) == (400, expected)
