"""The states of the lane's model: one namespace on two nodes, and one session."""

from typing import TypeAlias

from msgspec import Struct, field

__all__ = ["Client", "Entry", "Gap", "Link", "Marker", "Node", "Record", "Rules", "Scope", "State"]

Number: TypeAlias = tuple[int, int]
"""An epoch and a number in it."""


class Rules(Struct, frozen=True):
    """What a naive reading leaves out, each a switch."""

    one_lane: bool = True
    """One channel per namespace whose numbers are contiguous (R1); else a channel per room."""
    fifo: bool = True
    """A node has one connection to one primary, which keeps the order of all channels (R2)."""
    freeze: bool = True
    """After a break nothing is delivered before an atomic catch-up (R2)."""
    tail: bool = True
    """Nodes compare their position with the head now and then (R2)."""
    marker: bool = True
    """Joins and leaves take effect where their marker comes by in the lane (R3)."""
    join_from: bool = True
    """A member is entitled to what comes after its join (R3)."""
    intervals: bool = True
    """Memberships that have ended are remembered, as from when to when (R4)."""
    exclusion: bool = True
    """Who is left out is judged by membership at the entry's number, in a replay as well (R4)."""
    hold: bool = True
    """What is live is held back from registration on, before the histories are read (R5)."""
    atomic_read: bool = True
    """A resume reads all rooms as of one head, in one step (R5)."""
    floor: bool = True
    """Older entries of the lane are dropped for a session that resumed beyond them (R5)."""
    epoch: bool = True
    """A position carries the epoch of its number (R5, R9)."""
    first_position: bool = True
    """Who has got nothing yet has the position at which it began (R6, R7)."""
    trimmed: bool = True
    """A room has a gap if something after the position is gone from its history (R8)."""


class Scope(Struct, frozen=True, kw_only=True):
    """How much may happen, and to what."""

    member_of: tuple[str, ...] = ("A", "B")
    targets: tuple[tuple[str, ...], ...] = (("A",), ("B",))
    """Rooms that one emit may go to."""
    excepting: bool = False
    """Whether there are emits to A that leave out whoever is in B."""
    resume_on: tuple[int, ...] = (1,)
    before: bool = False
    """Whether something was emitted to the session's rooms before it began."""
    emits: int = 0
    breaks: int = 0
    silent_drops: int = 0
    cuts: int = 0
    joins: int = 0
    leaves: int = 0
    trims: int = 0
    flushes: int = 0


class Entry(Struct, frozen=True, array_like=True, tag="entry"):
    epoch: int
    seq: int
    rooms: tuple[str, ...]
    prev: dict[str, int]
    """The number of the entry before it in each of its rooms."""
    excepted: str | None = None

    @property
    def number(self) -> Number:
        return self.epoch, self.seq


class Gap(Struct, frozen=True, array_like=True, tag="gap"):
    epoch: int
    seq: int
    rooms: tuple[str, ...]


class Marker(Struct, frozen=True, array_like=True, tag="marker"):
    joins: bool
    epoch: int
    seq: int
    room: str


class Passing(Struct, frozen=True, array_like=True, tag="passing"):
    """An entry on its way to a node."""

    channel: str
    entry: Entry


class Node(Struct):
    """What one process knows of the namespace."""

    up: bool = True
    """Whether its connection to the lane stands."""
    behind: bool = False
    """Whether it has to catch up after a break."""
    queue: list[Passing | Marker] = field(default_factory=list)
    subscribed: set[str] = field(default_factory=set)
    epoch: int = 0
    seq: int = 0
    last: dict[str, int] = field(default_factory=dict)
    """The last number of each room: all there is to go by with a channel per room."""
    members: dict[str, int] = field(default_factory=dict)
    """The rooms that the session is in here, with the numbers after which it joined."""


class Record(Struct):
    """What the backplane keeps of the session."""

    rooms: dict[str, int] = field(default_factory=dict)
    ended: list[tuple[str, int, int]] = field(default_factory=list)

    def was_in(self, room: str, seq: int) -> bool:
        since = self.rooms.get(room)
        if since is not None and since < seq:
            return True
        return any(each == room and low < seq <= high for each, low, high in self.ended)


class Link(Struct):
    """The session's socket, and what its node keeps for it."""

    node: int
    phase: str = "live"
    """To `register` at the node, to `read` the histories, to `merge` what was held, `live`."""
    held: list[Entry | Gap] | None = None
    wire: list[Entry | Gap] = field(default_factory=list)
    read: list[Entry] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    head: int = 0
    floor: int = 0
    floor_epoch: int = 0


class Client(Struct):
    """What the client remembers: a position; and what it has seen, for the judge."""

    epoch: int = 0
    seq: int = 0
    got: list[Number] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


class State(Struct):
    left: dict[str, int]
    """How often each thing may still happen."""
    epoch: int = 0
    seq: int = 0
    history: dict[str, list[Entry]] = field(default_factory=dict)
    top: dict[str, int] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    """The last number that was trimmed from each room."""
    nodes: list[Node] = field(default_factory=list)
    record: Record = field(default_factory=Record)
    link: Link | None = None
    client: Client = field(default_factory=Client)
    members: set[str] = field(default_factory=set)
    """The rooms that the session is in, as everybody would say."""
    owed: list[tuple[int, int, tuple[str, ...]]] = field(default_factory=list)
    """What was emitted to it: epoch, number, rooms."""
    joining: tuple[str, int] | None = None
    """A join under way: `script` or `local`, and the node."""
