"""Whoever judges can find somebody guilty."""

import pytest

from tests.chaos.commands import Short
from tests.chaos.soak import Sample, judge_kept
from tests.chaos.soak import judge as judge_memory
from tests.chaos.stalled import Round
from tests.chaos.stalled import judge as judge_stalled
from tests.chaos.verdicts import Verdict, judge

SAID = {"a": 3, "b": 5, "c": 6}
ALL = ["a", "b", "c"]


def test_everyone_has_heard_everything() -> None:
    # What nobody knows the fate of may be heard, by all.
    heard = ["a", "unknown", "b", "c"]
    verdict = judge(SAID, [heard, list(heard)])
    assert (verdict, verdict.good) == (Verdict(3), True)


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        (["a", "c"], Verdict(3, lost=1, different=1)),
        (["a", "b", "b", "c"], Verdict(3, duplicated=1, different=1)),
        (["b", "a", "c"], Verdict(3, disordered=1, different=1)),
        (["a", "b", "unknown", "c"], Verdict(3, different=1)),
        ([], Verdict(3, lost=3, different=1)),
    ],
)
def test_what_one_has_heard_otherwise(heard: list[str], expected: Verdict) -> None:
    verdict = judge(SAID, [ALL, heard])
    assert (verdict, verdict.good) == (expected, False)


def test_verdicts_of_several_rooms_add_up() -> None:
    both = judge(SAID, [ALL]) + judge(SAID, [ALL, ["a", "c"]]) + Verdict(gaps=2)
    assert both == Verdict(6, lost=1, different=1, gaps=2)


def test_gaps_and_new_sessions_are_not_good() -> None:
    assert not Verdict(3, gaps=1).good
    assert not Verdict(3, renewed=1).good


MIB = 2**20
FINE = Round(before=0.010, during=0.011, freed=10.2, each=1.1 * MIB)


def test_stalled_readers_within_bounds() -> None:
    # One bad round is the machine's.
    assert "× 1.10" in judge_stalled([FINE, FINE, Round(0.010, 0.030, 10.2, MIB)])


@pytest.mark.parametrize(
    "bad",
    [
        Round(before=0.010, during=0.013, freed=10.2, each=1.1 * MIB),
        Round(before=0.010, during=0.011, freed=11.2, each=1.1 * MIB),
        Round(before=0.010, during=0.011, freed=10.2, each=1.5 * MIB),
    ],
)
def test_stalled_readers_out_of_bounds(bad: Round) -> None:
    with pytest.raises(Short, match="allowed"):
        judge_stalled([bad])


def samples(seconds: float, per_minute: float) -> list[Sample]:
    """Memory that soon has 100 MiB, and then grows by so many MiB a minute."""
    warm = seconds / 10
    return [
        Sample(at, int((100 - 50 * max(0, 1 - at / warm) + per_minute * at / 60) * MIB), 0)
        for at in range(0, int(seconds) + 1, 2)
    ]


def test_memory_that_is_flat() -> None:
    assert "+0.00% in ten minutes" in judge_memory(samples(180, 0))
    judge_memory(samples(3600, 0.05))
    # So much is the allocator's in minutes; what is kept is counted.
    judge_memory(samples(180, 2))
    assert "0.100 blocks" in judge_kept(0.1)


def test_memory_that_grows() -> None:
    with pytest.raises(Short, match="memory grows"):
        judge_memory(samples(3600, 0.2))
    with pytest.raises(Short, match=r"leaves 1\.000 blocks of memory behind"):
        judge_kept(1.0)
