"""Presence on a running node: what connections do, what other nodes say, and who hears of it."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from time import time
from typing import Final, Protocol

from msgspec import Struct
from typing_extensions import TypeVar

from gatewright.backplane.base import Marker
from gatewright.observing import Observer
from gatewright.presence.audience import Audiences
from gatewright.presence.entries import Entry, Key
from gatewright.presence.letters import Ask, Changes, Leaving, Legacy, Letter, Part, Top
from gatewright.presence.others import Others
from gatewright.presence.own import Own
from gatewright.presence.roster import Metas, Roster
from gatewright.rooms import Member, Namespaces
from gatewright.settings import Settings

__all__ = ["Tracked", "Tracker"]

M = TypeVar("M", bound=Struct)

KINDS: Final[Mapping[str, type[Letter]]] = {
    "presence.changes": Changes,
    "presence.part": Part,
    "presence.top": Top,
    "presence.leaving": Leaving,
    "presence.legacy": Legacy,
}
KIND_OF: Final[Mapping[type[Struct], str]] = {
    **{letter: kind for kind, letter in KINDS.items()},
    Ask: "presence.ask",
}

TOP_EVERY: Final = 3.0
"""Seconds between two letters that say how much was said."""


class Tracked(Struct, frozen=True, array_like=True):
    """What a connection has asked for: to be listed with `meta`, or only to be told (None).

    `meta` is encoded; `since` is when it began, in seconds of Unix time.
    """

    meta: bytes | None
    since: float

    @classmethod
    def now(cls, meta: bytes | None, before: "Tracked | None") -> "Tracked":
        """What follows `before`: whoever is listed keeps its place in the list."""
        same = before is not None and (before.meta is None) == (meta is None)
        return cls(meta, before.since if before is not None and same else time())


class Trackable(Member, Protocol):
    """A connection, as far as presence is concerned."""

    @property
    def namespace(self) -> str: ...
    @property
    def generation(self) -> int: ...
    @property
    def tracked(self) -> Tracked | None: ...


class _Local:
    """A connection of this node that is tracked, and the rooms that it is known to be in."""

    __slots__ = ("here", "member", "rooms")

    def __init__(self, member: Trackable) -> None:
        self.member = member
        self.rooms = set(member.joined)
        self.here = True
        """Whether it has a socket."""


class Remote(Protocol):
    """The other nodes, as far as presence is concerned: `gatewright.remote.Remote` is one."""

    @property
    def name(self) -> str: ...
    def hear(self, kind: str, message: type[M], hear: Callable[[str, M], None]) -> None: ...
    def watch(self, peers: Callable[[str, bool], None]) -> None: ...
    def tell(self, kind: str, message: Struct, node: str | None = None) -> None: ...


class Tracker:
    """Who is where, over all nodes: connections of this one are announced, and told of all."""

    def __init__(
        self,
        settings: Settings,
        namespaces: Namespaces,
        observers: Sequence[Observer] = (),
        remote: Remote | None = None,
    ) -> None:
        """`remote` is None where there can be no other node."""
        self._settings = settings
        self._namespaces = namespaces
        self._remote = remote
        self._locals: dict[Key, _Local] = {}
        self._roster = Roster(self._changed)
        self._audiences = Audiences(self._roster, namespaces, settings, observers)
        self._own = Own(self._roster, settings.presence_linger, shared=remote is not None)
        self._others = Others(self._roster, self._own.outdone)
        self._timer: asyncio.Handle | None = None
        self._rings = 0.0
        """When the timer does; uvloop's does not tell where that is at once."""
        self._telling: asyncio.Handle | None = None
        self._top = float("inf")
        namespaces.marked = self._marked
        if remote is not None:
            remote.watch(self._peer)
            remote.hear("presence.ask", Ask, self._answer)
            for kind, letter in KINDS.items():
                remote.hear(kind, letter, self._hear)

    def __len__(self) -> int:
        """How many connections are known, of all nodes."""
        return len(self._roster)

    def start(self) -> None:
        """Begin, once the backplane has."""
        if self._remote is not None:
            self._own.node = self._remote.name
            self._top = self._now() + TOP_EVERY
            self._arm()

    def stop(self) -> None:
        """Take leave of the other nodes; nobody here is told anything any more."""
        self._audiences.stop()
        for handle in (self._timer, self._telling):
            if handle is not None:
                handle.cancel()
        if self._remote is not None:
            self._say_changes()
            self._say(Leaving(self._settings.presence_linger))

    # What is asked

    def people(self, namespace: str, room: str) -> dict[str, Metas]:
        """Everybody in a room of any node, as far as this one knows."""
        return self._roster.people(namespace, room)

    def count(self, namespace: str, room: str) -> int:
        """How many they are."""
        return self._roster.count(namespace, room)

    # What connections of this node do

    def track(self, member: Trackable) -> None:
        """A connection has begun to be tracked, or has another meta or user."""
        key = member.namespace, member.id
        local = self._locals.get(key)
        if local is None:
            here = self._namespaces.here(member.namespace, member) and not member.outbox.closing
            if member.tracked is None or not here:
                # Its socket is lost, and a handler of it still runs: it is listed when it is back.
                return
            self._watch(key, member)
        elif member.tracked is None:
            self._forget(key, local)
        self._announce(key)

    def arrived(self, member: Trackable) -> None:
        """A connection has returned, in its rooms: whoever is tracked is told anew who is there."""
        key = member.namespace, member.id
        if (local := self._locals.get(key)) is not None:
            self._part(key, local)
        if member.tracked is None:
            return
        self._watch(key, member)
        self._own.settle(key)
        self._announce(key)

    def lost(self, member: Trackable, *, kept: bool) -> None:
        """Its socket is lost; `kept` says whether it may return."""
        key = member.namespace, member.id
        local = self._locals.get(key)
        if local is None or local.member is not member:
            return
        if not kept:
            self.ended(member)
            return
        self._part(key, local)
        if self._own.linger(key, self._now()):
            self._arm()
        else:
            del self._locals[key]

    def ended(self, member: Trackable) -> None:
        """It will not return."""
        key = member.namespace, member.id
        local = self._locals.get(key)
        if local is not None and local.member is member:
            self._forget(key, local)

    def _watch(self, key: Key, member: Trackable) -> None:
        local = self._locals[key] = _Local(member)
        for room in local.rooms:
            self._audiences.enter(key[0], room, member)

    def _part(self, key: Key, local: _Local) -> None:
        """It hears nothing more."""
        local.here = False
        for room in local.rooms:
            self._audiences.leave(key[0], room, key[1])

    def _forget(self, key: Key, local: _Local) -> None:
        self._part(key, local)
        del self._locals[key]
        self._end(key)

    def _announce(self, key: Key) -> None:
        """Say of a connection what is to be said now."""
        local = self._locals.get(key)
        if local is None:
            return
        member, tracked = local.member, local.member.tracked
        if tracked is None or tracked.meta is None:
            self._end(key)
            return
        person = member.user if member.user is not None else member.id
        rooms = tuple(sorted(local.rooms))
        self._own.put(Entry(*key, member.generation, person, tracked.since, rooms, tracked.meta))
        self._tell()

    def _end(self, key: Key) -> None:
        self._own.end(key, self._now())
        self._arm()
        self._tell()

    def _marked(self, marker: Marker) -> None:
        """A connection is in other rooms from here on, says the lane."""
        key = marker.namespace, marker.member
        local = self._locals.get(key)
        if local is None:
            return
        if marker.action == "join":
            rooms: Collection[str] = [each for each in marker.rooms if each not in local.rooms]
            local.rooms.update(rooms)
            if local.here:
                for room in rooms:
                    self._audiences.enter(key[0], room, local.member)
        else:
            local.rooms.difference_update(marker.rooms)
            for room in marker.rooms:
                self._audiences.leave(key[0], room, key[1])
        self._announce(key)

    # What other nodes do

    def _peer(self, node: str, lives: bool) -> None:  # noqa: FBT001 - as the backplane calls it
        """Another node lives from now on, or does no longer."""
        if lives:
            self._others.appear(node)
        else:
            self._others.vanish(node)
        self._arm()

    def _hear(self, node: str, letter: Letter) -> None:
        """Another node says something of its connections."""
        self._others.take(node, letter, self._now())
        self._tell()
        self._arm()

    def _answer(self, node: str, _: Ask) -> None:
        """Another node has missed something, or has not heard of this one's connections yet."""
        self._say_changes()
        letters: list[Letter] = [*self._own.everything(), *self._others.legacies(self._now())]
        for letter in letters:
            self._say(letter, node)

    # What they are told

    def _tell(self) -> None:
        """Have them told, with whatever the rest of this turn of the loop adds."""
        if self._own.untold and self._telling is None:
            self._telling = asyncio.get_running_loop().call_soon(self._say_changes)

    def _say_changes(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        if self._own.untold:
            for changes in self._own.changes():
                self._say(changes)

    def _say(self, letter: Ask | Letter, node: str | None = None) -> None:
        """Say it; if it is lost, the others find that a number is missing, and ask."""
        assert self._remote is not None
        self._remote.tell(KIND_OF[type(letter)], letter, node)

    # Time

    def _changed(self, namespace: str, room: str, person: str) -> None:
        self._audiences.changed(namespace, room, person)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _arm(self) -> None:
        """Have the timer ring when something is due."""
        times = (self._own.next, self._others.next, self._top)
        due = min((time for time in times if time is not None), default=float("inf"))
        if self._timer is not None:
            if self._rings <= due:
                return
            self._timer.cancel()
            self._timer = None
        if due < float("inf"):
            self._rings = due
            self._timer = asyncio.get_running_loop().call_at(due, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = self._now()
        for key in self._own.expire(now):
            if (local := self._locals.pop(key, None)) is not None:
                self._part(key, local)
        self._tell()
        self._others.expire(now)
        for node in self._others.due(now):
            self._say(Ask(), node)
        if self._top <= now:
            self._top = now + TOP_EVERY
            self._say(Top(self._own.number))
        self._arm()
