"""Sequences and sessions as rows of tables."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from gatewright.backplane.base import Entry, Record
from gatewright.backplane.changes import Changes, Stream
from gatewright.backplane.history import OVERHEAD
from gatewright.backplane.sequences import Sequences
from gatewright.backplane.sessions import Session
from gatewright.protocol.outgoing import Outgoing
from gatewright.types import Position

__all__ = ["SCHEMA", "TEMPORARY", "Write", "read", "skip_numbers", "writes"]

SCHEMA: Final = (
    # How the process that has the file now writes, and in which life of the machine.
    "CREATE TABLE running (boot TEXT NOT NULL, synchronous TEXT NOT NULL)",
    """CREATE TABLE sequences (
        namespace TEXT PRIMARY KEY, epoch TEXT NOT NULL, seq INTEGER NOT NULL, used REAL NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE sessions (
        namespace TEXT NOT NULL, id TEXT NOT NULL, session BLOB NOT NULL,
        PRIMARY KEY (namespace, id)
    ) WITHOUT ROWID""",
    """CREATE TABLE entries (
        namespace TEXT NOT NULL, seq INTEGER NOT NULL, at REAL NOT NULL, size INTEGER NOT NULL,
        whom BLOB NOT NULL, event BLOB NOT NULL,
        PRIMARY KEY (namespace, seq)
    ) WITHOUT ROWID""",
    # The number of the last entry that a stream has lost.
    """CREATE TABLE trimmed (
        namespace TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (namespace, kind, name)
    ) WITHOUT ROWID""",
)

TEMPORARY: Final = """CREATE TEMP TABLE members (
    namespace TEXT NOT NULL, id TEXT NOT NULL, rooms BLOB NOT NULL,
    PRIMARY KEY (namespace, id)
) WITHOUT ROWID"""
"""Memberships that end with the process stand beside the others, to be rolled back with them."""

Row = tuple[Any, ...]
Write = tuple[str, list[Row]]
"""A statement, and the parameters of each time that it is to be executed."""

SKIPPED: Final = 2**30
"""More numbers than can have been given between two moments at which the disk was written."""


class _Session(Struct):
    record: Record
    lost: tuple[int, int]
    deadline: float | None


_Whom = tuple[tuple[str, ...] | None, tuple[str, ...] | None, tuple[str, ...]]

_encode = msgspec.msgpack.Encoder().encode
_session = msgspec.msgpack.Decoder(_Session).decode
_whom = msgspec.msgpack.Decoder(_Whom).decode
_rooms = msgspec.msgpack.Decoder(set[str]).decode


def writes(sequences: Sequences, changes: Changes, now: float) -> list[Write]:
    """The statements that make the tables say what is so now."""
    made: defaultdict[str, list[Row]] = defaultdict(list)
    for namespace in changes.cleared:
        made["DELETE FROM entries WHERE namespace = ?"].append((namespace,))
        made["DELETE FROM trimmed WHERE namespace = ?"].append((namespace,))
    for namespace in changes.heads:
        found = sequences.find_namespace(namespace)
        if found is None:
            made["DELETE FROM sequences WHERE namespace = ?"].append((namespace,))
        else:
            made["INSERT OR REPLACE INTO sequences VALUES (?, ?, ?, ?)"].append(
                (namespace, found.epoch, found.seq, now)
            )
    for namespace, seq in changes.entries:
        history = sequences.history(namespace)
        kept = history.kept(seq) if history is not None else None
        if kept is None:
            made["DELETE FROM entries WHERE namespace = ? AND seq = ?"].append((namespace, seq))
            continue
        entry, size = kept.entry, kept.size - OVERHEAD
        whom = _encode((entry.rooms, entry.users, entry.except_))
        made["INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)"].append(
            (namespace, seq, kept.at, size, whom, entry.outgoing.store())
        )
    for namespace, stream in changes.streams:
        history = sequences.history(namespace)
        last = history.trimmed(stream) if history is not None else 0
        if last:
            made["INSERT OR REPLACE INTO trimmed VALUES (?, ?, ?, ?)"].append(
                (namespace, *stream, last)
            )
        else:
            made["DELETE FROM trimmed WHERE namespace = ? AND kind = ? AND name = ?"].append(
                (namespace, *stream)
            )
    for namespace, id in changes.sessions:
        found = sequences.find_namespace(namespace)
        session = found.sessions.get(id) if found is not None else None
        if session is None:
            made["DELETE FROM sessions WHERE namespace = ? AND id = ?"].append((namespace, id))
        else:
            made["INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)"].append(_row(session))
    for namespace, id in changes.members:
        found = sequences.find_namespace(namespace)
        rooms = found.members.get(id) if found is not None else None
        if rooms is None:
            made["DELETE FROM members WHERE namespace = ? AND id = ?"].append((namespace, id))
        else:
            made["INSERT OR REPLACE INTO members VALUES (?, ?, ?)"].append(
                (namespace, id, _encode(rooms))
            )
    return list(made.items())


def read(connection: sqlite3.Connection, sequences: Sequences, *, restarted: bool) -> None:
    """Put everything that the tables have into sequences that are empty."""
    query = connection.execute
    sessions: defaultdict[str, list[Session]] = defaultdict(list)
    for namespace, session in query("SELECT namespace, session FROM sessions"):
        sessions[namespace].append(_restored(session))
    members: defaultdict[str, dict[str, set[str]]] = defaultdict(dict)
    for namespace, id, rooms in query("SELECT namespace, id, rooms FROM members"):
        members[namespace][id] = _rooms(rooms)
    trimmed: defaultdict[str, dict[Stream, int]] = defaultdict(dict)
    for namespace, kind, name, seq in query("SELECT namespace, kind, name, seq FROM trimmed"):
        trimmed[namespace][kind, name] = seq
    heads = query("SELECT namespace, epoch, seq FROM sequences ORDER BY used").fetchall()
    for namespace, epoch, seq in heads:
        sequences.restore(
            namespace,
            Position(epoch, seq),
            sessions[namespace],
            members[namespace],
            trimmed[namespace],
            _entries(connection, namespace),
        )
    sequences.restored(restarted=restarted)


def skip_numbers(connection: sqlite3.Connection) -> None:
    """Number on where no number can have been given before, and tell every session of a gap."""
    connection.execute("UPDATE sequences SET seq = seq + ?", (SKIPPED,))
    heads: dict[str, int] = dict(connection.execute("SELECT namespace, seq FROM sequences"))
    sessions = connection.execute("SELECT namespace, session FROM sessions").fetchall()
    for namespace, stored in sessions:
        session = _restored(stored)
        session.rooms.lost = heads[namespace]
        connection.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)", _row(session))


def _row(session: Session) -> Row:
    lost = session.rooms.lost, session.users.lost
    stored = _encode(_Session(session.record(), lost, session.deadline))
    return session.namespace, session.id, stored


def _restored(stored: bytes) -> Session:
    found = _session(stored)
    return Session.restore(found.record, found.lost, found.deadline)


def _entries(connection: sqlite3.Connection, namespace: str) -> Iterator[tuple[int, Entry, float]]:
    found = connection.execute(
        "SELECT seq, at, size, whom, event FROM entries WHERE namespace = ? ORDER BY seq",
        (namespace,),
    )
    for seq, at, size, whom, event in found:
        yield seq, Entry(Outgoing.restore(event, size, namespace), *_whom(whom)), at
