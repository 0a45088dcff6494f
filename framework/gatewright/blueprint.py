"""An application as declared: everything read and checked, nothing created yet."""

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from gatewright.connection import Connection
from gatewright.context import Context
from gatewright.declare.events import Event
from gatewright.declare.hints import annotations
from gatewright.declare.parameters import Allowed, read_parameters
from gatewright.declare.reader import read_catcher, read_gateway
from gatewright.declare.specs import Catcher, CatchMethod, Gateway, Parameter, Source
from gatewright.declare.specs import Guard as GuardSpec
from gatewright.declare.specs import Interceptor as InterceptorSpec
from gatewright.emitter import Emitter
from gatewright.errors import StartupError
from gatewright.identities import Authenticate, read_authenticate
from gatewright.node import Template
from gatewright.types import DisconnectReason, Handshake

__all__ = ["TABLE", "Blueprint", "GatewayBlueprint", "GuardBlueprint", "NamespaceBlueprint", "draw"]

TABLE: Mapping[Any, Source] = {
    Connection: Source.CONNECTION,
    Context: Source.CONTEXT,
    Handshake: Source.HANDSHAKE,
    Emitter: Source.EMITTER,
    DisconnectReason: Source.REASON,
}
"""The types that stand for themselves as a parameter."""


class GuardBlueprint(Struct, frozen=True):
    """A guard: `target` is the function, or the class whose instance is called."""

    where: str
    target: Any
    parameters: tuple[Parameter, ...]


class GatewayBlueprint(Struct, frozen=True):
    """One gateway with what stands around its handlers."""

    gateway: Gateway
    guards: tuple[GuardBlueprint, ...]
    handler_guards: Mapping[str, tuple[GuardBlueprint, ...]]
    errors: tuple[CatchMethod, ...]
    handler_errors: Mapping[str, tuple[CatchMethod, ...]]
    emitters: tuple[str, ...]
    """Constructor parameters that take the namespace's emitter."""


class NamespaceBlueprint(Struct, frozen=True):
    """The gateways of one namespace, in the order in which they were given."""

    template: Template
    gateways: tuple[GatewayBlueprint, ...]
    state: type[Struct] | None
    conversions: frozenset[tuple[str, Any]]
    concurrency: int


class Blueprint(Struct, frozen=True):
    """The whole application."""

    namespaces: Mapping[str, NamespaceBlueprint]
    guards: tuple[GuardBlueprint, ...]
    interceptors: tuple[InterceptorSpec, ...]
    errors: tuple[CatchMethod, ...]
    authenticate: Authenticate | None


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
    if not gateways:
        raise StartupError(
            "Gatewright(gateways=…)",
            expected="at least one gateway",
            got="none",
            fix="Pass the classes under @gateway.",
        )
    known = read_authenticate(authenticate, TABLE)
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
    namespaces = {path: _namespace(path, several) for path, several in by_path.items()}
    blueprint = Blueprint(
        namespaces,
        _guards(guards, "Gatewright(guards=…)", (), Allowed.OPENING),
        _interceptors(interceptors, "Gatewright(interceptors=…)"),
        _catchers(errors, "Gatewright(errors=…)"),
        known,
    )
    for parameter, where in _parameters(blueprint):
        if parameter.source is Source.PRINCIPAL:
            _check_principal(parameter, where, known)
    return blueprint


def _gateway(gateway: Gateway) -> GatewayBlueprint:
    spec, name = gateway.spec, gateway.cls.__name__
    _interceptors(spec.interceptors, f"{name}, interceptors")
    guards: dict[str, tuple[GuardBlueprint, ...]] = {}
    errors: dict[str, tuple[CatchMethod, ...]] = {}
    for event, handler in gateway.handlers.items():
        _interceptors(handler.spec.interceptors, f"{handler.where}, interceptors")
        around = Allowed.CONNECTION | Allowed.OPENING
        where = f"{handler.where}, guards"
        guards[event] = _guards(handler.spec.guards, where, gateway.path, around)
        errors[event] = _catchers(handler.spec.errors, f"{handler.where}, errors")
    for each in gateway.catches:
        _check_catcher(each.function, each.where, method=True)
    own = _catchers(spec.errors, f"{name}, errors")
    return GatewayBlueprint(
        gateway,
        _guards(spec.guards, f"{name}, guards", gateway.path, Allowed.OPENING),
        guards,
        _unique((*gateway.catches, *own), name),
        errors,
        _emitters(gateway),
    )


def _emitters(gateway: Gateway) -> tuple[str, ...]:
    """The constructor's parameters for the bound emitter."""
    if "__init__" not in vars(gateway.cls) and gateway.cls.__init__ is object.__init__:
        return ()
    hints = annotations(gateway.cls.__init__, f"{gateway.cls.__name__}.__init__")
    names = tuple(name for name, hint in hints.items() if hint is Emitter)
    if names and gateway.path:
        raise StartupError(
            f"{gateway.cls.__name__}.__init__, parameter {names[0]!r}",
            expected="a gateway of a namespace without path parameters, to bind its emitter to",
            got=f"one of {gateway.spec.namespace}",
            fix="Take the Emitter as a parameter of the handler: it is bound to the connection's.",
        )
    return names


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
    concurrency = max(each.gateway.spec.concurrency for each in gateways)
    return NamespaceBlueprint(
        template,
        tuple(gateways),
        state[0] if state is not None else None,
        frozenset(conversions),
        concurrency,
    )


def _emitted(kind: Any, gateway: str) -> type[Event]:
    origin = typing.get_origin(kind) or kind
    named = isinstance(origin, type) and issubclass(origin, Event) and origin.__event__ is not None
    if not named:
        name = getattr(origin, "__name__", repr(origin))
        raise StartupError(
            f"{gateway}, emits",
            expected="Event classes with a name",
            got=name,
            fix=f'Declare it as: class {name}(Event, event="…").',
        )
    return typing.cast(type[Event], origin)


def _check_state(
    parameter: Parameter, where: str, before: tuple[type[Struct], str] | None
) -> tuple[type[Struct], str]:
    kind = parameter.kind
    inner = f"{where}, parameter {parameter.name!r}"
    if not (isinstance(kind, type) and issubclass(kind, Struct)):
        got = getattr(kind, "__name__", str(kind))
        raise StartupError(
            inner, expected="State of a Struct", got=got, fix="Declare the state as a Struct."
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
        got = getattr(parameter.kind, "__name__", str(parameter.kind))
        raise StartupError(
            inner,
            expected=f"Principal[{known.principal_name}], as authenticate returns it",
            got=f"Principal[{got}]",
            fix="Name the type that authenticate puts in its Identity.",
        )


def _check_paths(paths: Iterable[str]) -> None:
    """Two paths that match the same addresses would leave one gateway unreachable."""
    shapes: dict[str, str] = {}
    for path in paths:
        shape = "/".join("{}" if part.startswith("{") else part for part in path.split("/"))
        if shape in shapes:
            raise StartupError(
                f"namespace {path}",
                expected="one spelling of a namespace",
                got=f"{shapes[shape]} as well, which matches the same addresses",
                fix="Give both gateways the same path.",
            )
        shapes[shape] = path


def _guards(
    guards: Sequence[GuardSpec], where: str, path: tuple[str, ...], allowed: Allowed
) -> tuple[GuardBlueprint, ...]:
    found: list[GuardBlueprint] = []
    for guard in guards:
        name = getattr(guard, "__qualname__", type(guard).__qualname__)
        inner = f"{where}: {name}"
        if inspect.isclass(guard):
            call = vars(guard).get("__call__") or getattr(guard, "__call__", None)
            if not inspect.isfunction(call):
                raise StartupError(
                    inner,
                    expected="a guard: a function, or a class with __call__",
                    got="a class without",
                    fix="Write async def __call__(self, …) -> bool.",
                )
            parameters = read_parameters(call, inner, TABLE, path, allowed)
        elif callable(guard):
            plain = inspect.isfunction(guard) or inspect.ismethod(guard)
            function = guard if plain else type(guard).__call__
            parameters = read_parameters(
                function, inner, TABLE, path, allowed, method=not inspect.isfunction(guard)
                and not inspect.ismethod(guard),
            )
        else:
            raise StartupError(
                inner,
                expected="a guard: a function, or a class with __call__",
                got=repr(guard),
                fix="Pass the function or the class itself.",
            )
        found.append(GuardBlueprint(inner, guard, parameters))
    return tuple(found)


def _interceptors(
    interceptors: Sequence[InterceptorSpec], where: str
) -> tuple[InterceptorSpec, ...]:
    for each in interceptors:
        name = getattr(each, "__qualname__", type(each).__qualname__)
        is_function = inspect.isfunction(each) or inspect.ismethod(each)
        call = each if is_function else getattr(each if inspect.isclass(each) else type(each), "__call__")
        count = 2 if is_function else 3
        if (
            not callable(each)
            or not inspect.iscoroutinefunction(inspect.unwrap(call))
            or len(inspect.signature(call).parameters) != count
        ):
            raise StartupError(
                f"{where}: {name}",
                expected="an interceptor: async def (context, call_next), or a class with that "
                "__call__",
                got=repr(each) if not callable(each) else f"{name}{_signature(call)}",
                fix="Write async def around(context: Context, call_next: CallNext) and return "
                "await call_next().",
            )
    return tuple(interceptors)


def _catchers(functions: Sequence[Catcher], where: str) -> tuple[CatchMethod, ...]:
    found = tuple(read_catcher(function, where) for function in functions)
    for each in found:
        _check_catcher(each.function, f"{where}: {each.where}", method=False)
    return _unique(found, where)


def _unique(catches: tuple[CatchMethod, ...], where: str) -> tuple[CatchMethod, ...]:
    seen: dict[type[Exception], str] = {}
    for each in catches:
        if each.exception in seen:
            raise StartupError(
                where,
                expected="one error handler for each exception at one level",
                got=f"{seen[each.exception]} and {each.where} for {each.exception.__name__}",
                fix="Drop one, or catch a narrower exception.",
            )
        seen[each.exception] = each.where
    return catches


def _check_catcher(function: Any, where: str, *, method: bool) -> None:
    wanted = 3 if method else 2
    if len(inspect.signature(function).parameters) != wanted:
        raise StartupError(
            where,
            expected="an error handler: async def (error, context) -> EventError",
            got=f"the parameters {_signature(function)}",
            fix="Take the exception and its Context.",
        )


def _signature(function: Any) -> str:
    try:
        return str(inspect.signature(function))
    except (TypeError, ValueError):
        return ""


def _gateway_parameters(each: GatewayBlueprint) -> Iterable[tuple[Parameter, str]]:
    gateway = each.gateway
    for handler in gateway.handlers.values():
        yield from ((parameter, handler.where) for parameter in handler.parameters)
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
