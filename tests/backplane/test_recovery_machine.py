"""The model of recovery against every backplane of one process."""

import asyncio
import logging
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from gatewright.backplane import Memory, SQLite
from gatewright.backplane.history import History
from tests.backplane.recovery_machine import NAMESPACE, RecoveryMachine

T = TypeVar("T")


class MemoryMachine(RecoveryMachine):
    def made(self) -> Memory:
        return Memory(idle=1, clock=lambda: float(self.now))

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        """Run something that must not suspend: that is what makes Memory's steps atomic."""
        try:
            step.send(None)
        except StopIteration as done:
            value: T = done.value
            return value
        raise AssertionError("it waits for something")

    def kept(self) -> History | None:
        assert isinstance(self.backplane, Memory)
        return self.backplane._sequences.history(NAMESPACE)


class SQLiteMachine(RecoveryMachine):
    """The same, over a file that is closed and opened, or left as a crash would leave it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="gatewright-"))
        self.files = 0
        self.loop = asyncio.new_event_loop()
        self.alarm = Alarm()
        logging.getLogger("gatewright").addHandler(self.alarm)

    @property
    def path(self) -> Path:
        return self.folder / f"{self.files}.db"

    def made(self) -> SQLite:
        clock = lambda: float(self.now)  # noqa: E731 - as Memory's
        return SQLite(self.path, synchronous="normal", idle=1, clock=clock)

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        done = self.loop.run_until_complete(step)
        # What a lane raises is logged.
        assert not self.alarm.heard
        return done

    def kept(self) -> History | None:
        assert isinstance(self.backplane, SQLite)
        sequences = self.backplane._journal._sequences
        assert sequences is not None
        return sequences.history(NAMESPACE)

    @rule(crash=st.booleans())
    def restart(self, *, crash: bool) -> None:
        before = self.path
        if crash:
            self.files += 1
            for end in ("", "-wal"):
                shutil.copy(f"{before}{end}", f"{self.path}{end}")
        self.run(self.backplane.stop())
        self.backplane = self.made()
        self.run(self.backplane.start(self.lane, self.bounds))
        # Who had a socket has a whole grace; whoever had no session was there with the process.
        for session in self.sessions.values():
            if session.deadline is None:
                session.deadline = self.now + 10
        self.plain.clear()
        self.members = {each.id: set(each.rooms) for each in self.sessions.values()}
        self.trim_namespace()

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            if hasattr(self, "backplane"):
                self.run(self.backplane.stop())
            self.loop.close()
            logging.getLogger("gatewright").removeHandler(self.alarm)
            shutil.rmtree(self.folder)


class Alarm(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(self.format(record))


TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(max_examples=4 * settings().max_examples)

# Each step writes: it takes ten times as long.
TestSQLite = pytest.mark.timeout(300)(SQLiteMachine.TestCase)
TestSQLite.settings = settings(max_examples=settings().max_examples // 2)
