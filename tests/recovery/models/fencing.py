"""Several sockets of one session: who has it, and what the others may still do to it."""

from collections.abc import Iterator
from typing import ClassVar

from msgspec import Struct, field

from tests.recovery.models.checker import Action, Model, Study, Violation

__all__ = ["FENCING"]


class Rules(Struct, frozen=True):
    one_step: bool = True
    """A takeover counts the generation up in one step with reading it (R5)."""
    fence: bool = True
    """A takeover closes the older socket, of which nothing more is handled (R5)."""
    reopen: bool = True
    """A client that loses the session to its own earlier attempt, which came late, returns."""
    hand_over: bool = True
    """The newer socket knows the calls that the older one has taken (R12)."""
    release_by_generation: bool = True
    """That a socket is lost begins the grace only if the session is still its own."""
    save_by_generation: bool = True
    """Only the socket that has the session writes its state."""


class Scope(Struct, frozen=True, kw_only=True):
    calls: int = 0
    cuts: int = 1
    saves: int = 0
    expiries: int = 0


class Socket(Struct):
    reads: int
    """The generation that it found in the record."""
    generation: int = 0
    """Its own; 0 until it has taken the session over."""
    client: bool = True
    """Whether the client still has it."""
    server: bool = True
    """Whether the server still has it."""
    up: list[int] = field(default_factory=list)
    """Calls under way to the server, which may get there although the client gave it up."""
    taken: set[int] = field(default_factory=set)
    saved: int = 0
    """The state, as the connection of this socket has it."""


class State(Struct):
    left: dict[str, int]
    generation: int = 1
    """Of the record, as the rest until `sockets`."""
    released: bool = False
    ended: bool = False
    saved: int = 0
    accepted: int = 0
    """How many writes of the state were accepted."""
    sockets: list[Socket] = field(default_factory=list)
    current: int | None = 0
    """The socket that the client uses."""
    gave_up: bool = False
    """Whether the client was told not to connect again."""
    open_calls: list[int] = field(default_factory=list)
    called: int = 0
    effects: list[int] = field(default_factory=list)


class Fencing(Model[State, Rules]):
    state: ClassVar[type[Struct]] = State

    def __init__(self, rules: Rules, scope: Scope) -> None:
        super().__init__(rules)
        self.scope = scope

    def initial(self) -> State:
        left = {name: getattr(self.scope, name) for name in self.scope.__struct_fields__}
        return State(left, sockets=[Socket(reads=0, generation=1)])

    def chances(self, s: State) -> Iterator[Action]:
        left = s.left
        if s.current is not None:
            if left["calls"] and s.sockets[s.current].generation:
                yield ("call",)
            if left["cuts"]:
                yield ("cut",)
        for number, socket in enumerate(s.sockets):
            # A handler that runs goes on when its socket is lost, until the connection has ended.
            if left["saves"] and socket.generation:
                yield ("save in a handler of", number)
        if left["expiries"] and s.released and not s.ended:
            yield ("grace passes",)

    def duties(self, s: State) -> Iterator[Action]:
        if s.current is None and not s.ended and not s.gave_up:
            yield ("connect",)
        for number, socket in enumerate(s.sockets):
            if socket.server and not socket.generation:
                yield ("take over by", number)
            if socket.server and socket.generation and socket.up:
                yield ("deliver", number)
            if socket.server and not socket.client:
                yield ("notice the loss of", number)

    def do(self, s: State, action: Action) -> None:
        left = s.left
        match action:
            case ("call",):
                left["calls"] -= 1
                s.called += 1
                s.open_calls.append(s.called)
                s.effects.append(0)
                assert s.current is not None
                s.sockets[s.current].up.append(s.called)
            case ("cut",):
                left["cuts"] -= 1
                assert s.current is not None
                s.sockets[s.current].client = False
                s.current = None
            case ("connect",):
                s.sockets.append(Socket(reads=s.generation))
                s.current = len(s.sockets) - 1
            case ("take over by", int(number)):
                self._take_over(s, number)
            case ("deliver", int(number)):
                self._deliver(s, s.sockets[number])
            case ("notice the loss of", int(number)):
                self._lost(s, s.sockets[number])
            case ("save in a handler of", int(number)):
                left["saves"] -= 1
                self._save(s, s.sockets[number])
            case ("grace passes",):
                left["expiries"] -= 1
                s.ended = True
                if s.current is not None and s.sockets[s.current].generation:
                    raise Violation("a session ended that was in use")
            case _:
                raise AssertionError(action)

    def _take_over(self, s: State, number: int) -> None:
        new = s.sockets[number]
        if s.ended:
            new.server = False
            return
        new.generation = (s.generation if self.rules.one_step else new.reads) + 1
        s.generation = new.generation
        s.released = False
        new.saved = s.saved
        for other in s.sockets:
            if other is new or not other.generation:
                continue
            if self.rules.hand_over:
                new.taken |= other.taken
            if self.rules.fence and other.generation < new.generation:
                other.server = False
                other.up.clear()
                if other.client:
                    other.client = False
                    s.current = None
                    s.gave_up = not self.rules.reopen
        if new.client:
            new.up = list(s.open_calls)
        owners = [each for each in s.sockets if each.server and each.generation == s.generation]
        if len(owners) > 1:
            raise Violation(f"{len(owners)} sockets have the session")

    def _deliver(self, s: State, socket: Socket) -> None:
        call = socket.up.pop(0)
        if call in socket.taken:
            return
        socket.taken.add(call)
        s.effects[call - 1] += 1
        if s.effects[call - 1] > 1:
            raise Violation(f"call {call} was executed twice")

    def _lost(self, s: State, socket: Socket) -> None:
        socket.server = False
        socket.up.clear()
        if socket.generation == s.generation or not self.rules.release_by_generation:
            s.released = True

    def _save(self, s: State, socket: Socket) -> None:
        """Read, change, write: what `connection.save()` ends with."""
        if self.rules.save_by_generation and socket.generation != s.generation:
            return
        socket.saved += 1
        s.saved = socket.saved
        s.accepted += 1
        if s.saved != s.accepted:
            raise Violation("a state that was saved is overwritten by one that did not know it")

    def judge(self, s: State) -> None:
        if s.ended:
            return
        for call, effects in enumerate(s.effects, 1):
            if effects != 1:
                raise Violation(f"call {call} was executed {effects} times")


FENCING = Study(
    Fencing,
    Rules(),
    small={
        "calls": Scope(calls=1, cuts=2),
        "grace": Scope(cuts=2, expiries=1),
        "state": Scope(cuts=1, saves=2),
    },
    full={
        "calls": Scope(calls=2, cuts=3),
        "grace": Scope(cuts=4, expiries=1),
        "state": Scope(cuts=3, saves=3),
        "all": Scope(calls=1, cuts=2, expiries=1, saves=2),
    },
    shown_by={
        "one_step": "calls",
        "fence": "calls",
        "reopen": "calls",
        "hand_over": "calls",
        "release_by_generation": "grace",
        "save_by_generation": "state",
    },
)
