"""Sessions that may return: those that are here, for whoever takes them over, and those away."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

from msgspec import Struct, structs

from gatewright.backplane.base import Record
from gatewright.connection import Connection
from gatewright.context import Context, Place
from gatewright.di import Container
from gatewright.ledger import Ledger
from gatewright.node import Node
from gatewright.plans import Hooks
from gatewright.protocol.close import CloseCode
from gatewright.recovery import Keeper
from gatewright.session import Session
from gatewright.types import DisconnectReason, Handshake

__all__ = ["Absence", "Absences"]

logger: logging.Logger = logging.getLogger("gatewright")

SWEEP_EVERY = 5.0
"""Seconds between two looks for sessions whose grace has passed, at the most."""

OVERDUE = 60.0
"""Seconds after its grace in which some node must have ended a session."""

ENDS_AT_ONCE = 100
"""Sessions whose last hooks run together: after an outage thousands end in one moment, and what
their hooks ask has its limits too."""

TAKEN_OVER = DisconnectReason(
    CloseCode.TAKEN_OVER, "taken over by a new connection", resumable=True
)

Key: TypeAlias = tuple[str, str]


class Absence(Struct, frozen=True):
    """Where a session was that has lost its socket: what its return or its last hooks need."""

    hooks: Hooks
    place: Place
    ledger: Ledger | None = None
    user: str | None = None
    """Whom it is counted for; a handler that still runs may give it another name."""
    look_at: float = 0.0
    """When to look whether it is still to be expected, in the time of the event loop."""


class Absences:
    """The sessions of this node that have a record, by namespace and id."""

    def __init__(
        self,
        node: Node,
        container: Container,
        end: Callable[[Session, DisconnectReason], Awaitable[None]],
        revive: Callable[[Record], Absence | None],
    ) -> None:
        """`end` ends a session that is here; `revive` stands in for one of a former process."""
        self._node = node
        self._container = container
        self._end_session = end
        self._revive = revive
        self._here: dict[Key, Session] = {}
        self._away: dict[Key, Absence] = {}
        self._by_user: dict[str, dict[Key, None]] = {}
        self._taking: dict[Key, tuple[asyncio.Lock, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._owed: list[Keeper] = []
        """Of sessions that are over, which the backplane could not be told."""
        self._ends = asyncio.Semaphore(ENDS_AT_ONCE)
        self._sweeper: asyncio.Task[None] | None = None
        self.over: Callable[[Record], None] | None = None
        """Who is told that a session is over which may have been another node's."""

    def __len__(self) -> int:
        """How many are away."""
        return len(self._away)

    def start(self) -> None:
        """Look after what a former process has left behind."""
        if self._node.backplane.durable:
            self._sweep_later()

    def here(self, key: Key) -> Session | None:
        """The session as it is connected here."""
        return self._here.get(key)

    def absent(self, key: Key) -> Absence | None:
        """The session as it is expected back."""
        return self._away.get(key)

    def ledgers(self) -> list[tuple[Key, Ledger]]:
        """What is known of the calls of all sessions, here or away."""
        known: list[tuple[Key, Ledger | None]] = []
        known += [(key, session.ledger) for key, session in self._here.items()]
        known += [(key, absence.ledger) for key, absence in self._away.items()]
        return [(key, ledger) for key, ledger in known if ledger is not None]

    def arrived(self, session: Session) -> None:
        """A session has a socket now."""
        connection = session.connection
        key = connection.namespace, connection.id
        self._here[key] = session
        self._forget(key)

    def left(self, session: Session, *, kept: bool) -> None:
        """Its socket is lost; `kept` says whether it may return."""
        connection = session.connection
        key = connection.namespace, connection.id
        if self._here.get(key) is not session:
            return
        del self._here[key]
        if session.owes and not kept and connection.keeper is not None:
            self._owed.append(connection.keeper)
            self._sweep_later()
        if not kept:
            self._node.namespaces.returned(*key)
        else:
            user = connection.user
            now = asyncio.get_running_loop().time()
            look_at = now if session.owes else now + self._patience
            self._away[key] = Absence(session.hooks, session.place, session.ledger, user, look_at)
            self._sweep_later()
            if user is not None:
                self._by_user.setdefault(user, {})[key] = None
            connection.dismissed = partial(self._end_soon, key)
            if connection.unwanted:
                # Closed for good, when there was no socket any more that could have been.
                self._end_soon(key)
            elif not session.hurried:
                # Else its client is back already.
                self._limit(user)

    def _limit(self, user: str | None) -> None:
        """End the longest absence where there are too many, of one user or of all."""
        settings = self._node.settings
        if user is not None:
            own = self._by_user[user]
            if len(own) > settings.max_away_per_user:
                self._end_soon(next(iter(own)))
        if len(self._away) > settings.max_away:
            self._end_soon(next(iter(self._away)))

    def _end_soon(self, key: Key) -> None:
        absence = self._forget(key)
        if absence is None or (connection := absence.place.connection) is None:
            return
        keeper = connection.keeper
        rooms = connection.rooms
        assert keeper is not None
        self._node.presence.ended(connection)

        async def end() -> None:
            try:
                if not await keeper.end():
                    return
            except Exception:
                logger.exception("%r: its session could not be ended", connection)
                self._owed.append(keeper)
            await self._finish(absence, rooms)

        _ = self._run(end())

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run an end on its own: neither its sweep nor another end is to wait for it."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @property
    def _patience(self) -> float:
        """Seconds after which an absence must have ended in one way or another."""
        return self._node.settings.grace + OVERDUE

    def forget(self, key: Key) -> Absence | None:
        """No longer expect a session back here; returns what was known of it."""
        return self._forget(key)

    def _forget(self, key: Key) -> Absence | None:
        absence = self._away.pop(key, None)
        self._node.namespaces.returned(*key)
        if absence is not None and absence.place.connection is not None:
            absence.place.connection.dismissed = None
        if absence is not None and absence.user is not None:
            own = self._by_user.get(absence.user)
            if own is not None:
                own.pop(key, None)
                if not own:
                    del self._by_user[absence.user]
        return absence

    @asynccontextmanager
    async def taking(self, namespace: str, id: str) -> AsyncGenerator[None]:
        """Around taking a session over: by one at a time, and not before its socket has let go."""
        key = namespace, id
        lock, waiting = self._taking.get(key, (asyncio.Lock(), 0))
        self._taking[key] = lock, waiting + 1
        try:
            async with lock:
                session = self._here.get(key)
                if session is not None:
                    await self.fence(session)
                yield
        finally:
            lock, waiting = self._taking[key]
            if waiting == 1:
                del self._taking[key]
            else:
                self._taking[key] = lock, waiting - 1

    async def fence(self, session: Session) -> None:
        """Take a session from the socket that it has here.

        Its client is told, but not waited for: it may be gone without anybody having noticed.
        """
        session.hurry()
        session.connection.outbox.close(TAKEN_OVER.code, TAKEN_OVER.text)
        await self._end_session(session, TAKEN_OVER)

    async def end(self, record: Record) -> None:
        """A session that is away will not return; waits until its last hooks have run."""
        if (ending := self._end(record)) is not None:
            await asyncio.shield(ending)

    def _end(self, record: Record) -> asyncio.Task[None] | None:
        absence = self._forget((record.namespace, record.id)) or self._revive(record)
        if self.over is not None:
            self.over(record)
        return None if absence is None else self._run(self._finish(absence, record.rooms))

    async def stop(self) -> None:
        """The process ends; what it keeps in its own memory ends with it."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
            self._sweeper = None
        limit = self._node.settings.finish_timeout
        for key in list(self._away):
            absence = self._forget(key)
            if absence is None:
                continue
            if not self._node.backplane.durable:
                connection = absence.place.connection
                rooms = () if connection is None else connection.rooms
                _ = self._run(self._finish(absence, rooms))
            elif absence.ledger is not None:
                _ = self._run(absence.ledger.close(limit, over=False))
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=4 * limit)
            for task in late:
                logger.warning("a session's end took too long; its last hooks are cut off")
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=limit)

    async def _finish(self, absence: Absence, rooms: Iterable[str]) -> None:
        """Run the last hooks of a session that will not return, when there is a place for it."""
        async with self._ends:
            await self._finish_now(absence, rooms)

    async def _finish_now(self, absence: Absence, rooms: Iterable[str]) -> None:
        place, limit = absence.place, self._node.settings.finish_timeout
        connection = place.connection
        assert connection is not None
        connection.ended = True
        self._node.calls.lost(connection.id)
        self._node.presence.ended(connection)
        if absence.ledger is not None:
            await absence.ledger.close(limit)
        connection.joined = set(rooms)
        seeds: dict[type, Any] = {Handshake: place.handshake, Connection: connection}
        try:
            async with asyncio.timeout(limit), self._container.connection(seeds) as level:
                await absence.hooks.finish("on_end", Context(place), level)
        except TimeoutError:
            logger.warning("%r: its last hooks took longer than %g s", connection, limit)
        except Exception:
            logger.exception("%r: its resources failed to close", connection)

    async def _look(self) -> None:
        """Say what could not be said in time, and forget those that this node did not hear of.

        They have ended, or gone on elsewhere.
        """
        while self._owed:
            await self._owed[0].end()
            del self._owed[0]
        now = asyncio.get_running_loop().time()
        for key, absence in list(self._away.items()):
            if absence.look_at > now:
                continue
            connection = absence.place.connection
            assert connection is not None
            assert connection.keeper is not None
            taken = absence.ledger.window.last if absence.ledger is not None else None
            expected = await connection.keeper.release(taken)
            if self._away.get(key) is not absence:
                continue
            if expected:
                self._away[key] = structs.replace(absence, look_at=now + self._patience)
            else:
                self._forget(key)
                self.part(connection, absence.ledger)

    def part(self, connection: Connection, ledger: Ledger | None) -> None:
        """A session is over, or goes on elsewhere without its handlers here: those have to end."""
        connection.ended = True
        self._node.calls.lost(connection.id)
        if ledger is not None:
            _ = self._run(ledger.close(self._node.settings.finish_timeout, over=False))

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep())

    async def _sweep(self) -> None:
        pause = min(SWEEP_EVERY, self._node.settings.grace / 4)
        # A durable backplane may hold sessions that this process has never seen.
        while self._away or self._owed or self._node.backplane.durable:
            await asyncio.sleep(pause)
            try:
                for record in await self._node.backplane.expired():
                    _ = self._end(record)
                await self._look()
            except Exception:
                logger.exception("looking for expired sessions failed; trying again")
        self._sweeper = None
