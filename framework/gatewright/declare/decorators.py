"""The decorators. They attach specs and change nothing else."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast, overload

from typing_extensions import TypeVar

from gatewright.declare.events import check_event_name
from gatewright.declare.naming import describe, name_of
from gatewright.declare.specs import (
    Catcher,
    CatchSpec,
    EventSpec,
    GatewaySpec,
    Guard,
    HookSpec,
    Interceptor,
    RequestSpec,
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
    "listed",
    "not_a_method",
    "on",
    "on_connect",
    "on_disconnect",
    "on_end",
    "on_request",
    "on_resume",
    "on_start",
    "on_stop",
]

GATEWAY = "__gatewright_gateway__"
SPEC = "__gatewright_spec__"

C = TypeVar("C", bound=type)
H = TypeVar("H", bound=Callable[..., Awaitable[object] | AsyncIterator[object]])
R = TypeVar("R", bound=Callable[..., Awaitable[object]])
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
    given: object = namespace
    if isinstance(given, type):
        raise StartupError(
            f"@gateway above {given.__name__}",
            expected="a namespace in brackets",
            got="none",
            fix=f'Write @gateway("/{given.__name__.lower()}").',
        )

    def declare(cls: C) -> C:
        where = f"{name_of(cls)}, @gateway"
        spec = GatewaySpec(
            namespace,
            listed(emits, where, "emits"),
            listed(guards, where, "guards"),
            listed(interceptors, where, "interceptors"),
            listed(errors, where, "errors"),
            concurrency,
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
    idempotent: bool = False,
) -> Callable[[H], H]:
    """Handle an event: on an `async def` method, or on an async generator for a stream.

    `idempotent` says that a call may be executed again when nobody knows whether it was: its
    client, which has lost the answer, is then told the new one instead of `reply_lost`.
    """
    given: object = event
    if inspect.isfunction(given):
        raise StartupError(
            f"@on above {name_of(given)}",
            expected="an event's name in brackets",
            got="none",
            fix=f'Write @on("{given.__name__}").',
        )

    def declare(method: H) -> H:
        where = f"{name_of(method)}, @on"
        check_event_name(event, where)
        spec = EventSpec(
            event,
            listed(guards, where, "guards"),
            listed(interceptors, where, "interceptors"),
            listed(errors, where, "errors"),
            idempotent,
        )
        return _attach(method, spec)

    return declare


def on_request(event: str) -> Callable[[R], R]:
    """Answer what a node asks by `Nodes.request`: the payload by type, and what `@on_start` takes.

    What the method returns is this node's answer; an `EventError` goes to whoever has asked.
    """
    given: object = event
    if inspect.isfunction(given):
        raise StartupError(
            f"@on_request above {name_of(given)}",
            expected="a request's name in brackets",
            got="none",
            fix=f'Write @on_request("{given.__name__}").',
        )

    def declare(method: R) -> R:
        return _attach(method, RequestSpec(event))

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
    given: Any = exception
    if not inspect.isclass(given) or not issubclass(given, Exception):
        raise StartupError(
            "@catch",
            expected="an exception class",
            got=given.__name__ if inspect.isroutine(given) else describe(given),
            fix="Write @catch(ValueError), one decorator per class.",
        )

    def declare(handler: Any) -> Any:
        return _attach(handler, CatchSpec(exception))

    return declare


def listed(given: Any, where: str, name: str) -> tuple[Any, ...]:
    """What was given as a list; raises `StartupError` for one thing without its list."""
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise StartupError(
            where,
            expected=f"{name} as a list",
            got=describe(given),
            fix=f"Write {name}=[…].",
        )
    found: tuple[Any, ...] = tuple(cast(Any, given))
    return found


def _attach(method: F, spec: EventSpec | HookSpec | CatchSpec | RequestSpec) -> F:
    where = name_of(method)
    target: object = method
    if not inspect.isfunction(target):
        raise not_a_method(target, where)
    if (there := vars(target).get(SPEC)) is not None:
        raise StartupError(
            where,
            expected="one gatewright decorator",
            got=f"a second one besides {_named(there)}",
            fix="Write one method for each and let them call a third.",
        )
    setattr(target, SPEC, spec)
    return method


def not_a_method(found: object, where: str) -> StartupError:
    """The error for a decorator above something else, as a staticmethod."""
    article = "an" if type(found).__name__[0] in "aeiou" else "a"
    return StartupError(
        where,
        expected="a method",
        got="a class" if isinstance(found, type) else f"{article} {type(found).__name__}",
        fix="Make it an async method with self: the gateway is an injected instance.",
    )


def _named(spec: EventSpec | HookSpec | CatchSpec | RequestSpec) -> str:
    if isinstance(spec, RequestSpec):
        return f'@on_request("{spec.event}")'
    if isinstance(spec, EventSpec):
        return f'@on("{spec.event}")'
    return f"@{spec.kind}" if isinstance(spec, HookSpec) else f"@catch({spec.exception.__name__})"
