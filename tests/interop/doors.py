"""The server of these tests in a process of its own: killed, frozen and started again."""

import signal
import subprocess
import sys
from contextlib import ExitStack
from typing import Self

from tests._support.server import Launched, Url, launch

__all__ = ["OURS", "Server"]

OURS = "gatewright.server:WebSocketProtocol"

EXPECTED = (
    "a crash that was asked for",  # by tests/interop/gateways.py
    "timeout graceful shutdown exceeded",  # uvicorn has cut requests off that waited
)


class Server:
    """tests/interop/server.py, always at the same address."""

    def __init__(self, ws: str = "auto") -> None:
        """`ws` is the class by which uvicorn reads and writes WebSockets."""
        self.url = Url()
        self._ws = ws
        self._running = ExitStack()
        self._process: Launched | None = None
        self._output: list[str] = []

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *error: object) -> None:
        self.down()

    def do(self, what: str) -> None:
        """What a scenario in another language asks for."""
        {
            "up": self.up,
            "down": self.down,
            "kill": self.kill,
            "stop": self.stop,
            "freeze": self.freeze,
            "thaw": self.thaw,
        }[what]()

    def up(self) -> None:
        port = self.url.rpartition(":")[2] or "0"
        options = [
            "--ws",
            self._ws,
            "--port",
            port,
            "--timeout-graceful-shutdown",
            "1",
            "--no-access-log",
        ]
        command = [sys.executable, "-m", "uvicorn", "tests.interop.server:app", *options]
        self._process = self._running.enter_context(launch(command))
        self.url = self._process.url

    def down(self) -> None:
        """End it without a chance to say goodbye."""
        self._running.close()
        if self._process is not None:
            self._output.append(self._process.output)
            self._process = None

    def kill(self) -> None:
        self.down()
        self.up()

    def stop(self) -> None:
        """End it in order, as at a deployment, and start the next one."""
        self._process_of_ours.send_signal(signal.SIGTERM)
        self._process_of_ours.wait(20)
        self.kill()

    def freeze(self) -> None:
        self._process_of_ours.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process_of_ours.send_signal(signal.SIGCONT)

    def check(self) -> None:
        """Fail if its log tells of an error, other than those that tests cause on purpose."""
        now = [self._process.output] if self._process is not None else []
        blocks = "".join([*self._output, *now]).split("Traceback (most recent call last)")
        errors = [block for block in blocks[1:] if not any(text in block for text in EXPECTED)]
        assert not errors, "the server has logged:" + "".join(errors)

    @property
    def _process_of_ours(self) -> "subprocess.Popen[str]":
        assert self._process is not None, "the server is not running"
        return self._process.process
