"""The three lengths of life, the decorators that name them, and `@resource`."""

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from enum import IntEnum
from typing import Any, NoReturn, ParamSpec, TypeVar, cast, get_args, get_origin, get_type_hints

from injector import Binding, NoScope, Provider, Scope, ScopeDecorator, SingletonScope

from gatewright.errors import StartupError

__all__ = ["Depth", "app_scoped", "connection_scoped", "event_scoped", "resource"]

P = ParamSpec("P")
T = TypeVar("T")

RESOURCE = "__gatewright_resource__"


class Depth(IntEnum):
    """How narrow a level of life is; a greater number lives shorter, inside the smaller ones."""

    APP = 0
    CONNECTION = 1
    EVENT = 2

    def __str__(self) -> str:
        return ("application", "connection", "event")[self]


class _LevelScope(Scope):
    depth: Depth

    def get(self, key: type[T], provider: Provider[T]) -> NoReturn:
        raise RuntimeError(
            f"expected a gatewright Container to resolve {key!r}, got a plain injector.Injector: "
            "it knows no connections and no events"
        )


class AppScope(_LevelScope):
    depth = Depth.APP


class ConnectionScope(_LevelScope):
    depth = Depth.CONNECTION


class EventScope(_LevelScope):
    depth = Depth.EVENT


app_scoped: ScopeDecorator = ScopeDecorator(AppScope)
"""One instance per application."""
connection_scoped: ScopeDecorator = ScopeDecorator(ConnectionScope)
"""One instance per connection, shared by its events."""
event_scoped: ScopeDecorator = ScopeDecorator(EventScope)
"""One instance per event."""


def depth_of(scope: type[Scope], where: str) -> Depth | None:
    """The level that a scope names; None is unscoped: a new instance per ask."""
    if issubclass(scope, _LevelScope):
        return scope.depth
    if issubclass(scope, SingletonScope):
        return Depth.APP
    if issubclass(scope, NoScope):
        return None
    raise StartupError(
        where,
        expected="the scope app_scoped, connection_scoped, event_scoped or injector's singleton",
        got=scope.__name__,
        fix="Only these have a beginning and an end that the container can see; use one of them.",
    )


def resource(function: Callable[P, AsyncIterator[T]]) -> Callable[P, T]:
    """Mark an async generator of a `Module` as the provider of what it yields, exactly once.

    Write it under a scope decorator. It is entered when something at its level first needs it, in
    the task that asks. Its level's end resumes it after the `yield`, or raises there what ended
    the level; it may translate that error by raising another one, but cannot swallow it. It is
    closed by whoever closes the level: an event's own task, so cancel scopes and task groups may
    span its `yield`. A connection's or the application's resource may be entered by the task of
    an event that needs it first, and must not hold anything bound to its task.

    Raises `StartupError` for anything but an async generator with a return annotation.
    """
    name = getattr(function, "__qualname__", repr(function))
    if not inspect.isasyncgenfunction(function):
        raise StartupError(
            f"@resource {name}",
            expected="an async generator function",
            got=_kind(function),
            fix="Write `async def` and `yield` the value once; use injector's @provider for "
            "what needs no clean-up.",
        )
    if "return" not in function.__annotations__:
        raise StartupError(
            f"@resource {name}",
            expected="a return annotation AsyncIterator[T]",
            got="none",
            fix="Annotate it: `-> AsyncIterator[Session]` provides Session.",
        )
    marked = cast(Any, function)
    setattr(marked, RESOURCE, True)
    # Deferred is injector's word for "read the annotation at installation": the types may be
    # defined below the module, and `yielded` reads them with Annotated intact.
    marked.__binding__ = Binding(
        cast(Any, "__deferred__"), marked, getattr(function, "__scope__", cast(Any, None))
    )
    return cast(Callable[P, T], function)


def is_resource(function: object) -> bool:
    return getattr(function, RESOURCE, False)


def yielded(function: Callable[..., Any]) -> object:
    """The type that a resource provides."""
    name = getattr(function, "__qualname__", repr(function))
    returned: Any = get_type_hints(function, include_extras=True)["return"]
    arguments = get_args(returned)
    if get_origin(returned) not in (AsyncIterator, AsyncGenerator, AsyncIterable) or not arguments:
        raise StartupError(
            f"@resource {name}",
            expected="a return annotation AsyncIterator[T] or AsyncGenerator[T, None]",
            got=repr(returned),
            fix="Annotate what it yields: `-> AsyncIterator[Session]` provides Session.",
        )
    return cast(object, arguments[0])


def _kind(function: object) -> str:
    if inspect.iscoroutinefunction(function):
        return "an async function that does not yield"
    if inspect.isgeneratorfunction(function):
        return "a generator function that is not async"
    return "a plain function" if inspect.isfunction(function) else repr(function)
