"""Measures gatewright and its peers in one run: `python benchmarks/run.py --help`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import generator
from harness.goals import GOALS, goals_of
from harness.nodes import RunningNodes, redis_missing
from harness.peers import CATALOGUE, HERE, Server
from harness.processes import GENERATOR_CORE, ServerError
from harness.report import Results, Run, markdown
from harness.versions import versions
from harness.workloads import WORKLOADS, Workload

NOISE = 0.1


def names(known: Sequence[str]) -> Any:
    """An argparse type: comma-separated names out of the known ones."""

    def parse(text: str) -> list[str]:
        chosen = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in chosen if name not in known]
        if unknown or not chosen:
            raise argparse.ArgumentTypeError(
                f"expected names out of {', '.join(known)}, got {text!r}"
            )
        return chosen

    return parse


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    workloads, servers = list(WORKLOADS), list(CATALOGUE)
    parser.add_argument("--rounds", type=int, default=3, help="each takes every server in turn (3)")
    parser.add_argument(
        "--workloads", type=names(workloads), default=workloads, help=",".join(workloads)
    )
    parser.add_argument("--servers", type=names(servers), default=servers, help=",".join(servers))
    parser.add_argument("--seconds", type=float, default=3, help="measured per echo run (3)")
    parser.add_argument(
        "--tries",
        type=int,
        default=3,
        help=f"repeat a run while other processes take over {NOISE:.0%}% of a core (3)",
    )
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder to write to")
    parser.add_argument(
        "--check", action="store_true", help="exit 1 when a goal of these workloads is missed"
    )
    chosen = parser.parse_args()
    if chosen.rounds < 1 or chosen.tries < 1 or chosen.seconds <= 0:
        parser.error("--rounds, --tries and --seconds must be positive")
    if chosen.check and not goals_of(chosen.workloads):
        with_goals = ", ".join(sorted({goal.workload for goal in GOALS}))
        parser.error(f"--check: expected a workload that has a goal ({with_goals})")
    return chosen


def available(chosen: Sequence[str]) -> list[Server]:
    """The chosen servers that can run here; says why the others are left out."""
    found: list[Server] = []
    for name in chosen:
        reason = CATALOGUE[name].missing()
        if reason:
            print(f"{name} is left out: {reason}")
        else:
            found.append(CATALOGUE[name])
    return found


def measure(server: Server, workload: Workload, seconds: float, tries: int) -> dict[str, Any]:
    """The least disturbed of up to `tries` runs, each against a fresh process."""
    best: dict[str, Any] | None = None
    for _ in range(tries):
        with RunningNodes(server, workload.nodes, HERE / "build") as running:
            try:
                measured = generator.run(server, running, workload, seconds)
            except generator.LoadError as error:
                raise ServerError(f"{error}\n{running.log_tails()}".strip()) from error
        if best is None or measured["foreign"] < best["foreign"]:
            best = measured
        if best["foreign"] <= NOISE:
            break
    assert best is not None
    return best


def main() -> int:
    chosen = arguments()
    if (os.cpu_count() or 1) < 2 or not hasattr(os, "sched_setaffinity"):
        print("expected Linux with two cores: one for the server, one for the generator")
        return 2
    os.sched_setaffinity(0, {GENERATOR_CORE})  # the driver must not take the server's core
    generator.build()
    found = versions()
    print(", ".join(f"{name} {version}" for name, version in found.items()))
    servers = available(chosen.servers)
    workloads = [WORKLOADS[name] for name in chosen.workloads]
    if (reason := redis_missing()) and any(workload.nodes > 1 for workload in workloads):
        print(f"workloads of several nodes are left out: {reason}")
        workloads = [workload for workload in workloads if workload.nodes == 1]
    runs: list[Run] = []
    failures: list[str] = []
    for turn in range(1, chosen.rounds + 1):
        for workload in workloads:
            # All servers in turn, so that those that are compared run within a minute.
            for server in servers:
                if server.name not in workload.servers:
                    continue
                where = f"round {turn}, {workload.name}, {server.name}"
                try:
                    measured = measure(server, workload, chosen.seconds, chosen.tries)
                except ServerError as error:
                    failures.append(f"{where} failed: {error}")
                    print(failures[-1], flush=True)
                    continue
                runs.append(Run(turn, workload.name, server.name, measured))
                print(f"{where}: {measured['rate']:,} {workload.unit}", flush=True)

    if not runs:
        print("nothing was measured")
        return 1
    results = Results(runs)
    report = markdown(results, found, NOISE)
    chosen.output.mkdir(parents=True, exist_ok=True)
    stem = chosen.output / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    stem.with_suffix(".md").write_text(report)
    record = {
        "versions": found,
        "seconds": chosen.seconds,
        "failures": failures,
        "runs": [
            {"round": r.round, "workload": r.workload, "server": r.server, **r.measured}
            for r in runs
        ],
    }
    stem.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    print(f"\n{report}\nwritten: {stem}.md, {stem}.json")
    if chosen.check:
        goals = goals_of(chosen.workloads)
        missed = [sentence for goal in goals if (sentence := goal.missed(results))]
        for sentence in missed:
            print(f"goal missed: {sentence}")
        if missed:
            return 1
        reached = ", ".join(dict.fromkeys(goal.workload for goal in goals))
        print(f"every goal of {reached} is reached")
        if any(run.measured["foreign"] > NOISE for run in runs):
            print("but other processes disturbed some runs (see Doubts): repeat before quoting it")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
