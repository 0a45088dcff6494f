"""What a session that returns has missed: judged here, the same for every backplane."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from gatewright.backplane.base import EVERYONE, Bounds, Entry, Stay
from gatewright.backplane.history import EVERYONE_STREAM, History, Stream
from gatewright.backplane.sessions import Session
from gatewright.backplane.stays import within
from gatewright.types import Position

__all__ = ["Missed", "missed"]

Missed = tuple[Sequence[tuple[int, Entry]], tuple[str, ...]]
"""Entries to replay and names of gaps, as in `Resumption`."""


def missed(
    session: Session, after: Position | None, head: Position, history: History, bounds: Bounds
) -> Missed:
    """Everything the session is entitled to after a position, or its gaps (R4 to R8)."""
    if after is None:
        low = session.confirmed
    elif after.epoch == head.epoch and after.seq <= head.seq:
        low = max(after.seq, session.confirmed)
    else:
        return (), _names(_claims(session, session.confirmed))
    claims = _claims(session, low)
    if low < max(session.rooms.lost, session.users.lost):
        return (), _names(claims)
    gaps: list[Stream] = []
    found: dict[Stream, list[int]] = {}
    for stream, stays in claims.items():
        # R8; of stays that have ended it says so more often than need be, never too seldom.
        if all(history.complete(stream, max(low, stay.since)) for stay in stays):
            found[stream] = [
                seq
                for seq in history.after(stream, max(low, stays[0].since))
                if within(stays, seq) and not _excluded(session, history.entry(seq), seq)
            ]
        else:
            gaps.append(stream)
    gaps += _too_much(found, history, bounds)
    seqs = sorted({seq for each in found.values() for seq in each})
    return [(seq, history.entry(seq)) for seq in seqs], _names(gaps)


def _claims(session: Session, low: int) -> Mapping[Stream, Sequence[Stay]]:
    """The streams that something after `low` may have reached it by, and within which stays."""
    claims: dict[Stream, list[Stay]] = {
        EVERYONE_STREAM: [Stay(EVERYONE, session.start)],
        ("room", session.id): [Stay(session.id, session.start)],
    }
    for user in session.users:
        if user.until is None or low < user.until:
            claims.setdefault(("user", user.room), []).append(user)
    for stay in session.rooms:
        if not stay.revoked and (stay.until is None or low < stay.until):
            claims.setdefault(("room", stay.room), []).append(stay)
    return claims


def _excluded(session: Session, entry: Entry, seq: int) -> bool:
    return any(room == session.id or session.rooms.at(room, seq) for room in entry.except_)


def _too_much(found: dict[Stream, list[int]], history: History, bounds: Bounds) -> list[Stream]:
    """Take the largest streams out until the rest may be replayed (R6); returns them."""
    holders = Counter(seq for seqs in found.values() for seq in seqs)
    sizes = {seq: history.entry(seq).outgoing.size for seq in holders}
    count, size = len(sizes), sum(sizes.values())
    taken: list[Stream] = []
    while count > bounds.replay or size > bounds.replay_bytes:
        if count > bounds.replay:
            largest = max(found, key=lambda stream: len(found[stream]))
        else:
            largest = max(found, key=lambda stream: sum(sizes[seq] for seq in found[stream]))
        for seq in found.pop(largest):
            holders[seq] -= 1
            if not holders[seq]:
                count -= 1
                size -= sizes[seq]
        taken.append(largest)
    return taken


def _names(streams: Iterable[Stream]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for _, name in streams))
