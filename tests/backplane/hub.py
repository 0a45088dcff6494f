"""An engine in one process: what several nodes share, with faults to order."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

from typing_extensions import override

from gatewright.backplane.base import Bounds
from gatewright.backplane.shared.backplane import Shared
from gatewright.backplane.shared.log import (
    Ears,
    Head,
    Log,
    Message,
    Page,
    Replaced,
    Stored,
    Unreachable,
)


class _Lane:
    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.messages: list[Message] = []
        self.n = 0
        self.seq = 0
        self.since = 0
        self.numbers: dict[str, tuple[int, Head]] = {}
        self.records: dict[str, tuple[bytes, str]] = {}
        self.marks: defaultdict[str, list[Message]] = defaultdict(list)
        self.keys: dict[bytes, str] = {}

    @property
    def head(self) -> Head:
        return Head(self.epoch, self.n, self.seq)


class Hub:
    """What is shared. `page` is how many messages one reading brings."""

    def __init__(self, page: int = 3) -> None:
        self.page = page
        self.down = False
        self.epochs = 0
        self.lanes: dict[str, _Lane] = {}
        self.logs: dict[str, HubLog] = {}
        self.due: dict[tuple[str, str], float] = {}

    def lane(self, namespace: str) -> _Lane:
        lane = self.lanes.get(namespace)
        if lane is None:
            self.epochs += 1
            lane = self.lanes[namespace] = _Lane(f"e{self.epochs}")
        return lane

    def flush(self) -> None:
        """Lose everything."""
        self.lanes.clear()
        self.due.clear()

    def trim(self, namespace: str, keep: int) -> None:
        """Keep only the last messages of a lane."""
        lane = self.lane(namespace)
        lost = lane.messages[: len(lane.messages) - keep]
        if lost:
            lane.since = lost[-1].n
            lane.messages = lane.messages[len(lost) :]


class HubLog(Log):
    """One node's way to the hub.

    `lose` judges what is heard: True keeps it from this node. `fail` is how many of the next steps
    are carried out and then said to have failed. `reading` is told of each page before it is read.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.lose: Callable[[Message], bool] = lambda _: False
        self.reading: Callable[[str], None] = lambda _: None
        self.fail = 0
        self.down = False
        self._ears: Ears | None = None
        self._lanes: set[str] = set()
        self._queue: asyncio.Queue[Callable[[Ears], None]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    @override
    async def start(self, node: str, ears: Ears, bounds: Bounds) -> None:
        self._ears = ears
        self.node = node
        self.hub.logs[node] = self
        self._task = asyncio.create_task(self._bring())

    async def _bring(self) -> None:
        while True:
            tell = await self._queue.get()
            assert self._ears is not None
            tell(self._ears)

    @override
    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self.hub.logs.pop(self.node, None)

    def break_(self) -> None:
        """Lose touch: what is under way is lost as well."""
        self._lanes.clear()
        self._queue = asyncio.Queue()
        assert self._task is not None
        self._task.cancel()
        self._task = asyncio.create_task(self._bring())
        self._queue.put_nowait(lambda ears: ears.broken(None))

    async def _step(self) -> None:
        await asyncio.sleep(0)
        if self.down or self.hub.down:
            raise Unreachable("the hub is down")

    def _done(self) -> None:
        if self.fail:
            self.fail -= 1
            raise Unreachable("no answer")

    @override
    async def append(
        self, namespace: str, body: bytes, count: int, number: int, member: str | None = None
    ) -> Head:
        await self._step()
        lane = self.hub.lane(namespace)
        last = lane.numbers.get(self.node)
        if last is None or last[0] < number:
            lane.numbers[self.node] = number, self._append(namespace, body, count, member)
        self._done()
        return lane.numbers[self.node][1]

    def _append(self, namespace: str, body: bytes, count: int, member: str | None) -> Head:
        lane = self.hub.lane(namespace)
        lane.seq += count
        message = Message(lane.epoch, lane.n + 1, lane.n, lane.seq, count, body)
        lane.n += 1
        lane.messages.append(message)
        if member in lane.records:
            lane.marks[member].append(message)
        for log in self.hub.logs.values():
            log.bring(namespace, message)
        return lane.head

    def bring(self, namespace: str, message: Message) -> None:
        if namespace in self._lanes and not self.down and not self.lose(message):
            self._queue.put_nowait(lambda ears: ears.heard(namespace, message))

    @override
    async def head(self, namespace: str) -> Head:
        await self._step()
        return self.hub.lane(namespace).head

    @override
    async def subscribe(self, namespace: str) -> Head:
        await self._step()
        self._lanes.add(namespace)
        return self.hub.lane(namespace).head

    @override
    async def unsubscribe(self, namespace: str) -> None:
        self._lanes.discard(namespace)

    @override
    async def read(self, namespace: str, after: int) -> Page:
        await self._step()
        self.reading(namespace)
        lane = self.hub.lane(namespace)
        found = [each for each in lane.messages if each.n > after]
        return Page(lane.head, found[: self.hub.page], lane.since)

    def _stored(self, lane: _Lane, id: str | None) -> Stored | None:
        if id is None or id not in lane.records:
            return None
        return Stored(id, *lane.records[id], tuple(lane.marks[id]))

    @override
    async def load(self, namespace: str, id: str) -> Stored | None:
        await self._step()
        return self._stored(self.hub.lane(namespace), id)

    @override
    async def find(self, namespace: str, key: bytes) -> Stored | None:
        await self._step()
        lane = self.hub.lane(namespace)
        return self._stored(lane, lane.keys.get(key))

    @override
    async def create(
        self, namespace: str, id: str, record: bytes, version: str, keys: Collection[bytes]
    ) -> Head | None:
        await self._step()
        lane = self.hub.lane(namespace)
        if (known := lane.records.get(id)) is None or known[1] != version:
            if known is not None or any(key in lane.keys for key in keys):
                return None
            lane.records[id] = record, version
            lane.keys.update(dict.fromkeys(keys, id))
        self._done()
        return lane.head

    @override
    async def replace(
        self,
        namespace: str,
        stored: Stored,
        record: bytes,
        version: str,
        *,
        folded: int,
        add: Collection[bytes] = (),
        drop: Collection[bytes] = (),
        marker: bytes | None = None,
    ) -> Replaced | None:
        await self._step()
        lane, id = self.hub.lane(namespace), stored.id
        known = lane.records.get(id)
        if known is None or any(lane.keys.get(key, id) != id for key in add):
            return None
        if known[1] != version:
            if known[1] != stored.version:
                return None
            lane.records[id] = record, version
            lane.marks[id] = [each for each in lane.marks[id] if each.n > folded]
            lane.keys.update(dict.fromkeys(add, id))
            for key in drop:
                lane.keys.pop(key, None)
            if marker is not None:
                self._append(namespace, marker, 0, id)
        self._done()
        return Replaced(version, lane.head, tuple(lane.marks[id]))

    @override
    async def remove(
        self, namespace: str, stored: Stored, keys: Collection[bytes], marker: bytes | None = None
    ) -> bool:
        await self._step()
        lane, id = self.hub.lane(namespace), stored.id
        known = lane.records.get(id)
        if known is None or known[1] != stored.version:
            return False
        del lane.records[id]
        lane.marks.pop(id, None)
        for key in keys:
            lane.keys.pop(key, None)
        if marker is not None:
            self._append(namespace, marker, 0, id)
        self._done()
        return True

    @override
    async def remind(self, namespace: str, id: str, at: float) -> None:
        await self._step()
        self.hub.due[namespace, id] = at

    @override
    async def due(self, now: float, limit: int) -> Sequence[tuple[str, str]]:
        await self._step()
        found = [key for key, at in self.hub.due.items() if at <= now][:limit]
        self.hub.due.update(dict.fromkeys(found, now + 60))
        return found

    @override
    async def forget(self, namespace: str, id: str) -> None:
        await self._step()
        self.hub.due.pop((namespace, id), None)

    @override
    async def listen(self) -> None:
        await self._step()

    @override
    async def cast(self, namespace: str, body: bytes) -> None:
        await self._step()
        for log in self.hub.logs.values():
            if namespace in log._lanes and not log.down:
                log._queue.put_nowait(lambda ears: ears.cast(namespace, body))

    @override
    async def send(self, body: bytes, node: str | None = None) -> None:
        await self._step()
        for name, log in self.hub.logs.items():
            if node in (None, name) and not log.down:
                log._queue.put_nowait(lambda ears: ears.mail(body))


class Hubbed(Shared):
    """The shared backplane over a hub; `log` is its way there once it has started."""

    def __init__(self, hub: Hub, *, clock: Callable[[], float] | None = None) -> None:
        super().__init__(clock=clock)
        self._hub = hub
        self.log = HubLog(hub)

    @override
    def _engine(self) -> Log:
        self.log = HubLog(self._hub)
        return self.log
