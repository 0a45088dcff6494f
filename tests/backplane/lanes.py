"""A node's side of a backplane, as small as it can be."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from msgspec import structs

from gatewright.backplane import Backplane
from gatewright.backplane.base import (
    DEFAULT_BOUNDS,
    Batch,
    Bounds,
    Entry,
    Passing,
    Record,
    Resumption,
)
from gatewright.protocol.codecs import JsonCodec
from gatewright.protocol.outgoing import Outgoing
from gatewright.types import Position


def entry(data: object, **whom: tuple[str, ...] | None) -> Entry:
    return Entry(Outgoing("said", data), **whom)  # type: ignore[arg-type]


def encoded(data: object, **whom: tuple[str, ...] | None) -> Entry:
    """One that a node has encoded, as nodes do before they publish: its size is known."""
    made = entry(data, **whom)
    made.outgoing.prepare(JsonCodec())
    return made


def copied(entry: Entry) -> Entry:
    """The entry as it arrives at another node: it went there as bytes."""
    outgoing = entry.outgoing
    arrived = Outgoing.restore(outgoing.store(), outgoing.size, outgoing.namespace)
    arrived.stored = outgoing.stored
    return structs.replace(entry, outgoing=arrived)


FOLLOWED = ("/a", "/b")
"""What the tests of the contract listen to."""


class Lane:
    """What passed by one node, in the order in which it did."""

    def __init__(self) -> None:
        self.passed: list[Passing] = []
        self._arrived = asyncio.Event()

    def __call__(self, passing: Passing) -> None:
        self.passed.append(passing)
        self._arrived.set()

    async def first(self, count: int) -> list[Passing]:
        """The first so many; waits for them, since most backplanes deliver a little later."""
        async with asyncio.timeout(10):
            while len(self.passed) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.passed[:count]

    def heard(self, namespace: str) -> list[tuple[int, object]]:
        """Number and data of every entry of a namespace."""
        return [
            (batch.first + index, each.outgoing.data)
            for batch in self.passed
            if isinstance(batch, Batch) and batch.namespace == namespace
            for index, each in enumerate(batch.entries)
        ]


@asynccontextmanager
async def started(backplane: Backplane, bounds: Bounds = DEFAULT_BOUNDS) -> AsyncGenerator[Lane]:
    lane = Lane()
    await backplane.start(lane, bounds)
    try:
        for namespace in FOLLOWED:
            await backplane.follow(namespace)
        yield lane
    finally:
        await backplane.stop()


def key(id: str) -> bytes:
    return hashlib.sha256(id.encode()).digest()


class Client:
    """One session of namespace `/a`, and the position that its client remembers."""

    def __init__(self, backplane: Backplane, id: str, opened: Position) -> None:
        self.backplane = backplane
        self.id = id
        self.opened = opened
        self.after: Position | None = opened

    @classmethod
    async def open(
        cls, backplane: Backplane, *rooms: str, id: str = "~ana-1", user: str | None = "ana"
    ) -> "Client":
        client = cls(backplane, id, await backplane.open("/a", id, key(id), user))
        if rooms:
            await client.join(*rooms)
        return client

    async def join(self, *rooms: str) -> None:
        await self.backplane.mark("/a", "join", self.id, rooms)

    async def leave(self, *rooms: str) -> None:
        await self.backplane.mark("/a", "leave", self.id, rooms)

    async def say(self, data: object, **whom: tuple[str, ...] | None) -> int:
        """Publish one entry to the namespace."""
        return await self.backplane.publish("/a", [encoded(data, **whom)])

    def sees(self, seq: int) -> None:
        """Its client has received everything up to here."""
        self.after = Position(self.opened.epoch, seq)

    async def confirm(self, seq: int) -> None:
        await self.backplane.confirm("/a", self.id, seq)

    async def resume(self, *revoked: str) -> Resumption:
        resumption = await self.backplane.resume("/a", key(self.id), self.after, revoked)
        assert resumption is not None
        return resumption

    async def missed(self, *revoked: str) -> list[object]:
        """The data of what a resume replays, of which nothing is missing."""
        resumption = await self.resume(*revoked)
        assert not resumption.gaps
        return heard(resumption)

    async def record(self) -> Record:
        record = await self.backplane.find("/a", key(self.id))
        assert record is not None
        return record


def heard(resumption: Resumption) -> list[object]:
    """The data of what was replayed, having looked that it is in order and each once."""
    numbers = [seq for seq, _ in resumption.entries]
    assert numbers == sorted(set(numbers))
    return [entry.outgoing.data for _, entry in resumption.entries]
