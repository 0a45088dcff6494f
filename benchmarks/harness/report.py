"""Medians over the rounds, ratios within a round, and the Markdown that shows both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from .peers import (
    CATALOGUE,
    GATEWRIGHT,
    GATEWRIGHT_MOUNTED,
    GATEWRIGHT_SIO,
    GATEWRIGHT_SIO_WS,
    GATEWRIGHT_V1,
    GATEWRIGHT_WS,
)
from .workloads import WORKLOADS, Workload

OURS = (
    *(GATEWRIGHT, GATEWRIGHT_WS, GATEWRIGHT_V1, GATEWRIGHT_MOUNTED),
    *(GATEWRIGHT_SIO, GATEWRIGHT_SIO_WS),
)
GENERATOR_LIMIT = 0.9


@dataclass(frozen=True)
class Run:
    """One measurement: what the generator printed and the driver added."""

    round: int
    workload: str
    server: str
    measured: dict[str, Any]


class Results:
    """All runs of one invocation."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs
        self._by_key = {(run.workload, run.server, run.round): run.measured for run in runs}
        self.rounds = sorted({run.round for run in runs})

    def values(self, workload: str, server: str, key: str) -> list[float]:
        found = (self._by_key.get((workload, server, turn)) for turn in self.rounds)
        return [float(measured[key]) for measured in found if measured and key in measured]

    def median(self, workload: str, server: str, key: str) -> float | None:
        values = self.values(workload, server, key)
        return median(values) if values else None

    def ratios(self, workload: str, server: str, peer: str, key: str = "rate") -> list[float]:
        """Server over peer, one ratio per round that has both.

        The host drifts between rounds, so only runs of one round are divided by each other.
        """
        found: list[float] = []
        for turn in self.rounds:
            ours = self._by_key.get((workload, server, turn))
            theirs = self._by_key.get((workload, peer, turn))
            if ours and theirs and key in ours and theirs.get(key):
                found.append(ours[key] / theirs[key])
        return found

    def servers(self, workload: str) -> list[str]:
        present = {run.server for run in self.runs if run.workload == workload}
        return [name for name in CATALOGUE if name in present]


def _thousands(value: float | None) -> str:
    return "–" if value is None else f"{value / 1000:.1f}k"


def _number(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _ratio(values: Sequence[float]) -> str:
    if not values:
        return "–"
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *("--:" for _ in head[1:])]
    return ["| " + " | ".join(cells) + " |" for cells in (head, rule, *rows)]


def _measurements(results: Results, workload: Workload) -> list[str]:
    columns: list[tuple[str, str, int]] = [("p50 ms", "p50_ms", 1), ("p99 ms", "p99_ms", 1)]
    if workload.kind == "fanout" and workload.rooms == 1:
        columns = [("last p50 ms", "last_p50_ms", 1), ("last p99 ms", "last_p99_ms", 1)]
    if workload.kind == "idle":
        columns = [("KiB per connection", "kib_per_connection", 1)]
    if workload.kind == "idle" and workload.nodes > 1:
        columns.append(("of Redis", "redis_kib_per_connection", 1))
    columns.append(("server µs CPU each", "cpu_us", 1))
    if workload.nodes > 1:
        columns.append(("Redis µs CPU each", "redis_us", 1))
    rows: list[list[str]] = []
    for name in results.servers(workload.name):
        rates = results.values(workload.name, name, "rate")
        spread = f"{_thousands(min(rates))}–{_thousands(max(rates))}"
        rows.append(
            [
                CATALOGUE[name].title,
                _thousands(median(rates)),
                spread,
                *(_number(results.median(workload.name, name, key), n) for _, key, n in columns),
            ]
        )
    return _table(["server", workload.unit, "min–max", *(title for title, _, _ in columns)], rows)


def _comparison(results: Results, workload: Workload, title: str, key: str = "rate") -> list[str]:
    present = results.servers(workload.name)
    ours = [name for name in OURS if name in present]
    peers = [name for name in present if name not in OURS]
    if not ours or not peers:
        return []
    rows = [
        [
            f"{CATALOGUE[name].title} ÷",
            *(_ratio(results.ratios(workload.name, name, peer, key)) for peer in peers),
        ]
        for name in ours
    ]
    return _table([title, *(CATALOGUE[peer].title for peer in peers)], rows)


def _comparisons(workload: Workload) -> list[tuple[str, str]]:
    """What is worth a ratio: title and key."""
    if workload.nodes == 1 or workload.kind == "idle":
        return [(workload.unit, "rate")]
    # All of it runs on one core, Redis too: so the rate is one of the whole.
    first = ("p99, less is better", "p99_ms") if workload.rate else (workload.unit, "rate")
    return [first, ("per CPU second of the nodes", "per_cpu_second")]


def doubts(results: Results, noise: float) -> list[str]:
    """Sentences about runs that should not be trusted."""
    found: list[str] = []
    noisy = [run for run in results.runs if run.measured["foreign"] > noise]
    if noisy:
        worst = max(run.measured["foreign"] for run in noisy)
        found.append(
            f"In {len(noisy)} of {len(results.runs)} runs other processes took more than "
            f"{noise:.0%} of a core (at most {worst:.0%}): repeat on a quiet machine."
        )
    for run in results.runs:
        if run.measured["generator_cpu"] > GENERATOR_LIMIT:
            found.append(
                f"{run.server}, {run.workload}, round {run.round}: the generator used "
                f"{run.measured['generator_cpu']:.0%} of its core; the server may be faster."
            )
        if run.measured.get("out_of_order"):
            found.append(
                f"{run.server}, {run.workload}, round {run.round}: "
                f"{run.measured['out_of_order']} deliveries overtook an earlier one."
            )
    return found


def markdown(results: Results, versions: dict[str, str], noise: float) -> str:
    """The whole report."""
    method = (
        f"Medians of {len(results.rounds)} interleaved round(s); a ratio is the median of the "
        "ratios within each round, with the smallest and the largest."
    )
    lines = [
        "# Results",
        "",
        method,
        "",
        ", ".join(f"{name} {version}" for name, version in versions.items()),
    ]
    for name, workload in WORKLOADS.items():
        if not results.servers(name):
            continue
        lines += ["", f"## {workload.title}", "", *_measurements(results, workload)]
        for title, key in _comparisons(workload):
            comparison = _comparison(results, workload, title, key)
            if comparison:
                lines += ["", *comparison]
    warnings = doubts(results, noise)
    if warnings:
        lines += ["", "## Doubts", "", *(f"- {sentence}" for sentence in warnings)]
    return "\n".join(lines) + "\n"
