"""Clean-up runs to its end, whoever cancels, and the cancellation goes on afterwards."""

import asyncio
import logging
from collections.abc import AsyncIterator

import anyio
import pytest
from injector import Module

from gatewright.di import Container, Level, connection_scoped, resource
from tests.di.pair import CLOSED, OPENED, Inner, Outer, Pair, blocked, handle, nothing

pytestmark = pytest.mark.anyio


async def test_cancelled_while_entering() -> None:
    module = Pair(opening=asyncio.Event().wait)
    task = asyncio.create_task(handle(module))
    await blocked(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert module.log == ["outer+", "inner?", "outer-"]


async def test_cancelled_while_inside() -> None:
    go = asyncio.Event()
    module = Pair(closing=go.wait)
    task = asyncio.create_task(handle(module, asyncio.Event().wait))
    await blocked(task)
    task.cancel("because")
    await blocked(task)
    go.set()
    with pytest.raises(asyncio.CancelledError, match="because"):
        await task
    assert module.log == [*OPENED, *CLOSED]


async def test_cancelled_while_closing() -> None:
    go = asyncio.Event()
    module = Pair(closing=go.wait)
    task = asyncio.create_task(handle(module))
    await blocked(task)
    task.cancel("because")
    await blocked(task)
    assert module.log[-1] == "inner…"
    go.set()
    with pytest.raises(asyncio.CancelledError, match="because"):
        await task
    assert module.log == [*OPENED, *CLOSED]
    assert task.cancelled()


async def test_cancelled_again_and_again() -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def closing() -> None:
        await asyncio.sleep(0)
        await first.wait()
        await asyncio.sleep(0)

    module = Pair(closing=closing, last=second.wait)
    task = asyncio.create_task(handle(module, asyncio.Event().wait))
    await blocked(task)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    await blocked(task)
    task.cancel()
    first.set()
    task.cancel()
    await blocked(task)
    assert module.log == [*OPENED, "inner…", "inner-"]
    task.cancel()
    second.set()
    task.cancel()  # what it waits for is done, but it has not run since
    with pytest.raises(asyncio.CancelledError):
        await task
    assert module.log == [*OPENED, *CLOSED]


async def test_cancelled_by_its_own_handler_in_the_last_moment() -> None:
    async def body() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel("me")

    for closing in (nothing, lambda: asyncio.sleep(0)):
        module = Pair(closing=closing)
        task = asyncio.create_task(handle(module, body))
        with pytest.raises(asyncio.CancelledError):
            await _with_one_more_step(task)
        assert module.log == [*OPENED, *CLOSED]


async def _with_one_more_step(task: asyncio.Task[None]) -> None:
    await task
    # A cancel made in a task that ends without waiting once more is lost; that is asyncio's way.
    raise asyncio.CancelledError


async def test_a_failed_clean_up_of_a_cancelled_event_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise OSError("commit")

    module = Pair(closing=fail)
    task = asyncio.create_task(handle(module, asyncio.Event().wait))
    await blocked(task)
    task.cancel()
    with caplog.at_level(logging.ERROR), pytest.raises(asyncio.CancelledError):
        await task
    (record,) = caplog.records
    assert record.getMessage() == "clean-up of a cancelled event failed"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], OSError)
    assert module.log == [*OPENED, "inner…", "outer-"]


async def test_the_second_asker_opens_what_a_cancelled_one_did_not() -> None:
    attempts, go = 0, asyncio.Event()

    class Slow(Module):
        @connection_scoped
        @resource
        async def outer(self) -> AsyncIterator[Outer]:
            nonlocal attempts
            attempts += 1
            await go.wait()
            yield Outer()

    async with Container([Slow()]).connection() as connection:
        first = asyncio.create_task(connection.event().aget(Outer))
        second = asyncio.create_task(connection.event().aget(Outer))
        await anyio.wait_all_tasks_blocked()
        first.cancel()
        await anyio.wait_all_tasks_blocked()
        assert attempts == 2
        go.set()
        assert isinstance(await second, Outer)
    assert first.cancelled()


@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("cancelled", [False, True])
async def test_closing_that_is_cancelled_does_not_wait_for_what_is_being_opened(
    *, failing: bool, cancelled: bool
) -> None:
    log: list[str] = []
    go, end = asyncio.Event(), asyncio.Event()

    class Slow(Module):
        @connection_scoped
        @resource
        async def outer(self) -> AsyncIterator[Outer]:
            await go.wait()
            yield Outer()
            await end.wait()
            log.append("outer-")
            if failing:
                raise OSError("worse")

        @connection_scoped
        @resource
        async def inner(self) -> AsyncIterator[Inner]:
            yield Inner()
            log.append("inner-")

    connection = Container([Slow()]).connection()
    await connection.aget(Inner)
    opening = asyncio.create_task(connection.event().aget(Outer))
    await anyio.wait_all_tasks_blocked()
    closing = asyncio.create_task(_close(connection))
    await anyio.wait_all_tasks_blocked()
    assert not closing.done()
    closing.cancel()
    await asyncio.wait([closing])
    assert closing.cancelled()
    assert log == ["inner-"]
    go.set()
    await anyio.wait_all_tasks_blocked()
    if cancelled:
        opening.cancel()
    end.set()
    with pytest.raises(BaseException) as raised:
        await opening
    assert type(raised.value) is (
        asyncio.CancelledError if cancelled else OSError if failing else RuntimeError
    )
    assert log == ["inner-", "outer-"]


async def _close(level: Level) -> None:
    await level.aclose()
