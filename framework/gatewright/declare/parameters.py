"""Parameters by type: where each value of a handler's, hook's or guard's call comes from."""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from enum import Flag, auto
from typing import Any, cast

from gatewright.declare.hints import annotations, unwrap_annotated
from gatewright.declare.markers import From, PrincipalMarker, StateMarker
from gatewright.declare.naming import INJECT, describe
from gatewright.declare.payloads import check_path_type
from gatewright.declare.specs import Parameter, Source
from gatewright.errors import StartupError
from gatewright.types import Gap

__all__ = ["Allowed", "read_parameters"]


class Allowed(Flag):
    """Which sources make sense where a parameter stands."""

    APP = auto()
    """Only what exists without a connection: `Emitter`, `Presence`, `Inject[T]`."""
    OPENING = auto()
    """What is known before a connection exists: `Handshake`, `Principal`, the path."""
    CONNECTION = auto()
    PAYLOAD = auto()
    REASON = auto()
    GAP = auto()
    ROOM = auto()


_NEEDS = {
    Source.CONNECTION: Allowed.CONNECTION,
    Source.EMITTER: Allowed.CONNECTION | Allowed.APP,
    Source.PRESENCE: Allowed.CONNECTION | Allowed.APP,
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

_BOUND = {
    Source.EMITTER: ("an emitter", 'emitter.of("/lab/{bench}", bench=7)'),
    Source.PRESENCE: ("presence", 'presence.at("/lab/{bench}", bench=7)'),
}
"""What is bound to a namespace, and how it is."""

_HOOKS = {Source.REASON: "@on_disconnect", Source.GAP: "@on_resume"}


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
        _check_allowed(source, kind, inner, path, allowed)
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
        elif extra is From or isinstance(extra, From):
            special = Source.FROM, kind, _extractor(extra, where)
        elif extra is INJECT:
            special = Source.INJECT, kind, None
        else:
            continue
        break
    if special is None and (source := _of_table(kind, table)) is not None:
        special = source, kind, None
    if name in path:
        if special is not None:
            raise StartupError(
                where,
                expected=f"the path parameter {{{name}}}",
                got=f"a parameter of that name annotated {describe(kind)}",
                fix="Rename the parameter or the part of the path.",
            )
        check_path_type(hint, where)
        return Source.PATH, hint, None
    if special is not None:
        if special[0] is Source.INJECT and _optional(kind):
            raise StartupError(
                where,
                expected="Inject[T] of one type",
                got=f"Inject[{describe(kind)}], which injector passes over in silence",
                fix="Bind a null object, or inject without None.",
            )
        return special
    for inside in typing.get_args(kind) if _union(kind) else ():
        if _of_table(inside, table) is not None or _marked(inside):
            raise StartupError(
                where,
                expected="one source for the value",
                got=describe(hint),
                fix="Take the type alone; write Principal[User | None] for an optional principal.",
            )
    if Allowed.ROOM in allowed and kind is str:
        return Source.ROOM, str, None
    return Source.PAYLOAD, hint, None


def _of_table(kind: Any, table: Mapping[Any, Source]) -> Source | None:
    try:
        return table.get(kind)
    except TypeError:  # unhashable, so no type: the payload's check says it better
        return None


def _marked(kind: Any) -> bool:
    return any(
        isinstance(extra, PrincipalMarker | StateMarker | From) or extra is INJECT
        for extra in unwrap_annotated(kind)[1]
    )


def _extractor(marker: Any, where: str) -> Callable[[Any], Any]:
    extractor: Any = getattr(marker, "extractor", None)
    if not callable(extractor):
        raise StartupError(
            where,
            expected="From(extractor), a function of the Context",
            got="From without one" if marker is From else repr(marker),
            fix="Write Annotated[str, From(language)] with def language(context: Context) -> str.",
        )
    return cast(Callable[[Any], Any], extractor)


def _check_allowed(
    source: Source, kind: Any, where: str, path: tuple[str, ...], allowed: Allowed
) -> None:
    needed = _NEEDS.get(source)
    if source in _BOUND and path and Allowed.APP in allowed:
        name, bind = _BOUND[source]
        raise StartupError(
            where,
            expected=f"{name} that is bound to a namespace: this hook has no connection",
            got=f"{describe(kind)} in a gateway with path parameters",
            fix=f"Take Inject[{describe(kind)}] and name the namespace: {bind}.",
        )
    if needed is None or needed & allowed:
        return
    if source is Source.PAYLOAD and Allowed.GAP in allowed and kind is Gap:
        raise StartupError(
            where,
            expected="Gap | None: most resumes have missed nothing",
            got="Gap",
            fix="Write Gap | None.",
        )
    if source is Source.PAYLOAD:
        raise StartupError(
            where,
            expected="a parameter that is known here, as Context, Principal[T] or Inject[T]",
            got=f"{describe(kind)}, which only an event's data could be",
            fix=f"Did you mean Inject[{describe(kind)}]? Only @on handlers have a payload.",
        )
    if Allowed.OPENING in allowed and needed & Allowed.CONNECTION:
        name = f"State[{describe(kind)}]" if source is Source.STATE else describe(kind)
        raise StartupError(
            where,
            expected="Context, Handshake, Principal[T] or Inject[T]: this runs while a connection "
            "opens",
            got=f"{name}, which does not exist yet",
            fix="Take Handshake or Principal[T]; a guard of a handler may take the connection.",
        )
    hook = _HOOKS.get(source)
    raise StartupError(
        where,
        expected="a parameter that is known here",
        got=f"{describe(kind)}, which only {hook} has" if hook else describe(kind),
        fix="Remove it." if hook else "Remove it: there is no connection here.",
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
