"""Building the load generator and running one workload against one running server."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .nodes import RunningNodes, Use
from .peers import HERE, Server
from .processes import GENERATOR_CORE, SERVER_CORE, core_busy_seconds, on_core
from .workloads import Workload

SOURCES = HERE / "load"
BINARY = HERE / "build" / "load"


class LoadError(Exception):
    """The generator found something that is not as it should be."""


def build() -> Path:
    """Compiles the generator unless it is newer than its sources."""
    sources = sorted(SOURCES.glob("*.c"))
    newest = max(path.stat().st_mtime for path in SOURCES.iterdir())
    if not BINARY.exists() or BINARY.stat().st_mtime < newest:
        BINARY.parent.mkdir(exist_ok=True)
        flags = ("-O2", "-Wall", "-Wextra", "-std=c11", "-D_GNU_SOURCE")
        compiler = os.environ.get("CC", "cc")
        subprocess.run([compiler, *flags, "-o", str(BINARY), *map(str, sources)], check=True)
    return BINARY


@dataclass
class Clock:
    """CPU seconds used so far, to be compared with a later reading."""

    at: float
    use: Use
    memory: Use
    redis_messages: int
    server_core: float
    generator_core: float

    @classmethod
    def read(cls, running: RunningNodes) -> Clock:
        return cls(
            time.monotonic(),
            running.cpu(),
            running.resident(),
            running.redis_messages(),
            core_busy_seconds(SERVER_CORE),
            core_busy_seconds(GENERATOR_CORE),
        )


def held(running: RunningNodes, workload: Workload) -> dict[str, float]:
    """CPU time per second and connection in microseconds, while nobody says anything."""
    before = running.cpu()
    time.sleep(workload.hold)
    use = running.cpu().since(before)
    seconds = workload.hold * workload.connections
    return {
        "held_us": round(use.servers / seconds * 1e6, 3),
        "redis_held_us": round(use.redis / seconds * 1e6, 3),
    }


def run(
    server: Server, running: RunningNodes, workload: Workload, seconds: float
) -> dict[str, Any]:
    """Measures once.

    `foreign` is the larger share of the two cores that other processes took meanwhile,
    `cpu_us` the CPU time of all the server's nodes per message in microseconds, `redis_us` that of
    the Redis between them.
    """
    command = [str(BINARY), workload.kind, running.ports, server.path, server.dialect]
    memory_before = running.resident()
    with on_core(GENERATOR_CORE):
        load = subprocess.Popen(
            [*command, *workload.arguments(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    with load:
        assert load.stdin is not None
        assert load.stdout is not None
        assert load.stderr is not None
        try:
            if load.stdout.readline().strip() != "measuring":
                raise LoadError(load.stderr.read().strip())
            before = Clock.read(running)
            line = load.stdout.readline()
            if not line:
                raise LoadError(load.stderr.read().strip())
            after = Clock.read(running)
            measured: dict[str, Any] = json.loads(line)
            if workload.kind == "idle":
                grown = running.settled().since(memory_before)
                measured["kib_before"] = round(memory_before.servers / workload.nodes)
                measured["kib_per_connection"] = round(grown.servers / workload.connections, 2)
                measured["redis_kib_per_connection"] = round(grown.redis / workload.connections, 2)
                if workload.hold:
                    measured.update(held(running, workload))
            load.stdin.close()
        except BaseException:
            load.kill()
            raise
    passed = after.at - before.at
    use = after.use.since(before.use)
    server_cpu, redis_cpu = use.servers / passed, use.redis / passed
    generator_cpu = measured["generator_cpu"]
    foreign = max(
        (after.server_core - before.server_core) / passed - server_cpu - redis_cpu,
        (after.generator_core - before.generator_core) / passed - generator_cpu,
    )
    measured["server_cpu"] = round(server_cpu, 3)
    measured["cpu_us"] = round(server_cpu / measured["rate"] * 1e6, 2)
    if workload.nodes > 1:
        measured["node_cpu"] = [round(seconds / passed, 4) for seconds in use.nodes]
        grown = after.memory.since(before.memory)
        measured["node_grown_kib"] = list(grown.nodes)
        measured["redis_grown_kib"] = grown.redis
        measured["redis_cpu"] = round(redis_cpu, 4)
        measured["redis_messages"] = after.redis_messages - before.redis_messages
        measured["redis_us"] = round(redis_cpu / measured["rate"] * 1e6, 2)
        measured["per_cpu_second"] = round(measured["rate"] / server_cpu)
        measured["per_cpu_second_with_redis"] = round(measured["rate"] / (server_cpu + redis_cpu))
    measured["foreign"] = round(max(foreign, 0), 3)
    return measured
