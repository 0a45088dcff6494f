"""Annotations that say where a parameter comes from."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from typing_extensions import TypeVar

__all__ = ["From", "Principal", "PrincipalMarker", "State", "StateMarker"]

if TYPE_CHECKING:
    from gatewright.context import Context

T = TypeVar("T")

Extractor: TypeAlias = "Callable[[Context], Any] | Callable[[Context], Awaitable[Any]]"


class From:
    """`Annotated[T, From(extractor)]`: the value is `extractor(context)`, awaited if need be."""

    __slots__ = ("extractor",)

    def __init__(self, extractor: Extractor) -> None:
        self.extractor: Extractor = extractor

    def __repr__(self) -> str:
        return f"From({getattr(self.extractor, '__qualname__', self.extractor)!s})"


class PrincipalMarker:
    """Inside `Principal[T]`."""

    __slots__ = ()


class StateMarker:
    """Inside `State[T]`."""

    __slots__ = ()


Principal = Annotated[T, PrincipalMarker()]
"""The `principal` of the connection's `Identity`, checked against `authenticate` at startup."""

State = Annotated[T, StateMarker()]
"""The connection's own state, a Struct that `connection.save` replaces."""
