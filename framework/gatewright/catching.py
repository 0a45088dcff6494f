"""From an exception to the error that the caller gets."""

import asyncio
import contextlib
import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from gatewright.context import Context
from gatewright.errors import ErrorCode, EventError

__all__ = ["Catchers", "event_error", "forgive", "stray"]

logger: logging.Logger = logging.getLogger("gatewright")

_JSON_PATH = re.compile(r" - at `(.+)`$")

Catcher = Callable[[Any, Context], Awaitable[Any]]


class Catchers:
    """The error handlers around one event: of the handler, of its gateway, of the application."""

    __slots__ = ("_debug", "_levels")

    def __init__(
        self, levels: Sequence[Sequence[tuple[type[Exception], Catcher]]], *, debug: bool
    ) -> None:
        self._levels = [dict(level) for level in levels if level]
        self._debug = debug

    async def end(self, error: Exception, context: Context) -> EventError:
        """How the call ends; logs what the caller is not told."""
        catcher = self._find(type(error))
        if catcher is not None:
            try:
                answer = await catcher(error, context)
            except EventError as raised:
                return raised
            except Exception as raised:
                # The error of an error handler is a bug of ours to tell, not the caller's.
                raised.__cause__ = raised.__cause__ or error
                return self._unexpected(raised, context)
            except asyncio.CancelledError as cancelled:
                if (lost := stray(cancelled)) is None:
                    raise
                return self._unexpected(lost, context)
            if isinstance(answer, EventError):
                return answer
            wrong = TypeError(
                f"{getattr(catcher, '__qualname__', catcher)}: expected an EventError, "
                f"got {type(answer).__name__}; return EventError(code, message)"
            )
            wrong.__cause__ = error
            return self._unexpected(wrong, context)
        return event_error(error) or self._unexpected(error, context)

    def _find(self, kind: type[Exception]) -> Catcher | None:
        for level in self._levels:
            for each in kind.__mro__:
                if each in level:
                    return level[each]
        return None

    def _unexpected(self, error: Exception, context: Context) -> EventError:
        # repr() escapes what a client could smuggle into a log line; event names are its text.
        logger.error(
            "%s %.80r failed", context.namespace, context.event or "(opening)", exc_info=error
        )
        if not self._debug:
            return EventError(ErrorCode.INTERNAL, "internal error")
        place = inspect.trace()[-1] if inspect.trace() else None
        details = {"type": type(error).__name__}
        if place is not None:
            details["at"] = f"{place.function}, line {place.lineno}"
        return EventError(ErrorCode.INTERNAL, str(error), details)


def stray(error: asyncio.CancelledError) -> Exception | None:
    """The error that a cancellation of somebody else is; None when this task itself is cancelled.

    Awaiting a task or future that was cancelled raises the same `CancelledError` as being
    cancelled. To let it pass would end the connection's lane in silence.
    """
    task = asyncio.current_task()
    if task is None or task.cancelling():
        return None
    lost = RuntimeError("expected a result, but what was awaited for it has been cancelled")
    lost.__cause__ = error
    return lost


async def forgive(task: "asyncio.Task[Any]") -> None:
    """Take back every cancellation of this task, the current one: what it was meant for is over.

    The client's own, one that a handler made and swallowed, or one that asyncio's `TaskGroup`
    (before Python 3.13) leaves behind when a child fails while the group waits for it.
    """
    while task.uncancel():
        pass
    # What was not delivered yet is delivered here, and not to the next handler.
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)


def event_error(error: Exception) -> EventError | None:
    """The error a caller may see as it is; None for one that needs to stay hidden."""
    if isinstance(error, EventError):
        return error
    if isinstance(error, msgspec.ValidationError):
        text = str(error)
        found = _JSON_PATH.search(text)
        return EventError(ErrorCode.INVALID, text, {"path": found[1] if found else "$"})
    return None
