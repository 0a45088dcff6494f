"""An application as declared: everything read and checked, nothing created yet."""

import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gatewright.around import (
    TABLE,
    GuardBlueprint,
    check_catcher,
    read_catchers,
    read_guards,
    read_interceptors,
    unique_catches,
)
from gatewright.declare.decorators import listed
from gatewright.declare.events import Event
from gatewright.declare.hints import annotations, typevars, unwrap_annotated
from gatewright.declare.naming import describe
from gatewright.declare.parameters import Allowed
from gatewright.declare.reader import read_gateway, twice
from gatewright.declare.specs import Catcher, CatchMethod, Gateway, Parameter, Source
from gatewright.declare.specs import Guard as GuardSpec
from gatewright.declare.specs import Interceptor as InterceptorSpec
from gatewright.emitter import Emitter
from gatewright.errors import StartupError
from gatewright.identities import Authenticate, read_authenticate
from gatewright.node import Template
from gatewright.people import Presence

__all__ = ["Blueprint", "GatewayBlueprint", "NamespaceBlueprint", "draw"]


class GatewayBlueprint(Struct, frozen=True):
    """One gateway with what stands around its handlers."""

    gateway: Gateway
    guards: tuple[GuardBlueprint, ...]
    handler_guards: Mapping[str, tuple[GuardBlueprint, ...]]
    errors: tuple[CatchMethod, ...]
    handler_errors: Mapping[str, tuple[CatchMethod, ...]]
    bound: Mapping[str, type[Emitter | Presence]]
    """Constructor parameters that take what is bound to the namespace."""


class NamespaceBlueprint(Struct, frozen=True):
    """The gateways of one namespace, in the order in which they were given."""

    template: Template
    gateways: tuple[GatewayBlueprint, ...]
    state: type[Struct] | None
    conversions: frozenset[tuple[str, Any]]
    concurrency: int
    apart: bool


class Blueprint(Struct, frozen=True):
    """The whole application."""

    namespaces: Mapping[str, NamespaceBlueprint]
    guards: tuple[GuardBlueprint, ...]
    interceptors: tuple[InterceptorSpec, ...]
    errors: tuple[CatchMethod, ...]
    authenticate: Authenticate | None

    def around(self, namespace: NamespaceBlueprint) -> "Blueprint":
        """What of the application stands around a namespace: nothing, where it is apart."""
        if not namespace.apart:
            return self
        return replace(self, guards=(), interceptors=(), errors=(), authenticate=None)


def draw(
    gateways: Sequence[type],
    guards: Sequence[GuardSpec] = (),
    interceptors: Sequence[InterceptorSpec] = (),
    errors: Sequence[Catcher] = (),
    authenticate: Callable[..., Any] | None = None,
    *,
    hooked: bool = False,
) -> Blueprint:
    """Read everything that was declared; raises `StartupError` for the first thing wrong."""
    gateways = listed(gateways, "Gatewright", "gateways")
    guards = listed(guards, "Gatewright", "guards")
    interceptors = listed(interceptors, "Gatewright", "interceptors")
    errors = listed(errors, "Gatewright", "errors")
    if not gateways:
        raise StartupError(
            "Gatewright(gateways=…)",
            expected="at least one gateway",
            got="none",
            fix="Pass the classes under @gateway.",
        )
    known = read_authenticate(authenticate, TABLE)
    namespaces = _namespaces(gateways, hooked=hooked)
    blueprint = Blueprint(
        namespaces,
        read_guards(guards, "Gatewright(guards=…)", (), Allowed.OPENING),
        read_interceptors(interceptors, "Gatewright(interceptors=…)"),
        read_catchers(errors, "Gatewright(errors=…)"),
        known,
    )
    for parameter, where in _parameters(blueprint):
        if parameter.source is Source.PRINCIPAL:
            _check_principal(parameter, where, known)
    return blueprint


def templates(gateways: Sequence[type]) -> dict[str, Template]:
    """The namespaces of gateways and what they emit, for who does not run them."""
    gateways = listed(gateways, "emitting", "gateways")
    return {path: each.template for path, each in _namespaces(gateways, hooked=True).items()}


def _namespaces(gateways: Sequence[type], *, hooked: bool) -> dict[str, NamespaceBlueprint]:
    by_path: dict[str, list[GatewayBlueprint]] = {}
    for cls in gateways:
        one = _gateway(read_gateway(cls, TABLE, hooked=hooked))
        there = by_path.setdefault(one.gateway.spec.namespace, [])
        if any(each.gateway.cls is cls for each in there):
            raise StartupError(
                "Gatewright(gateways=…)",
                expected="each gateway once",
                got=f"{cls.__name__} twice",
                fix="Drop one of them.",
            )
        there.append(one)
    _check_paths(by_path)
    _check_requests(each.gateway for several in by_path.values() for each in several)
    return {path: _namespace(path, several) for path, several in by_path.items()}


def _gateway(gateway: Gateway) -> GatewayBlueprint:
    spec, name = gateway.spec, gateway.cls.__name__
    read_interceptors(spec.interceptors, f"{name}, interceptors")
    guards: dict[str, tuple[GuardBlueprint, ...]] = {}
    errors: dict[str, tuple[CatchMethod, ...]] = {}
    for event, handler in gateway.handlers.items():
        read_interceptors(handler.spec.interceptors, f"{handler.where}, interceptors")
        around = Allowed.CONNECTION | Allowed.OPENING
        where = f"{handler.where}, guards"
        guards[event] = read_guards(handler.spec.guards, where, gateway.path, around)
        errors[event] = read_catchers(handler.spec.errors, f"{handler.where}, errors")
    for each in gateway.catches:
        check_catcher(each.function, each.where, method=True)
    own = read_catchers(spec.errors, f"{name}, errors")
    return GatewayBlueprint(
        gateway,
        read_guards(spec.guards, f"{name}, guards", gateway.path, Allowed.OPENING),
        guards,
        unique_catches((*gateway.catches, *own), name),
        errors,
        _bound(gateway),
    )


def _bound(gateway: Gateway) -> Mapping[str, type[Emitter | Presence]]:
    """The constructor's parameters for the namespace's emitter and presence."""
    owner = next(cls for cls in gateway.cls.__mro__ if "__init__" in vars(cls))
    if owner is object:
        return {}
    where = f"{gateway.cls.__name__}.__init__"
    hints = annotations(vars(owner)["__init__"], where, typevars(gateway.cls).get(owner))
    bound: dict[str, type[Emitter | Presence]] = {}
    for name, hint in hints.items():
        kind = unwrap_annotated(hint)[0]
        if kind is not Emitter and kind is not Presence:
            continue
        if gateway.path:
            called = "its emitter" if kind is Emitter else "presence"
            raise StartupError(
                f"{gateway.cls.__name__}.__init__, parameter {name!r}",
                expected=f"a gateway of a namespace without path parameters, to bind {called} to",
                got=f"one of {gateway.spec.namespace}",
                fix=f"Take the {kind.__name__} as a parameter of the handler: it is bound to the "
                "connection's.",
            )
        bound[name] = kind
    return bound


def _namespace(path: str, gateways: Sequence[GatewayBlueprint]) -> NamespaceBlueprint:
    events: dict[str, str] = {}
    names: dict[str, type] = {}
    state: tuple[type[Struct], str] | None = None
    conversions: set[tuple[str, Any]] = set()
    for each in gateways:
        gateway = each.gateway
        for event, handler in gateway.handlers.items():
            if event in events:
                raise StartupError(
                    handler.where,
                    expected="one handler for each event of a namespace",
                    got=f"a second one for {event!r} besides {events[event]}",
                    fix="Rename one event, or give one gateway another namespace.",
                )
            events[event] = handler.where
        for kind in gateway.spec.emits:
            emitted = _emitted(kind, gateway.cls.__name__)
            name = typing.cast(str, emitted.__event__)
            if names.setdefault(name, emitted) is not emitted:
                raise StartupError(
                    f"{gateway.cls.__name__}, emits",
                    expected="one class for each event name of a namespace",
                    got=f"{names[name].__name__} and {emitted.__name__} for {name!r}",
                    fix="Rename one of the events.",
                )
        for parameter, where in _gateway_parameters(each):
            if parameter.source is Source.PATH:
                conversions.add((parameter.name, parameter.kind))
            elif parameter.source is Source.STATE:
                state = _check_state(parameter, where, state)
    template = Template(path, gateways[0].gateway.path, frozenset(names.values()))
    apart = {each.gateway.spec.apart: each.gateway.cls.__name__ for each in gateways}
    if len(apart) > 1:
        raise StartupError(
            f"namespace {path}",
            expected=f"{apart[True]} alone: it lets in whom it knows itself",
            got=f"{apart[False]} as well",
            fix="Give one of them another namespace.",
        )
    concurrency = max(each.gateway.spec.concurrency for each in gateways)
    return NamespaceBlueprint(
        template,
        tuple(gateways),
        state[0] if state is not None else None,
        frozenset(conversions),
        concurrency,
        gateways[0].gateway.spec.apart,
    )


def _emitted(kind: Any, gateway: str) -> type[Event]:
    origin = typing.get_origin(kind) or kind
    named = isinstance(origin, type) and issubclass(origin, Event) and origin.__event__ is not None
    if not named:
        name = describe(origin) if isinstance(origin, type) else "Said"
        raise StartupError(
            f"{gateway}, emits",
            expected="Event classes with a name",
            got=describe(origin) if isinstance(origin, type) else repr(origin),
            fix=f'Declare it as class {name}(Event, event="{name.lower()}").',
        )
    return typing.cast(type[Event], origin)


def _check_state(
    parameter: Parameter, where: str, before: tuple[type[Struct], str] | None
) -> tuple[type[Struct], str]:
    kind = parameter.kind
    inner = f"{where}, parameter {parameter.name!r}"
    if not (isinstance(kind, type) and issubclass(kind, Struct)):
        raise StartupError(
            inner,
            expected="State of a Struct",
            got=f"State[{describe(kind)}]",
            fix="Declare the state as a Struct whose fields have defaults.",
        )
    if before is not None and before[0] is not kind:
        raise StartupError(
            inner,
            expected=f"one State of a namespace, {before[0].__name__} as in {before[1]}",
            got=kind.__name__,
            fix="Join them in one Struct.",
        )
    try:
        kind()
    except TypeError:
        raise StartupError(
            inner,
            expected="a State whose fields all have defaults",
            got=f"{kind.__name__}, which cannot be made without arguments",
            fix="Give each field the value that a new connection starts with.",
        ) from None
    return kind, where


def _check_principal(parameter: Parameter, where: str, known: Authenticate | None) -> None:
    inner = f"{where}, parameter {parameter.name!r}"
    if known is None:
        raise StartupError(
            inner,
            expected="an application with authenticate=…, which Principal comes from",
            got="one without",
            fix="Pass Gatewright(authenticate=…), an async function returning an Identity.",
        )
    if known.principal is not None and not known.accepts(parameter.kind):
        raise StartupError(
            inner,
            expected=f"Principal[{known.principal_name}], as authenticate returns it",
            got=f"Principal[{describe(parameter.kind)}]",
            fix="Name the type that authenticate puts in its Identity.",
        )


def _check_paths(paths: Iterable[str]) -> None:
    """Two paths that match the same addresses would leave one gateway unreachable."""
    shapes: dict[str, str] = {}
    for path in paths:
        shape = re.sub(r"{[^{}]*}", "{}", path)
        if shape in shapes:
            raise StartupError(
                f"namespace {path}",
                expected="one spelling of a namespace",
                got=f"{shapes[shape]} as well, which matches the same addresses",
                fix="Give both gateways the same path.",
            )
        shapes[shape] = path


def _check_requests(gateways: Iterable[Gateway]) -> None:
    """A node answers a request once, whatever gateways it has."""
    known: dict[str, str] = {}
    for gateway in gateways:
        for name, request in gateway.requests.items():
            if name in known:
                raise twice(request.where, "request", name, known[name])
            known[name] = request.where


def _gateway_parameters(each: GatewayBlueprint) -> Iterable[tuple[Parameter, str]]:
    gateway = each.gateway
    for handler in gateway.handlers.values():
        yield from ((parameter, handler.where) for parameter in handler.parameters)
    for request in gateway.requests.values():
        yield from ((parameter, request.where) for parameter in request.parameters)
    for hook in gateway.hooks.values():
        yield from ((parameter, hook.where) for parameter in hook.parameters)
    for guard in (*each.guards, *(g for several in each.handler_guards.values() for g in several)):
        yield from ((parameter, guard.where) for parameter in guard.parameters)


def _parameters(blueprint: Blueprint) -> Iterable[tuple[Parameter, str]]:
    for namespace in blueprint.namespaces.values():
        for each in namespace.gateways:
            yield from _gateway_parameters(each)
    for guard in blueprint.guards:
        yield from ((parameter, guard.where) for parameter in guard.parameters)
