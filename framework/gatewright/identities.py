"""Who is asking: the application's `authenticate` and the identity it returns."""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any

from msgspec import Struct

from gatewright.declare.naming import describe, name_of
from gatewright.declare.parameters import Allowed, read_parameters
from gatewright.declare.specs import Parameter, Source
from gatewright.errors import StartupError
from gatewright.types import Identity

__all__ = ["Authenticate", "is_optional", "read_authenticate"]


class Authenticate(Struct, frozen=True):
    """`authenticate`, read. `principal` is P of its `Identity[P]`; None where it does not say."""

    where: str
    function: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    principal: Any

    @property
    def principal_name(self) -> str:
        return describe(self.principal)

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
    given: Any = function
    if given is None:
        return None
    where = f"authenticate={name_of(given) if callable(given) else repr(given)}"
    plain = inspect.isfunction(given) or inspect.ismethod(given)
    # The class's own: `callable` would be true of a class object as well.
    cls = typing.cast(Any, type(given))
    call: Any = given if plain else inspect.getattr_static(cls, "__call__", None)
    if not inspect.iscoroutinefunction(inspect.unwrap(call)):
        if inspect.isclass(given):
            got = "a class"
        else:
            got = "a function that is not async" if callable(given) else repr(given)
        raise StartupError(
            where,
            expected="an async function of a Handshake that returns an Identity or None",
            got=got,
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
    principals: list[Any] = []
    for each in _members(returned):
        if typing.get_origin(each) is Identity:
            principals += typing.get_args(each)
        elif each is Identity:
            principals.append(Any)
        elif each not in (NoneType, Any, None):
            raise StartupError(
                f"{where}, return type",
                expected="Identity[P] or Identity[P] | None",
                got=describe(each),
                fix="Return Identity(user, principal), or None for an anonymous connection.",
            )
    known = principals and Any not in principals
    # Of several, Principal[T] has to hold each.
    principal = typing.Union[tuple(principals)] if known else None  # noqa: UP007
    return Authenticate(where, given, parameters, principal)


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
    wanted, given = typing.get_origin(wanted) or wanted, typing.get_origin(given) or given
    try:
        return isinstance(wanted, type) and isinstance(given, type) and issubclass(given, wanted)
    except TypeError:  # a protocol that says no more than its annotations: the type checker's
        return True
