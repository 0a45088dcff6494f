"""What clean-up starts itself may cancel it; what stands around an event gets its cancel back."""

import asyncio
from collections.abc import Callable

import anyio
import pytest

from gatewright.di.shield import Mark, Shield
from tests.di.pair import CLOSED, OPENED, Pair, Step, blocked, handle

pytestmark = pytest.mark.anyio


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
