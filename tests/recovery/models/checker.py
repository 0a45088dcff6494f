"""Tries every order of events of a small model, the shortest first."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, ClassVar, Generic, TypeAlias

from msgspec import Struct, msgpack, structs
from typing_extensions import TypeVar

__all__ = [
    "Action",
    "Counterexample",
    "Model",
    "Result",
    "Study",
    "Violation",
    "explore",
    "without",
]

S = TypeVar("S", bound=Struct)
R = TypeVar("R", bound=Struct)

Action: TypeAlias = tuple[str | int, ...]
"""What happens: a verb and its objects."""


class Violation(AssertionError):
    """Something happened that must never happen."""


class Model(ABC, Generic[S, R]):
    """A system whose states are msgspec structs, and what may happen in each of them.

    A step changes the state that it is given; the checker makes the copies. `rules` are switches,
    one for each thing that a naive implementation leaves out.
    """

    state: ClassVar[type[Struct]]

    def __init__(self, rules: R) -> None:
        self.rules = rules

    @abstractmethod
    def initial(self) -> S:
        """Where it begins."""

    @abstractmethod
    def chances(self, s: S) -> Iterator[Action]:
        """What may happen, and may as well not: users, networks, failures."""

    @abstractmethod
    def duties(self, s: S) -> Iterator[Action]:
        """What happens sooner or later if nothing else does: deliveries, retries, checks."""

    @abstractmethod
    def do(self, s: S, action: Action) -> None:
        """Let it happen; raises `Violation` for what must never be."""

    @abstractmethod
    def judge(self, s: S) -> None:
        """All duties are done: raises `Violation` for what is missing now, since it is for good."""


class Counterexample(Struct, frozen=True):
    """The shortest way to a violation."""

    what: str
    trace: tuple[Action, ...]

    def __str__(self) -> str:
        steps = "; ".join(" ".join(map(str, action)) for action in self.trace)
        return f"{self.what}: {steps}"


class Result(Struct, frozen=True):
    """What a search has found."""

    states: int
    steps: int
    depth: int
    judged: int
    """States with nothing left to do: those in which what is missing is lost."""
    exhausted: bool
    """Whether it has seen every state."""
    counterexample: Counterexample | None = None


class Study(Struct, frozen=True):
    """A model with its scopes: small ones for every day, full ones for whoever has minutes."""

    model: Callable[[Any, Any], Model[Any, Any]]
    """Makes one of rules and a scope."""
    rules: Struct
    small: Mapping[str, Struct]
    full: Mapping[str, Struct]
    shown_by: Mapping[str, str]
    """The small scope in which it goes wrong without a rule, by the rule."""

    def check(self, scope: Struct, off: str | None = None, most: int | None = None) -> Result:
        rules = self.rules if off is None else without(self.rules, off)
        return explore(self.model(rules, scope), most)


def without(rules: R, *names: str) -> R:
    """The rules with some of them switched off."""
    return structs.replace(rules, **dict.fromkeys(names, False))


# A path back to the beginning, shared between all that have it in common.
_Trace: TypeAlias = "tuple[_Trace, Action] | None"


def explore(model: Model[S, R], most: int | None = None) -> Result:
    """Visit every state, or about `most`; ends at the first violation, which is a shortest one."""
    encode = msgpack.Encoder(order="deterministic").encode
    decode = msgpack.Decoder(model.state).decode
    start = encode(model.initial())
    seen = {_digest(start)}
    frontier: list[tuple[bytes, _Trace]] = [(start, None)]
    steps = depth = judged = 0

    def result(*, exhausted: bool = False, found: Counterexample | None = None) -> Result:
        return Result(len(seen), steps, depth, judged, exhausted, found)

    while frontier:
        following: list[tuple[bytes, _Trace]] = []
        for packed, trace in frontier:
            state: S = decode(packed)  # type: ignore[assignment]
            duties = list(model.duties(state))
            if not duties:
                judged += 1
                try:
                    model.judge(state)
                except Violation as violation:
                    return result(found=Counterexample(str(violation), _actions(trace)))
            for action in (*duties, *model.chances(state)):
                steps += 1
                after: S = decode(packed)  # type: ignore[assignment]
                try:
                    model.do(after, action)
                except Violation as violation:
                    return result(found=Counterexample(str(violation), _actions((trace, action))))
                new = encode(after)
                if (digest := _digest(new)) not in seen:
                    seen.add(digest)
                    following.append((new, (trace, action)))
            if most is not None and len(seen) > most:
                return result()
        frontier = following
        depth += 1
    return result(exhausted=True)


def _digest(packed: bytes) -> bytes:
    # Two states of one digest would hide one of them: at 128 bits that does not happen.
    return blake2b(packed, digest_size=16).digest()


def _actions(trace: _Trace) -> tuple[Action, ...]:
    actions: list[Action] = []
    while trace is not None:
        trace, action = trace
        actions.append(action)
    return tuple(reversed(actions))
