"""What this node appends to a namespace: one message at a time, each under a number of its own."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from gatewright.backplane.base import Entry
from gatewright.backplane.shared.bodies import dump_entries
from gatewright.backplane.shared.log import Head, Log, Unreachable
from gatewright.errors import BackplaneError

__all__ = ["Publisher"]

MOST_ENTRIES: Final = 100
MOST_BYTES: Final = 256 * 1024
"""Of one batch (rule R10)."""

MOST_SENT: Final = 16

PATIENCE: Final = 4.0
"""Seconds for which a message is sent again, before whoever waits for it is told."""

FIRST_DELAY: Final = 0.05


class _Waiting(Struct, eq=False):
    """Something to append, for which somebody waits."""

    done: asyncio.Future[Head]
    entries: Sequence[Entry] = ()
    marker: bytes | None = None
    member: str | None = None
    behind: int = 0
    """How many entries of the same batch come after these."""


class Publisher:
    """Takes what is to be appended to one namespace, and appends it in that order.

    While a message is under way the next ones wait, and entries among them become one batch. What
    may not have arrived is sent again under its number, which the log appends only once (R10).
    """

    def __init__(
        self,
        log: Log,
        namespace: str,
        node: str,
        numbers: Iterator[int],
        clock: Callable[[], float],
    ) -> None:
        """`numbers` rise: those of one node, whatever it appends them to."""
        self._log = log
        self._namespace = namespace
        self._node = node
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._numbers = numbers
        self._task: asyncio.Task[None] | None = None
        self.sent: dict[int, Sequence[Entry]] = {}
        """The entries of the latest batches, by number: whoever hears them need not decode."""

    @property
    def idle(self) -> bool:
        return self._task is None

    async def publish(self, entries: Sequence[Entry]) -> tuple[Head, int]:
        """Append entries; returns where their message stands, and the number of the first."""
        waiting = _Waiting(self._future(), entries=entries)
        head = await self._wait(waiting)
        return head, head.seq - waiting.behind - len(entries) + 1

    async def mark(self, marker: bytes, member: str) -> Head:
        """Append a marker of a member."""
        return await self._wait(_Waiting(self._future(), marker=marker, member=member))

    async def finish(self, limit: float) -> None:
        """Give what waits a last chance."""
        if self._task is not None:
            _, late = await asyncio.wait([self._task], timeout=limit)
            if late:
                self._task.cancel()
                await asyncio.wait(late)

    def _future(self) -> asyncio.Future[Head]:
        return asyncio.get_running_loop().create_future()

    async def _wait(self, waiting: _Waiting) -> Head:
        self._waiting.append(waiting)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        # Whoever gives up cancels their own future only: what waits goes with that of others.
        return await waiting.done

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._append(self._next())
        finally:
            self._task = None
            self._fail(list(self._waiting), "the application has stopped")
            self._waiting.clear()

    def _next(self) -> list[_Waiting]:
        """A marker, or as many entries as make one batch."""
        batch = [self._waiting.popleft()]
        if batch[0].marker is not None:
            return batch
        count, size = len(batch[0].entries), _size(batch[0])
        while self._waiting and (following := self._waiting[0]).marker is None:
            count += len(following.entries)
            size += _size(following)
            if count > MOST_ENTRIES or size > MOST_BYTES:
                break
            batch.append(self._waiting.popleft())
        behind = 0
        for waiting in reversed(batch):
            waiting.behind = behind
            behind += len(waiting.entries)
        return batch

    async def _append(self, batch: list[_Waiting]) -> None:
        number, first = next(self._numbers), batch[0]
        entries = [each for waiting in batch for each in waiting.entries]
        try:
            body = first.marker or dump_entries(self._node, number, self._clock(), entries)
        except Exception as error:
            self._reject(batch, error)
            return
        if entries:
            self.sent[number] = entries
            if len(self.sent) > MOST_SENT:
                del self.sent[next(iter(self.sent))]
        try:
            head = await self._insist(body, len(entries), number, first.member)
        except Unreachable as error:
            self._fail(batch, f"it may or may not have been published: {error}")
        except Exception as error:
            self._reject(batch, error)
        else:
            for waiting in batch:
                if not waiting.done.done():
                    waiting.done.set_result(head)

    async def _insist(self, body: bytes, count: int, number: int, member: str | None) -> Head:
        loop = asyncio.get_running_loop()
        limit, delay = loop.time() + PATIENCE, FIRST_DELAY
        while True:
            try:
                return await self._log.append(self._namespace, body, count, number, member)
            except Unreachable:
                if loop.time() + delay > limit:
                    raise
            await asyncio.sleep(delay)
            delay *= 2

    def _fail(self, batch: Sequence[_Waiting], why: str) -> None:
        for waiting in batch:
            if not waiting.done.done():
                waiting.done.set_exception(BackplaneError(f"{self._namespace}: {why}"))
                # Its emitter may have been cancelled: nobody is left to be told.
                waiting.done.exception()

    @staticmethod
    def _reject(batch: Sequence[_Waiting], error: Exception) -> None:
        for waiting in batch:
            if not waiting.done.done():
                waiting.done.set_exception(error)
                waiting.done.exception()


def _size(waiting: _Waiting) -> int:
    return sum(each.outgoing.size for each in waiting.entries)
