"""What a session that returns has missed: judged here, the same for every backplane."""

from collections.abc import Iterable, Mapping, Sequence

from gatewright.backplane.base import EVERYONE, Bounds, Entry, Stay
from gatewright.backplane.changes import Stream
from gatewright.backplane.history import EVERYONE_STREAM, History
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
    waiting: list[tuple[int, Stream, int]] = []
    for stream, stays in claims.items():
        # R8; of stays that have ended it says so more often than need be, never too seldom.
        if all(history.complete(stream, max(low, stay.since)) for stay in stays):
            since = max(low, stays[0].since)
            waiting.append((history.count(stream, since), stream, since))
        else:
            gaps.append(stream)
    # R6: over the limit the largest become gaps. The smallest are served first, and a stream is
    # read no further than it fits, so that no resume takes longer than a full replay.
    replay: dict[int, Entry] = {}
    space = bounds.replay_bytes
    for _, stream, since in sorted(waiting, key=lambda each: each[0]):
        more: dict[int, Entry] = {}
        size = 0
        for seq in history.after(stream, since):
            # What came after that moment is told by the lane.
            if seq > head.seq or seq in replay or not within(claims[stream], seq):
                continue
            entry = history.entry(seq)
            if _excluded(session, entry, seq):
                continue
            more[seq] = entry
            size += entry.outgoing.size
            if len(replay) + len(more) > bounds.replay or size > space:
                gaps.append(stream)
                break
        else:
            replay.update(more)
            space -= size
    return sorted(replay.items()), _names(gaps)


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
        # Its own id it is in from start to end, whatever else was said of it.
        if (
            stay.room != session.id
            and not stay.revoked
            and (stay.until is None or low < stay.until)
        ):
            claims.setdefault(("room", stay.room), []).append(stay)
    return claims


def _excluded(session: Session, entry: Entry, seq: int) -> bool:
    return any(room == session.id or session.rooms.at(room, seq) for room in entry.except_)


def _names(streams: Iterable[Stream]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for _, name in streams))
