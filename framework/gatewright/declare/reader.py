"""Reads gateway classes: signatures into specs, once, with an error for every wrong declaration."""

import contextlib
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from gatewright.declare.decorators import GATEWAY, SPEC, not_a_method
from gatewright.declare.hints import typevars
from gatewright.declare.naming import describe, name_of
from gatewright.declare.parameters import Allowed, read_parameters
from gatewright.declare.payloads import check_decodable, payload_type
from gatewright.declare.specs import (
    Catcher,
    CatchMethod,
    CatchSpec,
    EventSpec,
    Gateway,
    GatewaySpec,
    Handler,
    Hook,
    HookSpec,
    RequestSpec,
    Source,
)
from gatewright.errors import StartupError

__all__ = ["read_catcher", "read_gateway", "twice"]

_PARAMETER = re.compile(r"{([^{}]*)}")

_HOOK_SOURCES = {
    "on_connect": Allowed.CONNECTION,
    "on_resume": Allowed.CONNECTION | Allowed.GAP,
    "on_disconnect": Allowed.CONNECTION | Allowed.REASON,
    "on_end": Allowed.CONNECTION,
    "on_start": Allowed.APP,
    "on_stop": Allowed.APP,
    "authorize_room": Allowed.CONNECTION | Allowed.ROOM,
}


def read_gateway(cls: Any, table: Mapping[Any, Source], *, hooked: bool = False) -> Gateway:
    """Read one gateway class; raises `StartupError`.

    `table` says which types stand for which source; `hooked` that a `dec_hook` reads custom types.
    """
    if not inspect.isclass(cls):
        raise StartupError(
            "Gatewright(gateways=…)",
            expected="a gateway class",
            got=f"the function {name_of(cls)}" if inspect.isroutine(cls) else repr(cls),
            fix="Pass the class itself: it is created by injection.",
        )
    spec = cls.__dict__.get(GATEWAY)
    if spec is None:
        inherited = getattr(cls, GATEWAY, None) is not None
        raise StartupError(
            cls.__name__,
            expected="a class under @gateway(namespace)",
            got="a subclass without its own" if inherited else "a plain class",
            fix=f'Write @gateway("/…") above class {cls.__name__}.',
        )
    path = _read_namespace(cls.__name__, spec)
    handlers: dict[str, Handler] = {}
    hooks: dict[str, Hook] = {}
    requests: dict[str, Handler] = {}
    catches: list[CatchMethod] = []
    variables = typevars(cls)
    for name in _method_names(cls):
        owner, function, attached = _find(cls, name)
        where = f"{cls.__name__}.{name}"
        if attached is None:
            _check_not_hidden(function, name, where)
            continue
        if not inspect.isfunction(function):
            raise not_a_method(function, where)
        known = variables.get(owner, {})
        if isinstance(attached, CatchSpec):
            _check_async(function, where, stream=False)
            catches.append(CatchMethod(where, attached.exception, name, function))
        elif isinstance(attached, HookSpec):
            _check_async(function, where, stream=False)
            if attached.kind in hooks:
                raise StartupError(
                    where,
                    expected=f"one @{attached.kind} in a gateway",
                    got=f"a second one besides {hooks[attached.kind].method}",
                    fix="Join them in one method.",
                )
            allowed = _HOOK_SOURCES[attached.kind]
            parameters = read_parameters(function, where, table, path, allowed, known)
            hooks[attached.kind] = Hook(where, attached.kind, name, parameters)
        elif isinstance(attached, RequestSpec):
            _check_async(function, where, stream=False)
            if attached.event in requests:
                raise twice(where, "request", attached.event, requests[attached.event].where)
            allowed = Allowed.APP | Allowed.PAYLOAD
            parameters = read_parameters(function, where, table, path, allowed, known)
            spec_of = EventSpec(attached.event)
            request = Handler(where, attached.event, name, function, parameters, False, spec_of)
            _check_payload(request, hooked=hooked)
            requests[attached.event] = request
        else:
            stream = _check_async(function, where, stream=True)
            if attached.event in handlers:
                raise twice(where, "event", attached.event, handlers[attached.event].where)
            allowed = Allowed.CONNECTION | Allowed.PAYLOAD
            parameters = read_parameters(function, where, table, path, allowed, known)
            handler = Handler(where, attached.event, name, function, parameters, stream, attached)
            _check_payload(handler, hooked=hooked)
            handlers[attached.event] = handler
    if not handlers and not hooks and not requests:
        raise StartupError(
            cls.__name__,
            expected="at least one @on handler or hook",
            got="none",
            fix='Add a method: @on("say") async def say(self, text: str) -> None.',
        )
    return Gateway(cls, spec, path, handlers, hooks, tuple(catches), requests)


def twice(where: str, what: str, name: str, other: str) -> StartupError:
    """The error for a second handler of one name."""
    return StartupError(
        where,
        expected=f"one handler for each {what}",
        got=f"a second one for {name!r} besides {other}",
        fix=f"Rename one {what}, or call both from one handler.",
    )


def _check_payload(handler: Handler, *, hooked: bool) -> None:
    if payload := handler.payload:
        for parameter in payload:
            inner = f"{handler.where}, parameter {parameter.name!r}"
            check_decodable(parameter.kind, inner, hooked=hooked)
        check_decodable(payload_type(handler.method, payload), handler.where, hooked=True)


def read_catcher(function: Catcher, where: str) -> CatchMethod:
    """Read an error handler that was given as a function in `errors=[…]`."""
    given: Any = function
    spec = getattr(given, SPEC, None)
    name = name_of(given) if callable(given) else repr(given)
    if not isinstance(spec, CatchSpec):
        raise StartupError(
            where,
            expected="error handlers: functions under @catch(ExceptionType)",
            got=describe(function) if inspect.isclass(function) else name,
            fix="Write @catch(…) above the function.",
        )
    _check_async(function, f"{where}: {name}", stream=False)
    return CatchMethod(name, spec.exception, None, function)


def _read_namespace(name: str, spec: GatewaySpec) -> tuple[str, ...]:
    namespace: Any = spec.namespace
    where = f"{name}, @gateway({namespace!r})"
    if not isinstance(namespace, str) or not namespace.startswith("/"):
        wanted = namespace if isinstance(namespace, str) and namespace else "chat"
        raise StartupError(
            where,
            expected="a namespace that starts with a slash",
            got=repr(namespace),
            fix=f'Write @gateway("/{wanted}").',
        )
    concurrency: Any = spec.concurrency
    if not isinstance(concurrency, int) or concurrency < 1:
        raise StartupError(
            where,
            expected="concurrency=n, how many events of one connection run at a time, at least 1",
            got=repr(concurrency),
            fix="Drop it: by default they run one after another.",
        )
    parameters = tuple(_PARAMETER.findall(namespace))
    for parameter in parameters:
        if not parameter.isidentifier():
            raise StartupError(
                where,
                expected="path parameters that are plain names, as {bench}",
                got=f"{{{parameter}}}",
                fix="The type belongs to the handler's parameter: bench: int.",
            )
        if parameters.count(parameter) > 1:
            raise StartupError(
                where,
                expected="each path parameter once",
                got=f"{{{parameter}}} twice",
                fix="Rename one of them.",
            )
    if set("{}") & set(_PARAMETER.sub("", namespace)):
        raise StartupError(
            where,
            expected="path parameters in pairs of braces, as {bench}",
            got=repr(namespace),
            fix="Close the brace, or remove it.",
        )
    return parameters


def _method_names(cls: type) -> list[str]:
    """Attributes in the order of their first definition, bases first."""
    names: dict[str, None] = {}
    for each in reversed(cls.__mro__):
        names.update(dict.fromkeys(vars(each)))
    return list(names)


Attached: TypeAlias = EventSpec | HookSpec | CatchSpec | RequestSpec


def _find(cls: type, name: str) -> tuple[type, Any, Attached | None]:
    """The method as the class has it, and the nearest spec: an override keeps its base's `@on`."""
    defined = [(each, vars(each)[name]) for each in cls.__mro__ if name in vars(each)]
    owner, function = defined[0]
    if function is None:
        # The usual way to say that a subclass does not have what its base has.
        return owner, None, None
    for _, candidate in defined:
        attached = getattr(candidate, "__dict__", {}).get(SPEC)
        if isinstance(attached, Attached):
            return owner, function, attached
    return owner, function, None


def _check_not_hidden(function: Any, name: str, where: str) -> None:
    """Refuse what is wrapped around a handler so that nobody would ever see its decorator."""
    inside = [getattr(function, each, None) for each in ("fget", "func", "__wrapped__")]
    for cell in getattr(function, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # not filled yet: no decorator's
            inside.append(cell.cell_contents)
    for each in inside:
        # By name too: a closure may well hold a handler of another gateway.
        if inspect.isfunction(each) and each.__name__ == name and SPEC in vars(each):
            if not inspect.isfunction(function):
                raise not_a_method(function, where)
            raise StartupError(
                where,
                expected="a decorator that keeps what it wraps",
                got=f"{name_of(function)}, which hides the handler inside",
                fix="Give the wrapper functools.wraps, or write its decorator below gatewright's.",
            )


def _check_async(function: Callable[..., Any], where: str, *, stream: bool) -> bool:
    """Whether it is a stream; refuses whatever is neither that nor an `async def`."""
    for each in (function, inspect.unwrap(function)):
        if inspect.iscoroutinefunction(each):
            return False
        if inspect.isasyncgenfunction(each) and stream:
            return True
    if inspect.isasyncgenfunction(function):
        got = "an async generator"
    else:
        got = "a generator" if inspect.isgeneratorfunction(function) else "a plain function"
    also = " or an async generator" if stream else ""
    raise StartupError(
        where,
        expected=f"an async def{also}",
        got=got,
        fix="Write async def; what blocks goes through anyio.to_thread.run_sync.",
    )
