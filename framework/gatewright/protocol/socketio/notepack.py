"""What `socket.io-msgpack-parser` makes of JavaScript's values that MessagePack has no word for.

Its library, notepack, writes them as extensions of type 0, told apart by their heads alone: one
of one byte is `undefined`, one of eight a `Date`, and those with a length are an `ArrayBuffer`.
They are translated to what the JSON parser would bring: null, a text, bytes.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec.msgpack import encode

__all__ = ["translate"]

# In a text or a number this may be chance; then the walk finds nothing.
_PERHAPS: Final = re.compile(rb"\xd4\0\0|\xd7\0|\xc7.\0|\xc8..\0|\xc9....\0", re.DOTALL)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_FIXED: Final = (4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17)
"""Bytes that follow the heads from 0xCA to 0xD8: numbers, then extensions of one size each."""

_SIZED: Final = {
    first + n: (1 << n, before)
    for first, before in ((0xC4, 0), (0xC7, 1), (0xD9, 0))  # bytes, extensions, texts
    for n in range(3)
}
"""Of heads that a length follows: how wide that is, and how many bytes stand before the data."""

_COUNTED: Final = {0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}
"""The width of the count that follows the head of an array or a map; values follow."""


def translate(message: bytes) -> bytes:
    """The same message without extensions of type 0; what is no MessagePack stays as it is."""
    found = _PERHAPS.search(message)
    if found is None:
        return message
    parts: list[bytes] = []
    done = at = 0
    # An array or a map needs no bookkeeping: its head is stepped over, its values follow anyway.
    while at < len(message):
        head = message[at]
        after = at + _length(message, at, head)
        new = _translated(message, at, head, after)
        if new is not None:
            parts += (message[done:at], new)
            done = after
        at = after
    return b"".join((*parts, message[done:]))


def _length(message: bytes, at: int, head: int) -> int:
    """How many bytes a value takes; of an array or a map its head."""
    if 0xA0 <= head < 0xC0:
        return 1 + head - 0xA0
    if 0xCA <= head <= 0xD8:
        return 1 + _FIXED[head - 0xCA]
    if head in _COUNTED:
        return 1 + _COUNTED[head]
    if head in _SIZED:
        width, before = _SIZED[head]
        return 1 + width + before + int.from_bytes(message[at + 1 : at + 1 + width], "big")
    return 1


def _translated(message: bytes, at: int, head: int, after: int) -> bytes | None:
    """What stands for a value instead; None for those that stay."""
    if after > len(message):
        return None
    if head == 0xD4 and message[at + 1 : after] == b"\0\0":
        return b"\xc0"
    if head == 0xD7 and message[at + 1] == 0:
        return _date(int.from_bytes(message[at + 2 : after], "big", signed=True))
    if 0xC7 <= head <= 0xC9:
        kind = at + 1 + _SIZED[head][0]
        if message[kind] == 0:
            return bytes([head - 3]) + message[at + 1 : kind] + message[kind + 1 : after]
    return None


def _date(milliseconds: int) -> bytes:
    try:
        moment = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return b"\xc0"
    text = moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    return encode(text)
