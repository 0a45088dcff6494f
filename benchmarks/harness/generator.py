"""Building the load generator and running one workload against one running server."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .peers import HERE, Server
from .processes import GENERATOR_CORE, SERVER_CORE, RunningServer, core_busy_seconds, on_core
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
    server: float
    server_core: float
    generator_core: float

    @classmethod
    def read(cls, running: RunningServer) -> Clock:
        return cls(
            time.monotonic(),
            running.cpu_seconds(),
            core_busy_seconds(SERVER_CORE),
            core_busy_seconds(GENERATOR_CORE),
        )


def run(
    server: Server, running: RunningServer, workload: Workload, seconds: float
) -> dict[str, Any]:
    """Measures once.

    `foreign` is the larger share of the two cores that other processes took meanwhile,
    `cpu_us` the server's CPU time per message in microseconds.
    """
    command = [str(BINARY), workload.kind, str(running.port), server.path, server.dialect]
    memory_before = running.resident_kib()
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
                grown = running.settled_kib() - memory_before
                measured["kib_per_connection"] = round(grown / workload.connections, 2)
            load.stdin.close()
        except BaseException:
            load.kill()
            raise
    passed = after.at - before.at
    server_cpu = (after.server - before.server) / passed
    generator_cpu = measured["generator_cpu"]
    foreign = max(
        (after.server_core - before.server_core) / passed - server_cpu,
        (after.generator_core - before.generator_core) / passed - generator_cpu,
    )
    measured["server_cpu"] = round(server_cpu, 3)
    measured["cpu_us"] = round(server_cpu / measured["rate"] * 1e6, 2)
    measured["foreign"] = round(max(foreign, 0), 3)
    return measured
