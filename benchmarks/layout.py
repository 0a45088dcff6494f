"""How many nodes and Redis servers a load takes: `python benchmarks/layout.py --help`.

It computes with what `units.py` has measured on one machine. Everything that grows with the load
is in here, nothing that one has to decide: spare nodes, a balancer, replicas of Redis.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass, fields
from pathlib import Path

UNITS = Path(__file__).resolve().parent / "units.json"
MOST_NODES = 2000


@dataclass(frozen=True)
class Units:
    """What one thing costs; `…_us` are microseconds of a processor core, `…_kib` is memory."""

    delivery_us: float
    """To write an entry to one connection."""
    publish_us: float
    """To take an event from a client and hand it to the backplane."""
    message_us: float
    """To hear one batch from Redis, whatever is in it."""
    entry_us: float
    """To hear one entry of a batch, before any delivery."""
    connection_us: float
    """To keep one connection for a second: heartbeats, and the session's record once a minute."""
    connect_us: float
    """To accept one connection, with its session."""
    node_kib: float
    connection_kib: float
    window_kib: float
    """To remember one entry for sessions that return."""
    person_kib: float
    """To know one person who is present, on whatever node."""
    redis_message_us: float
    redis_entry_us: float
    redis_copy_us: float
    """To send one batch on to one node."""
    redis_connection_us: float
    """A second of one session's record."""
    redis_connection_kib: float
    redis_entry_kib: float
    """To keep one entry."""

    @classmethod
    def read(cls, path: Path) -> Units:
        found = json.loads(path.read_text())
        return cls(**{each.name: found[each.name] for each in fields(cls)})


@dataclass(frozen=True)
class Load:
    """What is asked for, and how full a core and a node may be."""

    connections: int
    deliveries: float
    room: float
    """Receivers of one event."""
    present: float
    """The share of the connections that presence is kept of."""
    round_trip: float
    """Seconds for which a batch is under way, and the next entries wait to become one."""
    history: float
    """Seconds for which entries are kept."""
    history_entries: int
    """Of one namespace, at the most."""
    core: float
    node_gib: float
    node_connections: int
    everywhere: bool
    """Whether a node has members of every namespace, because nothing sorts connections by path."""

    @property
    def publishes(self) -> float:
        return self.deliveries / self.room


@dataclass(frozen=True)
class Layout:
    """One way to lay a load out; shares are of one core."""

    load: Load
    units: Units
    namespaces: int
    nodes: int

    @property
    def spread(self) -> int:
        """Nodes that have members of one namespace: two at least, or all would go with one."""
        if self.load.everywhere:
            return self.nodes
        return min(self.nodes, max(2, math.ceil(self.nodes / self.namespaces)))

    @property
    def carried(self) -> float:
        """Namespaces that one node has members of."""
        return self.namespaces * self.spread / self.nodes

    @property
    def entries(self) -> float:
        """Entries per second in one namespace."""
        return self.load.publishes / self.namespaces

    @property
    def batch(self) -> float:
        """Entries of a batch: those that one node publishes while the one before is under way."""
        return min(100.0, max(1.0, self.entries / self.spread * self.load.round_trip))

    @property
    def messages(self) -> float:
        """Batches per second in one namespace."""
        return self.entries / self.batch

    # A node

    @property
    def ingest(self) -> float:
        """What a node hears; more nodes do not make it less."""
        each = self.messages * self.units.message_us + self.entries * self.units.entry_us
        return self.carried * each / 1e6

    @property
    def node_core(self) -> float:
        load, units = self.load, self.units
        shared = (
            load.deliveries * units.delivery_us
            + load.publishes * units.publish_us
            + load.connections * units.connection_us
        )
        return self.ingest + shared / self.nodes / 1e6

    @property
    def kept(self) -> float:
        """Entries that are kept of one namespace."""
        return min(self.entries * self.load.history, self.load.history_entries)

    @property
    def node_gib(self) -> float:
        load, units = self.load, self.units
        kib = (
            units.node_kib
            + load.connections / self.nodes * units.connection_kib
            + self.carried * self.kept * units.window_kib
            + load.connections * load.present * units.person_kib
        )
        return kib / 1024**2

    # Redis

    @property
    def namespace_redis(self) -> float:
        """What one namespace takes of a Redis; it cannot be divided."""
        units = self.units
        each = units.redis_message_us + self.spread * units.redis_copy_us
        records = self.load.connections / self.namespaces * units.redis_connection_us
        return (self.messages * each + self.entries * units.redis_entry_us + records) / 1e6

    @property
    def masters(self) -> int:
        per_master = max(1, int(self.load.core / self.namespace_redis))
        return math.ceil(self.namespaces / per_master)

    @property
    def redis_gib(self) -> float:
        records = self.load.connections * self.units.redis_connection_kib
        kept = self.namespaces * self.kept * self.units.redis_entry_kib
        return (records + kept) / 1024**2

    # Whether it holds

    @property
    def bounds(self) -> dict[str, float]:
        """How near each limit is; above 1 it does not hold."""
        load = self.load
        return {
            "a node's core": self.node_core / load.core,
            "a node's memory": self.node_gib / load.node_gib,
            "a node's connections": load.connections / self.nodes / load.node_connections,
            "Redis, one namespace": self.namespace_redis / load.core,
        }

    @property
    def binds(self) -> str:
        """The limit that is nearest; what a node hears is told apart, for nodes don't divide it."""
        bounds = self.bounds
        nearest = max(bounds, key=lambda name: bounds[name])
        if nearest == "a node's core" and self.ingest > self.node_core / 2:
            return "what a node hears"
        return nearest


def lay_out(load: Load, units: Units, namespaces: int) -> Layout | str:
    """The fewest nodes that hold the load, or how near to it the best number of them comes."""
    tried = (Layout(load, units, namespaces, nodes) for nodes in range(2, MOST_NODES))
    best: tuple[float, Layout] | None = None
    for layout in tried:
        fullest = max(layout.bounds.values())
        if fullest <= 1:
            return layout
        if best is None or fullest < best[0]:
            best = fullest, layout
    assert best is not None
    fullest, layout = best
    nearest = f"with {layout.nodes:,}, {layout.binds} is at {fullest:.0%} of its limit"
    return f"no number of nodes: {nearest}"


def positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return value


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--costs", action="store_true", help="print what one thing costs, and nothing else")
    add("--connections", type=positive, default=100_000)
    add("--deliveries", type=positive, default=50_000, help="per second, over all connections")
    add("--room", type=positive, default=50, help="receivers of one event (50)")
    add("--namespaces", type=int, nargs="+", default=[1, 4, 16, 64, 256, 1024])
    add("--everywhere", action="store_true", help="connections are not sorted by namespace")
    add("--present", type=float, default=0, help="share of the connections with presence (0)")
    add("--round-trip", type=positive, default=1, help="ms of one batch to Redis and back (1)")
    add("--history", type=positive, default=300, help="seconds, as Settings.history_age (300)")
    add("--history-entries", type=int, default=60_000, help="of a namespace at most (60000)")
    add("--core", type=positive, default=0.6, help="how busy a core may be (0.6)")
    add("--node-gib", type=positive, default=4, help="memory of one node (4)")
    add("--node-connections", type=int, default=50_000, help="of one node at most (50000)")
    add("--units", type=Path, default=UNITS, help="file of units.py")
    return parser.parse_args()


HEAD = (
    "namespaces",
    "nodes",
    "of each",
    "conns each",
    "entries/s heard",
    "core",
    "of it heard",
    "GiB",
    "Redis",
    "its GiB",
    "nearest limit",
)


def row(namespaces: int, layout: Layout | str) -> tuple[str, ...]:
    if isinstance(layout, str):
        return (f"{namespaces:,}", layout)
    load = layout.load
    return (
        f"{namespaces:,}",
        f"{layout.nodes:,}",
        f"{layout.spread:,}",
        f"{load.connections / layout.nodes:,.0f}",
        f"{layout.carried * layout.entries:,.0f}",
        f"{layout.node_core:.0%}",
        f"{layout.ingest / layout.node_core:.0%}",
        f"{layout.node_gib:.1f}",
        f"{layout.masters:,}",
        f"{layout.redis_gib:.1f}",
        layout.binds,
    )


def report(load: Load, units: Units, namespaces: list[int]) -> str:
    layouts = [(each, lay_out(load, units, each)) for each in namespaces]
    rows = [HEAD, *(row(*each) for each in layouts)]
    widths = [max(len(cells[at]) for cells in rows if len(cells) == len(HEAD)) for at in range(10)]
    asked = f"{load.connections:,} connections, {load.deliveries:,.0f} deliveries/s"
    lines = [f"{asked} to rooms of {load.room:g}: {load.publishes:,.0f} events/s", ""]
    for cells in rows:
        if len(cells) < len(HEAD):
            lines.append(f"{cells[0]:>{widths[0]}}  {cells[1]}")
            continue
        columns = [f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=False)]
        lines.append("  ".join([*columns, cells[-1]]))
    found = [each for _, each in layouts if isinstance(each, Layout)]
    if found:
        best = min(found, key=lambda each: (each.nodes + each.masters, each.namespaces))
        again = load.connections / best.nodes * units.connect_us / 1e6
        servers = (
            f"{best.nodes:,} nodes and {best.masters:,} Redis for {best.namespaces:,} namespaces"
        )
        gib = best.nodes * best.node_gib + best.redis_gib
        lines += [
            "",
            f"fewest: {servers}: {best.nodes + best.masters:,} cores, {gib:.0f} GiB",
            f"after a restart of all: {again:.0f} s of each node's core until everybody is back",
        ]
    return "\n".join(lines)


def costs(units: Units) -> str:
    """The table of unit costs."""
    kinds = {"us": "µs of a core", "kib": "KiB"}
    lines: list[str] = []
    for each in fields(Units):
        what, _, unit = each.name.rpartition("_")
        value = getattr(units, each.name)
        number = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        lines.append(f"{what.replace('_', ' '):<18} {number:>8} {kinds[unit]}")
    return "\n".join(lines)


def main() -> None:
    chosen = arguments()
    units = Units.read(chosen.units)
    if chosen.costs:
        print(costs(units))
        return
    load = Load(
        connections=int(chosen.connections),
        deliveries=chosen.deliveries,
        room=chosen.room,
        present=chosen.present,
        round_trip=chosen.round_trip / 1000,
        history=chosen.history,
        history_entries=chosen.history_entries,
        core=chosen.core,
        node_gib=chosen.node_gib,
        node_connections=chosen.node_connections,
        everywhere=chosen.everywhere,
    )
    print(report(load, units, chosen.namespaces))


if __name__ == "__main__":
    main()
