"""Real NATS servers, started by the test on ports that are free."""

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from functools import cache
from pathlib import Path

from tests._support.needs import nats_server
from tests.chaos.ports import lasting_port

__all__ = ["NatsServer", "cluster", "server", "shared_server"]

PATIENCE = 20.0  # seconds for a start


class NatsServer:
    """One process, which keeps its port and its folder for all its lives.

    `configuration` is put into its file; JetStream is in it, unless told otherwise.
    """

    def __init__(self, folder: Path, configuration: str = "", *, jetstream: bool = True) -> None:
        self.port = lasting_port()
        self.folder = folder
        self.store = folder / "store"
        self._configuration = configuration
        if jetstream:
            self._configuration += f"\njetstream {{ store_dir: {str(self.store)!r} }}\n"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text("utf-8", "replace")

    def start(self) -> None:
        """Start it, and wait until it listens."""
        assert self._process is None, "it runs already"
        file = self.folder / "nats.conf"
        file.write_text(f"listen: 127.0.0.1:{self.port}\n{self._configuration}\n", "utf-8")
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [nats_server(), "-c", file],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        late = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                assert self._process.poll() is None, self.output
                assert time.monotonic() < late, self.output
                time.sleep(0.01)
            else:
                return

    def kill(self) -> None:
        """SIGKILL: no goodbye, nothing is flushed."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def stop(self) -> None:
        """SIGTERM, and wait until it has ended."""
        process, self._process = self._process, None
        assert process is not None
        process.terminate()
        process.wait(PATIENCE)

    def freeze(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)


@contextlib.contextmanager
def server(configuration: str = "", *, jetstream: bool = True) -> Generator[NatsServer]:
    """A server until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        running = NatsServer(Path(folder), configuration, jetstream=jetstream)
        try:
            running.start()
            yield running
        finally:
            running.kill()


@contextlib.contextmanager
def cluster(size: int = 3) -> Generator[Sequence[NatsServer]]:
    """Servers that know each other; they may not have found a leader yet."""
    ports = [lasting_port() for _ in range(size)]
    routes = ", ".join(f"nats://127.0.0.1:{port}" for port in ports)
    with contextlib.ExitStack() as stack:
        servers: list[NatsServer] = []
        for number, port in enumerate(ports):
            servers.append(
                stack.enter_context(
                    server(
                        f"server_name: s{number}\n"
                        f"cluster {{ name: test, listen: 127.0.0.1:{port}, routes: [{routes}] }}"
                    )
                )
            )
        yield servers


@cache
def shared_server() -> str:
    """The URL of a server with JetStream, which runs until the tests have ended."""
    folder = tempfile.mkdtemp()
    running = NatsServer(Path(folder))

    def end() -> None:
        running.kill()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    running.start()
    return running.url
