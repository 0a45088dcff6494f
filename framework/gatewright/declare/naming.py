"""Names of types as they are written in code, for error messages."""

import re
from typing import Any, get_origin

__all__ = ["describe", "name_of"]

_MODULES = re.compile(r"(?:(?:[^\W\d]\w*|<locals>)\.)+(?=\w)")


def describe(kind: Any) -> str:
    """A type without its modules: `Inject[Repo]` of any Repo, `str | None`, `list[Task]`."""
    if kind is type(None):
        return "None"
    if isinstance(kind, type) and get_origin(kind) is None:
        return kind.__name__
    return _MODULES.sub("", str(kind))


def name_of(target: Any) -> str:
    """A function or class without where it stands; of an instance its class."""
    name = getattr(target, "__qualname__", None) or type(target).__qualname__
    return str(name).rpartition("<locals>.")[2]
