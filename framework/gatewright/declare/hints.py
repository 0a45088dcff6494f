"""Annotations, resolved once when the application is built."""

import inspect
import typing
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typing_extensions

from gatewright.errors import StartupError

__all__ = ["annotations", "typevars", "unresolved", "unwrap_annotated"]

_TYPEVARS = (TypeVar, typing_extensions.TypeVar)
_RESOLVED = "annotations that can be resolved when the application is built"


def annotations(
    function: Callable[..., Any], where: str, variables: dict[Any, Any] | None = None
) -> dict[str, Any]:
    """The function's annotations with type variables filled in from `variables`."""
    try:
        hints = typing.get_type_hints(inspect.unwrap(function), include_extras=True)
    except NameError as error:
        raise unresolved(where, error) from None
    except Exception as error:
        raise StartupError(
            where,
            expected=_RESOLVED,
            got=f"{type(error).__name__}: {error}".rstrip("."),
            fix="Correct the annotation.",
        ) from None
    return {
        name: _fill(hint, variables or {}, f"{where}, parameter {name!r}")
        for name, hint in hints.items()
        if name != "return"
    }


def unresolved(where: str, error: NameError) -> StartupError:
    """The error for a name in an annotation that means nothing at run time."""
    return StartupError(
        where,
        expected=_RESOLVED,
        got=f"the unknown name {error.name!r}",
        fix="Import it at run time (not under TYPE_CHECKING), or move it to module level.",
    )


def typevars(cls: type) -> dict[type, dict[Any, Any]]:
    """For each base of a class, what its type variables stand for: `Crud[Task]` gives T → Task."""
    found: dict[type, dict[Any, Any]] = {}

    def visit(current: type, known: dict[Any, Any]) -> None:
        for base in vars(current).get("__orig_bases__", ()):
            origin = typing.get_origin(base)
            if not isinstance(origin, type) or origin is typing.Generic:
                continue
            parameters = getattr(origin, "__parameters__", ())
            arguments = [_replace(each, known) for each in typing.get_args(base)]
            found[origin] = dict(zip(parameters, arguments, strict=False))
            visit(origin, found[origin])
        for plain in current.__bases__:
            if plain not in found and plain is not object:
                found[plain] = {}
                visit(plain, {})

    visit(cls, {})
    return found


def unwrap_annotated(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """`Annotated[T, a, b]` as (T, (a, b)); anything else as (itself, ())."""
    if typing.get_origin(hint) is Annotated:
        return hint.__origin__, hint.__metadata__
    return hint, ()


def _replace(hint: Any, variables: dict[Any, Any]) -> Any:
    if isinstance(hint, _TYPEVARS):
        return variables.get(hint, hint)
    parameters = getattr(hint, "__parameters__", ())
    if not parameters or isinstance(hint, type):
        return hint
    return hint[tuple(variables.get(each, each) for each in parameters)]


def _fill(hint: Any, variables: dict[Any, Any], where: str) -> Any:
    filled = _replace(hint, variables)
    left = (filled,) if isinstance(filled, _TYPEVARS) else getattr(filled, "__parameters__", ())
    if left and not isinstance(filled, type):
        name = left[0].__name__
        # A bare `Principal` or `Inject` is an alias whose variable is not the user's.
        bare = left[0].__module__.partition(".")[0] in ("gatewright", "injector")
        raise StartupError(
            where,
            expected="a concrete type",
            got=f"the type variable {name}",
            fix="Name the type in brackets, as in Principal[User] or Inject[Repository]."
            if bare
            else "Name it where the class is derived, as in class Tasks(Crud[Task]).",
        )
    return filled
