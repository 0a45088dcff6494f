# ruff: noqa: T201 — it reports to whoever runs it
"""Every model of recovery in every order of events, then without each of its rules.

    python -m tests.recovery.model          # the small scopes, seconds
    python -m tests.recovery.model --all    # the full ones as well, a minute or two

Exits with 1 when something goes wrong with all rules on, or nothing does without one of them.
"""

import argparse
import sys
import time
from collections.abc import Sequence

from tests.recovery.models.checker import Result, Study
from tests.recovery.models.studies import STUDIES

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The models of recovery, exhaustively.")
    parser.add_argument("names", nargs="*", metavar="model", help=", ".join(STUDIES))
    parser.add_argument("--all", action="store_true", help="the full scopes as well")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(STUDIES):
        parser.error(f"expected some of {', '.join(STUDIES)}, got {', '.join(sorted(unknown))}")
    start = time.perf_counter()
    states = wrong = 0
    for name in options.names or STUDIES:
        study = STUDIES[name]
        for kind in ("small", "full") if options.all else ("small",):
            for scope, size in getattr(study, kind).items():
                began = time.perf_counter()
                result = study.check(size)
                states += result.states
                wrong += result.counterexample is not None
                seconds = time.perf_counter() - began
                print(f"{name}, {scope}, {kind}: {_verdict(result)} [{seconds:.1f} s]", flush=True)
        wrong += _without_each_rule(name, study)
    seconds = time.perf_counter() - start
    print(f"{states} states in {seconds:.0f} s: {'no surprise' if not wrong else f'{wrong} wrong'}")
    return 1 if wrong else 0


def _without_each_rule(name: str, study: Study) -> int:
    wrong = 0
    for rule, scope in study.shown_by.items():
        result = study.check(study.small[scope], off=rule)
        if result.counterexample is None:
            wrong += 1
            print(f"{name}, without {rule}: NOTHING GOES WRONG in {_verdict(result)}")
        else:
            print(f"{name}, without {rule}: {result.counterexample}", flush=True)
    return wrong


def _verdict(result: Result) -> str:
    if result.counterexample is not None:
        return f"WRONG: {result.counterexample}"
    return f"{result.states} states, {result.steps} steps, {result.judged} at rest: right"


if __name__ == "__main__":
    sys.exit(main())
