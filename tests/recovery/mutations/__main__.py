# ruff: noqa: T201 — it reports to whoever runs it
"""Break each rule of recovery in the implementation, and see that a test fails.

    python -m tests.recovery.mutations [name …]

Prints rule, mutant and the test that noticed it; exits with 1 if one survives.
"""

import argparse
import sys
import time
from collections.abc import Sequence

from tests.recovery.mutations.mutants import MUTANTS
from tests.recovery.mutations.running import run

__all__ = ["main"]


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
    start = time.perf_counter()
    survivors = 0
    width = max(len(each.name) for each in chosen)
    for mutant in chosen:
        began = time.perf_counter()
        verdict = run(mutant)
        survivors += not verdict.killed
        seconds = time.perf_counter() - began
        told = verdict.told if verdict.killed else f"SURVIVES: {verdict.told}"
        print(f"{mutant.rule:4} {mutant.name:{width}} {told} [{seconds:.0f} s]", flush=True)
    seconds = time.perf_counter() - start
    print(f"{len(chosen)} mutants in {seconds:.0f} s, {survivors} of them survive")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
