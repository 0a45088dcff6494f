"""What messages between nodes say, and records of sessions, as bytes: decoded by type only."""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from gatewright.backplane.base import Entry, Record
from gatewright.backplane.sessions import Session
from gatewright.backplane.shared.log import Message, Stored
from gatewright.protocol.outgoing import Outgoing

__all__ = [
    "Body",
    "Ended",
    "Entries",
    "Joined",
    "Kept",
    "Left",
    "Renamed",
    "Resumed",
    "dump",
    "dump_entries",
    "dump_session",
    "fold",
    "load",
    "load_entries",
    "load_session",
]


class Entries(Struct, array_like=True, frozen=True, tag="b"):
    """A batch, and when it was published; `node` and `number` are its publisher's."""

    node: str
    number: int
    at: float
    entries: Sequence["StoredEntry"]


class StoredEntry(Struct, array_like=True, frozen=True):
    """An `Entry`; `size` is what its largest frame takes."""

    event: bytes
    size: int
    rooms: tuple[str, ...] | None
    users: tuple[str, ...] | None
    except_: tuple[str, ...]


class Joined(Struct, array_like=True, frozen=True, tag="j"):
    """A member is in rooms from here on."""

    member: str
    rooms: tuple[str, ...]


class Left(Struct, array_like=True, frozen=True, tag="l"):
    """A member is in rooms no longer."""

    member: str
    rooms: tuple[str, ...]


class Renamed(Struct, array_like=True, frozen=True, tag="n"):
    """A member goes by another name from here on."""

    member: str
    user: str | None


class Resumed(Struct, array_like=True, frozen=True, tag="r"):
    """A node has taken a session over; `left` are those of the revoked rooms that it was in."""

    member: str
    node: str
    generation: int
    revoked: tuple[str, ...]
    left: tuple[str, ...]


class Ended(Struct, array_like=True, frozen=True, tag="e"):
    """A session is over."""

    member: str
    rooms: tuple[str, ...]


Body: TypeAlias = Entries | Joined | Left | Renamed | Resumed | Ended


class Kept(Struct, frozen=True):
    """A session as it is kept. All its marks up to the message `folded` are in it."""

    record: Record
    lost: tuple[int, int]
    deadline: float | None
    folded: int


dump: Final = msgspec.msgpack.Encoder().encode
_body = msgspec.msgpack.Decoder(Body).decode
_kept = msgspec.msgpack.Decoder(Kept).decode


def load(body: bytes) -> Body:
    """What a message says; raises `msgspec.MsgspecError` for what no node of ours has sent."""
    found: Body = _body(body)
    return found


def dump_entries(node: str, number: int, at: float, entries: Sequence[Entry]) -> bytes:
    return dump(
        Entries(
            node,
            number,
            at,
            [
                StoredEntry(
                    each.outgoing.store(),
                    each.outgoing.size,
                    each.rooms,
                    each.users,
                    each.except_,
                )
                for each in entries
            ],
        )
    )


def load_entries(namespace: str, body: Entries) -> list[Entry]:
    return [
        Entry(
            Outgoing.restore(each.event, each.size, namespace),
            each.rooms,
            each.users,
            each.except_,
        )
        for each in body.entries
    ]


def dump_session(session: Session, folded: int) -> bytes:
    lost = session.rooms.lost, session.users.lost
    return dump(Kept(session.record(), lost, session.deadline, folded))


def load_session(stored: Stored) -> tuple[Session, int]:
    """A session as it is now, and the number of the last mark that is in it."""
    kept = _kept(stored.record)
    session = Session.restore(kept.record, kept.lost, kept.deadline)
    return session, fold(session, stored.marks, kept.folded)


def fold(session: Session, marks: Sequence[Message], folded: int) -> int:
    """Apply the marks that come after a number; returns that of the last one.

    In another epoch than the session's only what it is in counts, not since when: its next resume
    is a gap in everything. Numbers may have begun anew there, so all of its marks are applied; to
    do so twice leads to the same rooms.
    """
    for mark in sorted(marks, key=lambda each: each.n):
        if mark.n > folded or mark.epoch != session.epoch:
            folded = mark.n
            _apply(session, load(mark.body), mark.seq)
    return folded


def _apply(session: Session, body: Body, seq: int) -> None:
    match body:
        case Joined():
            session.join(body.rooms, seq)
        case Left():
            session.leave(body.rooms, seq)
        case Renamed():
            session.rename(body.user, seq)
        case Resumed():
            session.revoke(body.revoked, seq)
        case Ended() | Entries():
            pass
