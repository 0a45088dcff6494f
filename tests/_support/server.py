"""Real servers for tests: uvicorn in the test's own loop, or a program in its own process."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = re.compile(r"http://\d+\.\d+\.\d+\.\d+:\d+")


class Url(str):
    """The address of a server, `http://127.0.0.1:port`, to be used as the text that it is."""

    __slots__ = ()

    @property
    def ws(self) -> str:
        """The same address for WebSockets, `ws://127.0.0.1:port`."""
        return "ws" + self.removeprefix("http")


class _LocalServer(uvicorn.Server):
    """A uvicorn server that lives inside a test: leaves signals alone and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self.leaving = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield  # Ctrl+C belongs to pytest

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        # uvicorn looks ten times a second whether it is to end; tests have hundreds of servers.
        await self.on_tick(0)
        await self.leaving.wait()

    async def run_here(self, listener: socket.socket) -> None:
        try:
            await self.serve(sockets=[listener])
        except SystemExit:
            # uvicorn exits when the lifespan fails; a SystemExit in a task would end the loop.
            raise RuntimeError(
                "the app's lifespan did not start; its traceback is in the captured log"
            ) from None


@contextlib.asynccontextmanager
async def serve(app: ASGIApp, **config: Any) -> AsyncGenerator[Url]:
    """Serve `app` from the running loop on a free port of 127.0.0.1 until the block ends.

    `config` goes to `uvicorn.Config`. Raises RuntimeError when the app's lifespan fails.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    options: dict[str, Any] = {
        "log_config": None,
        "lifespan": "on",
        "timeout_graceful_shutdown": 5,
    }
    server = _LocalServer(uvicorn.Config(app, **(options | config)))
    running = asyncio.create_task(server.run_here(listener), name="tests: uvicorn")
    listening = asyncio.create_task(server.listening.wait(), name="tests: uvicorn listens")
    try:
        await asyncio.wait({running, listening}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
        yield Url(f"http://127.0.0.1:{listener.getsockname()[1]}")
    finally:
        server.should_exit = True
        server.leaving.set()
        listening.cancel()
        with contextlib.closing(listener):
            await asyncio.wait({running, listening})
    await running


class Launched:
    """A program in its own process, its address and what it has printed so far."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.url = Url()
        self._lines: list[str] = []
        self._address_seen = threading.Event()
        self._ended = threading.Event()
        # A reader of its own: a pipe that nobody reads fills up and stops the program.
        self._reader = threading.Thread(target=self._read, name="tests: output", daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """Everything printed so far, standard output and error together."""
        return "".join(self._lines)

    def wait_for_address(self, timeout: float) -> None:
        """Wait until the program has printed its address; RuntimeError with its output if not."""
        self._address_seen.wait(timeout)
        if not self.url:
            raise RuntimeError(
                f"{self.process.args!r} {self._state(timeout)} without having printed "
                f"http://127.0.0.1:port; it printed:\n{self.output}"
            )

    def wait_for(self, text: str, count: int = 1, timeout: float = 20) -> None:
        """Wait until the program has printed `text` so many times; RuntimeError if it does not."""
        deadline = time.monotonic() + timeout
        while self.output.count(text) < count:
            if self._ended.is_set() or time.monotonic() > deadline:
                raise RuntimeError(
                    f"{self.process.args!r} {self._state(timeout)} without having printed {text!r} "
                    f"{count} time(s); it printed:\n{self.output}"
                )
            time.sleep(0.01)

    def signal(self, number: int) -> None:
        """Send the program, and nothing that it started, a signal."""
        self.process.send_signal(number)

    def wait(self, timeout: float = 20) -> int:
        """Wait for the program's end and all its output; returns its exit code."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise RuntimeError(
                f"{self.process.args!r} still runs after {timeout:g} s; it printed:\n{self.output}"
            ) from None
        self._reader.join(timeout)
        return code

    def end(self) -> None:
        """Kill the program with all that it started, wait for it and close its pipe."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()

    def _state(self, waited: float) -> str:
        try:
            # A closed pipe is seen a moment before the process is gone.
            return f"ended with code {self.process.wait(1)}"
        except subprocess.TimeoutExpired:
            return f"still runs after {waited:g} s"

    def _read(self) -> None:
        output = self.process.stdout
        assert output is not None
        with output:
            for line in output:
                self._lines.append(line)
                if not self.url and (found := ADDRESS.search(line)):
                    self.url = Url(found[0])
                    self._address_seen.set()
        self._ended.set()
        self._address_seen.set()  # ended: whoever waits need not wait out the timeout


@contextlib.contextmanager
def launch(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float = 20
) -> Generator[Launched]:
    """Run `command` from the checkout, wait until it prints its address, kill it at the end.

    The command must listen on a free port of 127.0.0.1 and print `http://127.0.0.1:port`. `env` is
    added to the environment; `timeout` is in seconds.
    """
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a group of its own, to be killed as one
    )
    launched = Launched(process)
    try:
        launched.wait_for_address(timeout)
        yield launched
    finally:
        launched.end()


@contextlib.contextmanager
def launch_uvicorn(
    target: str, *options: str, env: Mapping[str, str] | None = None, timeout: float = 20
) -> Generator[Launched]:
    """Run `uvicorn target` in its own process on a free port; killed hard when the block ends."""
    command = [sys.executable, "-m", "uvicorn", target, "--host", "127.0.0.1", "--port", "0"]
    with launch([*command, *options], env=env, timeout=timeout) as launched:
        yield launched


@contextlib.contextmanager
def spawn(
    target: str, *options: str, env: Mapping[str, str] | None = None, timeout: float = 20
) -> Generator[Url]:
    """The same, for who needs nothing but its address."""
    with launch_uvicorn(target, *options, env=env, timeout=timeout) as launched:
        yield launched.url
