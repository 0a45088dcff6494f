"""The backplane of one process whose sessions outlive it: a file of SQLite."""

from collections.abc import Callable, Collection, Sequence
from os import PathLike
from pathlib import Path
from typing import Literal

from gatewright.backplane.base import (
    DEFAULT_BOUNDS,
    Backplane,
    Bounds,
    Entry,
    Lane,
    Mail,
    Peers,
    Record,
    Resumption,
    ignore,
)
from gatewright.backplane.database import Database, Synchronous
from gatewright.backplane.durable import check_names, steady_time
from gatewright.backplane.journal import Journal
from gatewright.backplane.sequences import Sequences
from gatewright.errors import NotStartedError, StartupError
from gatewright.types import Position

__all__ = ["SQLite"]


class SQLite(Backplane):
    """Keeps sessions, sequences and history in a file: they survive a restart, and a crash.

    An emit returns, and is delivered, when it has been written; what comes at the same time is
    written together. `synchronous="full"` waits until it is on the disk. `"normal"` leaves that to
    the system: it is faster, survives the end of the process, however it ends, and after a power
    failure every session is told of a gap.

    The file belongs to one process at a time. `idle` is as in `Memory`; `clock` gives seconds
    that go on over a restart.
    """

    durable = True

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        synchronous: Synchronous = "full",
        idle: int = 10_000,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if str(path) in ("", ":memory:"):
            raise StartupError(
                "SQLite(path)",
                expected="the path of a file",
                got=repr(path),
                fix="Memory() is the backplane that keeps nothing.",
            )
        if synchronous not in ("full", "normal"):
            raise StartupError(
                "SQLite(synchronous=…)",
                expected="'full' or 'normal'",
                got=repr(synchronous),
                fix="Leave it out to lose nothing when the power fails.",
            )
        self._path = Path(path)
        self._synchronous: Synchronous = synchronous
        self._idle = idle
        self._clock = clock
        self._started: Journal | None = None

    @property
    def address(self) -> str:
        return f"sqlite:///{self._path}"

    async def start(
        self,
        lane: Lane,
        bounds: Bounds = DEFAULT_BOUNDS,
        *,
        mail: Mail = ignore,
        peers: Peers = ignore,
    ) -> None:
        if self._started is not None:
            raise NotStartedError(
                "this SQLite backplane already serves a running application; "
                "give each Gatewright its own SQLite(path), with a path of its own"
            )
        database = Database(self._path, self._synchronous)
        journal = Journal(database, lane, bounds, self._idle, self._clock or steady_time())
        self._started = journal
        try:
            await journal.start()
        except BaseException:
            self._started = None
            raise

    async def stop(self) -> None:
        journal, self._started = self._started, None
        if journal is not None:
            await journal.stop()

    async def publish(self, namespace: str, entries: Sequence[Entry]) -> int:
        journal, entries = self._journal, tuple(entries)
        check_names(namespace)
        for entry in entries:
            # An emitter has done so, with the application's hooks; others get to know here.
            entry.outgoing.store()
            check_names(*(entry.rooms or ()), *(entry.users or ()), *entry.except_)
        return await journal.ask(lambda sequences: sequences.publish(namespace, entries))

    async def mark(
        self, namespace: str, action: Literal["join", "leave"], member: str, rooms: Collection[str]
    ) -> int:
        journal, rooms = self._journal, tuple(rooms)
        check_names(namespace, member, *rooms)
        return await journal.ask(lambda sequences: sequences.mark(namespace, action, member, rooms))

    async def position(self, namespace: str) -> Position:
        journal = self._journal
        check_names(namespace)
        return await journal.ask(lambda sequences: sequences.position(namespace))

    async def open(self, namespace: str, id: str, key: bytes, user: str | None) -> Position:
        journal = self._journal
        check_names(namespace, id, user or "")
        return await journal.ask(lambda sequences: sequences.open(namespace, id, key, user))

    async def rename(self, namespace: str, id: str, user: str | None) -> None:
        journal = self._journal
        check_names(user or "")
        await journal.ask(lambda sequences: sequences.rename(namespace, id, user))

    async def save(self, namespace: str, id: str, state: bytes) -> None:
        await self._journal.ask(lambda sequences: sequences.save(namespace, id, state))

    async def confirm(self, namespace: str, id: str, seq: int) -> None:
        await self._journal.ask(lambda sequences: sequences.confirm(namespace, id, seq))

    async def find(self, namespace: str, key: bytes) -> Record | None:
        return await self._journal.ask(lambda sequences: sequences.find(namespace, key))

    async def resume(
        self,
        namespace: str,
        key: bytes,
        after: Position | None,
        revoked: Collection[str] = (),
        *,
        renewed: bytes | None = None,
    ) -> Resumption | None:
        journal, revoked = self._journal, tuple(revoked)
        check_names(*revoked)
        return await journal.ask(
            lambda sequences: sequences.resume(namespace, key, after, revoked, renewed)
        )

    async def settle(self, namespace: str, id: str, generation: int) -> None:
        await self._journal.ask(lambda sequences: sequences.settle(namespace, id, generation))

    async def release(
        self, namespace: str, id: str, generation: int, *, taken: int | None = None
    ) -> bool:
        return await self._journal.ask(
            lambda sequences: sequences.release(namespace, id, generation, taken), insistent=True
        )

    async def end(self, namespace: str, id: str, generation: int) -> bool:
        return await self._journal.ask(
            lambda sequences: sequences.end(namespace, id, generation), insistent=True
        )

    async def expired(self) -> Sequence[Record]:
        return await self._journal.ask(Sequences.expired)

    @property
    def _journal(self) -> Journal:
        if self._started is None:
            raise NotStartedError("the application is not running: its lifespan has not started")
        return self._started
