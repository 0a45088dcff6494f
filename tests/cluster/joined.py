"""A backplane that several nodes of one process share, whose troubles a test makes at will.

It keeps the whole contract. Everything arrives at once, unless a test holds it or lets it lag.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from itertools import count
from typing import Any, Generic, Literal, TypeVar

from msgspec import structs

from gatewright.backplane import Backplane
from gatewright.backplane.base import (
    DEFAULT_BOUNDS,
    Batch,
    Bounds,
    Break,
    Entry,
    Lane,
    Mail,
    Moved,
    Passing,
    Peers,
    Record,
    Resumption,
    ignore,
)
from gatewright.backplane.sequences import Sequences
from gatewright.errors import BackplaneError, NotStartedError
from gatewright.types import Position
from tests.backplane.lanes import copied

__all__ = ["Hub", "Joined", "Way"]

T = TypeVar("T")


class Way(Generic[T]):
    """What is under way to one node, in its order; with a `lag` it takes so many turns more."""

    def __init__(self, deliver: Callable[[T], None], lag: int = 0) -> None:
        self.lag: int = lag
        self.held: bool = False
        self._deliver = deliver
        self._waiting: deque[tuple[int, T]] = deque()
        self._put = 0
        self._done = 0
        self._arrivals: list[tuple[int, asyncio.Future[None]]] = []
        self._pumping = False

    def __len__(self) -> int:
        """How much is under way."""
        return len(self._waiting)

    def put(self, thing: T) -> None:
        self._put += 1
        self._waiting.append((self.lag, thing))
        self._pump()

    def hold(self) -> None:
        self.held = True

    def let(self, number: int | None = None) -> None:
        """Let all arrive from here on, or so many of what is held, now."""
        if number is None:
            self.held = False
            self._pump()
            return
        for _ in range(number):
            self._next()

    def drop(self) -> None:
        """What is under way never arrives."""
        self._done += len(self._waiting)
        self._waiting.clear()
        self._tell()

    async def arrived(self) -> None:
        """Wait until what is under way has arrived."""
        if self._done < self._put:
            future = asyncio.get_running_loop().create_future()
            self._arrivals.append((self._put, future))
            await future

    def _pump(self) -> None:
        while self._waiting and not self.held and not self._pumping:
            if not self._waiting[0][0]:
                self._next()
                continue
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._pumping = False
        self._waiting = deque((max(0, lag - 1), thing) for lag, thing in self._waiting)
        self._pump()

    def _next(self) -> None:
        _, thing = self._waiting.popleft()
        self._deliver(thing)
        self._done += 1
        self._tell()

    def _tell(self) -> None:
        reached = [each for each in self._arrivals if each[0] <= self._done]
        self._arrivals = [each for each in self._arrivals if each[0] > self._done]
        for _, future in reached:
            if not future.done():
                future.set_result(None)


class Hub:
    """What the nodes share. `clock` gives seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.nodes: dict[str, Joined] = {}
        """Those that have started, by their names; also those that the others do not reach."""
        self.owners: dict[tuple[str, str], str] = {}
        self._sequences: Sequences | None = None
        self._starts = count(1)

    def node(self, label: str = "node") -> "Joined":
        """A backplane for one more application."""
        return Joined(self, label)

    def sequences(self, bounds: Bounds) -> Sequences:
        if self._sequences is None:
            self._sequences = Sequences(self._pass, bounds, idle=10_000, clock=self.clock)
        return self._sequences

    def name(self, label: str) -> str:
        return f"{label}-{next(self._starts)}"

    def enter(self, node: "Joined") -> None:
        for other in self._reachable():
            other.meet(node.node, lives=True)
            node.meet(other.node, lives=True)
        self.nodes[node.node] = node

    def leave(self, node: "Joined") -> None:
        if self.nodes.pop(node.node, None) is not None:
            self._bury(node)

    def _reachable(self) -> list["Joined"]:
        return [node for node in self.nodes.values() if not node.cut]

    def _pass(self, passing: Passing) -> None:
        for node in list(self.nodes.values()):
            if node.follows[passing.namespace]:
                node.lane.put(passing)

    # Trouble

    def kill(self, node: "Joined", *, noticed: bool = True) -> None:
        """The process of a node is gone. The others know it at once, or when `notice` is called."""
        node.cut = node.dead = True
        node.lane.drop()
        node.mail.drop()
        if noticed:
            self.notice(node)

    def part(self, node: "Joined", *, noticed: bool = False) -> None:
        """A node lives, and reaches nobody: what it asks of the backplane fails."""
        node.cut = True
        node.lane.hold()
        node.mail.drop()
        if noticed:
            self.notice(node)

    def notice(self, node: "Joined") -> None:
        """A node that nobody reaches is taken for dead, and takes all others for dead."""
        self._bury(node)
        if node.dead:
            self.nodes.pop(node.node, None)
            return
        for name in list(node.nodes):
            node.meet(name, lives=False)

    def heal(self, node: "Joined", *, lost: bool = False) -> None:
        """It reaches all again, and hears what has passed; or learns that it has `lost` that."""
        node.cut = False
        if lost:
            node.lane.drop()
            for namespace, follows in node.follows.items():
                if follows:
                    node.lane.put(Break(namespace))
        node.lane.let()
        for session in self._sessions_of(node):
            # It has a socket after all.
            session.deadline = None
            self.sequences(DEFAULT_BOUNDS)._away.pop(session, None)
        for other in self._reachable():
            if other is not node:
                other.meet(node.node, lives=True)
                node.meet(other.node, lives=True)

    def _bury(self, node: "Joined") -> None:
        for other in self._reachable():
            if other is not node:
                other.meet(node.node, lives=False)
        sequences = self.sequences(DEFAULT_BOUNDS)
        for session in self._sessions_of(node):
            _ = sequences.release(session.namespace, session.id, session.generation, None)

    def _sessions_of(self, node: "Joined") -> list[Any]:
        found: list[Any] = []
        for (namespace, id), owner in self.owners.items():
            sequence = self.sequences(DEFAULT_BOUNDS).find_namespace(namespace)
            if owner == node.node and sequence is not None and id in sequence.sessions:
                found.append(sequence.sessions[id])
        return found


class Joined(Backplane):
    """One node's side. `lane` and `mail` are what is under way to it."""

    durable = True
    shared = True

    def __init__(self, hub: Hub, label: str) -> None:
        self.hub = hub
        self.label = label
        self.node = ""
        self.follows: Counter[str] = Counter()
        self.cut: bool = False
        """Whether it reaches nobody."""
        self.dead: bool = False
        self.lane: Way[Passing] = Way(self._passed)
        self.mail: Way[tuple[str, bytes]] = Way(self._mailed, lag=1)
        self.sent: list[tuple[str | None, bytes]] = []
        """All that it has sent and cast, to whom (None: all)."""
        self._lives: dict[str, None] = {}
        self._started: tuple[Lane, Mail, Peers] | None = None
        self._bounds = DEFAULT_BOUNDS

    async def start(
        self,
        lane: Lane,
        bounds: Bounds = DEFAULT_BOUNDS,
        *,
        mail: Mail = ignore,
        peers: Peers = ignore,
    ) -> None:
        assert self._started is None
        self.node = self.hub.name(self.label)
        self.cut = self.dead = False
        self._started = lane, mail, peers
        self._bounds = bounds
        self.follows.clear()
        self.hub.enter(self)

    async def stop(self) -> None:
        self.hub.leave(self)
        self._started = None
        self._lives.clear()

    # What comes in

    def _passed(self, passing: Passing) -> None:
        if self._started is None or self.dead or not self.follows[passing.namespace]:
            return
        if isinstance(passing, Batch):
            entries = [copied(entry) for entry in passing.entries]
            passing = structs.replace(passing, entries=entries)
        self._started[0](passing)

    def _mailed(self, letter: tuple[str, bytes]) -> None:
        if self._started is not None and not self.cut:
            self._started[1](*letter)

    def meet(self, name: str, *, lives: bool) -> None:
        """Another node lives, or does not any more."""
        if lives == (name in self._lives) or self._started is None:
            return
        if lives:
            self._lives[name] = None
        else:
            del self._lives[name]
        self._started[2](name, lives)

    # What it is asked

    @property
    def _sequences(self) -> Sequences:
        if self._started is None:
            raise NotStartedError("the application is not running")
        if self.cut:
            raise BackplaneError("expected the others, got no answer")
        return self.hub.sequences(self._bounds)

    @property
    def nodes(self) -> Collection[str]:
        return self._lives.keys()

    async def follow(self, namespace: str) -> None:
        assert self._sequences is not None
        self.follows[namespace] += 1

    async def unfollow(self, namespace: str) -> None:
        assert self.follows[namespace] > 0
        self.follows[namespace] -= 1

    async def cast(self, namespace: str, message: bytes) -> None:
        assert self._sequences is not None
        self.sent.append((None, message))
        for other in self.hub._reachable():
            if other is not self and other.follows[namespace]:
                other.mail.put((self.node, message))

    async def send(self, message: bytes, node: str | None = None) -> None:
        assert self._sequences is not None
        self.sent.append((node, message))
        for other in self.hub._reachable():
            if other is not self and node in (None, other.node):
                other.mail.put((self.node, message))

    async def publish(self, namespace: str, entries: Sequence[Entry]) -> int:
        return self._sequences.publish(namespace, [copied(entry) for entry in entries])

    async def mark(
        self, namespace: str, action: Literal["join", "leave"], member: str, rooms: Collection[str]
    ) -> int:
        seq = self._sequences.mark(namespace, action, member, tuple(rooms))
        await self.lane.arrived()
        return seq

    async def position(self, namespace: str) -> Position:
        position = self._sequences.position(namespace)
        await self.lane.arrived()
        return position

    async def open(self, namespace: str, id: str, key: bytes, user: str | None) -> Position:
        position = self._sequences.open(namespace, id, key, user)
        self.hub.owners[namespace, id] = self.node
        await self.lane.arrived()
        return position

    async def rename(self, namespace: str, id: str, user: str | None) -> None:
        self._sequences.rename(namespace, id, user)

    async def save(self, namespace: str, id: str, state: bytes) -> None:
        self._sequences.save(namespace, id, state)

    async def confirm(self, namespace: str, id: str, seq: int) -> None:
        self._sequences.confirm(namespace, id, seq)

    async def find(self, namespace: str, key: bytes) -> Record | None:
        record = self._sequences.find(namespace, key)
        return None if record is None else self._owned(record)

    async def resume(
        self,
        namespace: str,
        key: bytes,
        after: Position | None,
        revoked: Collection[str] = (),
        *,
        renewed: bytes | None = None,
    ) -> Resumption | None:
        resumption = self._sequences.resume(namespace, key, after, revoked, renewed)
        if resumption is None:
            return None
        record = resumption.record
        before = self.hub.owners.get((namespace, record.id))
        self.hub.owners[namespace, record.id] = self.node
        if before != self.node:
            self.hub._pass(Moved(namespace, record.id, record.generation, self.node))
        await self.lane.arrived()
        entries = [(seq, copied(entry)) for seq, entry in resumption.entries]
        record = self._owned(record)
        return structs.replace(resumption, record=record, entries=entries)

    async def settle(self, namespace: str, id: str, generation: int) -> None:
        self._sequences.settle(namespace, id, generation)

    async def release(
        self, namespace: str, id: str, generation: int, *, taken: int | None = None
    ) -> bool:
        return self._sequences.release(namespace, id, generation, taken)

    async def end(self, namespace: str, id: str, generation: int) -> bool:
        ended = self._sequences.end(namespace, id, generation)
        if ended:
            self.hub.owners.pop((namespace, id), None)
        return ended

    async def expired(self) -> Sequence[Record]:
        records = [self._owned(record) for record in self._sequences.expired()]
        for record in records:
            self.hub.owners.pop((record.namespace, record.id), None)
        return records

    def _owned(self, record: Record) -> Record:
        return structs.replace(record, node=self.hub.owners.get((record.namespace, record.id)))
