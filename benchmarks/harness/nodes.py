"""A server as one process, or as several nodes with a Redis between them."""

from __future__ import annotations

import re
import shutil
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from .peers import Server
from .processes import RunningProcess

# Nothing is written to the disk; everything else is Redis's default.
REDIS = (
    *("redis-server", "--port", "{port}", "--bind", "127.0.0.1"),
    *("--save", "", "--appendonly", "no"),
)


def redis_missing() -> str | None:
    """Says in one sentence what keeps several nodes from running here."""
    return None if shutil.which("redis-server") else "redis-server is missing: install Redis"


@dataclass(frozen=True)
class Use:
    """What has been used so far, or is: CPU seconds, or resident memory in KiB."""

    nodes: tuple[float, ...]
    redis: float

    @property
    def servers(self) -> float:
        return sum(self.nodes)

    def since(self, before: Use) -> Use:
        nodes = zip(self.nodes, before.nodes, strict=True)
        return Use(tuple(now - then for now, then in nodes), self.redis - before.redis)


class RunningNodes:
    """All processes of one server for one run; a Redis only where there are several nodes."""

    def __init__(self, server: Server, nodes: int, logs: Path) -> None:
        self._server = server
        self._count = nodes
        self._logs = logs
        self._stack = ExitStack()
        self._redis: RunningProcess | None = None
        self._nodes: list[RunningProcess] = []

    def __enter__(self) -> Self:
        environment = {"NODE_ENV": "production", **dict(self._server.environment)}
        with self._stack as stack:
            if self._count > 1:
                log = self._logs / f"{self._server.name}-redis.log"
                self._redis = stack.enter_context(RunningProcess(REDIS, log, {}))
                url = f"redis://127.0.0.1:{self._redis.port}"
                environment.update(REDIS_URL=url, GATEWRIGHT_BACKPLANE=url)
            for number in range(1, self._count + 1):
                log = self._logs / f"{self._server.name}-{number}.log"
                node = RunningProcess(self._server.command, log, environment)
                self._nodes.append(stack.enter_context(node))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def ports(self) -> str:
        """As the generator wants them."""
        return ",".join(str(node.port) for node in self._nodes)

    def log_tails(self) -> str:
        return "\n".join(tail for node in self._nodes if (tail := node.log_tail()))

    def cpu(self) -> Use:
        redis = self._redis.cpu_seconds() if self._redis else 0
        return Use(tuple(node.cpu_seconds() for node in self._nodes), redis)

    def resident(self) -> Use:
        redis = self._redis.resident_kib() if self._redis else 0
        return Use(tuple(node.resident_kib() for node in self._nodes), redis)

    def redis_messages(self) -> int:
        """How much was published in Redis so far, from within scripts too."""
        if self._redis is None:
            return 0
        with socket.create_connection(("127.0.0.1", self._redis.port), 5) as connection:
            connection.sendall(b"INFO commandstats\r\nQUIT\r\n")
            told = connection.makefile().read()
        calls = re.findall(r"^cmdstat_s?publish:calls=(\d+)", told, re.MULTILINE)
        return sum(map(int, calls))

    def settled(self) -> Use:
        """Resident memory once it has stopped moving (by more than 0.2 % in half a second)."""
        now = self.resident()
        for _ in range(20):
            before = now
            time.sleep(0.5)
            now = self.resident()
            if abs(now.servers - before.servers) <= before.servers * 0.002:
                break
        return now
