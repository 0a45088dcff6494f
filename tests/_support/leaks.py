"""Finds tasks that a test left running."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

GRACE = 1.0  # seconds in which what was already told to stop may finish stopping


@asynccontextmanager
async def no_task_left() -> AsyncGenerator[None]:
    """Fail the test, naming them, if tasks started inside the block are still running after it."""
    before = asyncio.all_tasks()
    yield
    left = {task for task in asyncio.all_tasks() - before if not _is_pytests_own(task)}
    if left:
        _, left = await asyncio.wait(left, timeout=GRACE)
    if left:
        names = "\n".join(sorted(f"  {_describe(task)}" for task in left))
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=GRACE)
        pytest.fail(f"the test left {len(left)} task(s) running:\n{names}", pytrace=False)


def _is_pytests_own(task: "asyncio.Task[object]") -> bool:
    # anyio's plugin wraps every step of a test (fixture, test, teardown) in a task of its own.
    return getattr(task.get_coro(), "__qualname__", "").startswith("TestRunner.")


def _describe(task: "asyncio.Task[object]") -> str:
    stack = task.get_stack(limit=1)
    where = f" at {stack[0].f_code.co_filename}:{stack[0].f_lineno}" if stack else ""
    return f"{task.get_name()}: {task.get_coro()!r}{where}"
