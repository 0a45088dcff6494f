"""A Redis of the tests' own, which they may stop and start again."""

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from tempfile import TemporaryDirectory

from redis import Redis
from redis.exceptions import ConnectionError as NoConnection

from tests._support.needs import redis_server

__all__ = ["RedisServer", "running"]

PATIENCE = 20


class RedisServer:
    """`redis-server` on a free port of 127.0.0.1, always the same; it keeps nothing."""

    def __init__(self, folder: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [redis_server(), "--port", str(self.port), "--bind", "127.0.0.1"]
        quiet = ["--save", "", "--appendonly", "no", "--dir", self._folder, "--logfile", "log"]
        self._process = subprocess.Popen(
            [*command, *quiet], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + PATIENCE
        with Redis(port=self.port) as client:
            while True:
                with contextlib.suppress(NoConnection):
                    client.ping()
                    return
                assert self._process.poll() is None, "redis-server has ended"
                assert time.monotonic() < deadline, "redis-server does not answer"
                time.sleep(0.01)

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def running() -> Generator[RedisServer]:
    """A server that runs, and ends with the block."""
    with TemporaryDirectory() as folder:
        server = RedisServer(folder)
        server.start()
        try:
            yield server
        finally:
            server.kill()
