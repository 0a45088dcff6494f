"""Two sessions in one namespace and on one node: what one does must not be felt by the other."""

from collections.abc import Iterator
from typing import ClassVar

from msgspec import Struct, field

from tests.recovery.models.checker import Action, Model, Study, Violation

__all__ = ["SEVERAL"]

BOTH = ("x", "y")


class Rules(Struct, frozen=True):
    own_floor: bool = True
    """A resume moves the floor of its session, not the position of the node (R5)."""
    own_room: bool = True
    """What is sent to one session reaches no other, live or replayed."""
    holes: bool = True
    """For one client the numbers rise with holes: what is for others has a number too."""
    slowest: bool = True
    """What was trimmed is remembered until the last session has confirmed what came before."""
    last_out: bool = True
    """A history is kept until the last session has ended, not the first."""


class Scope(Struct, frozen=True, kw_only=True):
    emits: int = 2
    cuts: int = 1
    trims: int = 0
    confirms: int = 0
    ends: int = 0


class Entry(Struct, frozen=True, array_like=True, tag="entry"):
    seq: int
    to: tuple[str, ...]
    """The sessions that it is for."""


class Gap(Struct, frozen=True, array_like=True, tag="gap"):
    seq: int


class Session(Struct):
    here: bool = True
    held: list[Entry] | None = None
    """What is live while its return is under way."""
    head: int = 0
    floor: int = 0
    wire: list[Entry | Gap] = field(default_factory=list)
    confirmed: int = 0
    seq: int = 0
    """Its client's position, and what that has got."""
    got: list[int] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)


class State(Struct):
    left: dict[str, int]
    head: int = 0
    log: list[Entry] = field(default_factory=list)
    history: list[Entry] = field(default_factory=list)
    gone: int = 0
    """The last entry that was trimmed, as far as somebody remembers it."""
    queue: list[Entry] = field(default_factory=list)
    """The lane, as far as the node has not read it."""
    position: int = 0
    sessions: dict[str, Session] = field(default_factory=lambda: {each: Session() for each in BOTH})


class Several(Model[State, Rules]):
    state: ClassVar[type[Struct]] = State

    def __init__(self, rules: Rules, scope: Scope) -> None:
        super().__init__(rules)
        self.scope = scope

    def initial(self) -> State:
        return State({name: getattr(self.scope, name) for name in self.scope.__struct_fields__})

    def chances(self, s: State) -> Iterator[Action]:
        left = s.left
        if left["emits"]:
            yield ("emit to", *s.sessions)
            for name in s.sessions:
                yield ("emit to", name)
        if left["trims"] and s.history:
            yield ("trim",)
        for name, session in s.sessions.items():
            if left["cuts"] and session.here:
                yield ("cut", name)
            if left["confirms"] and session.confirmed < session.seq:
                yield ("confirm", name)
        if left["ends"] and len(s.sessions) > 1:
            yield ("end", "y")

    def duties(self, s: State) -> Iterator[Action]:
        if s.queue:
            yield ("deliver",)
        for name, session in s.sessions.items():
            if not session.here:
                yield ("resume", name)
            elif session.held is not None:
                yield ("go live", name)
            elif session.wire:
                yield ("receive", name)

    def do(self, s: State, action: Action) -> None:
        left = s.left
        match action:
            case ("emit to", *names):
                left["emits"] -= 1
                s.head += 1
                entry = Entry(s.head, tuple(map(str, names)))
                s.log.append(entry)
                s.history.append(entry)
                s.queue.append(entry)
            case ("trim",):
                left["trims"] -= 1
                s.gone = s.history.pop(0).seq
            case ("cut", str(name)):
                left["cuts"] -= 1
                before = s.sessions[name]
                s.sessions[name] = Session(
                    here=False,
                    confirmed=before.confirmed,
                    seq=before.seq,
                    got=before.got,
                    gaps=before.gaps,
                )
            case ("confirm", str(name)):
                left["confirms"] -= 1
                s.sessions[name].confirmed = s.sessions[name].seq
                confirmed = [each.confirmed for each in s.sessions.values()]
                if s.gone <= (min if self.rules.slowest else max)(confirmed):
                    s.gone = 0
            case ("end", str(name)):
                left["ends"] -= 1
                del s.sessions[name]
                if not self.rules.last_out:
                    s.history.clear()
                    s.gone = 0
            case ("deliver",):
                self._deliver(s, s.queue.pop(0))
            case ("resume", str(name)):
                self._resume(s, name)
            case ("go live", str(name)):
                session = s.sessions[name]
                assert session.held is not None
                session.wire += [each for each in session.held if each.seq > session.head]
                session.floor = session.head
                session.held = None
            case ("receive", str(name)):
                self._receive(s, name)
            case _:
                raise AssertionError(action)

    def _deliver(self, s: State, entry: Entry) -> None:
        if entry.seq <= s.position:
            return
        s.position = entry.seq
        for name, session in s.sessions.items():
            if not session.here or (self.rules.own_room and name not in entry.to):
                continue
            if session.held is not None:
                session.held.append(entry)
            elif entry.seq > session.floor:
                session.wire.append(entry)

    def _resume(self, s: State, name: str) -> None:
        session = s.sessions[name]
        session.here = True
        session.held = []
        session.head = s.head
        low = max(session.seq, session.confirmed)
        if s.gone > low:
            session.wire.append(Gap(s.head))
        else:
            session.wire += [
                entry
                for entry in s.history
                if entry.seq > low and (name in entry.to or not self.rules.own_room)
            ]
        if not self.rules.own_floor:
            s.position = s.head

    def _receive(self, s: State, name: str) -> None:
        session = s.sessions[name]
        message = session.wire.pop(0)
        if isinstance(message, Gap):
            session.gaps.append(message.seq)
            return
        if name not in message.to:
            raise Violation(f"{message.seq} was not for {name}")
        if message.seq <= session.seq:
            raise Violation(f"{name} got {message.seq} after {session.seq}")
        if not self.rules.holes and message.seq != session.seq + 1:
            raise Violation(f"{name} takes something for lost between {session.seq} and this")
        session.seq = message.seq
        session.got.append(message.seq)

    def judge(self, s: State) -> None:
        for name, session in s.sessions.items():
            told = max(session.gaps, default=0)
            for entry in s.log:
                if name in entry.to and entry.seq not in session.got and entry.seq > told:
                    raise Violation(f"{entry.seq} was lost to {name} without a gap")


SEVERAL = Study(
    Several,
    Rules(),
    small={
        "returns": Scope(emits=2, cuts=1),
        "confirms": Scope(emits=1, cuts=1, trims=1, confirms=1),
        "ends": Scope(emits=1, cuts=1, ends=1),
    },
    full={
        "returns": Scope(emits=3, cuts=3),
        "confirms": Scope(emits=2, cuts=2, trims=1, confirms=1),
        "ends": Scope(emits=2, cuts=2, trims=1, ends=1),
    },
    shown_by={
        "own_floor": "returns",
        "own_room": "returns",
        "holes": "returns",
        "slowest": "confirms",
        "last_out": "ends",
    },
)
