"""An event loop whose time is the test's to move, for what is measured in seconds."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any, TypeVar

from typing_extensions import override

T = TypeVar("T")


class ManualLoop(asyncio.SelectorEventLoop):
    """Timers run when `advance` passes them, never because real time does."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 1000.0

    def time(self) -> float:
        return self._now

    @override
    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """As uvloop does it: what is due at once has a handle that knows no time."""
        if when <= self._now:
            return self.call_soon(callback, *args, context=context)
        return super().call_at(when, callback, *args, context=context)

    def settle(self) -> None:
        """Run everything that is ready, and what that makes ready, but no timer before its time."""
        self.run_until_complete(_turns())

    def advance(self, seconds: float, step: float | None = None) -> None:
        """Let time pass, in steps, so that a timer which sets itself again runs each time."""
        end = self._now + seconds
        while self._now < end:
            self._now = min(end, self._now + (step or seconds))
            self.settle()

    def run(self, awaitable: Awaitable[T]) -> T:
        """Run something that needs no time to pass."""
        return self.run_until_complete(asyncio.wait_for(awaitable, None))

    def close(self) -> None:
        left = asyncio.all_tasks(self)
        for task in left:
            task.cancel()
        self.settle()
        super().close()
        assert not left, f"tasks still running at the end: {left}"


async def _turns() -> None:
    for _ in range(12):
        await asyncio.sleep(0)
