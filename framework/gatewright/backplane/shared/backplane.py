"""The backplane of several nodes, over whatever engine keeps its lanes and records."""

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from secrets import token_hex
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
from gatewright.backplane.durable import check_names, steady_time
from gatewright.backplane.sessions import Session
from gatewright.backplane.shared import bodies
from gatewright.backplane.shared.log import Log
from gatewright.backplane.shared.running import Running
from gatewright.errors import NotStartedError
from gatewright.types import Position

__all__ = ["Shared"]


class Shared(Backplane):
    """Lanes, records and mail of an engine, made into what a node expects of its backplane."""

    durable = True
    shared = True

    def __init__(self, *, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or steady_time()
        self._started: Running | None = None

    @abstractmethod
    def _engine(self) -> Log:
        """A new engine, not connected yet."""

    async def start(
        self,
        lane: Lane,
        bounds: Bounds = DEFAULT_BOUNDS,
        *,
        mail: Mail = ignore,
        peers: Peers = ignore,
    ) -> None:
        if self._started is not None:
            name = type(self).__name__
            raise NotStartedError(
                f"this {name} backplane already serves a running application; "
                f"give each Gatewright its own {name}(url)"
            )
        self.node: str = token_hex(8)
        running = Running(self._engine(), self.node, lane, bounds, mail, peers, self._clock)
        self._started = running
        try:
            await running.start()
        except BaseException:
            self._started = None
            await running.stop()
            raise

    async def stop(self) -> None:
        running, self._started = self._started, None
        if running is not None:
            await running.stop()

    @property
    def _running(self) -> Running:
        if self._started is None:
            raise NotStartedError("the application is not running: its lifespan has not started")
        return self._started

    # Lanes

    async def follow(self, namespace: str) -> None:
        check_names(namespace)
        await self._running.follow(namespace)

    async def unfollow(self, namespace: str) -> None:
        if self._started is not None:
            self._started.unfollow(namespace)

    async def publish(self, namespace: str, entries: Sequence[Entry]) -> int:
        running, entries = self._running, tuple(entries)
        check_names(namespace)
        for entry in entries:
            # An emitter has done so, with the application's hooks; others get to know here.
            entry.outgoing.store()
            check_names(*(entry.rooms or ()), *(entry.users or ()), *entry.except_)
        if not entries:
            return (await self.position(namespace)).seq + 1
        return await running.publish(namespace, entries)

    async def mark(
        self, namespace: str, action: Literal["join", "leave"], member: str, rooms: Collection[str]
    ) -> int:
        rooms = tuple(rooms)
        check_names(namespace, member, *rooms)
        return await self._running.mark(namespace, action, member, rooms)

    async def position(self, namespace: str) -> Position:
        check_names(namespace)
        head = await self._running.head(namespace)
        return Position(head.epoch, head.seq)

    # Nodes

    @property
    def nodes(self) -> Collection[str]:
        return self._started.peers.alive if self._started is not None else ()

    async def cast(self, namespace: str, message: bytes) -> None:
        running = self._running
        await running.log.cast(namespace, running.peers.wrap(message))

    async def send(self, message: bytes, node: str | None = None) -> None:
        await self._running.peers.send(message, node)

    # Sessions

    async def open(self, namespace: str, id: str, key: bytes, user: str | None) -> Position:
        check_names(namespace, id, user or "")
        return await self._running.open(namespace, id, key, user)

    async def rename(self, namespace: str, id: str, user: str | None) -> None:
        check_names(user or "")
        running = self._running
        if await running.log.load(namespace, id) is not None:
            await running.append_marker(namespace, bodies.Renamed(id, user))

    async def save(self, namespace: str, id: str, state: bytes) -> None:
        def save(session: Session) -> bool:
            session.state = state
            return True

        await self._running.records.change(namespace, id, save)

    async def confirm(self, namespace: str, id: str, seq: int) -> None:
        running = self._running
        head = await running.log.head(namespace)

        def confirm(session: Session) -> bool:
            if session.epoch == head.epoch:
                session.confirm(min(seq, head.seq))
            # Also what is known already is written: it says that the session is still there.
            return True

        await running.records.change(namespace, id, confirm)

    async def find(self, namespace: str, key: bytes) -> Record | None:
        return await self._running.records.find(namespace, key)

    async def resume(
        self,
        namespace: str,
        key: bytes,
        after: Position | None,
        revoked: Collection[str] = (),
        *,
        renewed: bytes | None = None,
    ) -> Resumption | None:
        check_names(*revoked)
        return await self._running.resume(namespace, key, after, tuple(revoked), renewed)

    async def settle(self, namespace: str, id: str, generation: int) -> None:
        def settle(session: Session) -> bool:
            return session.generation == generation and bool(session.settle())

        await self._running.records.change(namespace, id, settle)

    async def release(
        self, namespace: str, id: str, generation: int, *, taken: int | None = None
    ) -> bool:
        return await self._running.records.release(namespace, id, generation, taken)

    async def end(self, namespace: str, id: str, generation: int) -> bool:
        return await self._running.end(namespace, id, generation)

    async def expired(self) -> Sequence[Record]:
        return await self._running.expired()
