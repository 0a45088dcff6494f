"""Recovery against a model that knows who was where when each entry was published.

Whatever happens to sessions, each resume must replay exactly the entries that the session was
entitled to and has not confirmed, in order, once; where some are gone it must name a gap, and may
name one nowhere else.
"""

from collections.abc import Coroutine
from typing import Any, Literal, NamedTuple, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gatewright.backplane import Backplane
from gatewright.backplane.base import EVERYONE, Bounds, Marker, Passing
from gatewright.backplane.history import OVERHEAD, History
from gatewright.types import Position
from tests.backplane.lanes import encoded, heard, key

T = TypeVar("T")

NAMESPACE = "/a"
PLAIN = "~plain"
LARGE = 5000

Stream = tuple[str, str]

# Few of each, so that much happens to the same ones.
rooms = st.sampled_from(["A", "B"])
users = st.sampled_from(["ana", "bob"])
moves = st.sets(rooms, min_size=1)
whos = st.integers(0, 1)


class Said:
    """One entry, and which streams it reached each session by when it was published."""

    def __init__(self, seq: int, streams: set[Stream], size: int, at: int) -> None:
        self.seq = seq
        self.streams = streams
        self.kept = set(streams)
        self.size = size
        self.at = at
        self.reach: dict[str, set[Stream]] = {}


class Away:
    """What the model knows of one session."""

    def __init__(self, id: str, user: str | None, seq: int) -> None:
        self.id = id
        self.user = user
        self.rooms: set[str] = set()
        self.generation = 1
        self.confirmed = seq
        self.deadline: int | None = None

    @property
    def streams(self) -> set[Stream]:
        """All streams that reach it now."""
        reaching = {("room", room) for room in {self.id, *self.rooms}} | {("all", EVERYONE)}
        return reaching | ({("user", self.user)} if self.user else set())


class Whom(NamedTuple):
    rooms: tuple[str, ...] | None
    users: tuple[str, ...] | None
    except_: tuple[str, ...]
    large: bool


WHOM = st.builds(
    Whom,
    st.tuples(rooms) | st.tuples(rooms, rooms | st.just("~0")) | st.none(),
    st.none() | st.lists(users, max_size=2).map(tuple),
    st.just(()) | st.just(()) | st.tuples(rooms | st.just("~0")),
    st.booleans(),
)

batches = st.lists(WHOM, min_size=1, max_size=4)

somebody = precondition(lambda self: bool(self.sessions))


class RecoveryMachine(RuleBasedStateMachine):
    def made(self) -> Backplane:
        """A backplane that has not started, with `self.now` for its clock."""
        raise NotImplementedError

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        raise NotImplementedError

    def kept(self) -> History | None:
        """What it keeps of the namespace."""
        raise NotImplementedError

    @initialize(
        per_room=st.sampled_from([2, 4, 1000]),
        per_room_bytes=st.sampled_from([2 * LARGE, 10**6]),
        namespace_bytes=st.sampled_from([6 * LARGE, 10**6]),
        age=st.sampled_from([8, 1000]),
        replay=st.sampled_from([3, 1000]),
        replay_bytes=st.sampled_from([2 * LARGE, 10**6]),
    )
    def start(self, **bounds: Any) -> None:
        self.bounds = Bounds(grace=10.0, **bounds)
        self.now = 1000
        self.backplane = self.made()
        self.members: dict[str, set[str]] = {}
        """Of everybody, as the lane tells it."""
        self.plain: set[str] = set()
        self.sessions: dict[str, Away] = {}
        self.opened = 0
        self.log: list[Said] = []
        self.run(self.backplane.start(self.lane, self.bounds))
        self.head = self.run(self.backplane.position(NAMESPACE))

    def lane(self, passing: Passing) -> None:
        if isinstance(passing, Marker):
            assert passing.namespace == NAMESPACE
            assert passing.seq == self.head.seq
            joined = self.members.setdefault(passing.member, set())
            (joined.update if passing.action == "join" else joined.difference_update)(passing.rooms)

    def session(self, who: int) -> Away:
        return list(self.sessions.values())[who % len(self.sessions)]

    # What happens in the namespace

    @precondition(lambda self: len(self.sessions) < 2)
    @rule(user=st.none() | users, joined=moves)
    def open(self, user: str | None, joined: set[str]) -> None:
        id = f"~{self.opened}"
        self.opened += 1
        self.come_back()
        self.trim_namespace()
        assert self.run(self.backplane.open(NAMESPACE, id, key(id), user)) == self.head
        self.sessions[id] = Away(id, user, self.head.seq)
        self.run(self.backplane.mark(NAMESPACE, "join", id, joined))
        self.sessions[id].rooms |= joined

    @rule(batch=batches)
    def publish(self, batch: list[Whom]) -> None:
        self.come_back()
        entries = [
            encoded("x" * (LARGE if large else 1), rooms=to, users=users, except_=except_)
            for to, users, except_, large in batch
        ]
        assert self.run(self.backplane.publish(NAMESPACE, entries)) == self.head.seq + 1
        for whom, entry in zip(batch, entries, strict=True):
            self.head = Position(self.head.epoch, self.head.seq + 1)
            streams: set[Stream] = {("room", room) for room in whom.rooms or ()}
            streams |= {("user", user) for user in whom.users or ()}
            if whom.rooms is None and whom.users is None:
                streams = {("all", EVERYONE)}
            said = Said(self.head.seq, streams, entry.outgoing.size, self.now)
            for each in self.sessions.values():
                if not {("room", room) for room in whom.except_} & each.streams:
                    said.reach[each.id] = streams & each.streams
            self.log.append(said)
            self.trim(said)
        self.trim_namespace()
        self.within_bounds()

    @somebody
    @rule(who=whos, moved=moves, action=st.sampled_from(["leave", "join"]), before=batches)
    def move(
        self, who: int, moved: set[str], action: Literal["join", "leave"], before: list[Whom]
    ) -> None:
        self.publish(before)
        session = self.session(who)
        assert self.run(self.backplane.mark(NAMESPACE, action, session.id, moved)) == self.head.seq
        (session.rooms.update if action == "join" else session.rooms.difference_update)(moved)

    @somebody
    @rule(who=whos, user=st.none() | users)
    def rename(self, who: int, user: str | None) -> None:
        session = self.session(who)
        self.run(self.backplane.rename(NAMESPACE, session.id, user))
        session.user = user

    @somebody
    @rule(who=whos, back=st.integers(-2, 6))
    def confirm(self, who: int, back: int) -> None:
        session = self.session(who)
        seq = self.head.seq - back
        self.run(self.backplane.confirm(NAMESPACE, session.id, seq))
        session.confirmed = max(session.confirmed, min(seq, self.head.seq))

    @rule(action=st.sampled_from(["join", "leave"]), room=rooms)
    def others_come_and_go(self, action: Literal["join", "leave"], room: str) -> None:
        """Without a session here, and in other namespaces, of which few are kept."""
        self.come_back()
        self.run(self.backplane.mark(NAMESPACE, action, PLAIN, [room]))
        (self.plain.add if action == "join" else self.plain.discard)(room)
        for namespace in ("/b", "/c"):
            self.run(self.backplane.publish(namespace, [encoded("x")]))

    # What happens to sessions

    @somebody
    @rule(who=whos, late=st.integers(0, 1))
    def cut(self, who: int, late: int) -> None:
        session = self.session(who)
        current = late == 0 or session.generation == 1
        generation = session.generation if current else session.generation - late
        assert self.run(self.backplane.release(NAMESPACE, session.id, generation)) == current
        if current and session.deadline is None:
            session.deadline = self.now + 10

    @somebody
    @rule(who=whos, back=st.none() | st.integers(-1, 12), revoked=st.sets(rooms))
    def resume(self, who: int, back: int | None, revoked: set[str]) -> None:
        self.resume_after(
            self.session(who),
            None if back is None else Position(self.head.epoch, max(0, self.head.seq - back)),
            revoked,
        )

    @somebody
    @rule()
    def resume_from_everywhere(self) -> None:
        for session in self.sessions.values():
            self.resume_after(session, None, set())
            self.resume_after(session, Position("other", self.head.seq), set())
            for seq in range(self.head.seq + 2):
                self.resume_after(session, Position(self.head.epoch, seq), set())

    @precondition(lambda self: len(self.sessions) > 1)
    @rule(who=whos, late=st.booleans())
    def end(self, who: int, *, late: bool) -> None:
        session = self.session(who)
        current = not late or session.generation == 1
        generation = session.generation if current else session.generation - 1
        assert self.run(self.backplane.end(NAMESPACE, session.id, generation)) == current
        if current:
            del self.sessions[session.id]

    @rule(seconds=st.integers(0, 10), claim=st.booleans())
    def time_passes(self, seconds: int, *, claim: bool) -> None:
        self.now += seconds
        if not claim:
            return
        claimed = {record.id: set(record.rooms) for record in self.run(self.backplane.expired())}
        over = {each.id: each.rooms for each in self.sessions.values() if self.is_over(each)}
        assert claimed == over
        for id in claimed:
            del self.sessions[id]

    # What must be so

    def resume_after(self, session: Away, after: Position | None, revoked: set[str]) -> None:
        resumption = self.run(self.backplane.resume(NAMESPACE, key(session.id), after, revoked))
        if self.is_over(session):
            assert resumption is None
            return
        assert resumption is not None
        session.generation += 1
        session.deadline = None
        session.rooms -= revoked
        for said in self.log:
            said.reach.get(session.id, set()).difference_update({("room", r) for r in revoked})
        self.trim_namespace()
        self.within_bounds()
        assert resumption.head == self.head
        gaps = set(resumption.gaps)
        assert len(resumption.gaps) == len(gaps)
        strange = after is not None and (after.epoch, 0) != (
            self.head.epoch,
            max(0, after.seq - self.head.seq),
        )
        low = session.confirmed if after is None or strange else max(after.seq, session.confirmed)
        owed = [said for said in self.log if said.seq > low and said.reach.get(session.id)]
        heard(resumption)
        got = [seq for seq, _ in resumption.entries]
        # Exactly what is owed by a stream that is not named as a gap: nothing lost in silence,
        # nothing foreign, nothing twice.
        assert got == [s.seq for s in owed if {name for _, name in s.reach[session.id]} - gaps]
        if strange:
            assert not got
            assert gaps >= {name for _, name in session.streams}
            return
        # And no gap without need: something of that stream is gone, or it was too much to replay.
        gone = {name for s in self.log if s.seq > low for _, name in s.streams - s.kept}
        there = [said for said in owed if said.reach[session.id] & said.kept]
        size = sum(said.size - OVERHEAD for said in there)
        if len(there) <= self.bounds.replay and size <= self.bounds.replay_bytes:
            assert gaps <= gone
        assert len(got) <= self.bounds.replay
        assert sum(e.outgoing.size for _, e in resumption.entries) <= self.bounds.replay_bytes

    @invariant()
    def records_say_what_is_so(self) -> None:
        for session in self.sessions.values():
            record = self.run(self.backplane.find(NAMESPACE, key(session.id)))
            if self.is_over(session):
                assert record is None
                continue
            assert record is not None
            assert (record.user, record.generation) == (session.user, session.generation)
            assert (set(record.rooms), record.confirmed) == (session.rooms, session.confirmed)

    @invariant()
    def the_lane_has_told_all_memberships(self) -> None:
        told = {member: joined for member, joined in self.members.items() if joined}
        known = {each.id: each.rooms for each in self.sessions.values() if each.rooms}
        assert told == known | ({PLAIN: self.plain} if self.plain else {})

    @invariant()
    def numbers_go_on_as_long_as_somebody_is_there(self) -> None:
        if self.sessions or self.plain:
            assert self.run(self.backplane.position(NAMESPACE)) == self.head

    def within_bounds(self) -> None:
        """It keeps what the bounds allow and no more; nothing where nobody can ask for it."""
        history = self.kept()
        assert (history is not None) == bool(self.sessions)
        if history is not None:
            kept = [said.size for said in self.log if said.kept]
            assert (len(history), history.size) == (len(kept), sum(kept))

    def come_back(self) -> None:
        """A namespace in which nobody was may have been forgotten; it begins another epoch."""
        if not (self.sessions or self.plain):
            head = self.run(self.backplane.position(NAMESPACE))
            assert head == self.head or (head.epoch != self.head.epoch and head.seq == 0)
            self.head, self.log = head, []

    def teardown(self) -> None:
        if hasattr(self, "backplane"):
            self.resume_from_everywhere()

    def is_over(self, session: Away) -> bool:
        return session.deadline is not None and session.deadline <= self.now

    def trim(self, new: Said) -> None:
        """What the streams of a new entry have too much of, counted from the newest back."""
        new.size += OVERHEAD
        for stream in new.streams:
            count = size = 0
            for said in reversed(self.log):
                if stream in said.kept:
                    count, size = count + 1, size + said.size
                    if count > self.bounds.per_room or size > self.bounds.per_room_bytes:
                        said.kept.discard(stream)

    def trim_namespace(self) -> None:
        if not self.sessions:
            # No history is kept for nobody, and who comes later has no claim to it.
            self.log = []
        kept = [said for said in self.log if said.kept]
        for said in kept:
            size = sum(each.size for each in kept if each.kept)
            if said.at < self.now - self.bounds.age or size > self.bounds.namespace_bytes:
                said.kept.clear()
