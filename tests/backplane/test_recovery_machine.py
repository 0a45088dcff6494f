"""The model of recovery against the backplanes of one process, and of several nodes."""

import asyncio
import logging
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from gatewright.backplane import Backplane, Memory, SQLite
from gatewright.backplane.base import Bounds, Lane, ignore
from gatewright.backplane.history import History
from tests._support.conditions import eventually
from tests.backplane.hub import Hub, Hubbed
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


class Either:
    """Two nodes that are asked in turn."""

    def __init__(self, hub: Hub, clock: Callable[[], float]) -> None:
        self.hub = hub
        self.clock = clock
        self.nodes = [Hubbed(hub, clock=clock), Hubbed(hub, clock=clock)]

    def __getattr__(self, name: str) -> Any:
        self.nodes.reverse()
        return getattr(self.nodes[0], name)

    async def start(self, lane: Lane, bounds: Bounds) -> None:
        for node, heard in zip(self.nodes, (lane, ignore), strict=True):
            await node.start(heard, bounds)
            await node.follow(NAMESPACE)
        self.listener, self.bounds = self.nodes[0], bounds
        await self.acquainted()

    async def acquainted(self) -> None:
        await eventually(lambda: all(node.nodes for node in self.nodes))

    async def replace(self) -> None:
        """Another node in the place of the one that nobody listens to."""
        (place,) = [index for index, node in enumerate(self.nodes) if node is not self.listener]
        await self.nodes[place].stop()
        self.nodes[place] = Hubbed(self.hub, clock=self.clock)
        await self.nodes[place].start(ignore, self.bounds)
        await self.nodes[place].follow(NAMESPACE)
        await self.acquainted()

    def ask_the_listener(self) -> None:
        """It is the next one whose turn it is."""
        if self.nodes[1] is not self.listener:
            self.nodes.reverse()

    async def settled(self) -> None:
        """All have heard everything."""
        for node in self.nodes:
            head = await node.log.head(NAMESPACE)
            follower = await node._running.follow(NAMESPACE)
            await follower.until(head)
            await node.unfollow(NAMESPACE)


class HubMachine(RecoveryMachine):
    """The same over two nodes, of which sometimes one is replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()

    def made(self) -> Backplane:
        self.either = Either(Hub(page=5), lambda: float(self.now))
        return cast(Backplane, self.either)

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        async def settled() -> T:
            done = await step
            await self.either.settled()
            return done

        return self.loop.run_until_complete(settled())

    def within_bounds(self) -> None:
        """Each node remembers what it was asked for: there is nothing to be compared."""

    @rule()
    def replace_a_node(self) -> None:
        # Of a node that is gone the grace begins when that is noticed, which is tested elsewhere.
        for session in self.sessions.values():
            if not self.is_over(session):
                self.either.ask_the_listener()
                self.resume_after(session, None, set())
        self.run(self.either.replace())

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            if hasattr(self, "either"):
                for node in self.either.nodes:
                    self.loop.run_until_complete(node.stop())
            self.loop.close()


class Alarm(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(self.format(record))


# They work all the time: how long they take is the machine's affair.
pytestmark = [pytest.mark.long(50), pytest.mark.timeout(300), pytest.mark.no_cover]

TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(max_examples=4 * settings().max_examples)

TestHub = HubMachine.TestCase
TestHub.settings = settings(max_examples=settings().max_examples // 2)

# Each step writes: it takes ten times as long.
TestSQLite = SQLiteMachine.TestCase
TestSQLite.settings = settings(max_examples=settings().max_examples // 2)
