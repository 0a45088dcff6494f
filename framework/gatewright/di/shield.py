"""Running clean-up to its end, whoever cancels the task meanwhile.

`asyncio.shield` runs what it protects in another task, where the cancel scopes and task groups of
a resource cannot be left. Here the clean-up stays in its own task: we wait in its place, so that
`Task.cancel` reaches our future and not the one the clean-up waits on. A cancel that the clean-up
itself caused (its own timeout, its own task group) is let through; any other one is kept back
until the end.
"""

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

__all__ = ["Mark", "Shield", "marks", "stronger"]

T = TypeVar("T")


class Mark:
    """Stands for one level. Whatever its resources start carries it in its context."""

    __slots__ = ()


marks: ContextVar[tuple[Mark, ...]] = ContextVar("gatewright_di_marks", default=())
"""The levels whose resources are being entered or left here.

Timers and tasks copy the context that they were started in: that is how a cancel shows where it
comes from.
"""


class _Waiter(asyncio.Future[None]):
    """What the task waits on, in place of the future that its clean-up waits on."""

    def __init__(self, shield: "Shield[Any]", inner: "asyncio.Future[Any] | None") -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._shield = shield
        self._inner = inner
        if inner is None:  # a bare yield, as in asyncio.sleep(0): come back in the next round
            self.get_loop().call_soon(self._wake)
        else:
            inner.add_done_callback(self._wake)

    def _wake(self, _: object = None) -> None:
        if not self.done():
            self.set_result(None)

    def cancel(self, msg: Any = None) -> bool:
        """Called from within `Task.cancel`, and by the task itself for a cancel made as it ran."""
        if self._shield.keep_back(msg):
            return True
        if self._inner is not None and self._inner.cancel(msg):
            return True
        return super().cancel(msg)


def stronger(
    one: asyncio.CancelledError | None, other: asyncio.CancelledError | None
) -> asyncio.CancelledError | None:
    """Which of two cancels goes on: the first, unless only the other is for the whole task.

    anyio's cancel scopes know theirs by its message and swallow it; one without a message must
    not get lost behind it.
    """
    if one is None or (one.args and other is not None and not other.args):
        return other
    return one


class Shield(Generic[T]):
    """Awaits a coroutine to its end; afterwards `cancelled` is the cancel that was kept back.

    The caller raises it then, for the task is still meant to end.
    """

    __slots__ = ("_before", "_coroutine", "_kept", "_mark", "_task", "cancelled")

    def __init__(self, coroutine: Coroutine[Any, Any, T], mark: Mark) -> None:
        self._coroutine = coroutine
        self._mark = mark
        self._task: asyncio.Task[Any] | None = None
        self._before = 0
        self._kept: list[Any] = []
        self.cancelled: asyncio.CancelledError | None = None

    def keep_back(self, message: Any) -> bool:
        """Keep the cancel being made right now if it comes from outside the clean-up."""
        task = self._task
        if task is not None and asyncio.current_task() is task:
            # Handed over by the task itself: either it was cancelled just before the clean-up
            # began, or the clean-up cancelled its own task in the step that has just ended.
            foreign = task.cancelling() <= self._before
        else:
            foreign = self._mark not in marks.get()
        if foreign:
            self._kept.append(message)
            if task is not None:
                # The clean-up's own timeouts count the requests to see which one is theirs.
                task.uncancel()
        return foreign

    def __await__(self) -> Generator[Any, Any, T]:
        self._task = task = asyncio.current_task()
        token = marks.set((*marks.get(), self._mark))
        try:
            result = yield from self._drive()
        finally:
            marks.reset(token)
        if self._kept and task is not None:
            # Made once more, as often as before: timeouts and scopes around us count them, too.
            for message in sorted(self._kept, key=lambda each: each is None):
                task.cancel(message)
            try:
                yield
            except asyncio.CancelledError as cancelled:
                self.cancelled = cancelled
        return result

    def _drive(self) -> Generator[Any, Any, T]:
        coroutine, task = self._coroutine, self._task
        thrown: BaseException | None = None
        while True:
            self._before = task.cancelling() if task is not None else 0
            try:
                inner = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            thrown = None
            if inner is not None:
                # What a task does with every future that it is told to wait for.
                inner._asyncio_future_blocking = False  # noqa: SLF001
            try:
                yield from _Waiter(self, inner)
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as error:
                thrown = error
