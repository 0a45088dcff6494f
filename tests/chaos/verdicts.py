"""Compares what was acknowledged with what was heard."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec
from msgspec import Struct

__all__ = ["UNKNOWN", "Verdict", "judge"]

UNKNOWN = {"reply_lost", "interrupted"}
"""Ends of calls of which nobody knows whether they were executed."""


class Verdict(Struct):
    """What became of publications, summed over all who should have heard them."""

    acknowledged: int = 0
    lost: int = 0
    duplicated: int = 0
    disordered: int = 0
    different: int = 0
    """Listeners that have heard something else than the first one."""
    gaps: int = 0
    renewed: int = 0
    """Sessions that were not resumed."""

    def __add__(self, other: "Verdict") -> "Verdict":
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Verdict(*(mine + its for mine, its in pairs))

    @property
    def good(self) -> bool:
        short = (self.lost, self.duplicated, self.disordered, self.different, self.gaps)
        return not any(short) and not self.renewed

    def __str__(self) -> str:
        return (
            f"{self.acknowledged} acknowledged publications: lost {self.lost}, duplicated "
            f"{self.duplicated}, out of order {self.disordered}, clients that heard something else "
            f"{self.different}, gaps {self.gaps}, sessions that were not resumed {self.renewed}"
        )


def judge(acknowledged: Mapping[str, int], heard: Sequence[Sequence[str]]) -> Verdict:
    """Judge texts that were acknowledged, with their numbers, by what each listener has heard.

    What was not acknowledged may be heard by all or by nobody, and by nobody twice.
    """
    verdict = Verdict(len(acknowledged))
    for texts in heard:
        verdict.lost += len(acknowledged.keys() - set(texts))
        verdict.duplicated += len(texts) - len(set(texts))
        numbers = [acknowledged[text] for text in texts if text in acknowledged]
        verdict.disordered += sum(second < first for first, second in pairwise(numbers))
        verdict.different += list(texts) != list(heard[0])
    return verdict
