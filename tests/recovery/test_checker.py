"""The checker finds what is there, by the shortest way, and sees everything else."""

from collections.abc import Iterator
from typing import ClassVar

import pytest
from msgspec import Struct

from tests.recovery.models.checker import Action, Model, Violation, explore, without


class Rules(Struct, frozen=True):
    odd: bool = True
    """Somebody carries on when the sum is odd at the limit."""


class Sum(Struct):
    value: int = 0
    written: int = 0


class Adding(Model[Sum, Rules]):
    """One and two are added up to a limit; whatever it is then has to be written down."""

    state: ClassVar[type[Struct]] = Sum

    def __init__(self, rules: Rules, limit: int) -> None:
        super().__init__(rules)
        self.limit = limit

    def initial(self) -> Sum:
        return Sum()

    def chances(self, s: Sum) -> Iterator[Action]:
        for number in (1, 2):
            if s.value + number <= self.limit:
                yield ("add", number)

    def duties(self, s: Sum) -> Iterator[Action]:
        if s.written != s.value and (self.rules.odd or s.value % 2 == 0):
            yield ("write",)

    def do(self, s: Sum, action: Action) -> None:
        match action:
            case ("add", int(number)):
                s.value += number
            case _:
                s.written = s.value
                if s.value == 13:
                    raise Violation("thirteen was written")

    def judge(self, s: Sum) -> None:
        if s.written != s.value:
            raise Violation(f"{s.value} was never written")


def test_everything_is_seen() -> None:
    result = explore(Adding(Rules(), 4))
    # Each value with each that was written before, from 0 to 4.
    assert (result.states, result.judged, result.exhausted) == (15, 5, True)
    assert result.counterexample is None


def test_the_shortest_way_to_a_step_that_must_not_be() -> None:
    found = explore(Adding(Rules(), 20)).counterexample
    assert found is not None
    assert found.what == "thirteen was written"
    assert sorted(map(str, found.trace)) == sorted(
        map(str, [*[("add", 2)] * 6, ("add", 1), ("write",)])
    )


def test_what_is_left_undone_is_found_at_rest() -> None:
    found = explore(Adding(without(Rules(), "odd"), 3)).counterexample
    assert found is not None
    assert str(found) == "1 was never written: add 1"


def test_a_search_may_be_bounded() -> None:
    result = explore(Adding(Rules(), 100), most=50)
    assert not result.exhausted
    assert 50 < result.states < 100


def test_a_rule_that_is_none() -> None:
    with pytest.raises(TypeError, match="even"):
        without(Rules(), "even")
