"""Events as bytes that outlive the process: any wire format can frame them afterwards."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct
from msgspec.msgpack import Ext

from gatewright.protocol.codecs import EncHook

__all__ = ["Several", "arguments_of", "dump", "load"]

# What the formats write differently stays as it is; all else has become what they all write.
_DIFFERENT: Final = (bytes, bytearray, memoryview, datetime)
_TIME, _INTEGER = 1, 2
_encode = msgspec.msgpack.Encoder().encode


class Several(list[Any]):
    """The data of an `array_like` event, once its class is gone: `skip` items, then arguments."""

    __slots__ = ("skip",)

    def __init__(self, items: Sequence[Any], skip: int) -> None:
        super().__init__(items)
        self.skip: int = skip


class _Stored(Struct, array_like=True):
    event: str
    data: Any
    skip: int | None


def arguments_of(data: Any) -> Sequence[Any]:
    """An event's arguments: the fields of one that is `array_like`, or the event itself.

    Fields at the end that are `UNSET` are left out.
    """
    if data.__class__ is Several:
        return data[data.skip :]
    if not (isinstance(data, Struct) and data.__struct_config__.array_like):
        return (data,)
    values = [getattr(data, name) for name in data.__struct_fields__]
    while values and values[-1] is UNSET:
        values.pop()
    return values


def dump(event: str, data: Any, enc_hook: EncHook | None = None) -> bytes:
    """An event as bytes; raises what msgspec raises for what cannot be encoded."""
    skip: int | None = None
    if isinstance(data, Several):
        skip = data.skip
    elif isinstance(data, Struct) and data.__struct_config__.array_like:
        tag = data.__struct_config__.tag
        data = arguments_of(data)
        if tag is not None:
            data = [tag, *data]
        skip = int(tag is not None)
    built = msgspec.to_builtins(data, builtin_types=_DIFFERENT, enc_hook=enc_hook)
    return _encode(_Stored(event, _exact(built), skip))


def load(stored: bytes) -> tuple[str, Any]:
    """Name and data of an event, as builtins."""
    found = _decode(stored)
    return found.event, found.data if found.skip is None else Several(found.data, found.skip)


def _exact(value: Any) -> Any:
    """Builtins, with what MessagePack would change in the form of extensions."""
    kind = value.__class__
    if kind is str:
        return value
    if kind is dict:
        return {key: _exact(each) for key, each in value.items()}
    if kind is list or kind is tuple:
        return [_exact(each) for each in value]
    if kind is int and not -(2**63) <= value < 2**64:
        # JSON has integers of any size.
        return Ext(_INTEGER, b"%d" % value)
    if isinstance(value, datetime) and value.utcoffset():
        # A timestamp knows the moment, not the offset that JSON writes.
        return Ext(_TIME, value.isoformat().encode())
    return value


def _extension(code: int, data: memoryview) -> Any:
    text = bytes(data).decode()
    return int(text) if code == _INTEGER else datetime.fromisoformat(text)


_decode = msgspec.msgpack.Decoder(_Stored, ext_hook=_extension).decode
