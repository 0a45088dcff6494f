"""The contract between a node and whatever carries its events.

Every emit that is not volatile is an entry of its namespace's one sequence. A backplane numbers
entries, and hands batches and membership markers to every node in the order of their numbers: a
node changes its rooms and delivers to sockets only from these callbacks, so that all nodes agree
who was a member when (rules R1 and R3 of the recovery model; `docs/decisions.md`).

It also keeps what outlives a socket: a record per session, and enough history to tell a session
that returns what it has missed, or that it has missed something for good.

One that several nodes share carries messages between them besides, and knows which of them live.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from gatewright.protocol.outgoing import Outgoing
from gatewright.types import Position

__all__ = [
    "DEFAULT_BOUNDS",
    "EVERYONE",
    "Backplane",
    "Batch",
    "Bounds",
    "Break",
    "Entry",
    "Lane",
    "Mail",
    "Marker",
    "Moved",
    "Passing",
    "Peers",
    "Record",
    "Resumption",
    "Stay",
    "ignore",
]

EVERYONE = "*"
"""The name in `Resumption.gaps` of what was emitted to everyone in the namespace."""


class Entry(Struct, frozen=True):
    """One emitted event and whom it is for.

    Its receivers are the members of any of `rooms` and the connections of any of `users`, or
    everyone where both are None; less the members of any room in `except_`. A connection's own id
    is a room.
    """

    outgoing: Outgoing
    rooms: tuple[str, ...] | None = None
    users: tuple[str, ...] | None = None
    except_: tuple[str, ...] = ()


class Batch(Struct, frozen=True):
    """Entries `first`, `first + 1`, … of one namespace, in one epoch of its sequence."""

    namespace: str
    epoch: str
    first: int
    entries: Sequence[Entry]


class Marker(Struct, frozen=True):
    """A change of membership between two entries: it stands after entry `seq`."""

    namespace: str
    seq: int
    action: Literal["join", "leave"]
    member: str
    rooms: Collection[str]


class Moved(Struct, frozen=True):
    """Another node has taken a session over: it is of this generation now.

    It is told to every node that follows the namespace, so that one which was not asked, because it
    seemed dead, lets go of the session's socket.
    """

    namespace: str
    member: str
    generation: int
    node: str


class Break(Struct, frozen=True):
    """Of this namespace something may have passed unheard: nobody here can go on as if it had not.

    Whoever is connected is to be closed in a way that invites to return: a session then gets what
    it has missed, or a gap. What comes behind it in the lane is in order again.
    """

    namespace: str


class Bounds(Struct, frozen=True, kw_only=True):
    """How much is kept for sessions that are away, and for how long; sizes in bytes, ages in s.

    `per_room` and `per_room_bytes` hold for each room, each user and the entries to everyone.
    """

    per_room: int = 1000
    per_room_bytes: int = 4 * 1024 * 1024
    age: float = 300.0
    namespace_bytes: int = 64 * 1024 * 1024
    replay: int = 1000
    """Entries that one resume replays; over it the largest rooms become gaps (R6)."""
    replay_bytes: int = 512 * 1024
    """Likewise in bytes: half the outbox, which a replay must not overflow."""
    grace: float = 120.0
    """How long a session is kept after its socket was released."""


class Stay(Struct, frozen=True):
    """A membership: entitled to the entries after `since`, up to `until`; None has not ended.

    One that was `revoked` entitles to nothing any more, but an entry that excluded the room at the
    time is still kept from its member.
    """

    room: str
    since: int
    until: int | None = None
    revoked: bool = False


class Record(Struct, frozen=True, kw_only=True):
    """What is kept of a session, whether it is here or away.

    `keys` are SHA-256 of the client's secrets, never the secrets, the newest last; there are
    several while a renewed one is not settled. `generation` counts its sockets from 1. It is
    entitled to what follows `start`, and surely has everything up to `confirmed`. `users` are the
    names it has gone by, as stays, the one in `user` being the last.
    """

    id: str
    namespace: str
    user: str | None
    generation: int
    epoch: str
    start: int
    confirmed: int
    stays: tuple[Stay, ...] = ()
    users: tuple[Stay, ...] = ()
    state: bytes = b""
    keys: tuple[bytes, ...]
    taken: int | None = None
    """The highest id of a call that was taken, as whoever had its last socket said; None where
    nobody has, because the process was killed."""
    node: str | None = None
    """Who has its socket, or had the last one; None where there is only one node."""

    @property
    def rooms(self) -> tuple[str, ...]:
        """The rooms that it is still a member of."""
        return tuple(stay.room for stay in self.stays if stay.until is None)


class Resumption(Struct, frozen=True):
    """What a session that returns is told, as of one moment: everything up to `head`.

    `entries` are those it has missed, with their numbers, in order, each once. `gaps` names the
    streams of which something may be missing for good: a room, its own id, its user's name, or
    `EVERYONE`; of these nothing is replayed, save what also went to another one.
    """

    record: Record
    head: Position
    entries: Sequence[tuple[int, Entry]] = ()
    gaps: tuple[str, ...] = ()


DEFAULT_BOUNDS = Bounds()

Passing: TypeAlias = Batch | Marker | Moved | Break
"""What a lane brings."""

Lane = Callable[[Passing], None]
"""What a node does with what passes; it neither waits nor raises."""

Mail = Callable[[str, bytes], None]
"""What a node does with a message and its sender, another node; it neither waits nor raises."""

Peers = Callable[[str, bool], None]
"""What a node does when another one lives from now on, or does no longer (False)."""


def ignore(*_: object) -> None:
    """What a node without others does with what comes from them."""


class Backplane(ABC):
    """Carries sequences and memberships, keeps sessions; `Memory` is the one of a single process.

    What `open`, `resume`, `mark` and `position` return comes after all that the lane was told
    before their moment; after `mark` it has told the marker too, if the namespace is followed.
    Sessions are named by namespace and id. What is asked for one that has ended does nothing.
    """

    durable: bool = False
    """Whether session records outlive the process."""
    shared: bool = False
    """Whether several nodes can have it together."""
    node: str = ""
    """This node's name among the others, a new one at every start; empty where there are none."""

    @property
    def address(self) -> str:
        """Which one it is, for people and to compare it by: its URL, without what is secret."""
        return type(self).__name__

    @abstractmethod
    async def start(
        self,
        lane: Lane,
        bounds: Bounds = DEFAULT_BOUNDS,
        *,
        mail: Mail = ignore,
        peers: Peers = ignore,
    ) -> None:
        """Begin to deliver to this node what it follows, and the messages of other nodes."""

    @abstractmethod
    async def stop(self) -> None:
        """Deliver nothing more; what was published stays published."""

    @abstractmethod
    async def publish(self, namespace: str, entries: Sequence[Entry]) -> int:
        """Append a batch and return the number of its first entry; raises rather than lose it."""

    @abstractmethod
    async def mark(
        self, namespace: str, action: Literal["join", "leave"], member: str, rooms: Collection[str]
    ) -> int:
        """Put a change of membership in the lane; returns the number it stands after.

        What is so already stays so: joining twice needs one leave. The record of a member that has
        one changes at the same number, also while it is away.
        """

    @abstractmethod
    async def position(self, namespace: str) -> Position:
        """The number of the last entry, or one between it and the next: they may have holes."""

    async def follow(self, namespace: str) -> None:
        """Deliver this namespace's lane to this node, from here on; raises rather than miss any.

        It ends with as many calls of `unfollow`; a call that raises or is cancelled does not count.
        Where there is one node only, it gets everything.
        """

    async def unfollow(self, namespace: str) -> None:
        """One who followed does not need it any more."""

    # Other nodes; one that is not `shared` has none.

    @property
    def nodes(self) -> Collection[str]:
        """The other nodes that live: one that dies is known to be dead within 10 seconds."""
        return ()

    async def cast(self, namespace: str, message: bytes) -> None:
        """Hand a message to the other nodes that follow a namespace; at most once."""

    async def send(self, message: bytes, node: str | None = None) -> None:
        """Hand a message to another node, or to all others; at most once, in order.

        Nothing is said of one that is not there: whoever wants an answer asks for it, and looks
        whether the node lives.
        """

    # Sessions

    @abstractmethod
    async def open(self, namespace: str, id: str, key: bytes, user: str | None) -> Position:
        """Begin a session, at generation 1; it is entitled to what follows the returned position.

        Rooms that its id has joined before go on as its stays. `ValueError`: there is one with this
        id or key already.
        """

    @abstractmethod
    async def rename(self, namespace: str, id: str, user: str | None) -> None:
        """The session goes by another name from here on; so does what it is entitled to."""

    @abstractmethod
    async def save(self, namespace: str, id: str, state: bytes) -> None:
        """Replace the session's state."""

    @abstractmethod
    async def confirm(self, namespace: str, id: str, seq: int) -> None:
        """The client surely has everything up to `seq` (R7): it is never asked for again."""

    @abstractmethod
    async def find(self, namespace: str, key: bytes) -> Record | None:
        """The session whose key this is, here or away; changes nothing."""

    @abstractmethod
    async def resume(
        self,
        namespace: str,
        key: bytes,
        after: Position | None,
        revoked: Collection[str] = (),
        *,
        renewed: bytes | None = None,
    ) -> Resumption | None:
        """Take a session over, in one atomic step (R5); None if it is unknown or has expired.

        Its generation is counted up, which fences whoever had it; this node has it now. It is told
        what came after `after` as far as it has not confirmed that; None stands for what it has
        confirmed.
        Entitlement and exclusion are judged by its memberships at each entry's number (R4). A
        position of another epoch, or beyond the head, makes everything a gap. The rooms in
        `revoked` are left, and replayed to it never again.

        With `renewed` the session has one more key from here on, and those older than the one that
        was used end: a client which never hears of the new one can still return. `ValueError`:
        another session has that key.
        """

    @abstractmethod
    async def settle(self, namespace: str, id: str, generation: int) -> None:
        """The client knows its newest key: the one before it ends. Not if a newer one has it."""

    @abstractmethod
    async def release(
        self, namespace: str, id: str, generation: int, *, taken: int | None = None
    ) -> bool:
        """Its socket is lost: its grace begins. False if it has ended or a newer one has it.

        `taken` is kept for whoever resumes it next, and forgotten then.
        """

    @abstractmethod
    async def end(self, namespace: str, id: str, generation: int) -> bool:
        """The session is over and leaves its rooms. False if it had ended or a newer one has it."""

    @abstractmethod
    async def expired(self) -> Sequence[Record]:
        """End the sessions whose grace has passed; each is handed out once, to one node.

        Of a node that has died the grace begins when that is noticed.

        Call this every few seconds: what is too old to be kept is let go here as well.
        """
