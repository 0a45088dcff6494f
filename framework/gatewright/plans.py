"""One plan per handler and hook, compiled when the application starts."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal, Protocol, cast

from gatewright.arguments import Arguments, Payload
from gatewright.catching import Catchers
from gatewright.context import Context, Place
from gatewright.di import Depth, Level
from gatewright.errors import EventError
from gatewright.guards import Guards
from gatewright.interceptors import Around, wrap
from gatewright.protocol.codecs import Codec
from gatewright.protocol.frames import Data

logger: logging.Logger = logging.getLogger("gatewright")

__all__ = ["Call", "EventPlan", "HookPlan", "Hooks", "RequestPlan", "open_level"]


@asynccontextmanager
async def open_level(context: Context, connection: Level, depth: Depth) -> AsyncGenerator[None]:
    """Give a context the level it injects from; an event's own is closed at the end."""
    if depth is Depth.EVENT:
        async with connection.event({Context: context}) as level:
            context.level = level
            yield
    else:
        context.level = connection
        yield


class Call(Context):
    """An event on its way through the lane."""

    __slots__ = ("cancelled", "closing", "plan", "task")

    def __init__(
        self, place: Place, event: str, data: Data, call_id: int | None, plan: "EventPlan"
    ) -> None:
        # Not by super(): it would set what only hooks are told, once per message.
        self.place: Place = place
        self.event: str | None = event
        self.data: Data = data
        self.call_id: int | None = call_id
        self.payload: Any = None
        self.level: Level | None = None
        self.plan: EventPlan = plan
        self.closing: AsyncExitStack | None = None
        """Of a stream: what is closed at its end."""
        self.task: asyncio.Task[None] | None = None
        self.cancelled: bool = False


class EventPlan:
    """Everything that one event needs: guards → data → interceptors → handler."""

    __slots__ = (
        "_arguments",
        "_catchers",
        "_depth",
        "_guards",
        "_handler",
        "_inside",
        "_payload",
        "event",
        "idempotent",
        "simple",
        "stream",
    )

    def __init__(
        self,
        event: str,
        handler: Callable[..., Any],
        arguments: Arguments,
        payload: Payload,
        guards: Guards,
        interceptors: Sequence[Around],
        catchers: Catchers,
        *,
        stream: bool,
        idempotent: bool = False,
    ) -> None:
        self.event: str = event
        self.stream: bool = stream
        self.idempotent: bool = idempotent
        self._handler = handler
        self._arguments = arguments
        self._payload = payload
        self._guards = guards
        self._catchers = catchers
        self._depth = max(arguments.level, guards.level)
        self._inside = wrap(interceptors, self._handle)
        # Most handlers: nothing around them, nothing to open, nothing to wait for.
        self.simple: bool = (
            not stream
            and not guards
            and not interceptors
            and arguments.direct
            and self._depth is Depth.APP
        )

    def call(self, context: Context, codec: Codec) -> Awaitable[Any]:
        """The handler's coroutine, for a plan that is `simple`."""
        self._payload.decode(context, codec)
        awaitable: Awaitable[Any] = self._handler(*self._arguments.values(context))
        return awaitable

    async def run(self, context: Context, codec: Codec, connection: Level) -> Any:
        """The handler's result; a failure to close event resources, a commit say, is raised."""
        if self._depth is Depth.APP:
            return await self._steps(context, codec)
        async with open_level(context, connection, self._depth):
            return await self._steps(context, codec)

    @asynccontextmanager
    async def items(
        self, call: Call, codec: Codec, connection: Level
    ) -> AsyncGenerator[AsyncIterator[Any]]:
        """A stream's items. Generator and event resources are closed at the end, in this order."""
        async with open_level(call, connection, self._depth), AsyncExitStack() as stack:
            call.closing = stack
            iterator = cast(AsyncIterator[Any], await self._steps(call, codec))
            _close_at_the_end(stack, iterator)
            yield iterator

    async def _steps(self, context: Context, codec: Codec) -> Any:
        if self._guards:
            await self._guards.check(context)
        self._payload.decode(context, codec)
        return await self._inside(context)

    async def _handle(self, context: Context) -> Any:
        if self._arguments.direct:
            called = self._handler(*self._arguments.values(context))
        else:
            called = await self._arguments.call(self._handler, context)
        if not self.stream:
            return await called
        # A stream's call is the iterator itself. An interceptor may iterate it within its own,
        # whose end leaves it suspended.
        _close_at_the_end(cast(Call, context).closing, called)
        return called

    async def end(self, error: Exception, context: Context) -> Any:
        """The `EventError` that ends the call instead of a result."""
        return await self._catchers.end(error, context)


def _close_at_the_end(stack: AsyncExitStack | None, iterator: object) -> None:
    close = getattr(iterator, "aclose", None)
    if stack is not None and close is not None:
        stack.push_async_callback(close)


class RequestPlan:
    """One gateway's answer to what a node asks."""

    __slots__ = ("_arguments", "_catchers", "_codec", "_method", "_payload", "where")

    def __init__(
        self,
        where: str,
        method: Callable[..., Any],
        arguments: Arguments,
        payload: Payload,
        codec: Codec,
        catchers: Catchers,
    ) -> None:
        self.where: str = where
        self._method = method
        self._arguments = arguments
        self._payload = payload
        self._codec = codec
        self._catchers = catchers

    async def run(self, context: Context) -> Any:
        """What it returns; raises the `EventError` that it ends with."""
        try:
            self._payload.decode(context, self._codec)
            return await (await self._arguments.call(self._method, context))
        except Exception as error:
            raise await self._catchers.end(error, context) from error


class Hooks(Protocol):
    """What a session asks of its gateways besides their events."""

    async def connect(self, context: Context, level: Level) -> None:
        """Run the connect hooks; raises what one raises."""
        ...

    async def resume(self, context: Context, level: Level) -> None:
        """Run the resume hooks; raises what one raises."""
        ...

    async def refusal(self, error: Exception, context: Context) -> EventError:
        """What the client is told of an error while it opens."""
        ...

    async def finish(
        self, kind: Literal["on_disconnect", "on_end"], context: Context, level: Level
    ) -> None:
        """Run the hooks of the end; never raises."""
        ...


class HookPlan:
    """One hook of one gateway."""

    __slots__ = ("_arguments", "_method", "where")

    def __init__(self, where: str, method: Callable[..., Any], arguments: Arguments) -> None:
        self.where: str = where
        self._method = method
        self._arguments = arguments

    async def run(self, context: Context, connection: Level) -> Any:
        async with open_level(context, connection, self._arguments.level):
            return await (await self._arguments.call(self._method, context))

    def log_failure(self, context: Context, error: Exception) -> None:
        """Tell the log what went wrong; a client has nothing to do with it."""
        logger.error("%s: %s failed", context.namespace, self.where, exc_info=error)
