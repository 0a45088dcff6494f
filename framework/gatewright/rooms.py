"""Who is in which room of a namespace, as the lane of the backplane tells it."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol, TypeAlias

from gatewright.backplane.base import Batch, Break, Marker, Moved, Passing, ignore
from gatewright.observing import Observer
from gatewright.outlets import Outlet
from gatewright.protocol.close import CloseCode
from gatewright.protocol.codecs import Codec
from gatewright.protocol.outgoing import Outgoing
from gatewright.types import Position

logger: logging.Logger = logging.getLogger("gatewright")

__all__ = ["LOST_TOUCH", "OWN_ROOM", "Held", "Member", "Namespace", "Namespaces"]


OWN_ROOM: Final = "~"
"""What a connection's id begins with, and a room that can be joined must not.

Ids are shown to others, in a list of who is here for instance. If one could be joined, whoever
knows it could read what is meant for that connection alone.
"""


LOST_TOUCH: Final = "the server has lost touch; connect again"
"""Why a connection is closed that may have missed something, or cannot be opened now."""

Held: TypeAlias = list[Passing]
"""What has passed in a lane while it was held for somebody."""


class Member(Protocol):
    """One connection of this node, as far as delivery is concerned."""

    @property
    def id(self) -> str: ...
    @property
    def user(self) -> str | None: ...
    @property
    def codec(self) -> Codec: ...
    @property
    def outbox(self) -> Outlet: ...
    @property
    def joined(self) -> set[str]: ...
    @property
    def patient(self) -> bool: ...


class Namespace:
    """The members of one namespace on this node, and their rooms."""

    __slots__ = ("codecs", "members", "name", "position", "rooms", "users")

    def __init__(self, name: str) -> None:
        self.name: str = name
        self.codecs: dict[str, Codec] = {}
        """The wire formats that its members have used."""
        self.position: Position | None = None
        """What the lane has delivered last; None before it has delivered anything."""
        self.members: dict[str, Member] = {}
        self.rooms: dict[str, dict[str, Member]] = {}
        self.users: dict[str, dict[str, Member]] = {}

    def enter(self, member: Member) -> None:
        self.members[member.id] = member
        self.codecs[member.codec.name] = member.codec
        self.rename(member, None)

    def rename(self, member: Member, before: str | None) -> None:
        """File a member under its user, and no longer under the one it was `before`."""
        if before is not None:
            _discard(self.users, before, member.id)
        # Whoever has left meanwhile is not filed again: nobody would take it out.
        if member.user is not None and self.members.get(member.id) is member:
            self.users.setdefault(member.user, {})[member.id] = member

    def exit(self, member: Member) -> None:
        if self.members.get(member.id) is member:
            del self.members[member.id]
        if member.user is not None:
            _discard(self.users, member.user, member.id)
        # It left its rooms by the lane, unless the backplane could not be told any more.
        for room in member.joined:
            _discard(self.rooms, room, member.id)
        member.joined.clear()

    def restore(self, member: Member, rooms: Iterable[str]) -> None:
        """Put a member back in the rooms that its session never left, and in no others."""
        member.joined.clear()
        for room in rooms:
            self.rooms.setdefault(room, {})[member.id] = member
            member.joined.add(room)

    def apply(self, marker: Marker) -> None:
        """Change rooms where the lane says so; members of other nodes are not kept here."""
        member = self.members.get(marker.member)
        if member is None:
            return
        for room in marker.rooms:
            if marker.action == "join":
                self.rooms.setdefault(room, {})[member.id] = member
                member.joined.add(room)
            else:
                _discard(self.rooms, room, member.id)
                member.joined.discard(room)

    def room(self, name: str) -> Collection[Member]:
        """The members of a room; a connection's own id is a room of one."""
        found = self.rooms.get(name)
        if found is not None:
            return found.values()
        own = self.members.get(name)
        return () if own is None else (own,)

    def select(
        self,
        rooms: Iterable[str] | None = None,
        users: Iterable[str] | None = None,
        except_: Iterable[str] = (),
    ) -> Collection[Member]:
        """The receivers of an emit, each once. See `Entry`."""
        if rooms is None and users is None:
            chosen: Collection[Member] = self.members.values()
        else:
            names = tuple(rooms or ())
            if len(names) == 1 and users is None:
                chosen = self.room(names[0])
            else:
                several = {m.id: m for name in names for m in self.room(name)}
                for user in users or ():
                    several.update(self.users.get(user, {}))
                chosen = several.values()
        out = {member.id for name in except_ for member in self.room(name)}
        if out:
            return [member for member in chosen if member.id not in out]
        return chosen


class _Away:
    """Members of one namespace that may return, and how many of them speak which format."""

    __slots__ = ("codecs", "members")

    def __init__(self) -> None:
        self.members: dict[str, tuple[Member, Codec]] = {}
        self.codecs: Counter[Codec] = Counter()


class Namespaces:
    """All namespaces of this node that have members."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._observers = observers
        self._open: dict[str, Namespace] = {}
        self._away: dict[str, _Away] = {}
        self._held: dict[str, list[Held]] = {}
        self.moved: Callable[[Moved], None] = ignore
        """Who is told that a session is another node's now."""
        self.marked: Callable[[Marker], None] = ignore
        """Who is told of every change of membership that the lane brings, of those here or not."""

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Namespace]:
        return iter(self._open.values())

    def __getitem__(self, name: str) -> Namespace:
        """The namespace, or an empty one that is not kept."""
        return self._open.get(name) or Namespace(name)

    def enter(self, name: str, member: Member) -> Namespace:
        namespace = self._open.get(name)
        if namespace is None:
            namespace = self._open[name] = Namespace(name)
        namespace.enter(member)
        return namespace

    def codecs(self, name: str) -> Collection[Codec]:
        """The wire formats that a namespace's members use."""
        namespace = self._open.get(name)
        codecs = namespace.codecs.values() if namespace is not None else ()
        away = self._away.get(name)
        return codecs if away is None else {*codecs, *away.codecs}

    def away(self, name: str, member: Member) -> None:
        """A member may return and be told what it missed: encode it for its format too."""
        self.returned(name, member.id)
        away = self._away.get(name)
        if away is None:
            away = self._away[name] = _Away()
        away.members[member.id] = member, member.codec
        away.codecs[member.codec] += 1

    def returned(self, name: str, member: str) -> None:
        """A member is back, or will never be."""
        away = self._away.get(name)
        left = away.members.pop(member, None) if away is not None else None
        if away is not None and left is not None:
            codec = left[1]
            away.codecs[codec] -= 1
            if not away.codecs[codec]:
                del away.codecs[codec]
            if not away.members:
                del self._away[name]

    def absent(
        self,
        name: str,
        rooms: Collection[str] | None = None,
        users: Collection[str] | None = None,
        except_: Collection[str] = (),
    ) -> list[Member]:
        """Whom `Namespace.select` would find among those that are away."""
        away = self._away.get(name)
        if away is None:
            return []
        present = self[name].members
        return [
            member
            for member, _ in away.members.values()
            if member.id not in present and _meant(member, rooms, users, except_)
        ]

    def here(self, name: str, member: Member) -> bool:
        """Whether a member is on this node, and not away."""
        namespace = self._open.get(name)
        return namespace is not None and namespace.members.get(member.id) is member

    @contextmanager
    def holding(self, name: str) -> Generator[Held]:
        """Keep what passes in a namespace's lane while a member is about to enter it (R5)."""
        held: Held = []
        self._held.setdefault(name, []).append(held)
        try:
            yield held
        finally:
            others = self._held[name]
            others[:] = [each for each in others if each is not held]
            if not others:
                del self._held[name]

    def catch_up(self, member: Member, namespace: Namespace, held: Held, floor: Position) -> None:
        """Give a member that has entered what has passed meanwhile, above its floor."""
        for passing in held:
            if isinstance(passing, Marker):
                if passing.member == member.id:
                    namespace.apply(passing)
            elif isinstance(passing, Break):
                member.outbox.close(CloseCode.BEHIND, LOST_TOUCH)
            elif isinstance(passing, Batch) and passing.epoch == floor.epoch:
                for seq, entry in enumerate(passing.entries, passing.first):
                    chosen = namespace.select(entry.rooms, entry.users, entry.except_)
                    if seq > floor.seq and any(each is member for each in chosen):
                        # Nobody was here to number it for when it passed.
                        entry.outgoing.position = Position(passing.epoch, seq)
                        deliver((member,), entry.outgoing)

    def position(self, name: str) -> Position | None:
        """Where this node stands in a namespace's sequence, as far as it knows."""
        namespace = self._open.get(name)
        return namespace.position if namespace is not None else None

    def exit(self, name: str, member: Member) -> None:
        namespace = self._open.get(name)
        if namespace is not None:
            for observer in self._observers:
                for room in member.joined:
                    observer.left(name, room, member.id)
            namespace.exit(member)
            if not namespace.members:
                del self._open[name]

    def lane(self, passing: Passing) -> None:
        """Deliver a batch, or apply a marker: the backplane calls this in lane order."""
        if self._held:
            for held in self._held.get(passing.namespace, ()):
                held.append(passing)
        namespace = self._open.get(passing.namespace)
        if not isinstance(passing, Batch):
            self._other(passing, namespace)
            return
        if namespace is None:
            return
        for seq, entry in enumerate(passing.entries, passing.first):
            position = Position(passing.epoch, seq)
            namespace.position = entry.outgoing.position = position
            members = namespace.select(entry.rooms, entry.users, entry.except_)
            deliver(members, entry.outgoing)
            if self._observers:
                for observer in self._observers:
                    outgoing = entry.outgoing
                    observer.sent(namespace.name, members, outgoing.event, outgoing.data)

    def _other(self, passing: Marker | Moved | Break, namespace: Namespace | None) -> None:
        if isinstance(passing, Moved):
            self.moved(passing)
        elif isinstance(passing, Marker):
            if namespace is not None:
                namespace.apply(passing)
                if self._observers and passing.member in namespace.members:
                    self._tell(passing)
            self.marked(passing)
        elif namespace is not None:
            for member in list(namespace.members.values()):
                member.outbox.close(CloseCode.BEHIND, LOST_TOUCH)

    def _tell(self, marker: Marker) -> None:
        for observer in self._observers:
            change = observer.joined if marker.action == "join" else observer.left
            for room in marker.rooms:
                change(marker.namespace, room, marker.member)


def deliver(members: Collection[Member], outgoing: Outgoing) -> None:
    """Queue an entry at its receivers on this node; nobody is waited for, and nothing raised."""
    try:
        send(members, outgoing)
    except Exception:
        # Who emitted it could encode it for everyone; somebody came since, with another format.
        logger.exception("%.80r cannot be encoded for all its receivers", outgoing.event)
        _deliver_singly(members, outgoing)


def _deliver_singly(members: Collection[Member], outgoing: Outgoing) -> None:
    """Deliver to those who can have it; the others must not miss it without knowing."""
    unfit: set[str] = set()
    for codec in {member.codec for member in members}:
        try:
            outgoing.frame(codec)
        except Exception:
            unfit.add(codec.name)
    done = True
    for member in members:
        if member.codec.name in unfit:
            # All before the first of these have it already.
            done = False
            member.outbox.close(CloseCode.INTERNAL, "an event that this format cannot carry")
        elif not done:
            member.outbox.push(outgoing.frame(member.codec))


def send(members: Collection[Member], outgoing: Outgoing) -> None:
    """Queue an event at each member, encoded once per wire format."""
    codec = frame = None
    for member in members:
        # Most rooms speak one format: look it up only when it changes.
        if member.codec is not codec or frame is None:
            codec = member.codec
            frame = outgoing.frame(codec)
        member.outbox.push(frame)


def send_volatile(members: Collection[Member], outgoing: Outgoing, key: str | None) -> None:
    """The same for an event that may be lost, outside the sequence."""
    for member in members:
        member.outbox.push_volatile(outgoing.frame(member.codec), key)


def _meant(
    member: Member,
    rooms: Collection[str] | None,
    users: Collection[str] | None,
    except_: Collection[str],
) -> bool:
    """Whether a member is among the receivers of an emit; by what it is in, and not by an index."""
    joined = member.joined
    if any(room in joined or room == member.id for room in except_):
        return False
    if rooms is None and users is None:
        return True
    if any(room in joined or room == member.id for room in rooms or ()):
        return True
    return member.user is not None and member.user in (users or ())


def _discard(index: dict[str, dict[str, Member]], key: str, member: str) -> None:
    """Take a member out, and free the room that it leaves empty."""
    members = index.get(key)
    if members is not None:
        members.pop(member, None)
        if not members:
            del index[key]
