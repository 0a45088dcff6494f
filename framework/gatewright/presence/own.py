"""What this node says of its own connections."""

from collections import OrderedDict
from typing import Final

from msgspec.structs import replace

from gatewright.presence.entries import Entry, Key
from gatewright.presence.letters import Changes, Part, portions
from gatewright.presence.roster import Roster

__all__ = ["Own"]

MARGIN: Final = 1.0
"""Seconds in which whoever returns at the last moment, elsewhere, is heard of."""

BURIED: Final = 60.0
"""Seconds for which is said that a connection is gone: as long as anybody may say otherwise."""


class Own:
    """Entries of connections of this node, and what of them the others have not been told.

    One whose socket is lost lingers, as if nothing were, until it is put again or its time has
    passed. Times are in seconds, of whatever clock the caller has.
    """

    def __init__(self, roster: Roster, linger: float, *, shared: bool) -> None:
        """`shared`: there may be others to tell, of whom one may have had it back just in time."""
        self.node: str = ""
        self.number: int = 0
        """How much the others have been told."""
        self.entries: dict[Key, Entry] = {}
        self._roster = roster
        self._linger = linger + MARGIN if shared else linger
        self._shared = shared
        self._serial = 0
        self._untold: dict[Key, None] = {}
        # All stay equally long, so that the first is the first to go.
        self._lingering: OrderedDict[Key, float] = OrderedDict()
        self._buried: OrderedDict[Key, float] = OrderedDict()

    # Its connections

    def put(self, entry: Entry) -> None:
        """Say this of a connection; if it lingers, it still does."""
        if self.entries.get(entry.key) != entry:
            self._set(entry)

    def settle(self, key: Key) -> None:
        """A connection has a socket."""
        self._lingering.pop(key, None)

    def linger(self, key: Key, now: float) -> bool:
        """Its socket is lost, and it may return; False where nothing is said of it."""
        entry = self.entries.get(key)
        if entry is None or entry.gone:
            return False
        if key not in self._lingering:
            self._lingering[key] = now + self._linger
        return True

    def end(self, key: Key, now: float) -> None:
        """It is gone: at once, and whatever a node that had it before may still say of it."""
        entry = self.entries.get(key)
        if entry is None or entry.gone:
            return
        self._lingering.pop(key, None)
        if self._shared and entry.generation > 1:
            self._buried[key] = now + BURIED
            self._set(replace(entry, rooms=(), meta=b"", gone=True))
        else:
            self._drop(key)

    def outdone(self, entry: Entry, now: float) -> None:
        """Another node says this of a connection: of an earlier socket of it nothing is left."""
        mine = self.entries.get(entry.key)
        if mine is None or mine.generation >= entry.generation:
            return
        self._lingering.pop(entry.key, None)
        if mine.gone:
            self._drop(entry.key)
        elif entry.gone:
            self._drop(entry.key)
            # Its time is over now.
            self._lingering[entry.key] = now
            self._lingering.move_to_end(entry.key, last=False)
        else:
            # Kept for a while: whoever has not heard of the other one yet must not miss it.
            self.linger(entry.key, now)

    @property
    def next(self) -> float | None:
        """When the time of something is over."""
        return min(
            (next(iter(times.values())) for times in (self._lingering, self._buried) if times),
            default=None,
        )

    def expire(self, now: float) -> list[Key]:
        """Drop whatever has had its time; returns those that have lingered for long enough."""
        while self._buried and next(iter(self._buried.values())) <= now:
            self._drop(self._buried.popitem(last=False)[0])
        gone: list[Key] = []
        while self._lingering and next(iter(self._lingering.values())) <= now:
            key, _ = self._lingering.popitem(last=False)
            self._drop(key)
            gone.append(key)
        return gone

    def _set(self, entry: Entry) -> None:
        if not entry.gone:
            self._buried.pop(entry.key, None)
        self.entries[entry.key] = entry
        self._tell(entry.key)
        self._roster.put(self.node, entry)

    def _drop(self, key: Key) -> None:
        if self.entries.pop(key, None) is not None:
            self._buried.pop(key, None)
            self._tell(key)
            self._roster.drop(self.node, key)

    # The others

    def _tell(self, key: Key) -> None:
        if self._shared:
            self._untold[key] = None

    @property
    def untold(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self._untold)

    def changes(self) -> list[Changes]:
        """What is to be told to all others, as it is now.

        All of it has its numbers at once: what is said to one who asks while it is sent has it in.
        """
        untold, self._untold = self._untold, {}
        puts = [entry for key in untold if (entry := self.entries.get(key)) is not None]
        drops = [key for key in untold if key not in self.entries]
        letters = [Changes(0, tuple(piece), ()) for piece in portions(puts)]
        letters += [Changes(0, (), tuple(keys)) for keys in portions(drops)]
        first, self.number = self.number + 1, self.number + len(letters)
        return [replace(letter, number=number) for number, letter in enumerate(letters, first)]

    def everything(self) -> list[Part]:
        """All that is said, for one who asked."""
        pieces = list(portions(self.entries.values())) or [()]
        self._serial += 1
        return [
            Part(self.number, self._serial, part, len(pieces), tuple(piece))
            for part, piece in enumerate(pieces)
        ]
