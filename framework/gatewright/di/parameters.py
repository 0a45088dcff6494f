"""What a constructor or a provider asks for, read from its signature and annotations."""

import dataclasses
import inspect
import types
from collections.abc import Callable, Mapping
from typing import (
    Annotated,
    Any,
    NamedTuple,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from injector import Inject, NoInject

from gatewright.di.naming import describe
from gatewright.errors import StartupError

__all__ = ["MISSING", "Parameter", "constructor_parameters", "function_parameters"]

MISSING = inspect.Parameter.empty
# injector marks with objects that it does not export; its two aliases carry them.
_INJECT: object = get_args(Inject[int])[1]
_NO_INJECT: object = get_args(NoInject[int])[1]


class Parameter(NamedTuple):
    """One parameter: its name and annotation (`MISSING` if it has none), without markers."""

    name: str
    annotation: Any
    has_default: bool
    positional_only: bool = False
    marked: bool = False
    """`Inject[…]` was written: the default is no way out."""
    refused: bool = False
    """`NoInject[…]` or `@noninjectable`: never injected."""

    @property
    def optional(self) -> bool:
        return _is_union(self.annotation) and type(None) in get_args(self.annotation)

    @property
    def keys(self) -> tuple[object, ...]:
        """What to look up, best first: `Repo | None` is also met by a `Repo`."""
        if self.annotation is MISSING or self.refused:
            return ()
        if not self.optional:
            return (self.annotation,)
        rest = tuple(a for a in get_args(self.annotation) if a is not type(None))
        return (self.annotation, Union[rest])  # noqa: UP007

    def __str__(self) -> str:
        if self.annotation is MISSING:
            return f"'{self.name}'"
        return f"'{self.name}: {describe(self.annotation)}'"


def function_parameters(function: Callable[..., Any], where: str) -> list[Parameter]:
    """The parameters of a provider; those of a bound method come without its self."""
    return _read(inspect.signature(function), _hints(function, where), function)


def constructor_parameters(cls: type, alias: object, where: str) -> list[Parameter]:
    """The parameters of a class's constructor, wherever it is inherited from.

    `alias` is the specialization that is built (`Repo[User]`), or the class itself; type
    variables are replaced by what it and the generic bases say.
    """
    init: Any = inspect.getattr_static(cls, "__init__")
    if isinstance(init, types.FunctionType):
        signature = inspect.signature(init)
        signature = signature.replace(parameters=list(signature.parameters.values())[1:])
        try:
            hints = _hints(init, where)
        except StartupError:
            if not dataclasses.is_dataclass(cls):
                raise
            # The constructor of a dataclass is made in the module of its last subclass, where
            # the annotations of inherited fields may mean nothing.
            hints = _hints(cls, where)
    else:
        init = cls
        try:
            signature = inspect.signature(cls)
        except ValueError:  # a built-in that does not tell
            return []
        hints = _hints(cls, where) if signature.parameters else {}
    variables = _variables(cls, alias)
    definer = next((c for c in cls.__mro__ if "__init__" in vars(c)), cls)
    known = {k: v for found in variables.values() for k, v in found.items()}
    known |= variables.get(definer, {})
    return [
        p._replace(annotation=_substitute(p.annotation, known))
        for p in _read(signature, hints, init)
    ]


def _read(
    signature: inspect.Signature, hints: Mapping[str, Any], function: object
) -> list[Parameter]:
    refused: set[str] = getattr(function, "__noninjectables__", set())
    read: list[Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        annotation, markers = _unmark(hints.get(parameter.name, MISSING))
        read.append(
            Parameter(
                parameter.name,
                annotation,
                parameter.default is not MISSING,
                parameter.kind is parameter.POSITIONAL_ONLY,
                _INJECT in markers,
                _NO_INJECT in markers or parameter.name in refused,
            )
        )
    return read


def _unmark(annotation: Any) -> tuple[Any, set[object]]:
    """`Inject[X]` is X with a marker, and so is a dataclass's `InitVar[X]`."""
    if isinstance(annotation, dataclasses.InitVar):
        annotation = cast(Any, annotation).type
    if get_origin(annotation) is not Annotated:
        return annotation, set()
    inner, *metadata = get_args(annotation)
    markers: set[object] = {m for m in metadata if m is _INJECT or m is _NO_INJECT}
    rest = [m for m in metadata if m is not _INJECT and m is not _NO_INJECT]
    for item in rest:
        inner = Annotated[inner, item]
    return inner, markers


def _hints(obj: Any, where: str) -> dict[str, Any]:
    try:
        return get_type_hints(obj, include_extras=True)
    except NameError as error:
        if isinstance(obj, type):
            raise unknown_name(where, error) from error
    # What it returns is not asked for; only the name of that may be unknown.
    function: Any = inspect.unwrap(getattr(obj, "__func__", obj))
    annotations = {k: v for k, v in function.__annotations__.items() if k != "return"}
    stand_in = types.SimpleNamespace(__annotations__=annotations)
    try:
        return get_type_hints(stand_in, function.__globals__, include_extras=True)
    except NameError as error:
        raise unknown_name(where, error) from error


def unknown_name(where: str, error: NameError) -> StartupError:
    return StartupError(
        where,
        expected="annotations whose names are known at run time",
        got=f"the unknown name {error.name!r}",
        fix="Import it at run time (not under TYPE_CHECKING), or move it to module level.",
    )


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _substitute(annotation: Any, known: Mapping[TypeVar, Any]) -> Any:
    if isinstance(annotation, TypeVar):
        return known.get(annotation, annotation)
    wanted: tuple[TypeVar, ...] = getattr(annotation, "__parameters__", ())
    if not wanted or (isinstance(annotation, type) and get_origin(annotation) is None):
        return annotation  # a generic class itself is no specialization
    return cast(Any, annotation)[tuple(known.get(v, v) for v in wanted)]


def _variables(cls: type, alias: object) -> dict[type, dict[TypeVar, Any]]:
    """What every generic base of a class has for its type variables."""
    found: dict[type, dict[TypeVar, Any]] = {}

    def walk(specialized: Any, known: Mapping[TypeVar, Any]) -> None:
        origin = get_origin(specialized) or specialized
        if not isinstance(origin, type):
            return
        parameters: tuple[TypeVar, ...] = getattr(origin, "__parameters__", ())
        arguments = (_substitute(a, known) for a in get_args(specialized))
        own = dict(zip(parameters, arguments, strict=False))
        found.setdefault(origin, {}).update(own)
        for base in vars(origin).get("__orig_bases__", origin.__bases__):
            walk(base, own)

    walk(alias if (get_origin(alias) or alias) is cls else cls, {})
    return found
