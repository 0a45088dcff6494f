"""The workloads: over plain WebSockets, the same over Socket.IO, and over two nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .peers import (
    GATEWRIGHT,
    GATEWRIGHT_MOUNTED,
    GATEWRIGHT_SIO,
    GATEWRIGHT_SIO_WS,
    GATEWRIGHT_V1,
    GATEWRIGHT_WS,
    NEST,
    NODE_SHARDED,
    NODE_SOCKETIO,
    SOCKETIO,
    STARLETTE,
)

PLAIN_SERVERS = (GATEWRIGHT, GATEWRIGHT_WS, GATEWRIGHT_MOUNTED, STARLETTE, SOCKETIO, NEST)
SOCKETIO_SERVERS = (GATEWRIGHT_SIO, GATEWRIGHT_SIO_WS, SOCKETIO, NODE_SOCKETIO)
NODES_SERVERS = (
    *(GATEWRIGHT_WS, GATEWRIGHT_V1, GATEWRIGHT_SIO, GATEWRIGHT_SIO_WS),
    *(SOCKETIO, NODE_SOCKETIO, NODE_SHARDED),
)


@dataclass(frozen=True)
class Workload:
    name: str
    title: str
    kind: str  # the generator's command: echo, fanout or idle
    unit: str  # what its rate counts
    connections: int
    in_flight: int = 1
    """Per connection; of a fan-out per room; while opening all together."""
    rooms: int = 1
    nodes: int = 1
    receiving: int = 0
    """The first so many nodes have members, the others one connection each; 0: all have."""
    warm_up: float = 0
    """Seconds for an echo, publishes for a fan-out."""
    publishes: int = 0
    rate: float = 0
    """Publishes per second; 0: the next when one is done."""
    budget: float = 1
    """How many times `--seconds` it may measure; a fan-out ends earlier after its publishes."""
    hold: float = 0
    """Seconds for which idle connections are watched."""
    servers: tuple[str, ...] = PLAIN_SERVERS
    """Who takes part."""

    def arguments(self, seconds: float) -> list[str]:
        """The generator's arguments after the dialect."""
        time = str(seconds * self.budget)
        if self.kind == "echo":
            return [str(self.connections), str(self.in_flight), str(self.warm_up), time]
        if self.kind == "fanout":
            counts = (self.rooms, self.connections, self.in_flight, int(self.warm_up))
            limits = (self.publishes, time, self.rate, self.receiving)
            return [*map(str, counts), *map(str, limits)]
        return [str(self.connections), str(self.in_flight)]

    def over_socketio(self) -> Workload:
        """The same load on servers that all speak Socket.IO: s1 is w1."""
        return replace(
            self,
            name=f"s{self.name[1:]}",
            title=f"S{self.title[1:]}, over Socket.IO",
            servers=SOCKETIO_SERVERS,
        )


_PLAIN = (
    Workload(
        "w1",
        "W1: calls and replies, 100 connections, 8 calls in flight each",
        "echo",
        "calls/s",
        connections=100,
        in_flight=8,
        warm_up=0.5,
    ),
    Workload(
        "w1s",
        "W1s: calls and replies, 100 connections, 1 call in flight each",
        "echo",
        "calls/s",
        connections=100,
        in_flight=1,
        warm_up=0.5,
    ),
    Workload(
        "w2",
        "W2: fan-out to a room of 1,000, one publish at a time",
        "fanout",
        "deliveries/s",
        connections=1000,
        in_flight=1,
        warm_up=5,
        publishes=200,
        budget=2,
    ),
    Workload(
        "w2p",
        "W2p: fan-out to a room of 1,000, 16 publishes in flight",
        "fanout",
        "deliveries/s",
        connections=1000,
        in_flight=16,
        warm_up=16,
        publishes=200,
        budget=2,
    ),
    Workload(
        "w3",
        "W3: 5,000 idle connections, opened 64 at a time",
        "idle",
        "connects/s",
        connections=5000,
        in_flight=64,
    ),
)

_NODES = (
    Workload(
        "n1",
        "N1: two nodes, fan-out to a room of 1,000, one publish at a time",
        "fanout",
        "deliveries/s",
        connections=1000,
        warm_up=5,
        publishes=200,
    ),
    Workload(
        "n1p",
        "N1p: two nodes, fan-out to a room of 1,000, 16 publishes in flight",
        "fanout",
        "deliveries/s",
        connections=1000,
        in_flight=16,
        warm_up=16,
        publishes=200,
    ),
    Workload(
        "n2",
        "N2: two nodes, 100 rooms of 10, a publish under way in each",
        "fanout",
        "deliveries/s",
        connections=1000,
        rooms=100,
        warm_up=500,
        publishes=200_000,
    ),
    Workload(
        "n2r",
        "N2r: two nodes, 100 rooms of 10, 500 publishes per second",
        "fanout",
        "deliveries/s",
        connections=1000,
        rooms=100,
        warm_up=500,
        publishes=200_000,
        rate=500,
    ),
    Workload(
        "n3",
        "N3: two nodes, 5,000 idle connections, opened 64 at a time",
        "idle",
        "connects/s",
        connections=5000,
        in_flight=64,
    ),
)

WORKLOADS = {
    workload.name: workload
    for workload in (
        *_PLAIN,
        *(plain.over_socketio() for plain in _PLAIN),
        *(replace(several, nodes=2, budget=2, servers=NODES_SERVERS) for several in _NODES),
    )
}
