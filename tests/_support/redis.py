"""A real Redis for a test, on a port of its own."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Generator, Sequence
from tempfile import TemporaryDirectory

from tests._support.needs import need

__all__ = ["redis_server"]

_VOLATILE = ("--save", "", "--appendonly", "no")


@contextlib.contextmanager
def redis_server(options: Sequence[str] = _VOLATILE) -> Generator[str]:
    """Run one with these options until the block ends; its URL, `redis://127.0.0.1:port`."""
    program = need("redis-server", package="redis-server")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    with TemporaryDirectory(prefix="redis-") as folder:
        own = ("--port", str(port), "--bind", "127.0.0.1", "--dir", folder)
        process = subprocess.Popen(
            [program, *options, *own], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        try:
            deadline = time.monotonic() + 20
            while not _answers(port):
                assert process.poll() is None, process.stdout.read()
                assert time.monotonic() < deadline, "redis-server does not answer"
                time.sleep(0.01)
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(5) == b"+PONG"
    except OSError:
        return False
