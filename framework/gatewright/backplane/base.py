"""The contract between a node and whatever carries its events.

Every emit that is not volatile is an entry of its namespace's one sequence. A backplane numbers
entries, and hands batches and membership markers to every node in the order of their numbers: a
node changes its rooms and delivers to sockets only from these callbacks, so that all nodes agree
who was a member when (rules R1 and R3 of the recovery model; `docs/decisions.md`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Literal

from msgspec import Struct

from gatewright.protocol.outgoing import Outgoing

__all__ = ["Backplane", "Batch", "Entry", "Lane", "Marker"]


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


Lane = Callable[[Batch | Marker], None]
"""What a node does with a batch or a marker; it neither waits nor raises."""


class Backplane(ABC):
    """Carries sequences and memberships; `Memory` is the one of a single process."""

    @abstractmethod
    async def start(self, lane: Lane) -> None:
        """Begin to deliver to this node."""

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

        What is so already stays so: joining twice needs one leave.
        """
