"""One namespace's sequence on two nodes, and a session that loses its socket and returns."""

from collections.abc import Iterable, Iterator
from typing import ClassVar

from msgspec import Struct

from tests.recovery.models.checker import Action, Model, Violation
from tests.recovery.models.lane_node import catch_up, deliver
from tests.recovery.models.lane_return import merge, read, register
from tests.recovery.models.lane_state import (
    Entry,
    Gap,
    Link,
    Marker,
    Node,
    Passing,
    Rules,
    Scope,
    State,
)

__all__ = ["Lane"]

ROOMS = ("A", "B")
ALL = "*"
"""The one channel of a namespace that has one."""


class Lane(Model[State, Rules]):
    state: ClassVar[type[Struct]] = State

    def __init__(self, rules: Rules, scope: Scope) -> None:
        super().__init__(rules)
        self.scope = scope

    def initial(self) -> State:
        scope, rules = self.scope, self.rules
        counts = ("emits", "breaks", "silent_drops", "cuts", "joins", "leaves", "trims", "flushes")
        s = State(
            left={each: getattr(scope, each) for each in counts},
            history={room: [] for room in ROOMS},
            top=dict.fromkeys(ROOMS, 0),
            gone=dict.fromkeys(ROOMS, 0),
            nodes=[Node(), Node()],
            link=Link(node=0),
        )
        if scope.before:
            self._append(s, scope.member_of, None)
        start = s.seq if rules.first_position else 0
        s.client.seq = start
        s.members = set(scope.member_of)
        s.record.rooms = dict.fromkeys(scope.member_of, start)
        s.nodes[0].members = dict(s.record.rooms)
        s.nodes[0].last = {room: s.top[room] for room in scope.member_of}
        s.nodes[0].subscribed = s.members.copy()
        for node in s.nodes:
            node.seq = s.seq
            if rules.one_lane:
                node.subscribed = {ALL}
        return s

    # What may happen

    def chances(self, s: State) -> Iterator[Action]:
        left, link, scope = s.left, s.link, self.scope
        if left["emits"]:
            for rooms in scope.targets:
                yield ("emit", *rooms)
            if scope.excepting:
                yield ("emit except B", "A")
        for number, node in enumerate(s.nodes):
            first = node.queue[0] if node.queue else None
            if left["silent_drops"] and isinstance(first, Passing):
                yield ("silent drop at", number)
            if left["breaks"] and node.up and link is not None and link.node == number:
                yield ("break lane of", number)
        if link is not None and left["cuts"]:
            yield ("cut",)
        if (
            left["joins"]
            and link is not None
            and link.phase == "live"
            and s.joining is None
            and "B" not in s.record.rooms
        ):
            yield ("join", "B")
        if left["leaves"] and "B" in s.record.rooms and s.joining is None:
            yield ("leave", "B")
        if left["trims"] and s.history["A"]:
            yield ("trim", "A")
        if left["flushes"]:
            yield ("flush",)

    def duties(self, s: State) -> Iterator[Action]:
        if s.joining is not None:
            yield ("join", s.joining[0])
        for number, node in enumerate(s.nodes):
            if node.queue and node.up and not (node.behind and self.rules.freeze):
                yield from self._deliveries(number, node)
            if not node.up:
                yield ("reconnect", number)
            if node.behind:
                yield ("catch up", number)
        link = s.link
        if link is None:
            for number in self.scope.resume_on:
                yield ("resume on", number)
        elif link.phase == "live":
            if link.wire:
                yield ("client receives",)
            elif self.rules.tail and self._is_behind(s, s.nodes[link.node]) and not _busy(s):
                yield ("compare with the head", link.node)
        else:
            yield (link.phase,)

    def _deliveries(self, number: int, node: Node) -> Iterator[Action]:
        if self.rules.fifo:
            yield ("deliver", number, 0)
            return
        channels: set[str] = set()
        for place, passing in enumerate(node.queue):
            channel = passing.channel if isinstance(passing, Passing) else "markers"
            if channel not in channels:
                channels.add(channel)
                yield ("deliver", number, place)

    def _is_behind(self, s: State, node: Node) -> bool:
        if self.rules.one_lane:
            return (node.epoch, node.seq) != (s.epoch, s.seq)
        return any(node.last.get(room) != s.top[room] for room in node.members)

    def do(self, s: State, action: Action) -> None:
        left = s.left
        match action:
            case ("emit", *rooms):
                left["emits"] -= 1
                self._emit(s, tuple(map(str, rooms)), None)
            case ("emit except B", "A"):
                left["emits"] -= 1
                self._emit(s, ("A",), "B")
            case ("deliver", int(number), int(place)):
                deliver(s, self.rules, number, s.nodes[number].queue.pop(place))
            case ("break lane of", int(number)):
                left["breaks"] -= 1
                s.nodes[number].up = False
                s.nodes[number].queue.clear()
            case ("silent drop at", int(number)):
                left["silent_drops"] -= 1
                del s.nodes[number].queue[0]
            case ("reconnect", int(number)):
                s.nodes[number].up = s.nodes[number].behind = True
            case ("catch up" | "compare with the head", int(number)):
                catch_up(s, self.rules, number)
            case ("client receives",):
                self._receive(s)
            case ("cut",):
                left["cuts"] -= 1
                s.link = None
            case ("trim", "A"):
                left["trims"] -= 1
                s.gone["A"] = s.history["A"].pop(0).seq
            case ("flush",):
                left["flushes"] -= 1
                self._flush(s)
            case ("resume on", int(number)):
                for node in s.nodes:
                    node.members.clear()
                s.joining = None
                s.link = Link(
                    number,
                    "register" if self.rules.hold else "read",
                    unread=sorted(s.record.rooms),
                )
            case ("register",):
                register(s, self.rules)
            case ("read",):
                read(s, self.rules)
            case ("merge",):
                merge(s, self.rules)
            case ("join", what):
                self._join(s, str(what))
            case ("leave", "B"):
                self._leave(s)
            case _:
                raise AssertionError(action)

    # The sequence

    def _append(self, s: State, rooms: Iterable[str], excepted: str | None) -> Entry:
        s.seq += 1
        rooms = tuple(rooms)
        entry = Entry(s.epoch, s.seq, rooms, {room: s.top[room] for room in rooms}, excepted)
        for room in rooms:
            s.history[room].append(entry)
            s.top[room] = s.seq
        return entry

    def _emit(self, s: State, rooms: tuple[str, ...], excepted: str | None) -> None:
        entry = self._append(s, rooms, excepted)
        for node in s.nodes:
            if node.up:
                channels = (ALL,) if self.rules.one_lane else rooms
                node.queue += [
                    Passing(channel, entry) for channel in channels if channel in node.subscribed
                ]
        if s.members & set(rooms) and excepted not in s.members:
            s.owed.append((s.epoch, s.seq, rooms))

    def _flush(self, s: State) -> None:
        """The backplane loses everything and begins another epoch."""
        s.epoch += 1
        s.seq = 0
        for room in ROOMS:
            s.history[room] = []
            s.top[room] = s.gone[room] = 0
        s.record.rooms = dict.fromkeys(s.record.rooms, 0)
        s.record.ended = []

    # Membership

    def _join(self, s: State, what: str) -> None:
        assert s.link is not None or s.joining is not None
        if s.joining is None:
            assert s.link is not None
            s.left["joins"] -= 1
            node = s.nodes[s.link.node]
            if not self.rules.one_lane and what not in node.subscribed:
                node.subscribed.add(what)
                node.last[what] = s.top[what]
            s.joining = ("script", s.link.node)
            return
        step, number = s.joining
        node = s.nodes[number]
        s.joining = None
        if step == "local":
            node.members["B"] = s.record.rooms.get("B", 0)
            return
        s.record.rooms["B"] = s.seq
        s.members.add("B")
        if not self.rules.marker:
            s.joining = ("local", number)
        elif node.up:
            node.queue.append(Marker(joins=True, epoch=s.epoch, seq=s.seq, room="B"))

    def _leave(self, s: State) -> None:
        s.left["leaves"] -= 1
        since = s.record.rooms.pop("B")
        s.members.discard("B")
        if self.rules.intervals:
            s.record.ended.append(("B", since, s.seq))
        for node in s.nodes:
            if not self.rules.marker:
                node.members.pop("B", None)
                continue
            joined = Marker(joins=True, epoch=s.epoch, seq=since, room="B")
            if (node.up and "B" in node.members) or joined in node.queue:
                node.queue.append(Marker(joins=False, epoch=s.epoch, seq=s.seq, room="B"))

    # The client, and what must be so

    def _receive(self, s: State) -> None:
        link, client = s.link, s.client
        assert link is not None
        message = link.wire.pop(0)
        if isinstance(message, Gap):
            client.gaps.append(message)
        else:
            number = message.number
            if message.epoch == client.epoch and number in client.got:
                raise Violation(f"{message.seq} came twice")
            if message.epoch == client.epoch and message.seq <= client.seq:
                raise Violation(f"{message.seq} came after {client.seq}")
            if number not in [(epoch, seq) for epoch, seq, _ in s.owed]:
                raise Violation(f"{message.seq} to {message.rooms} was not for this client")
            client.got.append(number)
        client.epoch, client.seq = message.epoch, message.seq

    def judge(self, s: State) -> None:
        for epoch, seq, rooms in s.owed:
            if (epoch, seq) not in s.client.got and not any(
                gap.epoch > epoch or (gap.epoch == epoch and set(gap.rooms) & set(rooms))
                for gap in s.client.gaps
            ):
                raise Violation(f"{seq} of epoch {epoch} to {rooms} was lost without a gap")


def _busy(s: State) -> bool:
    return s.joining is not None or any(
        node.queue or not node.up or node.behind for node in s.nodes
    )
