"""What stands around handlers, read and checked: guards, interceptors, error handlers."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, cast

from msgspec import Struct

from gatewright.connection import Connection
from gatewright.context import Context
from gatewright.declare.naming import name_of
from gatewright.declare.parameters import Allowed, read_parameters
from gatewright.declare.reader import read_catcher
from gatewright.declare.specs import Catcher, CatchMethod, Guard, Interceptor, Parameter, Source
from gatewright.emitter import Emitter
from gatewright.errors import StartupError
from gatewright.people import Presence
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
    Presence: Source.PRESENCE,
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
    given: Sequence[Any] = guards
    for guard in given:
        call, method = _call(guard)
        inner = f"{where}: {name_of(guard)}" if callable(guard) else where
        if call is None:
            raise StartupError(
                inner,
                expected="a guard: a function, or a class with __call__",
                got="a class without" if inspect.isclass(guard) else repr(guard),
                fix="Write async def __call__(self, …) -> bool, or pass a function.",
            )
        for each in (call, inspect.unwrap(call)):
            # Called, it would hand back an object, which is not False and so would let all in.
            if inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each):
                raise StartupError(
                    inner,
                    expected="a guard that returns: def or async def",
                    got="a generator",
                    fix="Return True or False, or raise; there is no yield in a guard.",
                )
        parameters = read_parameters(call, inner, TABLE, path, allowed, method=method)
        found.append(GuardBlueprint(inner, guard, parameters))
    return tuple(found)


def read_interceptors(interceptors: Sequence[Interceptor], where: str) -> tuple[Interceptor, ...]:
    """Check interceptors; raises `StartupError`."""
    given: Sequence[Any] = interceptors
    for each in given:
        call, method = _call(each)
        kind = "async def" if call is not None and _is_async(call) else "def"
        if call is None or kind == "def" or not _takes(call, 2 + method):
            if call is None:
                got = "a class without" if inspect.isclass(each) else repr(each)
            else:
                got = f"{kind} {call.__name__}{_signature(call)}"
            raise StartupError(
                f"{where}: {name_of(each)}" if callable(each) else where,
                expected="an interceptor: async def (context, call_next), or a class with that "
                "__call__",
                got=got,
                fix="Write async def around(context: Context, call_next: CallNext) and return "
                "await call_next().",
            )
    return tuple(interceptors)


def _call(target: Any) -> tuple[Any, bool]:
    """The function that a call of it (or of its instance) runs, and whether it takes self."""
    if inspect.isfunction(target) or inspect.ismethod(target):
        return target, False
    cls = cast(Any, target if inspect.isclass(target) else type(target))
    # Every class object can be called; only a function in the class makes its instances so.
    call = inspect.getattr_static(cls, "__call__", None)
    return (call, True) if inspect.isfunction(call) else (None, False)


def _is_async(function: Any) -> bool:
    return any(inspect.iscoroutinefunction(each) for each in (function, inspect.unwrap(function)))


def _takes(function: Any, count: int) -> bool:
    """Whether it can be called with so many arguments."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    return True


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
    if not _takes(function, 2 + method):
        raise StartupError(
            where,
            expected=f"an error handler: async def ({'self, ' * method}error, context) "
            "-> EventError",
            got=_signature(function),
            fix="Take the exception and its Context.",
        )


def _signature(function: Any) -> str:
    """Names alone: the annotations are not what is wrong."""
    signature = inspect.signature(function)
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))
