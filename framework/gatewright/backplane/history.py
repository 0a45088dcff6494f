"""What was published lately in one namespace, by room, by user and to everyone."""

from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from gatewright.backplane.base import EVERYONE, Bounds, Entry
from gatewright.backplane.changes import Changes, Stream

__all__ = ["EVERYONE_STREAM", "History", "Kept"]

EVERYONE_STREAM: Final[Stream] = ("all", EVERYONE)

OVERHEAD: Final = 1024
"""Bytes that Python needs to keep an entry, whatever it says."""

_FEW_TRIMMED: Final = 1024


class Kept:
    """An entry, for as long as a stream holds it."""

    __slots__ = ("at", "entry", "holders", "size")

    def __init__(self, entry: Entry, size: int, at: float) -> None:
        self.entry: Entry = entry
        self.size: int = size
        self.at: float = at
        self.holders: int = 0


class _Numbers:
    """The numbers of a stream's entries, and what they take together."""

    __slots__ = ("seqs", "size")

    def __init__(self) -> None:
        self.seqs: deque[int] = deque()
        self.size = 0


class History:
    """Keeps entries within `Bounds`, which are looked after whenever one is added.

    A stream loses its oldest entries first. The number of the last one lost therefore says what R8
    asks of the entries' predecessors: whoever needs what follows `p` has a gap iff it is above `p`.
    """

    __slots__ = (
        "_bounds",
        "_changes",
        "_entries",
        "_namespace",
        "_size",
        "_streams",
        "_sweep_at",
        "_trimmed",
        "floor",
    )

    def __init__(self, namespace: str, bounds: Bounds, changes: Changes | None = None) -> None:
        self._namespace = namespace
        self._bounds = bounds
        self._changes = changes
        # The oldest goes first, others from the middle: an OrderedDict does both at once.
        self._entries: OrderedDict[int, Kept] = OrderedDict()
        self._streams: dict[Stream, _Numbers] = {}
        self._trimmed: dict[Stream, int] = {}
        self._size = 0
        self._sweep_at = _FEW_TRIMMED
        self.floor: int = 0
        """Of the entries up to this number it does not know which stream they lay in."""

    @property
    def size(self) -> int:
        """Bytes kept, each entry counted once."""
        return self._size

    def __len__(self) -> int:
        return len(self._entries)

    def entry(self, seq: int) -> Entry:
        return self._entries[seq].entry

    def kept(self, seq: int) -> Kept | None:
        return self._entries.get(seq)

    def trimmed(self, stream: Stream) -> int:
        """The number of the last entry that a stream has lost; 0 for none."""
        return self._trimmed.get(stream, 0)

    def complete(self, stream: Stream, after: int) -> bool:
        """Whether everything in a stream after this number is still there (R8)."""
        return max(self.trimmed(stream), self.floor) <= after

    def count(self, stream: Stream, after: int) -> int:
        """How many of a stream's entries come after a number."""
        numbers = self._streams.get(stream)
        return 0 if numbers is None else len(numbers.seqs) - bisect_right(numbers.seqs, after)

    def after(self, stream: Stream, seq: int) -> Iterator[int]:
        """The numbers of a stream's entries after `seq`, the newest first."""
        numbers = self._streams.get(stream)
        if numbers is not None:
            for each in reversed(numbers.seqs):
                if each <= seq:
                    return
                yield each

    def append(self, first: int, entries: Sequence[Entry], now: float) -> None:
        for seq, entry in enumerate(entries, first):
            self._changed(seq)
            self._add(seq, entry, now, _streams(entry))
        self.trim(now)

    def restore(
        self, trimmed: Mapping[Stream, int], entries: Iterable[tuple[int, Entry, float]], now: float
    ) -> None:
        """Take back what was kept, with the times of its publication, as far as it is in bounds."""
        self._trimmed.update(trimmed)
        for seq, entry, at in entries:
            streams = [each for each in _streams(entry) if self.trimmed(each) < seq]
            if not streams:
                self._changed(seq)
            self._add(seq, entry, min(at, now), streams)
        self.trim(now)

    def trim(self, now: float) -> None:
        """Let go what is too old, and the oldest of what is too much for the namespace."""
        oldest, limit = now - self._bounds.age, self._bounds.namespace_bytes
        while self._entries:
            seq, kept = next(iter(self._entries.items()))
            if kept.at >= oldest and self._size <= limit:
                return
            for stream in _streams(kept.entry):
                numbers = self._streams.get(stream)
                if numbers is not None and numbers.seqs[0] == seq:
                    self._cut(stream, numbers)

    @property
    def crowded(self) -> bool:
        """Whether so many streams have lost entries that `forget` is worth its while."""
        return len(self._trimmed) > self._sweep_at

    def forget(self, seq: int) -> None:
        """Nobody will ask for what follows a number below `seq`."""
        if self._changes is not None:
            for stream, last in self._trimmed.items():
                if last <= seq:
                    self._changes.stream(self._namespace, stream)
        self._trimmed = {stream: last for stream, last in self._trimmed.items() if last > seq}
        self._sweep_at = max(_FEW_TRIMMED, 2 * len(self._trimmed))

    def _add(self, seq: int, entry: Entry, now: float, streams: Sequence[Stream]) -> None:
        if not streams:
            return
        size = entry.outgoing.size + OVERHEAD
        kept = self._entries[seq] = Kept(entry, size, now)
        self._size += size
        kept.holders = len(streams)
        bounds = self._bounds
        for stream in streams:
            numbers = self._streams.get(stream)
            if numbers is None:
                numbers = self._streams[stream] = _Numbers()
            numbers.seqs.append(seq)
            numbers.size += size
            while len(numbers.seqs) > bounds.per_room or numbers.size > bounds.per_room_bytes:
                self._cut(stream, numbers)

    def _cut(self, stream: Stream, numbers: _Numbers) -> None:
        """Take the oldest entry out of a stream."""
        seq = self._trimmed[stream] = numbers.seqs.popleft()
        if self._changes is not None:
            self._changes.stream(self._namespace, stream)
        kept = self._entries[seq]
        numbers.size -= kept.size
        if not numbers.seqs:
            del self._streams[stream]
        kept.holders -= 1
        if not kept.holders:
            del self._entries[seq]
            self._size -= kept.size
            self._changed(seq)

    def _changed(self, seq: int) -> None:
        if self._changes is not None:
            self._changes.entry(self._namespace, seq)


def _streams(entry: Entry) -> Sequence[Stream]:
    """The streams that an entry lies in, each once."""
    rooms, users = entry.rooms, entry.users
    if rooms is None and users is None:
        return (EVERYONE_STREAM,)
    if users is None and rooms is not None and len(rooms) == 1:
        return (("room", rooms[0]),)
    streams: dict[Stream, None] = {("room", room): None for room in rooms or ()}
    streams.update({("user", user): None for user in users or ()})
    return tuple(streams)
