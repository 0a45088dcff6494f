"""The mutation check fits the implementation, and some of it is run every time."""

import msgspec
import pytest

from tests.recovery.mutations import __main__ as command
from tests.recovery.mutations.mutant import SCENARIOS, Mutant, mutated, source_of
from tests.recovery.mutations.mutants import MUTANTS

QUICK = [
    "excluded-by-present-rooms",
    "no-floor",
    "gaps-follow-the-replay",
    "any-pong-confirms-the-latest-ping",
    "no-dedup",
    "void-when-another-is-shown",
]
"""One of each kind, that are noticed soon."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_fits_the_source(mutant: Mutant) -> None:
    compile(mutated(mutant, source_of(mutant)), mutant.module, "exec")


def test_names_are_unique() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_a_change_that_does_not_fit_says_so() -> None:
    mutant = Mutant(rule="R1", name="none", module="gatewright.rooms", old="no such", new="")
    with pytest.raises(ValueError, match="none: expected 'no such' once in gatewright"):
        mutated(mutant, source_of(mutant))


def test_what_survives_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    harmless = Mutant(
        rule="R0",
        name="harmless",
        module="gatewright.types",
        old="from typing import",
        new="from  typing import",
        tests=("tests/recovery/test_checker.py",),
    )
    assert command.check([harmless]) == 1
    assert "R0     harmless SURVIVES: " in capsys.readouterr().out


@pytest.mark.timeout(180)
def test_some_rules_are_broken_and_it_is_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = [
        msgspec.structs.replace(mutant, tests=SCENARIOS)
        for mutant in MUTANTS
        if mutant.name in QUICK
    ]
    assert command.check(chosen) == 0
    out = capsys.readouterr().out
    assert f"{len(QUICK)} mutants" in out
    assert out.rstrip().endswith("0 of them survive")
