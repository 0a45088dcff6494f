"""Several nodes' presence in one loop, whose time and whose network are the test's."""

from collections.abc import Callable, Iterable
from itertools import count, cycle
from typing import Any, Literal

import msgspec
from msgspec import Struct

from gatewright import Settings
from gatewright.backplane.base import Marker
from gatewright.presence import Person, Tracked, Tracker
from gatewright.protocol.codecs import JsonCodec
from gatewright.rooms import Namespaces
from gatewright.types import Frame
from tests._support.clock import ManualLoop

__all__ = ["NAMESPACE", "SETTINGS", "Network", "Screen", "SimNode", "Visitor", "metas", "people"]

NAMESPACE = "/lab"
JSON = JsonCodec()
SETTINGS = Settings()


class Screen:
    """An outlet, and what a page shows of what came through it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.closing = False
        self.rooms: dict[str, dict[str, list[Any]]] = {}
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.leaves: list[tuple[float, str, str]] = []
        """When who left which room."""
        self.comes: list[tuple[float, str, str]] = []

    def push(self, frame: Frame) -> None:
        if self.closing:
            return
        message = msgspec.json.decode(frame.data)
        event, data = message["event"], message["data"]
        self.events.append((event, data))
        room = data["room"]
        if event == "presence:state":
            self.rooms[room] = {each["id"]: each["meta"] for each in data["people"]}
            return
        assert event == "presence:diff"
        shown = self.rooms[room]
        for each in data["joined"]:
            assert each["id"] not in shown
            shown[each["id"]] = each["meta"]
            self.comes.append((self.clock(), room, each["id"]))
        for each in data["changed"]:
            assert shown[each["id"]] != each["meta"]
            shown[each["id"]] = each["meta"]
        for each in data["left"]:
            assert shown.pop(each["id"]) == each["meta"]
            self.leaves.append((self.clock(), room, each["id"]))

    def push_volatile(self, frame: Frame, key: str | None = None) -> bool:
        raise AssertionError("presence is not volatile")

    async def room(self, wanted: int = 0) -> None: ...
    def away(self, after: float, reason: str) -> None: ...
    def close(self, code: int, reason: str = "") -> None:
        self.closing = True

    def lose(self) -> None:
        self.closing = True

    def abort(self) -> None: ...
    async def aclose(self) -> None: ...


class Visitor:
    """A connection, as far as presence is concerned."""

    codec = JSON
    patient = False

    def __init__(self, id: str, user: str | None, screen: Screen, generation: int = 1) -> None:
        self.id = id
        self.user = user
        self.outbox = screen
        self.generation = generation
        self.namespace = NAMESPACE
        self.joined: set[str] = set()
        self.tracked: Tracked | None = None

    @property
    def screen(self) -> Screen:
        return self.outbox

    def meta(self, meta: object) -> None:
        self.tracked = Tracked.now(msgspec.msgpack.encode(meta), self.tracked)


class _Remote:
    """What one node sees of the others, over the network of the test."""

    def __init__(self, network: "Network", name: str) -> None:
        self.network = network
        self.name = name
        self.hears: dict[str, Callable[[str, Any], None]] = {}
        self.peers: Callable[[str, bool], None] = lambda _, __: None

    def hear(self, kind: str, message: type[Any], hear: Callable[[str, Any], None]) -> None:
        decode = msgspec.msgpack.Decoder(message).decode
        self.hears[kind] = lambda sender, body: hear(sender, decode(body))

    def watch(self, peers: Callable[[str, bool], None]) -> None:
        self.peers = peers

    def tell(self, kind: str, message: Struct, node: str | None = None) -> None:
        body = msgspec.msgpack.encode(message)
        for other in list(self.network.nodes.values()):
            if other.name != self.name and node in {None, other.name}:
                self.network.carry(self.name, other.name, kind, body)


class SimNode:
    """One node: its rooms and its presence."""

    def __init__(self, network: "Network", name: str, *, alone: bool = False) -> None:
        self.network = network
        self.name = name
        self.namespaces = Namespaces()
        self.remote = _Remote(network, name)
        self.alone = alone
        """Whether it reaches nobody."""
        self.tracker = Tracker(
            network.settings, self.namespaces, (), None if alone else self.remote
        )
        self.visitors: dict[str, Visitor] = {}

    def visit(self, visitor: Visitor, rooms: Iterable[str] = ()) -> None:
        """Connect, for the first time."""
        self.namespaces.enter(NAMESPACE, visitor)
        self.visitors[visitor.id] = visitor
        self.network.move("join", visitor, rooms)

    def resume(self, visitor: Visitor, rooms: Iterable[str]) -> None:
        self.namespaces.enter(NAMESPACE, visitor)
        self.visitors[visitor.id] = visitor
        self.namespaces[NAMESPACE].restore(visitor, rooms)
        self.tracker.arrived(visitor)

    def lose(self, visitor: Visitor, *, kept: bool) -> None:
        """Its socket is lost."""
        rooms = set(visitor.joined)
        visitor.screen.lose()
        self.tracker.lost(visitor, kept=kept)
        self.namespaces.exit(NAMESPACE, visitor)
        if self.visitors.get(visitor.id) is visitor:
            del self.visitors[visitor.id]
        visitor.joined = rooms

    def shows(self, room: str) -> dict[str, list[Any]]:
        return people(self.tracker, room)


class Network:
    """The nodes and the ways between them. Letters may be lost or overtake each other."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.settings = settings
        self.loop = ManualLoop()
        self.nodes: dict[str, SimNode] = {}
        self.cut: set[str] = set()
        """Nodes that nobody reaches."""
        self.lags = cycle([0.0])
        """The seconds that letters take, one after another."""
        self.losing = 0
        """How many letters are lost next."""
        self.carried: list[tuple[str, str, str]] = []
        self._names = count(1)

    def start(self, **options: bool) -> SimNode:
        node = SimNode(self, f"n{next(self._names)}", **options)
        self.nodes[node.name] = node
        self.do(node.tracker.start)
        for other in self.nodes.values():
            if other is not node:
                self.meet(other, node, lives=True)
                self.meet(node, other, lives=True)
        return node

    def meet(self, one: SimNode, other: SimNode, *, lives: bool) -> None:
        """One learns that another lives, or does no longer."""
        self.do(one.remote.peers, other.name, lives)

    def carry(self, sender: str, receiver: str, kind: str, body: bytes) -> None:
        if {sender, receiver} & self.cut:
            return
        if self.losing:
            self.losing -= 1
            return
        self.carried.append((sender, receiver, kind))
        self.loop.call_later(next(self.lags), self._arrive, sender, receiver, kind, body)

    def _arrive(self, sender: str, receiver: str, kind: str, body: bytes) -> None:
        node = self.nodes.get(receiver)
        if node is not None and not {sender, receiver} & self.cut:
            node.remote.hears[kind](sender, body)

    def move(
        self, action: Literal["join", "leave"], visitor: Visitor, rooms: Iterable[str]
    ) -> None:
        """The lane, which every node hears."""
        chosen = sorted(rooms)
        if chosen:
            for node in self.nodes.values():
                marker = Marker(NAMESPACE, 0, action, visitor.id, chosen)
                self.do(node.namespaces.lane, marker)

    def kill(self, node: SimNode) -> None:
        """It is gone; the others find out when `meet` says so."""
        self.do(node.tracker.stop, quiet=True)
        self.cut.add(node.name)
        del self.nodes[node.name]

    def stop(self, node: SimNode) -> None:
        """It stops, and says so; the others find out that it is gone a moment later."""
        self.do(node.tracker.stop)
        self.loop.advance(1.5, 0.25)
        self.cut.add(node.name)
        del self.nodes[node.name]
        for other in self.nodes.values():
            self.meet(other, node, lives=False)

    def do(self, step: Callable[..., Any], *arguments: Any, quiet: bool = False) -> None:
        """Do something inside the loop, and let what it causes happen; or nobody hear of it."""

        async def inside() -> None:
            if quiet:
                self.cut, cut = set(self.nodes), self.cut
                step(*arguments)
                self.cut = cut
            else:
                step(*arguments)

        self.loop.run(inside())
        self.loop.settle()

    def screen(self) -> Screen:
        return Screen(self.loop.time)

    def close(self) -> None:
        for node in list(self.nodes.values()):
            self.kill(node)
        self.loop.close()


def people(tracker: Tracker, room: str) -> dict[str, list[Any]]:
    """Who is in a room, as a node sees it."""
    found = tracker.people(NAMESPACE, room)
    return {id: [msgspec.msgpack.decode(each) for each in metas] for id, metas in found.items()}


def metas(*found: Person) -> dict[str, list[Any]]:
    return {each.id: each.meta for each in found}
