# ruff: noqa: T201 — it reports to whoever runs it
"""Break each rule of recovery in the implementation, and see that a test fails.

    python -m tests.recovery.mutations [name …]

Prints rule, mutant and the test that noticed it. Exits with 1 if one survives, or if a test fails
with nothing broken; all of it takes some ten minutes.
"""

import argparse
import sys
import time
from collections.abc import Sequence

from tests.recovery.mutations.mutant import Mutant
from tests.recovery.mutations.mutants import MUTANTS
from tests.recovery.mutations.running import run, sound

__all__ = ["check", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Is each rule of recovery tested?")
    parser.add_argument("names", nargs="*", metavar="mutant or rule")
    options = parser.parse_args(arguments)
    chosen = [
        each
        for each in MUTANTS
        if not options.names or each.name in options.names or each.rule in options.names
    ]
    if not chosen:
        parser.error("expected names as " + ", ".join(each.name for each in MUTANTS))
    return check(chosen)


def check(mutants: Sequence[Mutant]) -> int:
    """Break one rule after the other; returns the exit code."""
    start = time.perf_counter()
    if (told := sound(mutants)) is not None:
        print(f"a test fails with nothing broken:\n{told}", file=sys.stderr)
        return 1
    survivors = 0
    width = max(len(each.name) for each in mutants)
    for mutant in mutants:
        began = time.perf_counter()
        verdict = run(mutant)
        survivors += not verdict.killed
        seconds = time.perf_counter() - began
        told = verdict.told if verdict.killed else f"SURVIVES: {verdict.told}"
        print(f"{mutant.rule:6} {mutant.name:{width}} {told} [{seconds:.0f} s]", flush=True)
    seconds = time.perf_counter() - start
    print(f"{len(mutants)} mutants in {seconds:.0f} s, {survivors} of them survive")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
