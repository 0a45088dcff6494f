"""A session's record while it changes."""

from collections.abc import Iterable
from typing import Final

from gatewright.backplane.base import Record
from gatewright.backplane.stays import Stays
from gatewright.types import Position

__all__ = ["Session"]


MOST_RENEWED: Final = 4
"""Keys of one session that nobody has confirmed, beside the one in use and the newest."""


class Session:
    """What `Record` is a picture of; each change stands after the entry with the given number."""

    __slots__ = (
        "confirmed",
        "deadline",
        "epoch",
        "generation",
        "id",
        "keys",
        "namespace",
        "node",
        "rooms",
        "start",
        "state",
        "taken",
        "user",
        "users",
    )

    def __init__(
        self, namespace: str, id: str, key: bytes, user: str | None, start: Position
    ) -> None:
        self.namespace: str = namespace
        self.id: str = id
        self.keys: tuple[bytes, ...] = (key,)
        self.generation: int = 1
        self.epoch: str = start.epoch
        self.start: int = start.seq
        self.confirmed: int = start.seq
        self.rooms: Stays = Stays()
        self.user: str | None = None
        self.users: Stays = Stays()
        self.state: bytes = b""
        self.taken: int | None = None
        self.node: str | None = None
        self.deadline: float | None = None
        """When its grace is over; None while it has a socket."""
        self.rename(user, start.seq)

    @classmethod
    def restore(cls, record: Record, lost: tuple[int, int], deadline: float | None) -> "Session":
        """The session that a record is a picture of."""
        session = cls(
            record.namespace, record.id, b"", None, Position(record.epoch, record.confirmed)
        )
        session.keys = record.keys
        session.generation = record.generation
        session.start = record.start
        session.rooms = Stays(record.stays, lost[0])
        session.user = record.user
        session.users = Stays(record.users, lost[1])
        session.state = record.state
        session.taken = record.taken
        session.node = record.node
        session.deadline = deadline
        return session

    def record(self) -> Record:
        return Record(
            id=self.id,
            namespace=self.namespace,
            user=self.user,
            generation=self.generation,
            epoch=self.epoch,
            start=self.start,
            confirmed=self.confirmed,
            stays=tuple(self.rooms),
            users=tuple(self.users),
            state=self.state,
            keys=self.keys,
            taken=self.taken,
            node=self.node,
        )

    def renew(self, used: bytes, renewed: bytes) -> tuple[bytes, ...]:
        """Add a key; returns those that end, because they are older than the one that was used.

        Newer ones stay until it is settled: a client that was told one of them may have been
        overtaken by its own, older attempt that came late.
        """
        before = self.keys
        newer = [key for key in before[before.index(used) + 1 :] if key != renewed]
        own = () if used == renewed else (used,)
        self.keys = (*own, *newer[-MOST_RENEWED:], renewed)
        return tuple(key for key in before if key not in self.keys)

    def settle(self) -> tuple[bytes, ...]:
        """Keep the newest key; returns those that end."""
        *ended, newest = self.keys
        self.keys = (newest,)
        return tuple(ended)

    def expired(self, now: float) -> bool:
        return self.deadline is not None and self.deadline <= now

    def join(self, rooms: Iterable[str], seq: int) -> None:
        for room in rooms:
            self.rooms.join(room, seq)

    def leave(self, rooms: Iterable[str], seq: int) -> None:
        for room in rooms:
            self.rooms.leave(room, seq, self.confirmed)

    def revoke(self, rooms: Iterable[str], seq: int) -> list[str]:
        """Take access away; returns the rooms that it was still a member of."""
        left: list[str] = []
        for room in rooms:
            if self.rooms.lasts(room):
                left.append(room)
            self.rooms.revoke(room, seq, self.confirmed)
        return left

    def rename(self, user: str | None, seq: int) -> None:
        if self.user is not None:
            self.users.leave(self.user, seq, self.confirmed)
        self.user = user
        if user is not None:
            self.users.join(user, seq)

    def rebase(self, head: Position) -> None:
        """The numbers of its epoch mean nothing any more: what it is in, it is in from here on."""
        self.epoch, self.start, self.confirmed = head.epoch, head.seq, head.seq
        self.rooms = self.rooms.rebased(head.seq)
        self.users = self.users.rebased(head.seq)

    def confirm(self, seq: int) -> None:
        if seq > self.confirmed:
            self.confirmed = seq
            self.rooms.confirm(seq)
            self.users.confirm(seq)
