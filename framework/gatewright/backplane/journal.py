"""Operations in their order: carried out in memory, written together, and only then told."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar, cast

from gatewright.backplane.base import Bounds, Lane, Passing
from gatewright.backplane.changes import Changes
from gatewright.backplane.database import Database
from gatewright.backplane.sequences import Sequences
from gatewright.backplane.tables import writes
from gatewright.errors import BackplaneError, NotStartedError

__all__ = ["Journal"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("gatewright")

MOST_TOGETHER = 1000
"""Operations written in one transaction: the first of them waits for the last."""

PAUSE = 1.0
"""Seconds after a write that failed in which none is tried; whoever asks meanwhile waits."""


class _Operation(Generic[T]):
    """One step, who waits for it, and what came of it."""

    __slots__ = ("_error", "_result", "durable", "future", "insistent", "passed", "step")

    def __init__(
        self,
        step: Callable[[Sequences], T],
        future: asyncio.Future[T] | None = None,
        *,
        insistent: bool = False,
    ) -> None:
        self.step = step
        self.future = future
        self.insistent = insistent
        self.durable = False
        self.passed: list[Passing] = []
        self._result: T | None = None
        self._error: Exception | None = None

    def carry_out(self, sequences: Sequences, changes: Changes, told: list[Passing]) -> None:
        self._error = None
        changes.durable = False
        try:
            self._result = self.step(sequences)
        except Exception as error:
            # Refused before anything was changed.
            self._error = error
        self.durable = changes.durable
        self.passed = told.copy()
        told.clear()

    def fail(self, error: Exception) -> None:
        if self.future is not None and not self.future.done():
            self.future.set_exception(error)

    def succeed(self) -> None:
        if self._error is not None:
            self.fail(self._error)
        elif self.future is not None and not self.future.done():
            self.future.set_result(cast(T, self._result))


class Journal:
    """Carries operations out in the order in which they were asked for.

    What is in memory runs ahead of the file by one group of operations at the most. Nobody is told
    of it before it is written: neither who asked, nor the lane. If it cannot be written, memory is
    read from the file again.
    """

    def __init__(
        self, database: Database, lane: Lane, bounds: Bounds, idle: int, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._lane = lane
        self._bounds = bounds
        self._idle = idle
        self._clock = clock
        self._changes = Changes()
        self._told: list[Passing] = []
        self._sequences: Sequences | None = None
        self._queue: deque[_Operation[Any]] = deque()
        self._group: list[_Operation[Any]] = []
        self._owed: list[_Operation[Any]] = []
        """What has to happen although it could not be written: whoever left does not stay."""
        self._asked = asyncio.Event()
        self._closing = asyncio.Event()
        self._failed = False
        self._over = False
        self._thread = ThreadPoolExecutor(1, "gatewright-sqlite")
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the file and take up what it has; raises `StartupError`."""
        try:
            await self._in_thread(self._database.open)
            self._sequences = await self._in_thread(lambda: self._load(restarted=True))
            # What the bounds do not allow any more, and new deadlines.
            await self._write()
        except BaseException:
            await self._release()
            raise
        self._task = asyncio.create_task(self._run(), name="gatewright-sqlite")

    async def stop(self) -> None:
        """Carry out what was asked for, and let the file go."""
        self._closing.set()
        self._asked.set()
        try:
            if self._task is not None:
                await asyncio.wait([self._task])
        finally:
            await self._release()

    async def ask(self, step: Callable[[Sequences], T], *, insistent: bool = False) -> T:
        """Put a step in the queue at once, and wait for what comes of it.

        It is carried out even if whoever waits is cancelled. One that is `insistent` is tried again
        later if it cannot be written.
        """
        if self._over:
            raise NotStartedError("expected a running application, got one whose loop is ending")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append(_Operation(step, future, insistent=insistent))
        self._asked.set()
        return await future

    async def _run(self) -> None:
        try:
            await self._work()
        finally:
            # Only a loop that ends by force leaves anybody waiting.
            self._over = True
            for operation in (*self._group, *self._queue):
                operation.fail(NotStartedError("the event loop ended before it was written"))

    async def _work(self) -> None:
        while True:
            if not self._queue:
                if self._closing.is_set():
                    return
                self._asked.clear()
                await self._asked.wait()
                continue
            if self._failed and not self._closing.is_set():
                await self._pause()
            self._group, self._owed = self._owed, []
            while self._queue and len(self._group) < MOST_TOGETHER:
                self._group.append(self._queue.popleft())
            await self._carry_out(self._group)

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(PAUSE):
                await self._closing.wait()
        except TimeoutError:
            return

    async def _carry_out(self, group: Sequence[_Operation[Any]], *, again: bool = False) -> None:
        try:
            if self._sequences is None:
                self._sequences = await self._in_thread(lambda: self._load(restarted=False))
            for operation in group:
                operation.carry_out(self._sequences, self._changes, self._told)
            await self._write()
        except Exception as error:
            await self._recover(group, error, again=again)
            return
        if not again:
            self._failed = False
        for operation in group:
            self._tell(operation)

    def _tell(self, operation: _Operation[Any]) -> None:
        for passing in operation.passed:
            try:
                self._lane(passing)
            except Exception:
                logger.exception("the lane failed to deliver in %r", passing.namespace)
        operation.succeed()

    async def _recover(
        self, group: Sequence[_Operation[Any]], error: Exception, *, again: bool
    ) -> None:
        """Whoever wanted something written is told that it was not; the others have their turn."""
        logger.error("sessions and events cannot be written, trying on: %s", error)
        known = self._sequences is not None
        self._failed = True
        self._sequences = None
        self._changes = Changes()
        others: list[_Operation[Any]] = []
        for operation in group:
            if known and not again and not operation.durable:
                others.append(operation)
                continue
            failure = BackplaneError(
                f"expected a file that can be written, got: {error}; nothing was delivered. "
                "Look at the disk: its space, its state, the permissions of the file"
            )
            failure.__cause__ = error
            operation.fail(failure)
            if operation.insistent:
                self._owed.append(_Operation(operation.step, insistent=True))
        if others:
            await self._carry_out(others, again=True)

    async def _write(self) -> None:
        assert self._sequences is not None
        made = writes(self._sequences, self._changes, self._clock())
        self._changes.reset()
        if made:
            await self._in_thread(lambda: self._database.write(made))

    def _load(self, *, restarted: bool) -> Sequences:
        sequences = Sequences(
            self._told.append,
            self._bounds,
            idle=self._idle,
            clock=self._clock,
            changes=self._changes,
        )
        self._database.read(sequences, restarted=restarted)
        return sequences

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def _release(self) -> None:
        try:
            await self._in_thread(self._database.close)
        finally:
            self._thread.shutdown(wait=False)
