"""Clean-up runs to its end, whoever cancels, and the cancellation goes on afterwards."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest
from injector import Module

from gatewright.di import Container, Level, connection_scoped, event_scoped, resource
from gatewright.di.shield import Mark, Shield

pytestmark = pytest.mark.anyio

Step = Callable[[], Awaitable[object]]


class Outer:
    pass


class Inner:
    pass


async def nothing() -> None:
    pass


class Pair(Module):
    """Two resources of an event; what each does before and after its yield is told to it."""

    def __init__(
        self, *, opening: Step = nothing, closing: Step = nothing, last: Step = nothing
    ) -> None:
        self.log: list[str] = []
        self.opening = opening
        self.closing = closing
        self.last = last

    @event_scoped
    @resource
    async def outer(self) -> AsyncIterator[Outer]:
        self.log.append("outer+")
        try:
            yield Outer()
        finally:
            await self.last()
            self.log.append("outer-")

    @event_scoped
    @resource
    async def inner(self, outer: Outer) -> AsyncIterator[Inner]:
        self.log.append("inner?")
        await self.opening()
        self.log.append("inner+")
        try:
            yield Inner()
        finally:
            self.log.append("inner…")
            await self.closing()
            self.log.append("inner-")


async def handle(module: Pair, body: Step = nothing) -> None:
    async with Container([module]).connection().event() as event:
        await event.aget(Inner)
        module.log.append("body")
        await body()


async def blocked(task: asyncio.Task[None]) -> None:
    await anyio.wait_all_tasks_blocked()
    assert not task.done()


OPENED = ["outer+", "inner?", "inner+", "body"]
CLOSED = ["inner…", "inner-", "outer-"]


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


async def test_clean_up_keeps_its_own_timeouts() -> None:
    timed_out: list[str] = []

    async def closing() -> None:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            timed_out.append("asyncio")
        with anyio.move_on_after(0.001) as scope:
            await anyio.sleep_forever()
        if scope.cancelled_caught:
            timed_out.append("anyio")

    go = asyncio.Event()
    module = Pair(closing=closing, last=go.wait)
    task = asyncio.create_task(handle(module))
    await blocked(task)
    while len(timed_out) < 2:
        task.cancel()
        await asyncio.sleep(0)
    assert timed_out == ["asyncio", "anyio"]
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert module.log == [*OPENED, *CLOSED]


async def test_timeouts_of_clean_up_leave_no_cancellation_behind() -> None:
    async def closing() -> None:
        with anyio.move_on_after(0.001):
            await anyio.sleep_forever()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.001)

    module = Pair(closing=closing)
    await handle(module)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert module.log == [*OPENED, *CLOSED]


async def test_clean_up_keeps_its_own_task_groups() -> None:
    async def fail() -> None:
        raise OSError("child")

    async def closing() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            await asyncio.Event().wait()

    module = Pair(closing=closing)
    with pytest.raises(ExceptionGroup) as raised:
        await handle(module)
    assert [str(each) for each in raised.value.exceptions] == ["child"]
    assert module.log == [*OPENED, "inner…", "outer-"]


@pytest.mark.parametrize("wait", [lambda: asyncio.Event().wait(), lambda: asyncio.sleep(0)])
async def test_clean_up_may_cancel_its_own_task(wait: Step) -> None:
    async def closing() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel("mine")
        await wait()

    module = Pair(closing=closing)
    with pytest.raises(asyncio.CancelledError, match="mine"):
        await handle(module)
    assert module.log == [*OPENED, "inner…", "outer-"]


async def test_a_timeout_around_an_event_that_passes_in_its_clean_up() -> None:
    go = asyncio.Event()
    module = Pair(closing=go.wait)
    limits: list[asyncio.Timeout] = []

    async def whole() -> None:
        async with asyncio.timeout(None) as limit:
            limits.append(limit)
            await handle(module)

    task = asyncio.create_task(whole())
    await blocked(task)
    assert module.log[-1] == "inner…"
    limits[0].reschedule(0)
    await _when(limits[0].expired)
    go.set()
    with pytest.raises(TimeoutError):
        await task
    assert module.log == [*OPENED, *CLOSED]


async def _when(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


async def test_a_cancel_scope_around_an_event_gets_its_cancellation_back() -> None:
    go = asyncio.Event()
    module = Pair(closing=go.wait)
    after: list[str] = []

    async def whole() -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await handle(module)
        after.append("scope")

    scopes: list[anyio.CancelScope] = []
    for cancels_task in (False, True):
        go.clear()
        module.log.clear()
        task = asyncio.create_task(whole())
        await blocked(task)
        scopes.pop().cancel()
        if cancels_task:
            await asyncio.sleep(0)
            task.cancel()
        asyncio.get_running_loop().call_later(0.002, go.set)
        await asyncio.wait([task])
        assert module.log == [*OPENED, *CLOSED]
        assert task.cancelled() is cancels_task
        assert after == ["scope"]


async def test_a_shielded_clean_up_inside_another() -> None:
    go = asyncio.Event()
    nested = Pair(closing=go.wait)
    module = Pair(closing=lambda: handle(nested))
    task = asyncio.create_task(handle(module))
    await blocked(task)
    assert nested.log[-1] == "inner…"
    task.cancel()
    await blocked(task)
    task.cancel()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert nested.log == [*OPENED, *CLOSED]
    assert module.log == [*OPENED, *CLOSED]


async def test_a_timeout_in_a_nested_clean_up() -> None:
    async def closing() -> None:
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()

    nested = Pair(closing=closing)
    module = Pair(closing=lambda: handle(nested))
    with pytest.raises(TimeoutError):
        await handle(module)
    assert nested.log == [*OPENED, "inner…", "outer-"]
    assert module.log == [*OPENED, "inner…", "outer-"]


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


async def test_a_clean_up_that_is_given_up_does_not_go_on() -> None:
    log: list[str] = []

    async def clean_up() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            log.append("given up")

    waiting = Shield(clean_up(), Mark()).__await__()
    waiting.send(None)
    waiting.close()  # what happens to coroutines that an event loop leaves behind
    assert log == ["given up"]


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
