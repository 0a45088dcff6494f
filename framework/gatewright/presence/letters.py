"""What nodes write to each other about presence.

A node numbers what it tells all others, from 1. Whoever misses a number asks for everything, and
so does who meets a node for the first time or again: only then it hears of what was before.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias, TypeVar

from msgspec import Struct

from gatewright.presence.entries import Entry, Key

__all__ = ["Ask", "Changes", "Leaving", "Legacy", "Letter", "Part", "Top", "portions"]

PORTION: Final = 128 * 1024
"""About how many bytes one letter has at the most."""

T = TypeVar("T", Entry, Key)


class Changes(Struct, frozen=True, array_like=True):
    """What is different of the sender's connections since the number before; to all."""

    number: int
    puts: tuple[Entry, ...]
    drops: tuple[Key, ...]


class Part(Struct, frozen=True, array_like=True):
    """A part of all that the sender says, up to a number: to one who asked.

    Parts belong together whose `serial` is the same; they are counted from 0.
    """

    number: int
    serial: int
    part: int
    parts: int
    entries: tuple[Entry, ...]


class Ask(Struct, frozen=True, array_like=True):
    """Say everything, please."""


class Top(Struct, frozen=True, array_like=True):
    """The last number, from time to time: of what comes last nothing else tells that it is lost."""

    number: int


class Leaving(Struct, frozen=True, array_like=True):
    """The sender stops, and its clients will return elsewhere: keep them for so many seconds."""

    seconds: float


class Legacy(Struct, frozen=True, array_like=True):
    """What a node said that has stopped, and for how many seconds to keep that.

    To one who asked: it may have started since, and its clients must not miss those who will
    return.
    """

    node: str
    seconds: float
    entries: tuple[Entry, ...]


Letter: TypeAlias = Changes | Part | Top | Leaving | Legacy
"""What a node says of its connections."""


def portions(items: Iterable[T]) -> Iterator[Sequence[T]]:
    """Cut what is to be said into pieces that fit in a letter; each has one item at least."""
    piece: list[T] = []
    size = 0
    for item in items:
        weight = _weight(item)
        if piece and size + weight > PORTION:
            yield piece
            piece, size = [], 0
        piece.append(item)
        size += weight
    if piece:
        yield piece


def _weight(item: Entry | Key) -> int:
    if isinstance(item, Entry):
        # Names of rooms are bounded in bytes, which may be four times as many as characters.
        names = (item.namespace, item.id, item.person, *item.rooms)
        return sum(len(each.encode("utf-8", "replace")) + 5 for each in names) + len(item.meta) + 32
    return len(item[0]) + len(item[1]) + 16
