"""What the other nodes have said of their connections."""

from collections.abc import Callable, Iterable
from typing import Final

from gatewright.presence.entries import Entry, Key
from gatewright.presence.letters import Changes, Leaving, Legacy, Letter, Part, Top, portions
from gatewright.presence.roster import Roster

__all__ = ["Others"]

RETRY: Final = 1.0
LONGEST: Final = 5.0
"""Seconds after which a node that was asked for everything is asked again; each time twice as long,
up to the longest."""

EARLY: Final = 256
"""Letters of one node that wait for those before them; more are not kept, all is asked for."""


class _Peer:
    """One other node."""

    __slots__ = ("early", "entries", "number", "parts", "pause", "serial", "wanting", "when")

    def __init__(self) -> None:
        self.entries: dict[Key, Entry] = {}
        self.number: int | None = None
        """Up to where it has been heard; None until it has said everything once."""
        self.early: dict[int, Changes] = {}
        self.serial = -1
        self.parts: dict[int, Part] = {}
        self.wanting = True
        """Whether it is to say everything."""
        self.pause = RETRY
        self.when = 0.0
        """When to ask it."""


class Others:
    """Follows every other node by its numbers, and knows whom to ask for everything.

    `outdone` hears of every entry that comes. Times are in seconds, of the caller's clock.
    """

    def __init__(self, roster: Roster, outdone: Callable[[Entry, float], None]) -> None:
        self._roster = roster
        self._outdone = outdone
        self._peers: dict[str, _Peer] = {}
        self._parted: dict[str, tuple[float, _Peer]] = {}
        """Nodes that have stopped, whose clients may return until then."""

    def __contains__(self, node: str) -> bool:
        return node in self._peers

    @property
    def number(self) -> int:
        """How many nodes live."""
        return len(self._peers)

    # Who lives

    def appear(self, node: str) -> None:
        """A node lives: what it has said before, if anything, counts until it has said all."""
        before = self._peers.get(node) or self._parted.pop(node, (0.0, None))[1]
        self._peers[node] = peer = _Peer()
        if before is not None:
            peer.entries = before.entries

    def vanish(self, node: str) -> None:
        """A node is dead, and with it its connections, unless they are somewhere else again."""
        peer = self._peers.pop(node, None)
        if peer is not None and node not in self._parted:
            self._forget(node, peer)

    # What they say

    def take(self, node: str, letter: Letter, now: float) -> None:
        """A node says something; of one that is not known to live nothing is taken."""
        peer = self._peers.get(node)
        if peer is None:
            return
        match letter:
            case Legacy():
                self._inherit(letter, now)
            case Changes():
                self._change(node, peer, letter, now)
            case Part():
                self._collect(node, peer, letter, now)
            case Top(number):
                if peer.number is not None and number > peer.number:
                    peer.wanting = True
            case Leaving(seconds):
                self._parted[node] = now + seconds, peer

    def _change(self, node: str, peer: _Peer, changes: Changes, now: float) -> None:
        if peer.number is not None and changes.number <= peer.number:
            return
        if len(peer.early) >= EARLY:
            del peer.early[min(peer.early)]
        peer.early[changes.number] = changes
        self._catch_up(node, peer, now)

    def _catch_up(self, node: str, peer: _Peer, now: float) -> None:
        """Take what was waiting as far as nothing is missing before it."""
        if peer.number is None:
            return
        while (changes := peer.early.pop(peer.number + 1, None)) is not None:
            peer.number = changes.number
            self._put(node, peer, changes.puts, now)
            for key in changes.drops:
                self._drop(node, peer, key)
        # Whatever is missing, what was said since contains it.
        peer.wanting = bool(peer.early)

    def _collect(self, node: str, peer: _Peer, part: Part, now: float) -> None:
        if part.serial < peer.serial:
            return
        if part.serial > peer.serial:
            peer.serial = part.serial
            peer.parts.clear()
        peer.parts[part.part] = part
        if len(peer.parts) < part.parts:
            return
        entries = [entry for each in peer.parts.values() for entry in each.entries]
        peer.parts.clear()
        if peer.number is not None and part.number < peer.number:
            return
        peer.number = part.number
        peer.pause = RETRY
        for number in [each for each in peer.early if each <= part.number]:
            del peer.early[number]
        said = {entry.key for entry in entries}
        self._put(node, peer, entries, now)
        for key in [key for key in peer.entries if key not in said]:
            self._drop(node, peer, key)
        self._catch_up(node, peer, now)

    def _put(self, node: str, peer: _Peer, entries: Iterable[Entry], now: float) -> None:
        for entry in entries:
            if peer.entries.get(entry.key) != entry:
                peer.entries[entry.key] = entry
                self._roster.put(node, entry)
            self._outdone(entry, now)

    def _drop(self, node: str, peer: _Peer, key: Key) -> None:
        if peer.entries.pop(key, None) is not None:
            self._roster.drop(node, key)

    def _forget(self, node: str, peer: _Peer) -> None:
        for key in peer.entries:
            self._roster.drop(node, key)

    # Those that have stopped

    def legacies(self, now: float) -> list[Legacy]:
        """What those said that have stopped, for one who was not there to hear it."""
        return [
            Legacy(node, until - now, tuple(piece))
            for node, (until, peer) in self._parted.items()
            if node not in self._peers
            for piece in portions(peer.entries.values())
        ]

    def _inherit(self, legacy: Legacy, now: float) -> None:
        node = legacy.node
        if node not in self._peers:
            _, peer = self._parted.setdefault(node, (now + legacy.seconds, _Peer()))
            self._put(node, peer, legacy.entries, now)

    # What is due

    def due(self, now: float) -> list[str]:
        """The nodes to be asked for everything; they count as asked."""
        found: list[str] = []
        for node, peer in self._peers.items():
            if peer.wanting and peer.when <= now:
                peer.when = now + peer.pause
                peer.pause = min(2 * peer.pause, LONGEST)
                found.append(node)
        return found

    @property
    def next(self) -> float | None:
        """When to ask, or let go of one that has stopped; not before something is due."""
        times = [until for until, _ in self._parted.values()]
        times += [peer.when for peer in self._peers.values() if peer.wanting]
        return min(times, default=None)

    def expire(self, now: float) -> None:
        """Forget those that have stopped long ago."""
        for node, (until, peer) in list(self._parted.items()):
            if until <= now:
                del self._parted[node]
                if node not in self._peers:
                    self._forget(node, peer)
