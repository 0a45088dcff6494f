"""Names of types as they are written in code, for error messages."""

import re
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from injector import Inject

from gatewright.declare.markers import PrincipalMarker, StateMarker

__all__ = ["INJECT", "describe", "name_of"]

INJECT = get_args(Inject[object])[1]
"""injector's marker inside `Inject[T]`, which has no public name."""

_MODULES = re.compile(r"(?:(?:[^\W\d]\w*|<locals>)\.)+(?=\w)")


def describe(kind: Any) -> str:
    """A type without its modules: `Task | None`, `list[Task]`, `Principal[User]`."""
    origin = get_origin(kind)
    if kind is type(None):
        return "None"
    if isinstance(kind, type) and origin is None:
        return kind.__name__
    if origin in (Union, UnionType):
        return " | ".join(map(describe, get_args(kind)))
    if origin is Annotated:
        inner, *extras = get_args(kind)
        for extra in extras:
            if isinstance(extra, PrincipalMarker):
                return f"Principal[{describe(inner)}]"
            if isinstance(extra, StateMarker):
                return f"State[{describe(inner)}]"
            if extra is INJECT:
                return f"Inject[{describe(inner)}]"
    return _MODULES.sub("", str(kind))


def name_of(target: Any) -> str:
    """A function or class without where it stands; of an instance its class."""
    name = getattr(target, "__qualname__", None) or type(target).__qualname__
    return str(name).rpartition("<locals>.")[2]
