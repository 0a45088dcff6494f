"""Bytes inside of JSON: taken out and numbered on the way out, put back on the way in."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct, UnsetType

__all__ = ["BYTES", "AttachmentError", "attach", "carries_bytes", "detach", "may_carry"]

BYTES: Final = (bytes, bytearray, memoryview)


class AttachmentError(ValueError):
    """A placeholder for which there is no attachment."""


def detach(value: Any, attachments: list[bytes]) -> Any:
    """Builtins with placeholders in the place of bytes, which are appended to `attachments`."""
    kind = value.__class__
    if kind in BYTES:
        attachments.append(bytes(value))
        return {"_placeholder": True, "num": len(attachments) - 1}
    if kind is dict:
        return {key: detach(each, attachments) for key, each in value.items()}
    if kind is list or kind is tuple:
        return [detach(each, attachments) for each in value]
    return value


def attach(value: Any, attachments: Sequence[bytes]) -> Any:
    """Builtins with the attachments where placeholders stood; raises `AttachmentError`."""
    kind = value.__class__
    if kind is dict:
        if value.get("_placeholder") is True:
            number: Any = value.get("num")
            if number.__class__ is not int or not 0 <= number < len(attachments):
                raise AttachmentError(
                    f"expected the number of one of {len(attachments)} attachments"
                )
            return attachments[int(number)]
        return {key: attach(each, attachments) for key, each in value.items()}
    if kind is list:
        return [attach(each, attachments) for each in value]
    return value


def carries_bytes(value: Any) -> bool:
    """Whether there may be bytes somewhere in a value that is about to be encoded.

    Most have none, and then JSON is made of them in one step. Of what an `enc_hook` will make
    nothing is known beforehand.
    """
    kind = value.__class__
    if not may_carry(kind):
        return False
    if issubclass(kind, Struct):
        return any(carries_bytes(getattr(value, name)) for name in _fields(kind))
    if kind is dict:
        return any(carries_bytes(each) for each in value.values())
    if kind is list or kind is tuple or kind is set or kind is frozenset:
        return any(carries_bytes(each) for each in value)
    if issubclass(kind, Enum):
        return isinstance(value.value, BYTES)
    return True


_NEVER: Final = frozenset(
    {
        *(str, int, float, bool, type(None), Decimal, UUID),
        *(datetime, date, time, timedelta, UnsetType, msgspec.Raw),
    }
)


@lru_cache(maxsize=1024)
def may_carry(kind: type) -> bool:
    """Whether there may be bytes in a value of this type."""
    if kind in _NEVER:
        return False
    if issubclass(kind, Struct):
        return bool(_fields(kind))
    return not issubclass(kind, Enum) or _any_bytes(kind)


@lru_cache(maxsize=1024)
def _fields(kind: type[Struct]) -> tuple[str, ...]:
    """The fields of a Struct that are to be looked into, as far as its annotations tell."""
    try:
        info = msgspec.inspect.type_info(kind)
    except (NameError, TypeError):
        # Annotations that mean something only at run time.
        return kind.__struct_fields__
    assert isinstance(info, msgspec.inspect.StructType)
    return tuple(field.name for field in info.fields if not _is_plain(field.type))


def _is_plain(info: msgspec.inspect.Type) -> bool:
    """Whether no value of a type has bytes; of a class nothing is said, it may have subclasses."""
    if isinstance(info, _PLAIN):
        return True
    if isinstance(info, msgspec.inspect.EnumType):
        return not _any_bytes(info.cls)
    if isinstance(info, msgspec.inspect.Metadata):
        return _is_plain(info.type)
    if isinstance(info, msgspec.inspect.UnionType):
        return all(_is_plain(each) for each in info.types)
    if isinstance(info, msgspec.inspect.CollectionType):
        return _is_plain(info.item_type)
    if isinstance(info, msgspec.inspect.TupleType):
        return all(_is_plain(each) for each in info.item_types)
    if isinstance(info, msgspec.inspect.DictType):
        return _is_plain(info.value_type)
    return False


def _any_bytes(kind: type[Enum]) -> bool:
    return any(isinstance(each.value, BYTES) for each in kind)


_PLAIN: Final = (
    *(msgspec.inspect.NoneType, msgspec.inspect.BoolType, msgspec.inspect.IntType),
    *(msgspec.inspect.FloatType, msgspec.inspect.StrType, msgspec.inspect.LiteralType),
    *(msgspec.inspect.DateTimeType, msgspec.inspect.DateType, msgspec.inspect.TimeType),
    *(msgspec.inspect.TimeDeltaType, msgspec.inspect.DecimalType, msgspec.inspect.UUIDType),
    msgspec.inspect.RawType,
)
