"""The messages between nodes, as they travel: MessagePack, typed, several at a time."""

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw, Struct

__all__ = ["Ask", "Drop", "End", "Fail", "Letter", "Part", "Tell", "pack", "size_of", "unpack"]


class Ask(Struct, array_like=True, tag=0):
    """A question; its id is the asker's own."""

    id: int
    kind: str
    body: Raw


class Tell(Struct, array_like=True, tag=1):
    """What wants no answer."""

    kind: str
    body: Raw


class Part(Struct, array_like=True, tag=2):
    """A part of an answer, before its end."""

    id: int
    body: Raw


class End(Struct, array_like=True, tag=3):
    """The end of an answer."""

    id: int
    body: Raw


class Fail(Struct, array_like=True, tag=4):
    """Why there is no answer."""

    id: int
    code: str
    message: str
    details: Any


class Drop(Struct, array_like=True, tag=5):
    """Nobody waits for the answer any more."""

    id: int


Letter: TypeAlias = Ask | Tell | Part | End | Fail | Drop

pack: Callable[[object], bytes] = msgspec.msgpack.Encoder().encode
unpack: Callable[[bytes], list[Letter]] = msgspec.msgpack.Decoder(list[Letter]).decode


def size_of(letter: Letter) -> int:
    """About how many bytes it is."""
    return 64 + (len(letter.body) if isinstance(letter, Ask | Tell | Part | End) else 0)
