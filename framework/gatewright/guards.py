"""Guards: who may open a connection, and who may send an event."""

import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from gatewright.arguments import Arguments
from gatewright.context import Context
from gatewright.di import Depth
from gatewright.errors import ErrorCode, EventError

__all__ = ["Guards"]


class Guards:
    """The guards of one event, or of opening, in their order: application, gateway, handler."""

    __slots__ = ("_guards", "_timeout", "level")

    def __init__(
        self, guards: Sequence[tuple[Callable[..., Any], Arguments]], timeout: float
    ) -> None:
        self._guards = guards
        self._timeout = timeout
        self.level: Depth = max((arguments.level for _, arguments in guards), default=Depth.APP)

    def __bool__(self) -> bool:
        return bool(self._guards)

    async def check(self, context: Context) -> None:
        """Raises what a guard raises; `forbidden` for False, `timeout` for one that takes long."""
        for guard, arguments in self._guards:
            allowed = (
                guard(*arguments.values(context))
                if arguments.direct
                else await arguments.call(guard, context)
            )
            if inspect.isawaitable(allowed):
                limit = asyncio.timeout(self._timeout)
                try:
                    async with limit:
                        allowed = await allowed
                except TimeoutError:
                    if not limit.expired():
                        raise
                    raise EventError(
                        ErrorCode.TIMEOUT, f"a guard took longer than {self._timeout:g} s"
                    ) from None
            # None allows: a guard that only raises needs no return.
            if allowed is False:
                raise EventError(ErrorCode.FORBIDDEN, "refused by a guard")
