"""A backplane that tells later what it did: the lane's batches and its results, in their order."""

import asyncio
from collections import deque
from collections.abc import Collection, Sequence
from typing import Any, Literal

from gatewright.backplane import Backplane, Memory
from gatewright.backplane.base import (
    DEFAULT_BOUNDS,
    Bounds,
    Entry,
    Lane,
    Mail,
    Passing,
    Peers,
    Record,
    Resumption,
    ignore,
)
from gatewright.types import Position

__all__ = ["Deferred"]


class Deferred(Backplane):
    """Memory, as over a wire: every operation is carried out at once and told a little later.

    What has gathered is told in one turn of the loop, as by one that writes in groups. While it
    is held, nothing is told.
    """

    def __init__(self) -> None:
        self._memory = Memory()
        self._lane: Lane | None = None
        self._told: deque[Passing | asyncio.Future[None]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._more = asyncio.Event()
        self.held = asyncio.Event()
        self.held.set()
        self.done: list[str] = []
        """The operations that were carried out, by name."""
        self.hold_at = ""
        """The operation that is the first one not to be told."""

    def tell(self) -> None:
        self.hold_at = ""
        self.held.set()

    def _tell(self, told: Passing | asyncio.Future[None]) -> None:
        self._told.append(told)
        self._more.set()

    async def start(
        self,
        lane: Lane,
        bounds: Bounds = DEFAULT_BOUNDS,
        *,
        mail: Mail = ignore,
        peers: Peers = ignore,
    ) -> None:
        self._lane = lane
        await self._memory.start(self._tell, bounds)
        self._task = asyncio.create_task(self._pump())

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._memory.stop()

    async def _pump(self) -> None:
        assert self._lane is not None
        while True:
            self._more.clear()
            if not self._told:
                await self._more.wait()
            await asyncio.sleep(0)
            await self.held.wait()
            for _ in range(len(self._told)):
                told = self._told.popleft()
                if not isinstance(told, asyncio.Future):
                    self._lane(told)
                elif not told.done():
                    told.set_result(None)

    async def _later(self, name: str, result: Any) -> Any:
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tell(told)
        self.done.append(name)
        if name == self.hold_at:
            self.held.clear()
        await told
        return result

    async def publish(self, namespace: str, entries: Sequence[Entry]) -> int:
        first: int = await self._later("publish", await self._memory.publish(namespace, entries))
        return first

    async def mark(
        self, namespace: str, action: Literal["join", "leave"], member: str, rooms: Collection[str]
    ) -> int:
        marked = await self._memory.mark(namespace, action, member, rooms)
        seq: int = await self._later(action, marked)
        return seq

    async def position(self, namespace: str) -> Position:
        position: Position = await self._later("position", await self._memory.position(namespace))
        return position

    async def open(self, namespace: str, id: str, key: bytes, user: str | None) -> Position:
        position: Position = await self._later(
            "open", await self._memory.open(namespace, id, key, user)
        )
        return position

    async def rename(self, namespace: str, id: str, user: str | None) -> None:
        await self._memory.rename(namespace, id, user)
        await self._later("rename", None)

    async def save(self, namespace: str, id: str, state: bytes) -> None:
        await self._memory.save(namespace, id, state)
        await self._later("save", None)

    async def confirm(self, namespace: str, id: str, seq: int) -> None:
        await self._memory.confirm(namespace, id, seq)
        await self._later("confirm", None)

    async def find(self, namespace: str, key: bytes) -> Record | None:
        record: Record | None = await self._later("find", await self._memory.find(namespace, key))
        return record

    async def resume(
        self,
        namespace: str,
        key: bytes,
        after: Position | None,
        revoked: Collection[str] = (),
        *,
        renewed: bytes | None = None,
    ) -> Resumption | None:
        resumed = await self._memory.resume(namespace, key, after, revoked, renewed=renewed)
        resumption: Resumption | None = await self._later("resume", resumed)
        return resumption

    async def settle(self, namespace: str, id: str, generation: int) -> None:
        await self._memory.settle(namespace, id, generation)
        await self._later("settle", None)

    async def release(
        self, namespace: str, id: str, generation: int, *, taken: int | None = None
    ) -> bool:
        released = await self._memory.release(namespace, id, generation, taken=taken)
        kept: bool = await self._later("release", released)
        return kept

    async def end(self, namespace: str, id: str, generation: int) -> bool:
        ended: bool = await self._later("end", await self._memory.end(namespace, id, generation))
        return ended

    async def expired(self) -> Sequence[Record]:
        records: Sequence[Record] = await self._later("expired", await self._memory.expired())
        return records
