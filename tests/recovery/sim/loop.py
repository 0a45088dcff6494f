"""An event loop in which nothing happens by itself: no time passes, no thread runs beside it."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from tests._support.clock import ManualLoop

__all__ = ["SimLoop"]

T = TypeVar("T")


class SimLoop(ManualLoop):
    """Its executor does the work at once, in the loop's own thread."""

    def settle(self) -> None:
        """Run until nothing is ready any more."""
        self.run_until_complete(self._until_idle())

    async def _until_idle(self) -> None:
        idle = 0
        # What the selector or a timer that is due brings is ready a turn later.
        while idle < 3:
            await asyncio.sleep(0)
            idle = 0 if self._ready else idle + 1  # type: ignore[attr-defined]

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """There is none."""
