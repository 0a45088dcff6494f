"""Sessions that may return: those that are here, for whoever takes them over, and those away."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from msgspec import Struct

from gatewright.backplane.base import Record
from gatewright.connection import Connection
from gatewright.context import Context, Place
from gatewright.di import Container
from gatewright.node import Node
from gatewright.plans import Hooks
from gatewright.protocol.close import CloseCode
from gatewright.session import Session
from gatewright.types import Handshake

__all__ = ["Absence", "Absences"]

logger: logging.Logger = logging.getLogger("gatewright")

SWEEP_EVERY = 5.0
"""Seconds between two looks for sessions whose grace has passed, at the most."""

Key: TypeAlias = tuple[str, str]


class Absence(Struct, frozen=True):
    """Where a session was that has lost its socket: enough to run its last hooks."""

    hooks: Hooks
    place: Place


class Absences:
    """The sessions of this node that have a record, by namespace and id."""

    def __init__(self, node: Node, container: Container) -> None:
        self._node = node
        self._container = container
        self._here: dict[Key, tuple[Session, asyncio.Event]] = {}
        self._away: dict[Key, Absence] = {}
        self._taking: dict[Key, tuple[asyncio.Lock, int]] = {}
        self._sweeper: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many are away."""
        return len(self._away)

    def arrived(self, session: Session) -> None:
        """A session has a socket now."""
        connection = session.connection
        key = connection.namespace, connection.id
        self._here[key] = session, asyncio.Event()
        self._away.pop(key, None)
        self._node.namespaces.returned(*key)

    def left(self, session: Session, *, kept: bool) -> None:
        """Its socket is lost; `kept` says whether it may return."""
        connection = session.connection
        key = connection.namespace, connection.id
        found = self._here.get(key)
        if found is None or found[0] is not session:
            return
        del self._here[key]
        if kept:
            self._away[key] = Absence(session.hooks, session.place)
            self._node.namespaces.away(*key, connection.codec)
            if self._sweeper is None:
                self._sweeper = asyncio.create_task(self._sweep())
        found[1].set()

    @asynccontextmanager
    async def taking(self, namespace: str, id: str) -> AsyncGenerator[None]:
        """Around taking a session over: by one at a time, and not before its socket has let go."""
        key = namespace, id
        lock, waiting = self._taking.get(key, (asyncio.Lock(), 0))
        self._taking[key] = lock, waiting + 1
        try:
            async with lock:
                await self._fence(key)
                yield
        finally:
            lock, waiting = self._taking[key]
            if waiting == 1:
                del self._taking[key]
            else:
                self._taking[key] = lock, waiting - 1

    async def _fence(self, key: Key) -> None:
        """Take a session from the socket that it has here; returns when that has let go of it."""
        found = self._here.get(key)
        if found is not None:
            session, gone = found
            session.connection.outbox.close(CloseCode.GOING_AWAY, "taken over by a new connection")
            await gone.wait()

    async def end(self, record: Record) -> None:
        """A session that is away will not return."""
        key = record.namespace, record.id
        absence = self._away.pop(key, None)
        self._node.namespaces.returned(*key)
        # Of a process that is gone nothing is known beyond the record: nobody is told.
        if absence is not None:
            await self._finish(absence, record.rooms)

    async def stop(self) -> None:
        """The process ends; what it keeps in its own memory ends with it."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
            self._sweeper = None
        if not self._node.backplane.durable:
            for key in list(self._away):
                absence = self._away.pop(key)
                self._node.namespaces.returned(*key)
                connection = absence.place.connection
                await self._finish(absence, () if connection is None else connection.rooms)

    async def _finish(self, absence: Absence, rooms: Iterable[str]) -> None:
        """Run the last hooks of a session that will not return."""
        place, limit = absence.place, self._node.settings.finish_timeout
        connection = place.connection
        assert connection is not None
        connection.joined = set(rooms)
        seeds: dict[type, Any] = {Handshake: place.handshake, Connection: connection}
        try:
            async with asyncio.timeout(limit), self._container.connection(seeds) as level:
                await absence.hooks.finish("on_end", Context(place), level)
        except TimeoutError:
            logger.warning("%r: its last hooks took longer than %g s", connection, limit)
        except Exception:
            logger.exception("%r: its resources failed to close", connection)

    async def _sweep(self) -> None:
        pause = min(SWEEP_EVERY, self._node.settings.grace / 4)
        while self._away:
            await asyncio.sleep(pause)
            try:
                for record in await self._node.backplane.expired():
                    await self.end(record)
            except Exception:
                logger.exception("looking for expired sessions failed; trying again")
        self._sweeper = None
