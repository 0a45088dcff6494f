"""What stands around handlers, read and checked: guards, interceptors, error handlers."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from gatewright.connection import Connection
from gatewright.context import Context
from gatewright.declare.parameters import Allowed, read_parameters
from gatewright.declare.reader import read_catcher
from gatewright.declare.specs import Catcher, CatchMethod, Guard, Interceptor, Parameter, Source
from gatewright.emitter import Emitter
from gatewright.errors import StartupError
from gatewright.types import DisconnectReason, Gap, Handshake

__all__ = [
    "TABLE",
    "GuardBlueprint",
    "check_catcher",
    "read_catchers",
    "read_guards",
    "read_interceptors",
    "unique_catches",
]

TABLE: Mapping[Any, Source] = {
    Connection: Source.CONNECTION,
    Context: Source.CONTEXT,
    Handshake: Source.HANDSHAKE,
    Emitter: Source.EMITTER,
    DisconnectReason: Source.REASON,
    Gap | None: Source.GAP,
}
"""The types that stand for themselves as a parameter."""


class GuardBlueprint(Struct, frozen=True):
    """A guard: `target` is the function, or the class whose instance is called."""

    where: str
    target: Any
    parameters: tuple[Parameter, ...]


def read_guards(
    guards: Sequence[Guard], where: str, path: tuple[str, ...], allowed: Allowed
) -> tuple[GuardBlueprint, ...]:
    """Read guards and their parameters; raises `StartupError`."""
    found: list[GuardBlueprint] = []
    for guard in guards:
        inner = f"{where}: {_name(guard)}"
        call, method = _call(guard)
        if call is None:
            raise StartupError(
                inner,
                expected="a guard: a function, or a class with __call__",
                got="a class without" if inspect.isclass(guard) else repr(guard),
                fix="Write async def __call__(self, …) -> bool, or pass a function.",
            )
        parameters = read_parameters(call, inner, TABLE, path, allowed, method=method)
        found.append(GuardBlueprint(inner, guard, parameters))
    return tuple(found)


def read_interceptors(interceptors: Sequence[Interceptor], where: str) -> tuple[Interceptor, ...]:
    """Check interceptors; raises `StartupError`."""
    for each in interceptors:
        call, method = _call(each)
        fits = (
            call is not None
            and inspect.iscoroutinefunction(inspect.unwrap(call))
            and len(inspect.signature(call).parameters) == 2 + method
        )
        if not fits:
            name = _name(each)
            raise StartupError(
                f"{where}: {name}",
                expected="an interceptor: async def (context, call_next), or a class with that "
                "__call__",
                got=repr(each) if call is None else f"{name}{_signature(call)}",
                fix="Write async def around(context: Context, call_next: CallNext) and return "
                "await call_next().",
            )
    return tuple(interceptors)


def _call(target: Any) -> tuple[Any, bool]:
    """The function that a call of it (or of its instance) runs, and whether it takes self."""
    if inspect.isfunction(target) or inspect.ismethod(target):
        return target, False
    cls = target if inspect.isclass(target) else type(target)
    # Every class object can be called; only a function in the class makes its instances so.
    call = inspect.getattr_static(cls, "__call__", None)
    return (call, True) if inspect.isfunction(call) else (None, False)


def _name(target: Any) -> str:
    return str(getattr(target, "__qualname__", type(target).__qualname__))


def read_catchers(functions: Sequence[Catcher], where: str) -> tuple[CatchMethod, ...]:
    found = tuple(read_catcher(function, where) for function in functions)
    for each in found:
        check_catcher(each.function, f"{where}: {each.where}", method=False)
    return unique_catches(found, where)


def unique_catches(catches: tuple[CatchMethod, ...], where: str) -> tuple[CatchMethod, ...]:
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


def check_catcher(function: Any, where: str, *, method: bool) -> None:
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
