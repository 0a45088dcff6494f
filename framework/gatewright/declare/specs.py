"""What decorators attach and the reader returns: plain, frozen facts."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum
from typing import Any, TypeAlias

from msgspec import Struct

__all__ = [
    "CatchSpec",
    "Catcher",
    "EventSpec",
    "Gateway",
    "GatewaySpec",
    "Guard",
    "Handler",
    "Hook",
    "HookSpec",
    "Interceptor",
    "Parameter",
    "RequestSpec",
    "Source",
]

Guard: TypeAlias = Callable[..., Awaitable[bool | None] | bool | None] | type[Any]
"""A function, or a class to inject whose instances are called; False or an exception refuses."""

CallNext: TypeAlias = Callable[[], Awaitable[Any]]
"""Runs what is further in: the next interceptor, in the end the handler."""

Interceptor: TypeAlias = Callable[[Any, CallNext], Awaitable[Any]] | type[Any]
"""`async (context, call_next)`, or a class to inject whose instances are that."""

Catcher: TypeAlias = Callable[..., Awaitable[Any]]


class GatewaySpec(Struct, frozen=True):
    """From `@gateway`."""

    namespace: str
    emits: Sequence[Any] = ()
    guards: Sequence[Guard] = ()
    interceptors: Sequence[Interceptor] = ()
    errors: Sequence[Catcher] = ()
    concurrency: int = 1
    apart: bool = False
    """Whether nothing of the application stands around it: neither `authenticate` nor guards,
    interceptors or error handlers. For gateways of the framework's own, which bring theirs."""


class EventSpec(Struct, frozen=True):
    """From `@on`."""

    event: str
    guards: Sequence[Guard] = ()
    interceptors: Sequence[Interceptor] = ()
    errors: Sequence[Catcher] = ()
    idempotent: bool = False


class RequestSpec(Struct, frozen=True):
    """From `@on_request`."""

    event: str


class HookSpec(Struct, frozen=True):
    """From `@on_connect` and its siblings."""

    kind: str


class CatchSpec(Struct, frozen=True):
    """From `@catch`."""

    exception: type[Exception]


class Source(Enum):
    """Where a parameter's value comes from."""

    CONNECTION = "connection"
    CONTEXT = "context"
    HANDSHAKE = "handshake"
    EMITTER = "emitter"
    PRESENCE = "presence"
    PRINCIPAL = "principal"
    STATE = "state"
    PATH = "path"
    FROM = "from"
    INJECT = "inject"
    PAYLOAD = "payload"
    REASON = "reason"
    GAP = "gap"
    ROOM = "room"


class Parameter(Struct, frozen=True):
    """One parameter of a handler, hook or guard."""

    name: str
    source: Source
    kind: Any
    keyword: bool = False
    extractor: Callable[[Any], Any] | None = None
    default: Any = ...


class Handler(Struct, frozen=True):
    """One event's method."""

    where: str
    event: str
    method: str
    function: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    stream: bool
    spec: EventSpec

    @property
    def payload(self) -> tuple[Parameter, ...]:
        return tuple(p for p in self.parameters if p.source is Source.PAYLOAD)


class Hook(Struct, frozen=True):
    """One hook's method."""

    where: str
    kind: str
    method: str
    parameters: tuple[Parameter, ...]


class CatchMethod(Struct, frozen=True):
    """One error handler; `method` is None for a function given to `errors=`."""

    where: str
    exception: type[Exception]
    method: str | None
    function: Catcher


class Gateway(Struct, frozen=True):
    """A gateway class, read and checked."""

    cls: type[Any]
    spec: GatewaySpec
    path: tuple[str, ...]
    handlers: Mapping[str, Handler]
    hooks: Mapping[str, Hook]
    catches: tuple[CatchMethod, ...]
    requests: Mapping[str, Handler] = {}
    """What answers other nodes, by name."""
