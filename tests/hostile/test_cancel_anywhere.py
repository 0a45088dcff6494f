"""A client's cancel at every step of everything that may be under way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import anyio
import pytest
from injector import Inject, Module

from gatewright import (
    CallNext,
    Connection,
    Context,
    EventError,
    catch,
    connection_scoped,
    event_scoped,
    gateway,
    on,
    on_disconnect,
    resource,
)
from gatewright.testing import TestConnection
from tests.behaviours.support import ends, running

pytestmark = pytest.mark.anyio

STEPS = 45  # turns of the loop; more than any of these calls takes


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def plainly() -> None:
    await turns(4)


async def with_a_timeout() -> None:
    async with asyncio.timeout(60):
        await turns(4)


async def with_a_timeout_that_passes() -> None:
    try:
        async with asyncio.timeout(0):
            await turns(4)
    except TimeoutError:
        await turns(2)


async def with_a_task_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(turns(4))
        group.create_task(turns(3))


async def with_a_task_group_that_fails() -> None:
    async def fail() -> None:
        await turns(2)
        raise KeyError

    async with asyncio.TaskGroup() as group:
        group.create_task(fail())
        group.create_task(turns(60))


async def with_a_cancel_scope() -> None:
    with anyio.move_on_after(60):
        await turns(4)


async def with_a_cancel_scope_that_is_cancelled() -> None:
    with anyio.CancelScope() as scope:
        await turns(2)
        scope.cancel()
        await turns(2)
    await turns(1)


async def with_a_group_of_anyio() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(turns, 4)
        group.start_soon(turns, 3)


async def with_a_task_that_is_cancelled() -> None:
    task = asyncio.create_task(turns(60))
    await turns(2)
    task.cancel()
    await task


async def behind_a_shield() -> None:
    await asyncio.shield(asyncio.create_task(turns(4)))


async def swallowing() -> None:
    try:
        await turns(4)
    except asyncio.CancelledError:
        await turns(2)


async def translating() -> None:
    try:
        await turns(4)
    except asyncio.CancelledError:
        raise EventError("translated") from None


WAYS = [
    plainly,
    with_a_timeout,
    with_a_timeout_that_passes,
    with_a_task_group,
    with_a_task_group_that_fails,
    with_a_cancel_scope,
    with_a_cancel_scope_that_is_cancelled,
    with_a_group_of_anyio,
    with_a_task_that_is_cancelled,
    behind_a_shield,
    swallowing,
    translating,
]


class Ledger:
    def __init__(self) -> None:
        self.open: list[str] = []
        self.disconnected = 0


class EventThing:
    pass


class ConnectionThing:
    pass


def gateway_of(way: Callable[[], Awaitable[None]], ledger: Ledger) -> tuple[type, type[Module]]:
    class Things(Module):
        @event_scoped
        @resource
        async def of_the_event(self, _: ConnectionThing) -> AsyncIterator[EventThing]:
            await turns(1)
            ledger.open.append("event")
            try:
                yield EventThing()
            finally:
                await turns(2)
                ledger.open.remove("event")

        @connection_scoped
        @resource
        async def of_the_connection(self) -> AsyncIterator[ConnectionThing]:
            await turns(1)
            ledger.open.append("connection")
            try:
                yield ConnectionThing()
            finally:
                await turns(1)
                ledger.open.remove("connection")

    async def guard(context: Context) -> bool:
        await turns(2)
        return True

    async def around(context: Context, call_next: CallNext) -> object:
        await turns(1)
        try:
            return await call_next()
        finally:
            await turns(1)

    @gateway("/x")
    class Gateway:
        @on("work", guards=[guard], interceptors=[around])
        async def work(self, thing: Inject[EventThing]) -> str:
            await way()
            return "done"

        @on("fail", guards=[guard], interceptors=[around])
        async def fail(self, thing: Inject[EventThing]) -> str:
            await way()
            raise ValueError

        @on("items", guards=[guard], interceptors=[around])
        async def items(self, thing: Inject[EventThing]) -> AsyncIterator[int]:
            yield 1
            await way()
            yield 2

        @on("ping")
        async def ping(self) -> str:
            return "pong"

        @catch(ValueError)
        async def caught(self, error: ValueError, context: Context) -> EventError:
            await turns(3)
            return EventError("caught")

        @on_disconnect
        async def gone(self, connection: Connection) -> None:
            await turns(1)
            assert "event" not in ledger.open
            ledger.disconnected += 1

    return Gateway, Things


def the_ends(ana: TestConnection, call_id: int) -> list[dict[str, object]]:
    return [f for f in ana.received() if f.get("id") == call_id and "item" not in f]


@pytest.mark.parametrize("event", ["work", "fail", "items"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_cancel_at_any_step_ends_its_call_once_and_leaves_nothing(
    way: Callable[[], Awaitable[None]], event: str, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger()
    gateway_class, module = gateway_of(way, ledger)
    async with running(gateway_class, modules=[module]) as client:
        for step in range(STEPS):
            async with client.connect("/x") as ana:
                await ana.send({"event": event, "id": 1000})
                await turns(step)
                await ana.send({"op": "cancel", "id": 1000})
                await ana.receive(lambda frame: frame.get("id") == 1000 and "item" not in frame)
                assert await ana.call("ping") == "pong"
                await turns(STEPS)
                assert the_ends(ana, 1000) == []
                assert await ana.call("ping") == "pong"
                assert "event" not in ledger.open
            assert ledger.open == []
        assert ledger.disconnected == STEPS


@pytest.mark.parametrize("event", ["work", "fail", "items"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_drop_at_any_step_leaves_nothing(
    way: Callable[[], Awaitable[None]], event: str, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger()
    gateway_class, module = gateway_of(way, ledger)
    async with running(gateway_class, modules=[module]) as client:
        for step in range(STEPS):
            async with client.connect("/x") as ana:
                await ana.send({"event": event, "id": 1000})
                await turns(step)
                if step % 2:
                    await ana.send({"op": "cancel", "id": 1000})
                    await turns(step % 3)
                ana.drop()
            assert ledger.open == []
        assert ledger.disconnected == STEPS


@pytest.mark.parametrize("leave", ["group", "swallowed", "undelivered"])
async def test_what_a_handler_leaves_of_its_own_cancels_is_no_concern_of_the_next_one(
    leave: str,
) -> None:
    @gateway("/x")
    class Gateway:
        @on("odd")
        async def odd(self) -> str:
            task = asyncio.current_task()
            assert task is not None
            if leave == "group":
                with suppress(ExceptionGroup):
                    await with_a_task_group_that_fails()
            elif leave == "swallowed":
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await turns(1)
            else:
                task.cancel()
            return "done"

        @on("numbers")
        async def numbers(self) -> AsyncIterator[int]:
            yield 1
            with suppress(ExceptionGroup):
                await with_a_task_group_that_fails()
            yield 2

        @on("wait")
        async def wait(self) -> None:
            await asyncio.Event().wait()

        @on("stray")
        async def stray(self) -> None:
            await with_a_task_that_is_cancelled()

    async with running(Gateway) as client, client.connect("/x") as ana:
        assert await ana.call("odd") == "done"
        assert (await ends(ana, "stray")).code == "internal"
        assert await ana.call("odd") == "done"
        await ana.send({"event": "wait", "id": 50})
        await turns(3)
        await ana.send({"op": "cancel", "id": 50})
        assert (await ana.receive())["error"]["code"] == "cancelled"
        assert [item async for item in ana.stream("numbers")] == [1, 2]
        assert await ana.call("odd") == "done"
