"""How a session comes back: it is registered, its histories are read, and it goes live."""

from tests.recovery.models.lane_node import after
from tests.recovery.models.lane_state import Entry, Gap, Link, Rules, State

__all__ = ["merge", "read", "register"]


def register(s: State, rules: Rules) -> None:
    """From here on the node has something for the session."""
    link = s.link
    assert link is not None
    node = s.nodes[link.node]
    node.members = dict(s.record.rooms)
    if not rules.one_lane:
        for room in node.members:
            if room not in node.subscribed:
                node.subscribed.add(room)
                node.last[room] = s.top[room]
    link.held = []
    link.phase = "read" if rules.hold else "merge"


def read(s: State, rules: Rules) -> None:
    """Read what the session has missed: all of it, or without `atomic_read` one room."""
    link, client, record = s.link, s.client, s.record
    assert link is not None
    link.floor_epoch = s.epoch
    if (client.epoch != s.epoch) if rules.epoch else (client.seq > s.seq):
        link.gaps = sorted(record.rooms)
        link.unread = []
        link.head = s.seq
    elif rules.atomic_read:
        # The record is read in the same step: a room that was left meanwhile is not read.
        for room in sorted(record.rooms):
            _read_room(s, rules, link, room)
        if rules.intervals:
            for room, since, until in record.ended:
                low = max(client.seq, since)
                if until > client.seq and s.gone[room] > low:
                    link.gaps.append(room)
                elif until > client.seq:
                    link.read += after(s, [room], low, until)
        link.unread = []
        link.head = s.seq
    elif link.unread:
        _read_room(s, rules, link, link.unread.pop(0))
    if not link.unread:
        link.phase = "merge" if rules.hold else "register"


def _read_room(s: State, rules: Rules, link: Link, room: str) -> None:
    low = s.client.seq
    if rules.join_from:
        low = max(low, s.record.rooms.get(room, 0))
    if s.gone[room] > low and rules.trimmed:
        link.gaps.append(room)
    else:
        link.read += after(s, [room], low)


def merge(s: State, rules: Rules) -> None:
    """Join what was read and what was held; from here on the session is live."""
    link, client = s.link, s.client
    assert link is not None
    assert link.held is not None
    current = client.epoch == s.epoch
    entries: dict[int, Entry] = {}
    for entry in link.read:
        if entry.excepted:
            judged = s.record.was_in(entry.excepted, entry.seq)
            if judged if rules.exclusion else entry.excepted in s.record.rooms:
                continue
        entries[entry.seq] = entry
    later: list[Entry | Gap] = []
    for each in link.held:
        if isinstance(each, Gap):
            if each.epoch > link.floor_epoch or each.seq > link.head:
                later.append(each)
            continue
        if rules.floor and each.epoch < link.floor_epoch:
            continue
        if link.gaps and each.epoch != s.epoch:
            continue
        if rules.atomic_read and each.seq <= link.head and each.epoch == s.epoch:
            continue
        if each.seq > client.seq or each.epoch != client.epoch:
            entries[each.seq] = each
    if link.gaps:
        keeps = (current or not rules.epoch) and client.seq <= s.seq
        link.wire.append(Gap(s.epoch, client.seq if keeps else link.head, tuple(link.gaps)))
        gapped = set(link.gaps)
        entries = {
            seq: each
            for seq, each in entries.items()
            if each.seq > link.head or not gapped & set(each.rooms)
        }
    link.wire += [entries[seq] for seq in sorted(entries)]
    link.wire += later
    link.held = None
    link.phase = "live"
    if rules.floor:
        link.floor = max([link.head, client.seq if current else 0, *entries])
