"""What the tests need of an engine: nodes that share it, and the ways in which it fails.

Whoever adds an engine writes an `Engine` for it and adds it to `FACTORIES` in `conftest.py`: all
tests of this folder then run over it.
"""

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from gatewright.backplane.base import DEFAULT_BOUNDS, Bounds
from gatewright.backplane.shared.log import Head, Log, Message, Stored

__all__ = ["Engine", "Factory", "Heard", "Node", "key", "node"]

_names = itertools.count(1)


class Engine(ABC):
    """An engine of its own for one test, or a part of one that no other test sees."""

    @abstractmethod
    def log(self) -> Log:
        """A new node's, which has not started; it shares everything with the others."""

    # Only for engines of their own: others would feel it.

    @abstractmethod
    def freeze(self) -> None:
        """The servers are there, and do not answer."""

    @abstractmethod
    def thaw(self) -> None:
        """They go on."""

    @abstractmethod
    async def kill(self) -> None:
        """No goodbye, nothing is flushed."""

    @abstractmethod
    async def start(self) -> None:
        """Start again what was killed, at the same address."""

    @abstractmethod
    async def cut(self) -> None:
        """Close every connection at the server's side; it lives on and has forgotten nothing."""

    @abstractmethod
    async def wipe(self) -> None:
        """Everything it knew is gone, and it lives on."""


Factory = Callable[[], AbstractAsyncContextManager[Engine]]


class Heard:
    """What an engine brought to one node."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Message]] = []
        self.casts: list[tuple[str, bytes]] = []
        self.mails: list[bytes] = []
        self.breaks: list[frozenset[str] | None] = []
        self._changed = asyncio.Event()

    def heard(self, namespace: str, message: Message) -> None:
        self.messages.append((namespace, message))
        self._changed.set()

    def cast(self, namespace: str, body: bytes) -> None:
        self.casts.append((namespace, body))
        self._changed.set()

    def mail(self, body: bytes) -> None:
        self.mails.append(body)
        self._changed.set()

    def broken(self, namespaces: Collection[str] | None) -> None:
        self.breaks.append(None if namespaces is None else frozenset(namespaces))
        self._changed.set()

    def lane(self, namespace: str) -> list[Message]:
        return [message for name, message in self.messages if name == namespace]

    def is_broken(self, namespace: str) -> bool:
        return any(each is None or namespace in each for each in self.breaks)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds that can only change by what is heard."""
        async with asyncio.timeout(15):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def first(self, count: int, namespace: str = "/a") -> list[Message]:
        """The first so many messages of a lane."""
        await self.until(lambda: len(self.lane(namespace)) >= count)
        return self.lane(namespace)[:count]


class Node:
    """A log that has started, and what it heard; it numbers what it appends."""

    def __init__(self, name: str, log: Log, ears: Heard) -> None:
        self.name = name
        self.log = log
        self.ears = ears
        self.numbers = itertools.count(1)

    async def append(
        self, body: bytes, count: int = 1, namespace: str = "/a", member: str | None = None
    ) -> Head:
        return await self.log.append(namespace, body, count, next(self.numbers), member)

    async def create(self, id: str, *keys: bytes, namespace: str = "/a") -> Stored:
        """A record, as it is loaded."""
        created = await self.log.create(namespace, id, b"record of " + id.encode(), "v1", keys)
        assert created is not None
        return await self.load(id, namespace)

    async def load(self, id: str, namespace: str = "/a") -> Stored:
        stored = await self.log.load(namespace, id)
        assert stored is not None
        return stored

    async def read(self, after: int, namespace: str = "/a") -> list[Message]:
        """All messages after a number, of which none is missing."""
        messages: list[Message] = []
        while True:
            page = await self.log.read(namespace, messages[-1].n if messages else after)
            assert page.since <= (messages[-1].n if messages else after)
            if not page.messages:
                return messages
            messages += page.messages


@asynccontextmanager
async def node(
    engine: Engine, bounds: Bounds = DEFAULT_BOUNDS, *, name: str | None = None
) -> AsyncGenerator[Node]:
    """A node that has started on this engine."""
    name = name or f"node-{next(_names)}"
    started = Node(name, engine.log(), Heard())
    try:
        await started.log.start(name, started.ears, bounds)
        yield started
    finally:
        await started.log.stop()


def key(name: str) -> bytes:
    """As long as a SHA-256, and easier to read."""
    return name.encode().ljust(32, b".")
