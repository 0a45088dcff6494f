"""What a node does with what the lane brings it, and how it catches up."""

from collections.abc import Iterable

from tests.recovery.models.lane_state import Entry, Gap, Link, Marker, Passing, Rules, State

__all__ = ["after", "catch_up", "deliver"]


def deliver(s: State, rules: Rules, number: int, passing: Passing | Marker) -> None:
    """The lane brings something to node `number`."""
    node = s.nodes[number]
    if isinstance(passing, Marker):
        if not passing.joins:
            node.members.pop(passing.room, None)
        elif passing.room in s.record.rooms:
            node.members[passing.room] = passing.seq
        return
    entry = passing.entry
    if entry.epoch != node.epoch:
        if entry.epoch > node.epoch:
            catch_up(s, rules, number)
    elif not rules.one_lane:
        _deliver_by_rooms(s, rules, number, entry)
    elif entry.seq == node.seq + 1:
        node.seq = entry.seq
        _hand_over(s, rules, number, entry)
    elif entry.seq > node.seq:
        catch_up(s, rules, number)


def _deliver_by_rooms(s: State, rules: Rules, number: int, entry: Entry) -> None:
    """With a channel per room: repair what is missing in a room, then go on in order."""
    node = s.nodes[number]
    last, seq = node.last, entry.seq
    known = [room for room in entry.rooms if room in node.subscribed]
    if seq <= node.seq and all(last.get(room, 0) >= seq for room in known):
        return
    missing = [room for room in known if room in last and last[room] < entry.prev[room]]
    if missing:
        for other in after(s, missing, min(last[room] for room in missing), seq - 1):
            if any(other.seq > last.get(room, 0) for room in other.rooms if room in missing):
                _hand_over(s, rules, number, other)
    twice = all(last.get(room, -1) >= seq for room in known)
    for room in known:
        last[room] = max(seq, last.get(room, 0))
    node.seq = max(node.seq, seq)
    if not twice:
        _hand_over(s, rules, number, entry)


def _hand_over(
    s: State, rules: Rules, number: int, entry: Entry, *, by_record: bool = False
) -> None:
    """Give an entry to the session if it is a member here."""
    link, members = s.link, s.nodes[number].members
    if link is None or link.node != number or link.phase == "register":
        return
    if rules.floor and entry.epoch < link.floor_epoch:
        return
    if by_record and rules.join_from:
        if not any(s.record.was_in(room, entry.seq) for room in entry.rooms):
            return
        if entry.excepted and s.record.was_in(entry.excepted, entry.seq):
            return
    else:
        if not any(
            room in members
            and (members[room] < entry.seq or not rules.join_from or entry.epoch != s.epoch)
            for room in entry.rooms
        ):
            return
        if entry.excepted in members:
            return
    if link.held is not None:
        link.held.append(entry)
    elif not (rules.floor and entry.seq <= link.floor and entry.epoch == link.floor_epoch):
        link.wire.append(entry)


def catch_up(s: State, rules: Rules, number: int) -> None:
    """Read everything between the node's position and the head in one step."""
    node, link = s.nodes[number], s.link
    here = link if link is not None and link.node == number else None
    if node.epoch != s.epoch:
        node.epoch = s.epoch
        if (
            here is not None
            and here.phase != "register"
            and not (here.floor_epoch == s.epoch and here.held is None)
        ):
            _tell(here, Gap(s.epoch, s.seq, tuple(sorted(node.members))))
    else:
        for room in sorted(node.members):
            if here is not None and s.gone[room] > node.seq:
                _tell(here, Gap(s.epoch, s.seq, (room,)))
        for entry in after(s, s.history, node.seq):
            _hand_over(s, rules, number, entry, by_record=rules.marker)
    node.seq = s.seq
    node.last = dict(s.top)
    node.behind = False
    if rules.marker and here is not None and here.phase != "register":
        node.members = dict(s.record.rooms)
        node.queue = [each for each in node.queue if isinstance(each, Passing) or each.seq > s.seq]


def _tell(link: Link, gap: Gap) -> None:
    (link.wire if link.held is None else link.held).append(gap)


def after(s: State, rooms: Iterable[str], low: int, high: int | None = None) -> list[Entry]:
    """The entries of some rooms above `low` and up to `high`, each once, in order."""
    found = {
        entry.seq: entry
        for room in rooms
        for entry in s.history[room]
        if entry.seq > low and (high is None or entry.seq <= high)
    }
    return [found[seq] for seq in sorted(found)]
