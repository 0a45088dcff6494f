"""Names of types and chains of them, for error messages."""

import re
from collections.abc import Iterable
from typing import get_origin

__all__ = ["chain", "describe"]

_MODULES = re.compile(r"(?:[\w<>]+\.)+(?=\w)")


def describe(key: object) -> str:
    """A type as it is written in code, without its modules."""
    if isinstance(key, type) and get_origin(key) is None:
        return key.__name__
    name: object = getattr(key, "__qualname__", None) if callable(key) else None
    if isinstance(name, str) and get_origin(key) is None:
        return name.rpartition("<locals>.")[2]
    return _MODULES.sub("", repr(key)).replace("<class '", "").replace("'>", "")


def chain(keys: Iterable[object]) -> str:
    """Who asked for whom: "ChatGateway -> Repository -> Session"."""
    return " -> ".join(describe(key) for key in keys)
