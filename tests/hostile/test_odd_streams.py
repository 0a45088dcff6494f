"""Streams that raise what they should not, never pause, or are wrapped in one another."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from injector import Inject, Module

from gatewright import (
    CallNext,
    Connection,
    Context,
    Settings,
    event_scoped,
    gateway,
    on,
    on_disconnect,
    resource,
)
from tests.behaviours.support import running, until

pytestmark = pytest.mark.anyio


class Abrupt(BaseException):
    """What no `except Exception` sees, as pytest's and trio's own."""


async def settle() -> None:
    """Let everything that is ready happen."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("error", [Abrupt, GeneratorExit])
async def test_a_stream_that_raises_what_is_no_exception_still_ends_its_call(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    @gateway("/x")
    class Gateway:
        @on("raise")
        async def abrupt(self) -> AsyncIterator[int]:
            yield 1
            raise error

        @on("ping")
        async def ping(self) -> str:
            return "pong"

    async with running(Gateway) as client, client.connect("/x") as ana:
        await ana.send({"event": "raise", "id": 9})
        assert (await ana.receive())["item"] == 1
        assert (await ana.receive())["error"]["code"] == "internal"
        assert await ana.call("ping") == "pong"
    assert error.__name__ in caplog.text


async def test_a_stream_that_waits_in_the_inbox_of_a_lost_connection_never_starts() -> None:
    go = asyncio.Event()
    started: list[str] = []

    @gateway("/x")
    class Gateway:
        @on("slow")
        async def slow(self) -> None:
            started.append("slow")
            await go.wait()

        @on("forever")
        async def forever(self) -> AsyncIterator[int]:
            started.append("forever")
            while True:
                yield 1
                await asyncio.sleep(0)

        @on_disconnect
        async def gone(self) -> None:
            started.append("gone")

    async with running(Gateway) as client:
        async with client.connect("/x") as ana:
            await ana.emit("slow")
            await ana.send({"event": "forever", "id": 1})
            await until(lambda: started)
            ana.drop()
            await settle()
            go.set()
        assert started == ["slow", "gone"]


async def test_a_stream_without_a_pause_ends_when_its_connection_is_closed() -> None:
    closed: list[bool] = []

    @gateway("/x")
    class Gateway:
        @on("forever")
        async def forever(self, connection: Connection) -> AsyncIterator[int]:
            number = 0
            try:
                for number in range(1_000_000):
                    if number == 3:
                        await connection.disconnect("enough")
                    yield number
            finally:
                closed.append(number == 3)

    async with running(Gateway) as client, client.connect("/x") as ana:
        await ana.send({"event": "forever", "id": 1})
        assert (await ana.wait_closed())[0] == 4500
        await until(lambda: closed)
        assert closed == [True]


async def test_a_stream_inside_an_interceptors_is_closed_before_its_resources() -> None:
    seen: list[str] = []

    class Session:
        pass

    class Sessions(Module):
        @event_scoped
        @resource
        async def session(self) -> AsyncIterator[Session]:
            try:
                yield Session()
            finally:
                seen.append("resource")

    async def doubled(context: Context, call_next: CallNext) -> AsyncIterator[int]:
        items = await call_next()

        async def twice() -> AsyncIterator[int]:
            try:
                async for item in items:
                    yield item * 2
            finally:
                seen.append("interceptor")

        return twice()

    @gateway("/x")
    class Gateway:
        @on("forever", interceptors=[doubled])
        async def forever(self, session: Inject[Session]) -> AsyncIterator[int]:
            try:
                while True:
                    yield 1
            finally:
                await asyncio.sleep(0)
                seen.append("handler")

    app = running(Gateway, settings=Settings(outbox=100), modules=[Sessions])
    async with app as client, client.connect("/x") as ana:
        await ana.send({"event": "forever", "id": 1})
        assert (await ana.receive())["item"] == 2
        await ana.send({"op": "cancel", "id": 1})
        end = await ana.receive(lambda frame: "error" in frame)
        assert end["error"]["code"] == "cancelled"
        assert seen == ["interceptor", "handler", "resource"]


async def test_a_drop_does_not_break_off_the_clean_up_that_a_cancel_has_begun() -> None:
    began, go = asyncio.Event(), asyncio.Event()
    seen: list[str] = []

    @gateway("/x")
    class Gateway:
        @on("items")
        async def items(self) -> AsyncIterator[int]:
            try:
                yield 1
                await asyncio.Event().wait()
            finally:
                began.set()
                await go.wait()
                seen.append("cleaned up")

        @on_disconnect
        async def gone(self) -> None:
            seen.append("gone")

    async with running(Gateway) as client:
        async with client.connect("/x") as ana:
            await ana.send({"event": "items", "id": 1})
            await ana.receive()
            await ana.send({"op": "cancel", "id": 1})
            await began.wait()
            ana.drop()
            await settle()
            go.set()
        assert seen == ["cleaned up", "gone"]
