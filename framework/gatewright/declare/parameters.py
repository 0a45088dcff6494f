"""Parameters by type: where each value of a handler's, hook's or guard's call comes from."""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from enum import Flag, auto
from typing import Any

from injector import Inject

from gatewright.declare.hints import annotations, unwrap_annotated
from gatewright.declare.markers import From, PrincipalMarker, StateMarker
from gatewright.declare.payloads import check_path_type
from gatewright.declare.specs import Parameter, Source
from gatewright.errors import StartupError

__all__ = ["Allowed", "read_parameters"]

_INJECT = typing.get_args(Inject[object])[1]
"""injector's marker inside `Inject[T]`, which has no public name."""


class Allowed(Flag):
    """Which sources make sense where a parameter stands."""

    APP = auto()
    """Only what exists without a connection: `Emitter`, `Inject[T]`."""
    OPENING = auto()
    """What is known before a connection exists: `Handshake`, `Principal`, the path."""
    CONNECTION = auto()
    PAYLOAD = auto()
    REASON = auto()
    GAP = auto()
    ROOM = auto()


_NEEDS = {
    Source.CONNECTION: Allowed.CONNECTION,
    Source.STATE: Allowed.CONNECTION,
    Source.CONTEXT: Allowed.CONNECTION | Allowed.OPENING,
    Source.HANDSHAKE: Allowed.CONNECTION | Allowed.OPENING,
    Source.PRINCIPAL: Allowed.CONNECTION | Allowed.OPENING,
    Source.PATH: Allowed.CONNECTION | Allowed.OPENING,
    Source.FROM: Allowed.CONNECTION | Allowed.OPENING,
    Source.PAYLOAD: Allowed.PAYLOAD,
    Source.REASON: Allowed.REASON,
    Source.GAP: Allowed.GAP,
    Source.ROOM: Allowed.ROOM,
}


def read_parameters(
    function: Callable[..., Any],
    where: str,
    table: Mapping[Any, Source],
    path: tuple[str, ...],
    allowed: Allowed,
    variables: dict[Any, Any] | None = None,
    *,
    method: bool = True,
) -> tuple[Parameter, ...]:
    """Where each parameter comes from; raises `StartupError` for what no rule covers."""
    signature = inspect.signature(function)
    hints = annotations(function, where, variables)
    declared = list(signature.parameters.values())
    if method:
        if not declared:
            raise StartupError(
                where, expected="a method with self", got="no parameter", fix="Add self."
            )
        declared = declared[1:]
    found: list[Parameter] = []
    for each in declared:
        inner = f"{where}, parameter {each.name!r}"
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            stars = "*" if each.kind is each.VAR_POSITIONAL else "**"
            raise StartupError(
                inner,
                expected="named parameters",
                got=f"{stars}{each.name}",
                fix="Name each argument; a decorator around a handler needs functools.wraps.",
            )
        if each.name not in hints:
            raise StartupError(
                inner,
                expected="an annotation",
                got="none",
                fix=f"Write its type: {each.name}: str, for instance.",
            )
        hint = hints[each.name]
        source, kind, extractor = _source(each.name, hint, inner, table, path, allowed)
        _check_allowed(source, kind, inner, allowed)
        default = ... if each.default is each.empty else each.default
        keyword = each.kind is each.KEYWORD_ONLY
        found.append(Parameter(each.name, source, kind, keyword, extractor, default))
    _check_defaults(found, where)
    return tuple(found)


def _source(
    name: str,
    hint: Any,
    where: str,
    table: Mapping[Any, Source],
    path: tuple[str, ...],
    allowed: Allowed,
) -> tuple[Source, Any, Callable[[Any], Any] | None]:
    kind, extras = unwrap_annotated(hint)
    special: tuple[Source, Any, Callable[[Any], Any] | None] | None = None
    for extra in extras:
        if isinstance(extra, PrincipalMarker):
            special = Source.PRINCIPAL, kind, None
        elif isinstance(extra, StateMarker):
            special = Source.STATE, kind, None
        elif isinstance(extra, From):
            special = Source.FROM, kind, extra.extractor
        elif extra is _INJECT:
            special = Source.INJECT, kind, None
        else:
            continue
        break
    if special is None and kind in table:
        special = table[kind], kind, None
    if name in path:
        if special is not None:
            raise StartupError(
                where,
                expected=f"the path parameter {{{name}}}",
                got=f"a parameter of that name annotated {_name(kind)}",
                fix="Rename the parameter or the part of the path.",
            )
        check_path_type(hint, where)
        return Source.PATH, hint, None
    if special is not None:
        if special[0] is Source.INJECT and _optional(kind):
            raise StartupError(
                where,
                expected="Inject[T] of one type",
                got=f"Inject[{_name(kind)}], which injector passes over in silence",
                fix="Bind a null object, or inject without None.",
            )
        return special
    for inside in typing.get_args(kind) if _union(kind) else ():
        if inside in table or unwrap_annotated(inside)[1]:
            raise StartupError(
                where,
                expected="one source for the value",
                got=_name(hint),
                fix="Take the type alone; write Principal[User | None] for an optional principal.",
            )
    if Allowed.ROOM in allowed and kind is str:
        return Source.ROOM, str, None
    return Source.PAYLOAD, hint, None


def _check_allowed(source: Source, kind: Any, where: str, allowed: Allowed) -> None:
    needed = _NEEDS.get(source)
    if needed is None or needed & allowed:
        return
    if source is Source.PAYLOAD:
        raise StartupError(
            where,
            expected="a parameter that is known here, as Context, Principal[T] or Inject[T]",
            got=f"{_name(kind)}, which only an event's data could be",
            fix=f"Did you mean Inject[{_name(kind)}]? Only @on handlers have a payload.",
        )
    if source is Source.CONNECTION and Allowed.OPENING in allowed:
        raise StartupError(
            where,
            expected="Context, Handshake or Principal[T]: this guard also runs at opening",
            got="Connection, which does not exist yet",
            fix="Take Handshake or Principal[T], or put the guard on the handler.",
        )
    raise StartupError(
        where,
        expected="a parameter that is known here",
        got=f"{_name(kind)} ({source.value})",
        fix="Remove it, or take it where a connection is at hand.",
    )


def _check_defaults(parameters: list[Parameter], where: str) -> None:
    """In an array of arguments none can be left out before one that is needed."""
    optional = ""
    for parameter in (p for p in parameters if p.source is Source.PAYLOAD):
        if parameter.default is not ...:
            optional = parameter.name
        elif optional:
            raise StartupError(
                f"{where}, parameter {parameter.name!r}",
                expected="arguments with defaults last",
                got=f"a required one after {optional!r}",
                fix="Reorder them: the payload is an array in this order.",
            )


def _union(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def _optional(kind: Any) -> bool:
    return _union(kind) and type(None) in typing.get_args(kind)


def _name(kind: Any) -> str:
    return kind.__name__ if inspect.isclass(kind) else str(kind).replace("typing.", "")
