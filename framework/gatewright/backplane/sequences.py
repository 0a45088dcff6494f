"""Sequences and sessions in the memory of one process: the rules, without what carries them."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from secrets import token_urlsafe
from typing import Literal

from gatewright.backplane.base import Batch, Bounds, Entry, Lane, Marker, Record, Resumption
from gatewright.backplane.changes import Changes, Stream
from gatewright.backplane.history import History
from gatewright.backplane.missed import missed
from gatewright.backplane.sessions import Session
from gatewright.types import Position

__all__ = ["NumberedNamespace", "Sequences"]


class NumberedNamespace:
    """The numbers of one namespace, and its sessions."""

    __slots__ = ("by_key", "epoch", "history", "members", "seq", "sessions")

    def __init__(self) -> None:
        self.epoch: str = token_urlsafe(9)
        self.seq: int = 0
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

    def add(self, session: Session) -> None:
        self.sessions[session.id] = session
        for key in session.keys:
            self.by_key[key] = session


class Sequences:
    """What `Backplane` promises, as steps that wait for nothing.

    Each method is one step of the event loop: that is what makes a resume atomic, and what hands
    batches and markers to `lane` in their order. `changes`, if there is one, learns what to write.
    `clock` gives seconds.
    """

    def __init__(
        self,
        lane: Lane,
        bounds: Bounds,
        *,
        idle: int,
        clock: Callable[[], float],
        changes: Changes | None = None,
    ) -> None:
        self._lane = lane
        self._bounds = bounds
        self._idle_limit = idle
        self._clock = clock
        self._changes = changes
        self._live: dict[str, NumberedNamespace] = {}
        self._idle: OrderedDict[str, NumberedNamespace] = OrderedDict()
        self._away: OrderedDict[Session, None] = OrderedDict()
        """Sessions in their grace; all have the same, so that the first is the first to go."""

    def find_namespace(self, namespace: str) -> NumberedNamespace | None:
        """A namespace of which something is kept; for looking only."""
        return self._live.get(namespace) or self._idle.get(namespace)

    def history(self, namespace: str) -> History | None:
        sequence = self._live.get(namespace)
        return sequence.history if sequence is not None else None

    # What a backplane does

    def publish(self, namespace: str, entries: Sequence[Entry]) -> int:
        sequence = self._sequence(namespace)
        first = sequence.seq + 1
        sequence.seq += len(entries)
        if self._changes is not None:
            self._changes.head(namespace)
        history = sequence.history
        if history is not None:
            history.append(first, entries, self._clock())
            if history.crowded:
                history.forget(min(each.confirmed for each in sequence.sessions.values()))
        self._lane(Batch(namespace, sequence.epoch, first, entries))
        return first

    def mark(
        self, namespace: str, action: Literal["join", "leave"], member: str, rooms: Collection[str]
    ) -> int:
        sequence = self._sequence(namespace)
        session = sequence.sessions.get(member)
        if session is None:
            self._mark_member(namespace, sequence, action, member, rooms)
            self._file(namespace, sequence)
        elif action == "join":
            session.join(rooms, sequence.seq)
        else:
            session.leave(rooms, sequence.seq)
        self._touch(session)
        self._lane(Marker(namespace, sequence.seq, action, member, rooms))
        return sequence.seq

    def position(self, namespace: str) -> Position:
        return self._sequence(namespace).head

    def open(self, namespace: str, id: str, key: bytes, user: str | None) -> Position:
        sequence = self._sequence(namespace)
        if id in sequence.sessions or key in sequence.by_key:
            raise _taken(namespace, id)
        session = Session(namespace, id, key, user, sequence.head)
        if id in sequence.members:
            session.join(sequence.members.pop(id), sequence.seq)
            if self._changes is not None:
                self._changes.member(namespace, id)
        sequence.add(session)
        if sequence.history is None:
            sequence.history = History(namespace, self._bounds, self._changes)
        self._touch(session)
        self._file(namespace, sequence)
        return sequence.head

    def rename(self, namespace: str, id: str, user: str | None) -> None:
        sequence, session = self._session(namespace, id)
        if session is not None:
            session.rename(user, sequence.seq)
            self._touch(session)

    def save(self, namespace: str, id: str, state: bytes) -> None:
        _, session = self._session(namespace, id)
        if session is not None:
            session.state = state
            self._touch(session)

    def confirm(self, namespace: str, id: str, seq: int) -> None:
        sequence, session = self._session(namespace, id)
        if session is not None:
            session.confirm(min(seq, sequence.seq))
            self._touch(session)

    def find(self, namespace: str, key: bytes) -> Record | None:
        _, session = self._by_key(namespace, key)
        return session.record() if session is not None else None

    def resume(
        self,
        namespace: str,
        key: bytes,
        after: Position | None,
        revoked: Collection[str],
        renewed: bytes | None,
    ) -> Resumption | None:
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
        self._touch(session)
        history.trim(self._clock())
        entries, gaps = missed(session, after, sequence.head, history, self._bounds)
        if left:
            self._lane(Marker(namespace, sequence.seq, "leave", session.id, left))
        record = session.record()
        # From here on a newer socket takes calls.
        session.taken = None
        return Resumption(record, sequence.head, entries, gaps)

    def settle(self, namespace: str, id: str, generation: int) -> None:
        sequence, session = self._session(namespace, id)
        if session is not None and session.generation == generation:
            for ended in session.settle():
                del sequence.by_key[ended]
                self._touch(session)

    def release(self, namespace: str, id: str, generation: int, taken: int | None) -> bool:
        _, session = self._session(namespace, id)
        if session is None or session.generation != generation:
            return False
        if session.deadline is None:
            session.deadline = self._clock() + self._bounds.grace
            session.taken = taken
            self._away[session] = None
            self._touch(session)
        return True

    def end(self, namespace: str, id: str, generation: int) -> bool:
        sequence, session = self._session(namespace, id)
        if session is None or session.generation != generation:
            return False
        self._end(sequence, session)
        return True

    def expired(self) -> Sequence[Record]:
        now = self._clock()
        for sequence in self._live.values():
            if sequence.history is not None:
                sequence.history.trim(now)
        records: list[Record] = []
        while self._away and (session := next(iter(self._away))).expired(now):
            records.append(session.record())
            self._end(self._live[session.namespace], session)
        return records

    # What was written down

    def restore(
        self,
        namespace: str,
        head: Position,
        sessions: Iterable[Session],
        members: Mapping[str, set[str]],
        trimmed: Mapping[Stream, int],
        entries: Iterable[tuple[int, Entry, float]],
    ) -> None:
        """Take a namespace back, as it was when it was written."""
        sequence = self._idle[namespace] = NumberedNamespace()
        sequence.epoch, sequence.seq = head.epoch, head.seq
        sequence.members.update(members)
        for session in sessions:
            sequence.add(session)
        if sequence.sessions:
            sequence.history = History(namespace, self._bounds, self._changes)
            sequence.history.restore(trimmed, entries, self._clock())
        self._file(namespace, sequence)
        self._trim()

    def restored(self, *, restarted: bool) -> None:
        """Everything is back. After a restart whoever had a socket has a whole grace to return."""
        longest = self._clock() + self._bounds.grace
        away: list[tuple[float, Session]] = []
        for sequence in self._live.values():
            for session in sequence.sessions.values():
                deadline = session.deadline
                if deadline is None and restarted:
                    deadline = longest
                    self._touch(session)
                if deadline is not None:
                    # The settings, or the clock, may have been others.
                    session.deadline = min(deadline, longest)
                    away.append((session.deadline, session))
        away.sort(key=lambda each: each[0])
        self._away.update((session, None) for _, session in away)

    def _end(self, sequence: NumberedNamespace, session: Session) -> None:
        self._touch(session)
        del sequence.sessions[session.id]
        for key in session.keys:
            del sequence.by_key[key]
        self._away.pop(session, None)
        if not sequence.sessions:
            sequence.history = None
            if self._changes is not None:
                self._changes.clear(session.namespace)
        self._file(session.namespace, sequence)
        rooms = session.record().rooms
        if rooms:
            self._lane(Marker(session.namespace, sequence.seq, "leave", session.id, rooms))

    def _renew(
        self, sequence: NumberedNamespace, session: Session, used: bytes, renewed: bytes
    ) -> None:
        if sequence.by_key.get(renewed, session) is not session:
            raise _taken(session.namespace, session.id)
        for ended in session.renew(used, renewed):
            del sequence.by_key[ended]
        sequence.by_key[renewed] = session

    def _mark_member(
        self,
        namespace: str,
        sequence: NumberedNamespace,
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
        if self._changes is not None:
            self._changes.member(namespace, member)

    def _session(self, namespace: str, id: str) -> tuple[NumberedNamespace, Session | None]:
        sequence = self._live.get(namespace, _NOTHING)
        return sequence, sequence.sessions.get(id)

    def _by_key(self, namespace: str, key: bytes) -> tuple[NumberedNamespace, Session | None]:
        # A look-up by hash: what its timing tells of a key helps nobody to find the secret.
        sequence = self._live.get(namespace, _NOTHING)
        session = sequence.by_key.get(key)
        if session is not None and session.expired(self._clock()):
            session = None
        return sequence, session

    def _sequence(self, namespace: str) -> NumberedNamespace:
        sequence = self._live.get(namespace)
        if sequence is not None:
            return sequence
        sequence = self._idle.get(namespace)
        if sequence is None:
            sequence = self._idle[namespace] = NumberedNamespace()
            if self._changes is not None:
                self._changes.head(namespace)
            self._trim()
        else:
            self._idle.move_to_end(namespace)
        return sequence

    def _file(self, namespace: str, sequence: NumberedNamespace) -> None:
        """Put a sequence where it belongs, now that it has got or lost somebody."""
        if not sequence.idle:
            self._live[namespace] = sequence
            self._idle.pop(namespace, None)
        elif self._live.pop(namespace, None) is not None:
            self._idle[namespace] = sequence
            self._trim()

    def _trim(self) -> None:
        while len(self._idle) > self._idle_limit:
            namespace, _ = self._idle.popitem(last=False)
            if self._changes is not None:
                self._changes.head(namespace)

    def _touch(self, session: Session | None) -> None:
        if session is not None and self._changes is not None:
            self._changes.session(session.namespace, session.id)


_NOTHING = NumberedNamespace()
"""Where a namespace has no sessions; never changed."""


def _taken(namespace: str, id: str) -> ValueError:
    return ValueError(
        f"expected a new id and a new key for a session in {namespace!r}, "
        f"got those of one that is open; make both from random bytes: {id!r}"
    )
