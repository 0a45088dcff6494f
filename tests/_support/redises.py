"""Real Redis servers, started by the test on ports that are free, with nothing on the disk."""

import atexit
import contextlib
import functools
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from redis import Redis

from tests._support.needs import need
from tests.chaos.ports import lasting_port

__all__ = ["RedisServer", "cluster", "redis_server", "shared_cluster", "shared_server"]

PATIENCE = 20.0  # seconds for a start


class RedisServer:
    """One process, which keeps its port and its folder for all its lives."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = lasting_port()
        self.bus = lasting_port()
        """For the servers of a cluster among each other."""
        self.folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return (self.folder / f"{self.port}.log").read_text("utf-8", "replace")

    def start(self) -> None:
        """Start it; it may not listen yet (`wait`)."""
        assert self._process is None, "it runs already"
        program = need("redis-server", package="redis-server")
        with (self.folder / f"{self.port}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
                    *("--save", "", "--dbfilename", f"{self.port}.rdb"),
                    *("--cluster-config-file", f"{self.port}.conf"),
                    *("--cluster-port", str(self.bus), *self._options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until it answers; whether it lets one in does not matter."""
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError), socket.create_connection(self.listens, 1) as client:
                client.settimeout(1)
                client.sendall(b"PING\r\n")
                answer = client.recv(64)
                if answer.startswith((b"+PONG", b"-NOAUTH")) or not answer:
                    return
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"redis-server does not answer; it printed:\n{self.output}")
            time.sleep(0.01)

    @property
    def listens(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def kill(self) -> None:
        """SIGKILL, and wait for its end; one that is frozen dies as well."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """SIGSTOP: the kernel accepts and acknowledges for it, and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def run(self, *command: Any) -> Any:
        """A command of an administrator; it does not wait for a server that is frozen."""
        with Redis(host="127.0.0.1", port=self.port, socket_timeout=5) as client:
            return client.execute_command(*command)


@functools.cache
def shared_server() -> RedisServer:
    """One for all tests of this run, which keep apart by their prefixes."""
    life = contextlib.ExitStack()
    atexit.register(life.close)
    return life.enter_context(redis_server())


@functools.cache
def shared_cluster() -> Sequence[RedisServer]:
    """Likewise; its start takes two seconds."""
    life = contextlib.ExitStack()
    atexit.register(life.close)
    return life.enter_context(cluster())


@contextlib.contextmanager
def redis_server(*options: str) -> Generator[RedisServer]:
    """Run a server until the block ends."""
    with tempfile.TemporaryDirectory(prefix="gatewright-redis-") as folder:
        server = RedisServer(Path(folder), *options)
        try:
            server.start()
            server.wait()
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def cluster(primaries: int = 3, *options: str) -> Generator[Sequence[RedisServer]]:
    """Run a cluster of primaries without replicas until the block ends."""
    with tempfile.TemporaryDirectory(prefix="gatewright-redis-") as folder:
        servers: list[RedisServer] = []
        try:
            for _ in range(primaries):
                server = RedisServer(
                    Path(folder),
                    *("--cluster-enabled", "yes", "--cluster-node-timeout", "2000"),
                    *options,
                )
                servers.append(server)
                server.start()
            for server in servers:
                server.wait()
            _join(servers)
            yield servers
        finally:
            for server in servers:
                server.kill()


def _join(servers: Sequence[RedisServer]) -> None:
    share = 16384 // len(servers) + 1
    for index, server in enumerate(servers):
        first, last = index * share, min((index + 1) * share, 16384) - 1
        server.run("CLUSTER", "ADDSLOTSRANGE", first, last)
        server.run("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
    for server in servers[1:]:
        servers[0].run("CLUSTER", "MEET", "127.0.0.1", server.port, server.bus)
    deadline = time.monotonic() + PATIENCE
    for server in servers:
        while not _knows(server, len(servers)):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the cluster does not come together:\n{server.output}")
            time.sleep(0.02)


def _knows(server: RedisServer, count: int) -> bool:
    state = str(server.run("CLUSTER", "INFO"))
    return "ok" in state.partition("cluster_state")[2][:10] and (
        len(server.run("CLUSTER", "SLOTS")) == count
    )
