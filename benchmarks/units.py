"""Measures what `layout.py` computes with: `python benchmarks/units.py`, about eight minutes.

All of it over `gw.v1`, on gatewright's own `ws=` class, with a Redis started for each run.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from harness import generator
from harness.nodes import RunningNodes
from harness.peers import CATALOGUE, GATEWRIGHT_V1, HERE
from harness.processes import GENERATOR_CORE
from harness.versions import versions
from harness.workloads import WORKLOADS, Workload
from layout import UNITS

MANY, FEW = 6, 2
RATE = 1000
# A session's record is confirmed every 75 s and looked at every 120 s: some of each.
IDLE_SECONDS = 300
PERSON_KIB = 1.1
"""One person in the lists of presence that every node has, by `tracemalloc`."""
SERVER = CATALOGUE[GATEWRIGHT_V1]

# One publish at a time to a room of a thousand: nearly all of it is writing to sockets.
DELIVERY = WORKLOADS["n1"]
# One receiver for each event, on the first node; the others only hear it.
SINGLE = replace(
    WORKLOADS["n2r"], connections=20, rooms=20, rate=RATE, receiving=1, nodes=MANY, warm_up=RATE
)
BATCHED = replace(WORKLOADS["n2"], connections=100, receiving=1, nodes=MANY)


def run(workload: Workload, seconds: float) -> dict[str, Any]:
    with RunningNodes(SERVER, workload.nodes, HERE / "build") as running:
        return generator.run(SERVER, running, workload, seconds)


def idle(seconds: float) -> dict[str, float]:
    """What connections take that say nothing."""
    found = run(replace(WORKLOADS["n3"], hold=seconds), 1)
    return {
        "connection_us": found["held_us"],
        "connect_us": found["cpu_us"],
        "node_kib": found["kib_before"],
        "connection_kib": found["kib_per_connection"],
        "redis_connection_us": found["redis_held_us"],
        "redis_connection_kib": found["redis_kib_per_connection"],
    }


def entries() -> dict[str, float]:
    """What one entry takes, and one batch."""
    delivery = run(DELIVERY, 2)
    few = run(replace(SINGLE, nodes=FEW), 3)
    many = run(SINGLE, 3)
    batched = run(BATCHED, 3)

    delivery_us = delivery["cpu_us"]
    # Per entry: what the nodes used that only hear, and the one that publishes and delivers.
    single_us = median(many["node_cpu"][1:]) / many["rate"] * 1e6
    several_us = median(batched["node_cpu"][1:]) / batched["rate"] * 1e6
    size = batched["publishes"] / batched["redis_messages"]
    message_us = (single_us - several_us) / (1 - 1 / size)
    entry_us = single_us - message_us
    publish_us = many["node_cpu"][0] / many["rate"] * 1e6 - single_us - delivery_us

    def redis_us(measured: dict[str, Any]) -> float:
        """Per batch."""
        return float(measured["redis_cpu"] * measured["elapsed"] / measured["redis_messages"] * 1e6)

    copy_us = (redis_us(many) - redis_us(few)) / (MANY - FEW)
    redis_entry_us = (redis_us(batched) - redis_us(many)) / (size - 1)
    return {
        "delivery_us": delivery_us,
        "publish_us": publish_us,
        "message_us": message_us,
        "entry_us": entry_us,
        "window_kib": median(batched["node_grown_kib"][1:]) / batched["publishes"],
        "redis_message_us": redis_us(few) - FEW * copy_us - redis_entry_us,
        "redis_entry_us": redis_entry_us,
        "redis_copy_us": copy_us,
        "redis_entry_kib": many["redis_grown_kib"] / many["publishes"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="of which the median is taken (3)")
    parser.add_argument("--idle", type=float, default=IDLE_SECONDS, help="seconds of silence (300)")
    parser.add_argument("--output", type=Path, default=UNITS)
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {GENERATOR_CORE})
    generator.build()
    rounds: list[dict[str, float]] = []
    for turn in range(1, chosen.rounds + 1):
        rounds.append(entries())
        print(f"round {turn}: {json.dumps(rounds[-1])}", flush=True)
    found: dict[str, Any] = {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "on": versions()["processor"],
    }
    for name in rounds[0]:
        values = [each[name] for each in rounds]
        found[name] = round(median(values), 3)
    found.update({name: round(value, 3) for name, value in idle(chosen.idle).items()})
    found["person_kib"] = PERSON_KIB
    chosen.output.write_text(json.dumps(found, indent=1) + "\n")
    print(f"written: {chosen.output}")


if __name__ == "__main__":
    main()
