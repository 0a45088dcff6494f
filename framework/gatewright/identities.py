"""Who is asking: the application's `authenticate` and the identity it returns."""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any

from msgspec import Struct

from gatewright.declare.hints import annotations
from gatewright.declare.parameters import Allowed, read_parameters
from gatewright.declare.specs import Parameter, Source
from gatewright.errors import StartupError
from gatewright.types import Identity

__all__ = ["Authenticate", "is_optional", "read_authenticate"]


class Authenticate(Struct, frozen=True):
    """`authenticate`, read. `principal` is P of its `Identity[P]`; None where it does not say."""

    function: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    principal: Any

    @property
    def principal_name(self) -> str:
        return getattr(self.principal, "__name__", str(self.principal))

    def accepts(self, kind: Any) -> bool:
        """Whether `Principal[kind]` can hold what it returns."""
        wanted = [each for each in _members(kind) if each is not NoneType]
        for given in _members(self.principal):
            if given is NoneType and is_optional(kind):
                continue
            if not any(_holds(each, given) for each in wanted):
                return False
        return True


def read_authenticate(
    function: Callable[..., Any] | None, table: Mapping[Any, Source]
) -> Authenticate | None:
    """Read `authenticate`; raises `StartupError`."""
    if function is None:
        return None
    where = f"authenticate={getattr(function, '__qualname__', repr(function))}"
    plain = inspect.isfunction(function) or inspect.ismethod(function)
    call: Any = function if plain else getattr(type(function), "__call__", None)
    if not inspect.iscoroutinefunction(inspect.unwrap(call)):
        raise StartupError(
            where,
            expected="an async function of a Handshake that returns an Identity or None",
            got="a function that is not async" if callable(function) else repr(function),
            fix="Write async def authenticate(handshake: Handshake) -> Identity[User] | None.",
        )
    parameters = read_parameters(call, where, table, (), Allowed.OPENING, method=not plain)
    for parameter in parameters:
        if parameter.source is Source.PRINCIPAL:
            raise StartupError(
                f"{where}, parameter {parameter.name!r}",
                expected="Handshake, Context or Inject[T]",
                got="Principal, which is what authenticate finds out",
                fix="Take the Handshake.",
            )
    returned = typing.get_type_hints(inspect.unwrap(call)).get("return")
    annotations(call, where)
    principal: Any = None
    for each in _members(returned):
        if typing.get_origin(each) is Identity:
            (principal,) = typing.get_args(each)
        elif each not in (Identity, NoneType, Any, None):
            raise StartupError(
                f"{where}, return type",
                expected="Identity[P] or Identity[P] | None",
                got=getattr(each, "__name__", str(each)),
                fix="Return Identity(user, principal), or None for an anonymous connection.",
            )
    return Authenticate(function, parameters, None if principal is Any else principal)


def is_optional(kind: Any) -> bool:
    """Whether a `Principal[kind]` may be None, as for anonymous connections."""
    return kind is Any or NoneType in _members(kind)


def _members(kind: Any) -> tuple[Any, ...]:
    """The members of a union; of anything else itself."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return typing.get_args(kind)
    return (kind,)


def _holds(wanted: Any, given: Any) -> bool:
    if wanted is Any or wanted == given:
        return True
    return isinstance(wanted, type) and isinstance(given, type) and issubclass(given, wanted)
