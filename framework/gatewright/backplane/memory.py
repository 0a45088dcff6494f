"""The backplane of one process: nothing to install, gone with the process."""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from secrets import token_urlsafe
from typing import Literal

from gatewright.backplane.base import (
    DEFAULT_BOUNDS,
    Backplane,
    Batch,
    Bounds,
    Entry,
    Lane,
    Marker,
    Record,
    Resumption,
)
from gatewright.backplane.history import History
from gatewright.backplane.missed import missed
from gatewright.backplane.sessions import Session
from gatewright.errors import NotStartedError
from gatewright.types import Position

__all__ = ["Memory"]


class _Sequence:
    """The numbers of one namespace, and its sessions."""

    __slots__ = ("by_key", "epoch", "history", "members", "seq", "sessions")

    def __init__(self) -> None:
        self.epoch = token_urlsafe(9)
        self.seq = 0
        self.members: dict[str, set[str]] = {}
        """Whoever is in a room without having a session."""
        self.sessions: dict[str, Session] = {}
        self.by_key: dict[bytes, Session] = {}
        self.history: History | None = None
        """There is one as long as there are sessions: nobody else can ask for it."""

    @property
    def idle(self) -> bool:
        return not self.members and not self.sessions

    @property
    def head(self) -> Position:
        return Position(self.epoch, self.seq)


class Memory(Backplane):
    """Numbers and delivers at once, within the call that publishes.

    A namespace's path parameters make as many sequences as clients care to name, so those without
    a member and without a session are kept only up to `idle`, the least recently used going first;
    one that comes back starts a new epoch. `clock` gives seconds.
    """

    # Nothing here awaits anything, so each method is one step of the event loop: that is what
    # makes a resume atomic, and what puts batches and markers in the lane in their order.

    def __init__(self, *, idle: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._idle_limit = idle
        self._clock = clock
        self._bounds = DEFAULT_BOUNDS
        self._lane: Lane | None = None
        self._live: dict[str, _Sequence] = {}
        self._idle: OrderedDict[str, _Sequence] = OrderedDict()
        self._away: OrderedDict[Session, None] = OrderedDict()
        """Sessions in their grace; all have the same, so that the first is the first to go."""

    async def start(self, lane: Lane, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        if self._lane is not None:
            raise NotStartedError(
                "this Memory backplane already serves a running application; "
                "give each Gatewright its own Memory()"
            )
        self._lane = lane
        self._bounds = bounds

    async def stop(self) -> None:
        self._lane = None
        self._live.clear()
        self._idle.clear()
        self._away.clear()

    async def publish(self, namespace: str, entries: Sequence[Entry]) -> int:
        lane = self._require_lane()
        sequence = self._sequence(namespace)
        first = sequence.seq + 1
        sequence.seq += len(entries)
        history = sequence.history
        if history is not None:
            history.append(first, entries, self._clock())
            if history.crowded:
                history.forget(min(each.confirmed for each in sequence.sessions.values()))
        lane(Batch(namespace, sequence.epoch, first, entries))
        return first

    async def mark(
        self, namespace: str, action: Literal["join", "leave"], member: str, rooms: Collection[str]
    ) -> int:
        lane = self._require_lane()
        sequence = self._sequence(namespace)
        session = sequence.sessions.get(member)
        if session is None:
            self._mark_member(sequence, action, member, rooms)
            self._file(namespace, sequence)
        elif action == "join":
            session.join(rooms, sequence.seq)
        else:
            session.leave(rooms, sequence.seq)
        lane(Marker(namespace, sequence.seq, action, member, rooms))
        return sequence.seq

    async def position(self, namespace: str) -> Position:
        self._require_lane()
        return self._sequence(namespace).head

    async def open(self, namespace: str, id: str, key: bytes, user: str | None) -> Position:
        self._require_lane()
        sequence = self._sequence(namespace)
        if id in sequence.sessions or key in sequence.by_key:
            raise _taken(namespace, id)
        session = Session(namespace, id, key, user, sequence.head)
        session.join(sequence.members.pop(id, ()), sequence.seq)
        sequence.sessions[id] = sequence.by_key[key] = session
        if sequence.history is None:
            sequence.history = History(self._bounds)
        self._file(namespace, sequence)
        return sequence.head

    async def rename(self, namespace: str, id: str, user: str | None) -> None:
        sequence, session = self._session(namespace, id)
        if session is not None:
            session.rename(user, sequence.seq)

    async def save(self, namespace: str, id: str, state: bytes) -> None:
        _, session = self._session(namespace, id)
        if session is not None:
            session.state = state

    async def confirm(self, namespace: str, id: str, seq: int) -> None:
        sequence, session = self._session(namespace, id)
        if session is not None:
            session.confirm(min(seq, sequence.seq))

    async def find(self, namespace: str, key: bytes) -> Record | None:
        _, session = self._by_key(namespace, key)
        return session.record() if session is not None else None

    async def resume(
        self,
        namespace: str,
        key: bytes,
        after: Position | None,
        revoked: Collection[str] = (),
        *,
        renewed: bytes | None = None,
    ) -> Resumption | None:
        lane = self._require_lane()
        sequence, session = self._by_key(namespace, key)
        history = sequence.history
        if session is None or history is None:
            return None
        if renewed is not None:
            self._renew(sequence, session, key, renewed)
        session.generation += 1
        session.deadline = None
        self._away.pop(session, None)
        left = session.revoke(revoked, sequence.seq)
        history.trim(self._clock())
        entries, gaps = missed(session, after, sequence.head, history, self._bounds)
        if left:
            lane(Marker(namespace, sequence.seq, "leave", session.id, left))
        return Resumption(session.record(), sequence.head, entries, gaps)

    async def settle(self, namespace: str, id: str, generation: int) -> None:
        sequence, session = self._session(namespace, id)
        if session is not None and session.generation == generation:
            for ended in session.settle():
                del sequence.by_key[ended]

    async def release(self, namespace: str, id: str, generation: int) -> bool:
        _, session = self._session(namespace, id)
        if session is None or session.generation != generation:
            return False
        if session.deadline is None:
            session.deadline = self._clock() + self._bounds.grace
            self._away[session] = None
        return True

    async def end(self, namespace: str, id: str, generation: int) -> bool:
        sequence, session = self._session(namespace, id)
        if session is None or session.generation != generation:
            return False
        self._end(sequence, session)
        return True

    async def expired(self) -> Sequence[Record]:
        self._require_lane()
        now = self._clock()
        for sequence in self._live.values():
            if sequence.history is not None:
                sequence.history.trim(now)
        records: list[Record] = []
        while self._away and (session := next(iter(self._away))).expired(now):
            records.append(session.record())
            self._end(self._live[session.namespace], session)
        return records

    def _end(self, sequence: _Sequence, session: Session) -> None:
        lane = self._require_lane()
        del sequence.sessions[session.id]
        for key in session.keys:
            del sequence.by_key[key]
        self._away.pop(session, None)
        if not sequence.sessions:
            sequence.history = None
        self._file(session.namespace, sequence)
        rooms = session.record().rooms
        if rooms:
            lane(Marker(session.namespace, sequence.seq, "leave", session.id, rooms))

    def _renew(self, sequence: _Sequence, session: Session, used: bytes, renewed: bytes) -> None:
        if sequence.by_key.get(renewed, session) is not session:
            raise _taken(session.namespace, session.id)
        for ended in session.renew(used, renewed):
            del sequence.by_key[ended]
        sequence.by_key[renewed] = session

    def _mark_member(
        self,
        sequence: _Sequence,
        action: Literal["join", "leave"],
        member: str,
        rooms: Collection[str],
    ) -> None:
        members = sequence.members
        if action == "join":
            if rooms:
                members.setdefault(member, set()).update(rooms)
        elif (joined := members.get(member)) is not None:
            joined.difference_update(rooms)
            if not joined:
                del members[member]

    def _session(self, namespace: str, id: str) -> tuple[_Sequence, Session | None]:
        self._require_lane()
        sequence = self._live.get(namespace, _NOTHING)
        return sequence, sequence.sessions.get(id)

    def _by_key(self, namespace: str, key: bytes) -> tuple[_Sequence, Session | None]:
        # A look-up by hash: what its timing tells of a key helps nobody to find the secret.
        self._require_lane()
        sequence = self._live.get(namespace, _NOTHING)
        session = sequence.by_key.get(key)
        if session is not None and session.expired(self._clock()):
            session = None
        return sequence, session

    def _sequence(self, namespace: str) -> _Sequence:
        sequence = self._live.get(namespace)
        if sequence is not None:
            return sequence
        sequence = self._idle.get(namespace)
        if sequence is None:
            sequence = self._idle[namespace] = _Sequence()
            self._trim()
        else:
            self._idle.move_to_end(namespace)
        return sequence

    def _file(self, namespace: str, sequence: _Sequence) -> None:
        """Put a sequence where it belongs, now that it has got or lost somebody."""
        if not sequence.idle:
            self._live[namespace] = sequence
            self._idle.pop(namespace, None)
        elif self._live.pop(namespace, None) is not None:
            self._idle[namespace] = sequence
            self._trim()

    def _trim(self) -> None:
        while len(self._idle) > self._idle_limit:
            self._idle.popitem(last=False)

    def _require_lane(self) -> Lane:
        if self._lane is None:
            raise NotStartedError("the application is not running: its lifespan has not started")
        return self._lane


def _taken(namespace: str, id: str) -> ValueError:
    return ValueError(
        f"expected a new id and a new key for a session in {namespace!r}, "
        f"got those of one that is open; make both from random bytes: {id!r}"
    )


_NOTHING = _Sequence()
"""Where a namespace has no sessions; never changed."""
