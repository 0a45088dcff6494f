"""Who is in which room, over all nodes."""

from collections.abc import Callable
from typing import TypeAlias

from gatewright.presence.entries import Entry, Key

__all__ = ["Metas", "Roster"]

Metas: TypeAlias = tuple[bytes, ...]
"""What a person's connections have tracked, encoded, in the order in which they began to."""


class Roster:
    """Merges what the nodes say; `changed` hears of namespace, room and person that may differ.

    A connection of which several nodes speak counts once, by what was said of its latest socket.
    """

    __slots__ = ("_changed", "_claims", "_rooms")

    def __init__(self, changed: Callable[[str, str, str], None]) -> None:
        self._changed = changed
        self._claims: dict[Key, dict[str, Entry]] = {}
        self._rooms: dict[Key, dict[str, dict[str, Entry]]] = {}

    def __len__(self) -> int:
        """How many connections are spoken of."""
        return len(self._claims)

    def put(self, node: str, entry: Entry) -> None:
        """A node says this of a connection now."""
        key = entry.key
        claims = self._claims.setdefault(key, {})
        before = _latest(claims)
        claims[node] = entry
        self._replace(before, _latest(claims))

    def drop(self, node: str, key: Key) -> None:
        """A node says nothing of a connection any more."""
        claims = self._claims.get(key)
        if claims is None or node not in claims:
            return
        before = _latest(claims)
        del claims[node]
        if not claims:
            del self._claims[key]
        self._replace(before, _latest(claims))

    def find(self, key: Key) -> Entry | None:
        """What is right of a connection, as far as is known here."""
        return _latest(self._claims.get(key, {}))

    def count(self, namespace: str, room: str) -> int:
        """How many people are in a room."""
        return len(self._rooms.get((namespace, room), ()))

    def metas(self, namespace: str, room: str, person: str) -> Metas | None:
        """What a person has tracked; None for who is not there."""
        entries = self._rooms.get((namespace, room), {}).get(person)
        if entries is None:
            return None
        return tuple([entry.meta for entry in sorted(entries.values(), key=_order)])

    def people(self, namespace: str, room: str) -> dict[str, Metas]:
        """Everybody in a room, those who came first standing first."""
        found = [
            (person, sorted(entries.values(), key=_order))
            for person, entries in self._rooms.get((namespace, room), {}).items()
        ]
        found.sort(key=lambda each: _order(each[1][0]))
        return {person: tuple([entry.meta for entry in entries]) for person, entries in found}

    def _replace(self, before: Entry | None, after: Entry | None) -> None:
        if before is after:
            return
        if before is not None and not before.gone:
            for room in before.rooms:
                self._take_out(before, room)
        if after is not None and not after.gone:
            for room in after.rooms:
                people = self._rooms.setdefault((after.namespace, room), {})
                people.setdefault(after.person, {})[after.id] = after
                self._changed(after.namespace, room, after.person)

    def _take_out(self, entry: Entry, room: str) -> None:
        place = entry.namespace, room
        people = self._rooms[place]
        entries = people[entry.person]
        del entries[entry.id]
        if not entries:
            del people[entry.person]
            if not people:
                del self._rooms[place]
        self._changed(entry.namespace, room, entry.person)


def _latest(claims: dict[str, Entry]) -> Entry | None:
    if len(claims) < 2:
        # What nearly every connection has.
        return next(iter(claims.values()), None)
    return claims[max(claims, key=lambda node: (claims[node].generation, node))]


def _order(entry: Entry) -> tuple[float, str]:
    return entry.since, entry.id
