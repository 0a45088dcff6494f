"""Who is told who is in a room, and what they were told last."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from gatewright.errors import ErrorCode
from gatewright.observing import Observer
from gatewright.presence.entries import Key
from gatewright.presence.events import DIFF, STATE, Person, PresenceDiff, PresenceState
from gatewright.presence.roster import Metas, Roster
from gatewright.protocol.frames import ErrorBody
from gatewright.protocol.outgoing import Outgoing
from gatewright.rooms import Member, Namespaces, deliver
from gatewright.settings import Settings

__all__ = ["Audiences", "person"]

logger: logging.Logger = logging.getLogger("gatewright")

_decode = msgspec.msgpack.Decoder().decode


class _Audience:
    """Those of this node who are told of one room."""

    __slots__ = ("dirty", "fresh", "last", "members", "namespace", "room", "timer", "told")

    def __init__(self, namespace: str, room: str) -> None:
        self.namespace = namespace
        self.room = room
        self.members: dict[str, Member] = {}
        self.fresh: dict[str, Member] = {}
        """Who has been told nothing yet."""
        self.told: dict[str, Metas] = {}
        """What all others know."""
        self.dirty: dict[str, None] = {}
        self.last = float("-inf")
        self.timer: asyncio.Handle | None = None


class Audiences:
    """Tells the members of rooms who is there, and what has changed since.

    What happens in a quiet room is told at the end of the turn of the loop, what follows soon after
    it together, a `presence_pause` later.
    """

    def __init__(
        self,
        roster: Roster,
        namespaces: Namespaces,
        settings: Settings,
        observers: Sequence[Observer],
    ) -> None:
        self._roster = roster
        self._namespaces = namespaces
        self._pause = settings.presence_pause
        self._limit = settings.outbox // 2
        self._observers = observers
        self._audiences: dict[Key, _Audience] = {}

    def __len__(self) -> int:
        """How many rooms are looked at."""
        return len(self._audiences)

    def enter(self, namespace: str, room: str, member: Member) -> None:
        """A member is to be told of a room from here on, first who is in it now."""
        place = namespace, room
        audience = self._audiences.get(place)
        if audience is None:
            audience = self._audiences[place] = _Audience(namespace, room)
        audience.members[member.id] = audience.fresh[member.id] = member
        self._later(audience)

    def leave(self, namespace: str, room: str, id: str) -> None:
        """A member is to hear nothing more of a room."""
        audience = self._audiences.get((namespace, room))
        if audience is None or audience.members.pop(id, None) is None:
            return
        audience.fresh.pop(id, None)
        if not audience.members:
            if audience.timer is not None:
                audience.timer.cancel()
            del self._audiences[namespace, room]

    def changed(self, namespace: str, room: str, person: str) -> None:
        """Somebody is there or not, or has other metas, perhaps."""
        audience = self._audiences.get((namespace, room))
        if audience is not None:
            audience.dirty[person] = None
            self._later(audience)

    def stop(self) -> None:
        for audience in self._audiences.values():
            if audience.timer is not None:
                audience.timer.cancel()
        self._audiences.clear()

    def _later(self, audience: _Audience) -> None:
        if audience.timer is not None:
            return
        loop = asyncio.get_running_loop()
        due = audience.last + self._pause
        if due <= loop.time():
            audience.timer = loop.call_soon(self._tell, audience)
        else:
            audience.timer = loop.call_at(due, self._tell, audience)

    def _tell(self, audience: _Audience) -> None:
        audience.timer = None
        audience.last = asyncio.get_running_loop().time()
        namespace, room, fresh = audience.namespace, audience.room, audience.fresh
        diff = self._diff(audience)
        audience.fresh = {}
        if diff is not None and len(fresh) < len(audience.members):
            informed = [each for id, each in audience.members.items() if id not in fresh]
            self._say(namespace, DIFF, diff, informed)
        if fresh:
            audience.told = self._roster.people(namespace, room)
            people = [person(id, metas) for id, metas in audience.told.items()]
            self._say(namespace, STATE, PresenceState(room, people), list(fresh.values()))

    def _diff(self, audience: _Audience) -> PresenceDiff | None:
        """What has changed since it was told; None where nothing has, seen from now."""
        namespace, room, told = audience.namespace, audience.room, audience.told
        dirty, audience.dirty = audience.dirty, {}
        diff = PresenceDiff(room, [], [], [])
        for id in dirty:
            before, now = told.get(id), self._roster.metas(namespace, room, id)
            if now is not None and now != before:
                told[id] = now
                (diff.joined if before is None else diff.changed).append(person(id, now))
            elif now is None and before is not None:
                del told[id]
                diff.left.append(person(id, before))
        return diff if diff.joined or diff.left or diff.changed else None

    def _say(
        self,
        namespace: str,
        event: str,
        data: PresenceState | PresenceDiff,
        members: Collection[Member],
    ) -> None:
        outgoing = Outgoing(event, data, namespace=namespace)
        outgoing.position = self._namespaces.position(namespace)
        outgoing.volatile = True
        if isinstance(data, PresenceState):
            members = self._refuse(outgoing, data, members)
        deliver(members, outgoing)
        for observer in self._observers:
            observer.sent(namespace, members, event, data)

    def _refuse(
        self, outgoing: Outgoing, state: PresenceState, members: Collection[Member]
    ) -> Collection[Member]:
        """Those for whom a list is not too long; the others are told that it is, and no more.

        To close their connections would not help: they would return and be told it again.
        """
        long = {
            member.codec for member in members if outgoing.frame(member.codec).size > self._limit
        }
        if not long:
            return members
        namespace, room, count = outgoing.namespace, state.room, len(state.people)
        text = f"{count} people are too many to be listed"
        logger.error(
            "%s: expected that the list of who is in a room fits in half an outbox, %d bytes; "
            "%.80r has %d people; track less of each, or do not let this room be watched",
            namespace,
            self._limit,
            room,
            count,
        )
        error = ErrorBody(ErrorCode.TOO_LARGE, text, {"room": room, "count": count})
        for member in members:
            if member.codec in long:
                self.leave(namespace, room, member.id)
                frame = member.codec.failure(namespace, None, STATE, error, outgoing.position)
                member.outbox.push(frame)
        return [member for member in members if member.codec not in long]


def person(id: str, metas: Metas) -> Person[Any]:
    """Somebody as clients and handlers see them."""
    return Person(id, [_decode(meta) for meta in metas])
