"""Sessions that several nodes share: each change is a new record in the place of the one known."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from secrets import token_hex
from typing import Final, TypeVar

from msgspec import Struct

from gatewright.backplane.base import Bounds, Record
from gatewright.backplane.sessions import Session
from gatewright.backplane.shared import bodies
from gatewright.backplane.shared.log import Head, Log, Replaced, Stored, Unreachable
from gatewright.errors import BackplaneError
from gatewright.types import Position

__all__ = ["Records", "Taken"]

PATIENCE: Final = 4.0
"""Seconds for which a step is tried again while the engine cannot be reached."""

FIRST_DELAY: Final = 0.05

ATTEMPTS: Final = 64
"""Changes that others may make to one record before somebody gives up."""

DUE: Final = 100
"""Sessions that are looked at in one go."""

T = TypeVar("T")


class Taken(Struct, frozen=True):
    """A session that this node has taken over, as of `head`."""

    session: Session
    head: Head
    taken: int | None
    """The highest id of a call that its last node has told."""
    keys: tuple[bytes, ...]


class Records:
    """Reads, judges and replaces records; the rules are `Session`'s.

    A step that may not have been done is done again: the log knows a version that it has already.
    """

    def __init__(self, log: Log, node: str, bounds: Bounds, clock: Callable[[], float]) -> None:
        self._log = log
        self._node = node
        self._bounds = bounds
        self._clock = clock

    async def open(
        self, namespace: str, id: str, key: bytes, user: str | None, rooms: Collection[str]
    ) -> Head:
        """A new session, entitled to what follows the returned head."""
        head = await _insist(lambda: self._log.head(namespace))
        session = Session(namespace, id, key, user, Position(head.epoch, head.seq))
        session.node = self._node
        session.join(rooms, head.seq)
        record, version = bodies.dump_session(session, head.n), token_hex(8)
        due = self._clock() + self._bounds.grace
        # First: one that nobody is reminded of would be there for ever.
        await _insist(lambda: self._log.remind(namespace, id, due))
        created = await _insist(lambda: self._log.create(namespace, id, record, version, [key]))
        if created is None:
            raise taken(namespace, id)
        return head

    async def find(self, namespace: str, key: bytes) -> Record | None:
        stored = await _insist(lambda: self._log.find(namespace, key))
        if stored is None:
            return None
        session, _ = bodies.load_session(stored)
        return None if session.expired(self._clock()) else session.record()

    async def change(
        self, namespace: str, id: str, change: Callable[[Session], bool]
    ) -> Session | None:
        """Make a change, which is asked again if another was quicker; False leaves it as it is.

        Returns the session as it is then; None if there is none, or nothing was to be changed.
        """
        for _ in range(ATTEMPTS):
            stored = await _insist(lambda: self._log.load(namespace, id))
            if stored is None:
                return None
            session, folded = bodies.load_session(stored)
            keys = session.keys
            if not change(session):
                return None
            replaced = await self._replace(namespace, stored, session, folded, keys)
            if replaced is not None:
                return session
        raise _contended(namespace, id)

    async def take(
        self,
        namespace: str,
        key: bytes,
        revoked: Collection[str],
        renewed: bytes | None,
    ) -> Taken | None:
        """Take a session over: it has a new generation, and its rooms are those at the head."""
        for _ in range(ATTEMPTS):
            stored = await _insist(lambda: self._log.find(namespace, key))
            if stored is None:
                return None
            session, folded = bodies.load_session(stored)
            if session.expired(self._clock()) or key not in session.keys:
                return None
            keys, calls = session.keys, session.taken
            if renewed is not None:
                await self._check_new(namespace, session.id, renewed)
                session.renew(key, renewed)
            session.generation += 1
            session.deadline = session.taken = None
            session.node = self._node
            left = tuple(room for room in revoked if session.rooms.lasts(room))
            marker = bodies.dump(
                bodies.Resumed(session.id, self._node, session.generation, tuple(revoked), left)
            )
            replaced = await self._replace(namespace, stored, session, folded, keys, marker)
            if replaced is not None:
                marks = [mark for mark in replaced.marks if mark.n <= replaced.head.n]
                bodies.fold(session, marks, folded)
                return Taken(session, replaced.head, calls, session.keys)
        raise _contended(namespace, key.hex())

    async def _check_new(self, namespace: str, id: str, key: bytes) -> None:
        other = await _insist(lambda: self._log.find(namespace, key))
        if other is not None and other.id != id:
            raise taken(namespace, id)

    async def end(
        self, namespace: str, id: str, judge: Callable[[Session], bool]
    ) -> Session | None:
        """Take a session away if it is judged so; returns it as it was."""
        unsure: Session | None = None
        for _ in range(ATTEMPTS):
            stored = await _insist(lambda: self._log.load(namespace, id))
            if stored is None:
                return unsure
            session, _ = bodies.load_session(stored)
            if not judge(session):
                return None
            rooms = session.record().rooms
            marker = bodies.dump(bodies.Ended(id, rooms)) if rooms else None
            try:
                removed = await self._log.remove(namespace, stored, session.keys, marker)
            except Unreachable:
                # If it is gone when the log is back, it is this that has taken it away.
                unsure = session
                continue
            if removed:
                await _insist(lambda: self._log.forget(namespace, id))
                return session
        raise _contended(namespace, id)

    async def release(self, namespace: str, id: str, generation: int, taken: int | None) -> bool:
        """Begin the grace of a session that has lost its socket."""
        known = False

        def released(session: Session) -> bool:
            nonlocal known
            known = session.generation == generation
            if not known or session.deadline is not None:
                return False
            session.deadline = self._clock() + self._bounds.grace
            session.taken = taken
            return True

        session = await self.change(namespace, id, released)
        if session is not None and session.deadline is not None:
            at = session.deadline
            await _insist(lambda: self._log.remind(namespace, id, at))
        return known

    async def expired(self, lives: Callable[[str | None], bool]) -> list[Record]:
        """End what has had its grace; of a node that does not live the grace begins now."""
        records: list[Record] = []
        now = self._clock()
        for namespace, id in await _insist(lambda: self._log.due(now, DUE)):
            session = await self._look(namespace, id, lives)
            if session is not None:
                records.append(session.record())
        return records

    async def _look(
        self, namespace: str, id: str, lives: Callable[[str | None], bool]
    ) -> Session | None:
        """Look at a session that is due; returns it if it was over, and is ended now."""
        now, grace = self._clock(), self._bounds.grace
        stored = await self._log.load(namespace, id)
        if stored is None:
            await self._log.forget(namespace, id)
            return None
        session, _ = bodies.load_session(stored)
        deadline = session.deadline
        if deadline is not None and deadline <= now:
            return await self.end(namespace, id, lambda each: each.expired(now))
        if deadline is None:
            deadline = now + grace
            if not lives(session.node):
                # Whoever returns meanwhile has another node, and another generation.
                await self.release(namespace, id, session.generation, None)
        await self._log.remind(namespace, id, deadline)
        return None

    async def _replace(
        self,
        namespace: str,
        stored: Stored,
        session: Session,
        folded: int,
        before: tuple[bytes, ...],
        marker: bytes | None = None,
    ) -> Replaced | None:
        record, version = bodies.dump_session(session, folded), token_hex(8)
        add = [key for key in session.keys if key not in before]
        drop = [key for key in before if key not in session.keys]
        return await _insist(
            lambda: self._log.replace(
                namespace,
                stored,
                record,
                version,
                folded=folded,
                add=add,
                drop=drop,
                marker=marker,
            )
        )


async def _insist(step: Callable[[], Awaitable[T]]) -> T:
    """Do a step again until it is done; raises `Unreachable` when that takes too long."""
    loop = asyncio.get_running_loop()
    limit, delay = loop.time() + PATIENCE, FIRST_DELAY
    while True:
        try:
            return await step()
        except Unreachable:
            if loop.time() + delay > limit:
                raise
        await asyncio.sleep(delay)
        delay *= 2


def taken(namespace: str, id: str) -> ValueError:
    """Somebody has the id or the key of a session that was to be new."""
    return ValueError(
        f"expected a new id and a new key for a session in {namespace!r}, "
        f"got those of one that is open; make both from random bytes: {id!r}"
    )


def _contended(namespace: str, name: str) -> BackplaneError:
    return BackplaneError(f"{namespace}: the session {name} changes faster than it can be read")
