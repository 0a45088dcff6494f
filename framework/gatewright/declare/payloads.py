"""Whether msgspec can read a payload's type, asked before the first message."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from enum import Enum
from functools import partial
from typing import Any, cast, get_origin

import msgspec

from gatewright.declare.hints import unresolved
from gatewright.declare.naming import describe
from gatewright.declare.specs import Parameter
from gatewright.errors import StartupError

__all__ = ["arguments_type", "check_decodable", "check_path_type", "payload_type"]


def payload_type(name: str, parameters: Sequence[Parameter]) -> Any:
    """The type of a handler's `data`: its one parameter's, or an array struct of several."""
    return parameters[0].kind if len(parameters) == 1 else arguments_type(name, parameters)


def arguments_type(name: str, parameters: Sequence[Parameter]) -> type[msgspec.Struct]:
    """An array struct: one argument for each parameter, those with a default may be missing."""
    fields: list[Any] = []
    for parameter in parameters:
        default: object = parameter.default
        if default is ...:
            fields.append((parameter.name, parameter.kind))
        elif default is None or isinstance(default, str | int | float | bytes | Enum):
            fields.append((parameter.name, parameter.kind, default))
        else:
            # A default belongs to one call, not to the function for all of them.
            new = msgspec.field(default_factory=partial(deepcopy, default))
            fields.append((parameter.name, parameter.kind, new))
    return msgspec.defstruct(name, fields, array_like=True)


def check_decodable(kind: Any, where: str, *, hooked: bool) -> None:
    """Refuse a type that msgspec cannot decode, or only knows as custom without a hook."""
    try:
        info = msgspec.inspect.type_info(kind)
        msgspec.json.Decoder(kind)
    except NameError as error:
        # Of a field, which msgspec reads only now.
        raise unresolved(f"{where}, {describe(kind)}", error) from None
    except (TypeError, ValueError) as error:
        reason = str(error).partition(" - ")[0].splitlines()[0].rstrip(".")
        raise StartupError(
            where,
            expected="a type that msgspec can decode",
            got=f"{describe(kind)} ({reason})",
            fix="Change the payload's type.",
        ) from None
    custom = None if hooked else _custom(info, set())
    if custom is not None:
        outermost = custom is kind or get_origin(kind) is custom
        name = describe(kind if outermost else custom)
        fix = f"Did you mean Inject[{name}]? A payload of this type needs a dec_hook."
        raise StartupError(
            where,
            expected="a type that msgspec can decode, as the payload",
            got=name if outermost else f"{name} in {describe(kind)}",
            fix="Write Any for data of every kind." if custom is object else fix,
        )


def check_path_type(kind: Any, where: str) -> None:
    """Refuse a type that no text can be converted to."""
    try:
        info = msgspec.inspect.type_info(kind)
    except TypeError:
        info = None
    inner = info.type if isinstance(info, msgspec.inspect.Metadata) else info
    simple = (
        msgspec.inspect.StrType,
        msgspec.inspect.IntType,
        msgspec.inspect.FloatType,
        msgspec.inspect.UUIDType,
        msgspec.inspect.DateType,
        msgspec.inspect.EnumType,
        msgspec.inspect.LiteralType,
    )
    if not isinstance(inner, simple):
        raise StartupError(
            where,
            expected="a path parameter of str, int, float, UUID, date, Enum or Literal",
            got=describe(kind),
            fix="Take the text and convert it, or rename the parameter if it is not the path's.",
        )


def _custom(info: Any, seen: set[int]) -> Any:
    """The first custom type inside a type, however deep; recursive structs are walked once."""
    if isinstance(info, msgspec.inspect.CustomType):
        return info.cls
    if id(info) in seen:
        return None
    seen.add(id(info))
    inside: Iterable[Any]
    if isinstance(info, msgspec.Struct):
        inside = [getattr(info, name) for name in info.__struct_fields__]
    elif isinstance(info, tuple | list):
        inside = cast(Iterable[Any], info)
    else:
        return None
    for each in inside:
        if (found := _custom(each, seen)) is not None:
            return found
    return None
