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
        return any(carries_bytes(getattr(value, name)) for name in value.__struct_fields__)
    if kind is dict:
        return any(carries_bytes(each) for each in value.values())
    if kind is list or kind is tuple or kind is set or kind is frozenset:
        return any(carries_bytes(each) for each in value)
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
    if kind in _NEVER or issubclass(kind, Enum):
        return False
    if issubclass(kind, Struct):
        try:
            return _in_type(msgspec.inspect.type_info(kind), set())
        except (NameError, TypeError):
            # Annotations that mean something only at run time: look at the values.
            return True
    return True


def _in_type(info: Any, seen: set[Any]) -> bool:
    """Whether values of a type may carry bytes, as far as its annotations tell."""
    if isinstance(info, _UNKNOWN):
        return True
    if isinstance(info, msgspec.inspect.Metadata):
        return _in_type(info.type, seen)
    if isinstance(info, msgspec.inspect.StructType):
        if info.cls in seen:
            return False
        seen.add(info.cls)
        return any(_in_type(field.type, seen) for field in info.fields)
    inner = [getattr(info, name, None) for name in ("item_type", "key_type", "value_type")]
    inner += getattr(info, "item_types", ())
    inner += getattr(info, "types", ())
    inner += [field.type for field in getattr(info, "fields", ())]
    return any(_in_type(each, seen) for each in inner if each is not None)


_UNKNOWN: Final = (
    msgspec.inspect.AnyType,
    msgspec.inspect.BytesType,
    msgspec.inspect.ByteArrayType,
    msgspec.inspect.MemoryViewType,
    msgspec.inspect.CustomType,
    msgspec.inspect.ExtType,
)
