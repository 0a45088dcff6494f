"""What moves a client's position: messages, pings, gaps, `hello`; and what a pong confirms."""

from collections.abc import Iterator
from typing import ClassVar

from msgspec import Struct, field

from tests.recovery.models.checker import Action, Model, Study, Violation

__all__ = ["POSITIONS"]

ROOMS = ("A", "B")


class Rules(Struct, frozen=True):
    hello_own: bool = True
    """`hello` tells a client that resumes its own position, not the head (R6)."""
    gap_keeps: bool = True
    """In the same epoch a gap moves nothing, so that a replay is not cut short (R6)."""
    gap_first: bool = True
    """A gap goes before the replay, which moves the position beyond what the gap is about."""
    beyond: bool = True
    """A position beyond the head is that of another sequence: it is a gap and reset (R5)."""
    ping_written: bool = True
    """A ping carries what was written to this socket, not the head (R7)."""
    ping_moves: bool = True
    """A ping moves the position, so that whoever gets nothing is told of no gap later (R7)."""
    pong_own: bool = True
    """A pong confirms the ping that it answers, not the latest that was sent (R7)."""


class Scope(Struct, frozen=True, kw_only=True):
    emits: int = 2
    others: int = 0
    """Emits to A that leave this client out."""
    pings: int = 0
    cuts: int = 1
    trims: int = 0
    tails: int = 0
    """How often the server comes back without its newest entry, in the same epoch.

    Only where the client returns before anything else is emitted, and is not cut off before it
    knows. Otherwise nobody could tell: a backplane that may have lost something has to begin
    another epoch.
    """


class Said(Struct, frozen=True, array_like=True):
    """An entry: which emit, under which number, to which room, and whether to this client."""

    emit: int
    seq: int
    room: str
    ours: bool


class Frame(Struct, frozen=True, array_like=True):
    kind: str
    seq: int
    emit: int = 0
    rooms: tuple[str, ...] = ()


class Link(Struct):
    written: int
    """The position up to which everything was written to this socket."""
    down: list[Frame] = field(default_factory=list)
    replay: list[Frame] | None = None
    """What is still to be written before anything live is."""
    pings: list[int] = field(default_factory=list)
    pongs: int = 0
    """Those on their way to the server."""


class State(Struct):
    left: dict[str, int]
    bare: bool = False
    """Whether the newest entry is lost and nobody has returned yet."""
    head: int = 0
    emitted: int = 0
    history: list[Said] = field(default_factory=list)
    gone: dict[str, int] = field(default_factory=dict)
    confirmed: int = 0
    link: Link | None = None
    seq: int = 0
    """The client's position."""
    pinged: int = 0
    """The highest position that a ping has told it."""
    got: list[int] = field(default_factory=list)
    owed: list[tuple[int, str]] = field(default_factory=list)
    """The emits that were for it, and their rooms."""
    told: list[Frame] = field(default_factory=list)
    """The gaps that it has got."""


class Positions(Model[State, Rules]):
    state: ClassVar[type[Struct]] = State

    def __init__(self, rules: Rules, scope: Scope) -> None:
        super().__init__(rules)
        self.scope = scope

    def initial(self) -> State:
        left = {name: getattr(self.scope, name) for name in self.scope.__struct_fields__}
        return State(left, gone=dict.fromkeys(ROOMS, 0), link=Link(0))

    def chances(self, s: State) -> Iterator[Action]:
        left, link = s.left, s.link
        if left["emits"] and not s.bare:
            for room in ROOMS:
                yield ("emit", room)
        if left["others"] and not s.bare:
            yield ("emit to others in", "A")
        if link is not None:
            if left["pings"]:
                yield ("ping",)
            if left["cuts"]:
                yield ("cut",)
        if left["trims"] and any(said.room == "A" for said in s.history):
            yield ("trim",)
        if left["tails"] and s.history and link is None:
            yield ("lose the newest",)

    def duties(self, s: State) -> Iterator[Action]:
        link = s.link
        if link is None:
            yield ("resume",)
            return
        if link.replay is not None:
            yield ("write the replay",)
        if link.down:
            yield ("receive",)
        if link.pongs:
            yield ("pong arrives",)

    def do(self, s: State, action: Action) -> None:
        link, left = s.link, s.left
        match action:
            case ("emit", str(room)):
                left["emits"] -= 1
                self._emit(s, room, ours=True)
            case ("emit to others in", str(room)):
                left["others"] -= 1
                self._emit(s, room, ours=False)
            case ("cut",):
                left["cuts"] -= 1
                s.link = None
            case ("trim",):
                left["trims"] -= 1
                oldest = next(said for said in s.history if said.room == "A")
                s.history.remove(oldest)
                s.gone["A"] = oldest.seq
            case ("lose the newest",):
                left["tails"] -= 1
                s.bare = True
                said = s.history.pop()
                s.head = said.seq - 1
                s.owed = [each for each in s.owed if each[0] != said.emit]
                s.confirmed = min(s.confirmed, s.head)
            case ("resume",):
                self._resume(s)
            case _:
                assert link is not None
                self._on_link(s, link, action)

    def _on_link(self, s: State, link: Link, action: Action) -> None:
        match action:
            case ("ping",):
                s.left["pings"] -= 1
                seq = link.written if self.rules.ping_written else s.head
                link.down.append(Frame("ping", seq))
                link.pings.append(seq)
            case ("pong arrives",):
                link.pongs -= 1
                seq = link.pings.pop(0) if self.rules.pong_own else link.pings[-1]
                s.confirmed = max(s.confirmed, seq)
            case ("write the replay",):
                assert link.replay is not None
                link.down += link.replay
                link.replay = None
                link.written = s.head
            case ("receive",):
                self._receive(s, link, link.down.pop(0))
            case _:
                raise AssertionError(action)

    def _emit(self, s: State, room: str, *, ours: bool) -> None:
        s.head += 1
        s.emitted += 1
        said = Said(s.emitted, s.head, room, ours)
        s.history.append(said)
        if ours:
            s.owed.append((said.emit, room))
        if s.link is None:
            return
        frames = [Frame("message", said.seq, said.emit)] if ours else []
        if s.link.replay is not None:
            s.link.replay += frames
        else:
            s.link.down += frames
            s.link.written = s.head

    def _resume(self, s: State) -> None:
        s.bare = False
        low = max(s.seq, s.confirmed)
        strange = s.seq > s.head and self.rules.beyond
        gaps = tuple(room for room in ROOMS if strange or s.gone[room] > low)
        replay = [
            Frame("message", said.seq, said.emit)
            for said in s.history
            if said.seq > low and said.ours and said.room not in gaps
        ]
        notice = [Frame("gap", s.head, s.emitted, gaps)] if gaps else []
        replay = [*notice, *replay] if self.rules.gap_first else [*replay, *notice]
        s.link = Link(low, replay=replay)
        s.link.down.append(Frame("hello", low if self.rules.hello_own else s.head))
        for room in gaps:
            missing = [each for each, to in s.owed if to == room and each not in s.got]
            if not missing and s.gone[room] <= s.pinged and not strange:
                raise Violation(f"a gap of {room}, though a ping had told of all that is gone")

    def _receive(self, s: State, link: Link, frame: Frame) -> None:
        match frame.kind:
            case "hello":
                if not self.rules.hello_own:
                    s.seq = frame.seq
            case "message":
                if frame.seq <= s.seq:
                    return
                if frame.emit in s.got:
                    raise Violation(f"emit {frame.emit} came twice")
                s.seq = frame.seq
                s.got.append(frame.emit)
            case "ping":
                link.pongs += 1
                s.pinged = frame.seq
                if self.rules.ping_moves:
                    s.seq = max(s.seq, frame.seq)
            case "gap":
                s.told.append(frame)
                if frame.seq < s.seq or not self.rules.gap_keeps:
                    s.seq = frame.seq
            case other:
                raise AssertionError(other)

    def judge(self, s: State) -> None:
        for emit, room in s.owed:
            if emit not in s.got and not any(
                room in gap.rooms and emit <= gap.emit for gap in s.told
            ):
                raise Violation(f"emit {emit} to {room} was lost without a gap")


POSITIONS = Study(
    Positions,
    Rules(),
    small={
        "replay": Scope(emits=2, cuts=2),
        "trim": Scope(emits=2, cuts=2, trims=1),
        "ping": Scope(emits=2, cuts=1, pings=2),
        "quiet": Scope(emits=1, others=1, cuts=1, pings=1, trims=1),
        "tail": Scope(emits=3, cuts=1, tails=1),
    },
    full={
        "replay": Scope(emits=4, others=1, cuts=3),
        "trim": Scope(emits=4, cuts=2, trims=2),
        "ping": Scope(emits=3, others=1, cuts=2, pings=3),
        "quiet": Scope(emits=3, others=1, cuts=2, pings=2, trims=2),
        "tail": Scope(emits=4, others=1, cuts=1, tails=1),
    },
    shown_by={
        "hello_own": "replay",
        "gap_keeps": "trim",
        "gap_first": "trim",
        "beyond": "tail",
        "ping_written": "ping",
        "ping_moves": "quiet",
        "pong_own": "ping",
    },
)
