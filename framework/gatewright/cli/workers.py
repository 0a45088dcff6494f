"""The supervisor of several workers."""

import time
from collections.abc import Sequence
from socket import socket

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

__all__ = ["Workers"]


class Workers(Multiprocess):
    """uvicorn's own, which starts the others when the first has started.

    What keeps a worker from starting keeps all of them: so it is said once, and is the end.
    """

    def __init__(self, config: Config, sockets: Sequence[socket]) -> None:
        super().__init__(config, list(sockets))
        self.failed: bool = False
        """Whether it ends because a worker could not start."""

    def init_processes(self) -> None:
        first = Process(self.config, self.sockets)
        first.start()
        self.processes.append(first)
        while not first.is_ready(timeout=1):
            self.handle_signals()
            if self.should_exit.is_set():
                return
            if not first.process.is_alive():
                self.failed = True
                self.should_exit.set()
                return
            time.sleep(0.05)
        for _ in range(self.processes_num - 1):
            process = Process(self.config, self.sockets)
            process.start()
            self.processes.append(process)

    def keep_subprocess_alive(self) -> None:
        super().keep_subprocess_alive()
        self.failed = self.failed or any(
            process.exitcode == STARTUP_FAILURE for process in self.processes
        )
