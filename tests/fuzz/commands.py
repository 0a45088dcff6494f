# ruff: noqa: T201 — it reports to whoever runs it

"""The commands of the fuzzers that run in process: how much, with which seed, and what came out."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable

__all__ = ["command"]


def command(
    doc: str | None,
    noun: str,
    run: Callable[[int, int], "Counter[str]"],
    arguments: list[str] | None,
) -> int:
    """Run a fuzzer as a command: `run(count, seed)` returns its ends, `noun` what it counts."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0] if doc else None)
    parser.add_argument(f"--{noun}", dest="count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    try:
        total = run(options.count, options.seed)
    except Exception as error:
        print(f"an undocumented {type(error).__name__}: {error}", file=sys.stderr)
        for note in error.__notes__:
            print(note, file=sys.stderr)
        return 1
    seconds = time.perf_counter() - start
    print(f"{total.pop(noun)} {noun} in {seconds:.0f} s, seed {options.seed}: all documented")
    for end, number in sorted(total.items()):
        print(f"  {end}: {number}")
    return 0
