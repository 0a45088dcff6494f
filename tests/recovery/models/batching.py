"""Batches on their way to the primary and from there to a node, over connections that break."""

from collections.abc import Iterator
from typing import ClassVar

from msgspec import Struct, field

from tests.recovery.models.checker import Action, Model, Study, Violation

__all__ = ["BATCHING"]


class Rules(Struct, frozen=True):
    repeat_safe: bool = True
    """Batches are numbered, and a repeated one is answered as it was the first time (R10)."""
    one_in_flight: bool = True
    """The next batch waits for the answer to the one before it (R10)."""
    whole: bool = True
    """A batch is appended in one step, or not at all (R1)."""
    contiguous: bool = True
    """A node delivers a batch only if it follows the one before, else it catches up (R1)."""
    tail: bool = True
    """Nodes compare their position with the head now and then (R2)."""


class Scope(Struct, frozen=True, kw_only=True):
    batches: int = 2
    breaks: int = 1
    silent_drops: int = 1


SIZE = 2
"""Emits in a batch."""


class Request(Struct, array_like=True):
    number: int
    emits: list[int]
    """Those that are still to be appended."""
    first: int = 0


class Batch(Struct, frozen=True, array_like=True):
    first: int
    emits: list[int]


class State(Struct):
    left: dict[str, int]
    emitted: int = 0
    waiting: list[Request] = field(default_factory=list)
    """Batches without an answer yet, in their order; the first `sent` of them are under way."""
    sent: int = 0
    requests: list[Request] = field(default_factory=list)
    answers: list[tuple[int, int]] = field(default_factory=list)
    told: list[tuple[int, int]] = field(default_factory=list)
    """What the publisher knows: the batch, and the number of its first entry."""
    log: list[int] = field(default_factory=list)
    """The primary's entries: which emit each of them is."""
    last: tuple[int, int] = (0, 0)
    """The last batch of this publisher, and the number of its first entry."""
    lane: list[Batch] = field(default_factory=list)
    got: list[int] = field(default_factory=list)
    """What the node has delivered."""
    position: int = 0


class Batching(Model[State, Rules]):
    state: ClassVar[type[Struct]] = State

    def __init__(self, rules: Rules, scope: Scope) -> None:
        super().__init__(rules)
        self.scope = scope

    def initial(self) -> State:
        return State({name: getattr(self.scope, name) for name in self.scope.__struct_fields__})

    def chances(self, s: State) -> Iterator[Action]:
        if s.left["batches"]:
            yield ("emit a batch",)
        if s.left["breaks"] and (s.requests or s.answers):
            yield ("connection breaks",)
        if s.left["silent_drops"] and s.lane:
            yield ("silent drop",)

    def duties(self, s: State) -> Iterator[Action]:
        if s.sent < len(s.waiting) and (s.sent == 0 or not self.rules.one_in_flight):
            yield ("send",)
        if s.requests:
            yield ("append",)
        if s.answers:
            yield ("answer arrives",)
        if s.lane:
            yield ("deliver",)
        elif self.rules.tail and not s.requests and s.position < len(s.log):
            yield ("compare with the head",)

    def do(self, s: State, action: Action) -> None:
        match action:
            case ("emit a batch",):
                s.left["batches"] -= 1
                emits = list(range(s.emitted + 1, s.emitted + 1 + SIZE))
                s.emitted += SIZE
                s.waiting.append(Request(s.emitted // SIZE, emits))
            case ("connection breaks",):
                s.left["breaks"] -= 1
                s.requests.clear()
                s.answers.clear()
                s.sent = 0
            case ("silent drop",):
                s.left["silent_drops"] -= 1
                del s.lane[0]
            case ("send",):
                request = s.waiting[s.sent]
                s.requests.append(Request(request.number, list(request.emits)))
                s.sent += 1
            case ("append",):
                self._append(s, s.requests[0])
            case ("answer arrives",):
                answer = s.answers.pop(0)
                s.told.append(answer)
                s.waiting = [each for each in s.waiting if each.number != answer[0]]
                s.sent -= 1
            case ("deliver",):
                self._deliver(s, s.lane.pop(0))
            case ("compare with the head",):
                self._catch_up(s)
            case _:
                raise AssertionError(action)

    def _append(self, s: State, request: Request) -> None:
        if self.rules.repeat_safe and not request.first and s.last[0] == request.number:
            del s.requests[0]
            s.answers.append(s.last)
            return
        first = request.first = request.first or len(s.log) + 1
        count = len(request.emits) if self.rules.whole else 1
        s.log += request.emits[:count]
        del request.emits[:count]
        if request.emits:
            return
        del s.requests[0]
        s.last = request.number, first
        s.answers.append(s.last)
        s.lane.append(Batch(first, s.log[first - 1 :]))

    def _deliver(self, s: State, batch: Batch) -> None:
        end = batch.first + len(batch.emits) - 1
        if end <= s.position:
            return
        if batch.first != s.position + 1 and self.rules.contiguous:
            self._catch_up(s)
        else:
            s.got += batch.emits
            s.position = end

    def _catch_up(self, s: State) -> None:
        s.got += s.log[s.position :]
        s.position = len(s.log)

    def judge(self, s: State) -> None:
        expected = list(range(1, s.emitted + 1))
        if s.log != expected:
            raise Violation(f"expected the log {expected}, got {s.log}")
        if s.got != expected:
            raise Violation(f"expected that {expected} are delivered, got {s.got}")
        for number, first in s.told:
            if s.log[first - 1] != (number - 1) * SIZE + 1:
                raise Violation(f"batch {number} does not begin at {first}, as it was told")


BATCHING = Study(
    Batching,
    Rules(),
    small={"batches": Scope()},
    full={"batches": Scope(batches=4, breaks=3, silent_drops=2)},
    shown_by=dict.fromkeys(Rules.__struct_fields__, "batches"),
)
