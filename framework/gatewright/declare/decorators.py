"""The decorators. They attach specs and change nothing else."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, overload

from typing_extensions import TypeVar

from gatewright.declare.events import check_event_name
from gatewright.declare.specs import (
    Catcher,
    CatchSpec,
    EventSpec,
    GatewaySpec,
    Guard,
    HookSpec,
    Interceptor,
)
from gatewright.errors import EventError, StartupError

if TYPE_CHECKING:
    from gatewright.context import Context

__all__ = [
    "GATEWAY",
    "SPEC",
    "authorize_room",
    "catch",
    "gateway",
    "on",
    "on_connect",
    "on_disconnect",
    "on_end",
    "on_resume",
    "on_start",
    "on_stop",
]

GATEWAY = "__gatewright_gateway__"
SPEC = "__gatewright_spec__"

C = TypeVar("C", bound=type)
H = TypeVar("H", bound=Callable[..., Awaitable[object] | AsyncIterator[object]])
K = TypeVar("K", bound=Callable[..., Awaitable[None]])
A = TypeVar("A", bound=Callable[..., Awaitable[bool]])
E = TypeVar("E", bound=Exception)
F = TypeVar("F", bound=Callable[..., object])


def gateway(
    namespace: str,
    *,
    emits: Sequence[Any] = (),
    guards: Sequence[Guard] = (),
    interceptors: Sequence[Interceptor] = (),
    errors: Sequence[Catcher] = (),
    concurrency: int = 1,
) -> Callable[[C], C]:
    """Declare a class as the gateway of a namespace, a path such as `/chat` or `/lab/{bench}`.

    `concurrency` events of one connection run at a time; with the default 1, one after another.
    """

    def declare(cls: C) -> C:
        spec = GatewaySpec(
            namespace, tuple(emits), tuple(guards), tuple(interceptors), tuple(errors), concurrency
        )
        setattr(cls, GATEWAY, spec)
        return cls

    return declare


def on(
    event: str,
    *,
    guards: Sequence[Guard] = (),
    interceptors: Sequence[Interceptor] = (),
    errors: Sequence[Catcher] = (),
) -> Callable[[H], H]:
    """Handle an event: on an `async def` method, or on an async generator for a stream."""

    def declare(method: H) -> H:
        check_event_name(event, _where(method))
        spec = EventSpec(event, tuple(guards), tuple(interceptors), tuple(errors))
        return _attach(method, spec)

    return declare


def on_connect(method: K) -> K:
    """Run once per session, before any of its events."""
    return _attach(method, HookSpec("on_connect"))


def on_resume(method: K) -> K:
    """Run after a session returned on a new socket; plain WebSockets have no sessions to resume."""
    return _attach(method, HookSpec("on_resume"))


def on_disconnect(method: K) -> K:
    """Run when a socket is lost; the connection's rooms are still readable."""
    return _attach(method, HookSpec("on_disconnect"))


def on_end(method: K) -> K:
    """Run once when a session is over; on a plain WebSocket right after `@on_disconnect`."""
    return _attach(method, HookSpec("on_end"))


def on_start(method: K) -> K:
    """Run when the application starts, before the first connection."""
    return _attach(method, HookSpec("on_start"))


def on_stop(method: K) -> K:
    """Run when the application stops, after the last connection."""
    return _attach(method, HookSpec("on_stop"))


def authorize_room(method: A) -> A:
    """`async (self, connection, room) -> bool`: asked for every room that is joined."""
    return _attach(method, HookSpec("authorize_room"))


class _Catches(Protocol[E]):
    @overload
    def __call__(
        self, handler: Callable[[E, "Context"], Awaitable[EventError]], /
    ) -> Callable[[E, "Context"], Awaitable[EventError]]: ...
    @overload
    def __call__(
        self, handler: Callable[[Any, E, "Context"], Awaitable[EventError]], /
    ) -> Callable[[Any, E, "Context"], Awaitable[EventError]]: ...


def catch(exception: type[E]) -> _Catches[E]:
    """Turn an exception into the caller's error: `async (error, context) -> EventError`.

    On a method for its gateway; on a function for `errors=[…]` of a handler, a gateway or the
    application. The nearest level answers, within it the most specific exception.
    """
    kind: object = exception
    if not isinstance(kind, type) or not issubclass(kind, Exception):
        raise StartupError(
            "@catch",
            expected="an exception class",
            got=repr(exception),
            fix="Write @catch(ValueError), one decorator per class.",
        )

    def declare(handler: Any) -> Any:
        return _attach(handler, CatchSpec(exception))

    return declare


def _where(method: object) -> str:
    return str(getattr(method, "__qualname__", method))


def _attach(method: F, spec: EventSpec | HookSpec | CatchSpec) -> F:
    where = _where(method)
    if isinstance(method, staticmethod | classmethod) or not callable(method):
        raise StartupError(
            where,
            expected="a method",
            got=f"a {type(method).__name__}",
            fix="Make it an async method with self: the gateway is an injected instance.",
        )
    if (there := method.__dict__.get(SPEC)) is not None:
        raise StartupError(
            where,
            expected="one gatewright decorator",
            got=f"a second one besides {_named(there)}",
            fix="Write one method for each and let them call a third.",
        )
    setattr(method, SPEC, spec)
    return method


def _named(spec: EventSpec | HookSpec | CatchSpec) -> str:
    if isinstance(spec, EventSpec):
        return f'@on("{spec.event}")'
    return f"@{spec.kind}" if isinstance(spec, HookSpec) else f"@catch({spec.exception.__name__})"
