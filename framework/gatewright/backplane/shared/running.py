"""A node that has started: what it follows, what it appends, and whom it knows."""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Sequence
from itertools import count
from typing import Final, Literal

from gatewright.backplane.base import Bounds, Entry, Lane, Mail, Record, Resumption
from gatewright.backplane.base import Peers as Told
from gatewright.backplane.missed import missed
from gatewright.backplane.sessions import Session
from gatewright.backplane.shared import bodies
from gatewright.backplane.shared.following import Follower
from gatewright.backplane.shared.log import Head, Log, Message, Unreachable
from gatewright.backplane.shared.peers import Peers
from gatewright.backplane.shared.publishing import Publisher
from gatewright.backplane.shared.records import Records, Taken
from gatewright.errors import BackplaneError
from gatewright.types import Position

__all__ = ["Running"]

logger: logging.Logger = logging.getLogger("gatewright")

COMPARE_EVERY: Final = 5.0
"""Seconds between two looks whether a lane has gone further than this node has heard (R2)."""

AT_ONCE: Final = 64
"""Lanes that are looked at together."""

LINGER: Final = 60.0
"""Seconds for which a lane is still followed that nobody here needs: its sessions may return."""


class Running:
    """The parts of a shared backplane between its start and its stop."""

    def __init__(
        self,
        log: Log,
        node: str,
        lane: Lane,
        bounds: Bounds,
        mail: Mail,
        told: Told,
        clock: Callable[[], float],
    ) -> None:
        self.log = log
        self.peers: Peers = Peers(log, node, mail, told)
        self.records: Records = Records(log, node, bounds, clock)
        self._node = node
        self._lane = lane
        self._bounds = bounds
        self._clock = clock
        self._numbers = count(1)
        self._followers: dict[str, Follower] = {}
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._publishers: dict[str, Publisher] = {}
        self._loose: dict[tuple[str, str], set[str]] = {}
        """The rooms of members that have no session here."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.log.start(self._node, self, self._bounds)
        await self.peers.start()
        _ = self._run(self._look_after())

    async def stop(self) -> None:
        publishers = list(self._publishers.values())
        await asyncio.gather(*(each.finish(2.0) for each in publishers))
        tasks = [*self._tasks, *self._starting.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await asyncio.gather(*(each.stop() for each in self._followers.values()))
        self._followers.clear()
        await self.peers.stop()
        await self.log.stop()

    # What the engine brings

    def heard(self, namespace: str, message: Message) -> None:
        follower = self._followers.get(namespace)
        if follower is not None:
            follower.heard(message)

    def cast(self, namespace: str, body: bytes) -> None:
        if namespace in self._followers:
            self.peers.heard(body)

    def mail(self, body: bytes) -> None:
        self.peers.heard(body)

    def broken(self, namespaces: Collection[str] | None) -> None:
        for namespace in self._followers if namespaces is None else namespaces:
            follower = self._followers.get(namespace)
            if follower is not None:
                follower.broken()
        if namespaces is None and self._listening is None:
            self._listening = self._run(self._listen())

    async def _listen(self) -> None:
        delay = 0.05
        try:
            while True:
                try:
                    await self.log.listen()
                except Unreachable:
                    await asyncio.sleep(delay)
                    delay = min(1.0, 2 * delay)
                else:
                    return
        finally:
            self._listening = None

    # Lanes

    async def follow(self, namespace: str) -> Follower:
        follower = self._followers.get(namespace)
        if follower is None:
            follower = self._followers[namespace] = Follower(
                self.log,
                namespace,
                self._node,
                self._publisher(namespace).sent,
                self._lane,
                self._bounds,
                self._clock,
            )
            self._starting[namespace] = asyncio.create_task(self._start(namespace, follower))
        follower.users += 1
        starting = self._starting.get(namespace)
        if starting is not None:
            try:
                # Others wait for the same start: a cancellation is one's own.
                await asyncio.shield(starting)
            except BaseException:
                self._let_go(namespace, follower)
                raise
        return follower

    async def _start(self, namespace: str, follower: Follower) -> None:
        try:
            await follower.start()
        except BaseException:
            if self._followers.get(namespace) is follower:
                del self._followers[namespace]
            raise
        finally:
            del self._starting[namespace]

    def unfollow(self, namespace: str) -> None:
        follower = self._followers.get(namespace)
        if follower is not None:
            self._let_go(namespace, follower)

    def _let_go(self, namespace: str, follower: Follower) -> None:
        follower.users -= 1
        follower.idle_since = asyncio.get_running_loop().time()

    async def publish(self, namespace: str, entries: Sequence[Entry]) -> int:
        head, first = await self._publisher(namespace).publish(entries)
        await self._heard(namespace, head)
        return first

    async def mark(
        self,
        namespace: str,
        action: Literal["join", "leave"],
        member: str,
        rooms: tuple[str, ...],
    ) -> int:
        kind = bodies.Joined if action == "join" else bodies.Left
        head = await self.append_marker(namespace, kind(member, rooms))
        self._note(namespace, action, member, rooms)
        return head.seq

    async def head(self, namespace: str) -> Head:
        """Where a lane ends; what this node follows it has heard up to there."""
        head = await self.log.head(namespace)
        await self._heard(namespace, head)
        return head

    async def append_marker(
        self, namespace: str, body: bodies.Joined | bodies.Left | bodies.Renamed
    ) -> Head:
        head = await self._publisher(namespace).mark(bodies.dump(body), body.member)
        await self._heard(namespace, head)
        return head

    async def _heard(self, namespace: str, head: Head) -> None:
        """Wait until this node has heard a message too, if it listens at all."""
        follower = self._followers.get(namespace)
        if follower is None or namespace in self._starting:
            return
        try:
            await follower.until(head)
        except BackplaneError:
            # It is published, and a lane that has lost touch tells so by itself.
            logger.debug("%s: this node has not heard what there is", namespace)

    def _note(self, namespace: str, action: str, member: str, rooms: tuple[str, ...]) -> None:
        """Remember where a member is until it has a session, or has left."""
        key = namespace, member
        if action == "join":
            self._loose.setdefault(key, set()).update(rooms)
        elif (joined := self._loose.get(key)) is not None:
            joined.difference_update(rooms)
            if not joined:
                del self._loose[key]

    def _publisher(self, namespace: str) -> Publisher:
        publisher = self._publishers.get(namespace)
        if publisher is None:
            publisher = self._publishers[namespace] = Publisher(
                self.log, namespace, self._node, self._numbers, self._clock
            )
        return publisher

    # Sessions

    async def open(self, namespace: str, id: str, key: bytes, user: str | None) -> Position:
        follower = await self.follow(namespace)
        try:
            rooms = self._loose.get((namespace, id), ())
            head = await self.records.open(namespace, id, key, user, rooms)
            self._loose.pop((namespace, id), None)
            await follower.until(head)
            if follower.head is not None:
                follower.window.begin(follower.head.seq)
            return Position(head.epoch, head.seq)
        finally:
            self._let_go(namespace, follower)

    async def resume(
        self,
        namespace: str,
        key: bytes,
        after: Position | None,
        revoked: tuple[str, ...],
        renewed: bytes | None,
    ) -> Resumption | None:
        follower = await self.follow(namespace)
        try:
            taken = await self.records.take(namespace, key, revoked, renewed)
            if taken is None:
                return None
            await follower.until(taken.head)
            return await self._missed(follower, taken, after)
        finally:
            self._let_go(namespace, follower)

    async def _missed(self, follower: Follower, taken: Taken, after: Position | None) -> Resumption:
        session = taken.session
        head = Position(taken.head.epoch, taken.head.seq)
        if session.epoch != head.epoch:
            # Of what it knows nothing holds any more.
            after = Position(session.epoch, 0)
        elif after is None or (after.epoch == head.epoch and after.seq <= head.seq):
            await follower.reach(max(session.confirmed, after.seq if after is not None else 0))
        history = follower.window.history
        if history is None:
            follower.window.begin(head.seq)
            history = follower.window.history
        assert history is not None
        history.trim(self._clock())
        entries, gaps = missed(session, after, head, history, self._bounds)
        if session.epoch != head.epoch:
            session = await self._rebased(session, head)
        session.taken = taken.taken
        return Resumption(session.record(), head, entries, gaps)

    async def _rebased(self, session: Session, head: Position) -> Session:
        def rebase(known: Session) -> bool:
            known.rebase(head)
            return True

        changed = await self.records.change(session.namespace, session.id, rebase)
        return changed or session

    async def end(self, namespace: str, id: str, generation: int) -> bool:
        ended = await self.records.end(
            namespace, id, lambda session: session.generation == generation
        )
        return ended is not None

    async def expired(self) -> list[Record]:
        alive = {*self.peers.alive, self._node}
        for follower in self._followers.values():
            if follower.window.history is not None:
                follower.window.history.trim(self._clock())
        return await self.records.expired(lambda node: node in alive)

    # What is looked after

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(COMPARE_EVERY)
            try:
                await self._compare()
                await self._tidy()
            except Exception:
                logger.exception("the lanes of this node could not be looked after")

    async def _compare(self) -> None:
        namespaces = [each for each in self._followers if each not in self._starting]
        for start in range(0, len(namespaces), AT_ONCE):
            await asyncio.gather(*(map(self._compare_one, namespaces[start : start + AT_ONCE])))

    async def _compare_one(self, namespace: str) -> None:
        try:
            head = await self.log.head(namespace)
        except Unreachable:
            return
        follower = self._followers.get(namespace)
        if follower is not None:
            follower.compare(head)

    async def _tidy(self) -> None:
        now = asyncio.get_running_loop().time()
        for namespace, follower in list(self._followers.items()):
            if not follower.users and now - follower.idle_since > LINGER:
                del self._followers[namespace]
                await follower.stop()
                try:
                    await self.log.unsubscribe(namespace)
                except Unreachable:
                    logger.debug("%s: still subscribed to", namespace)
        for namespace, publisher in list(self._publishers.items()):
            if publisher.idle and namespace not in self._followers:
                del self._publishers[namespace]

    def _run(self, coroutine: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
