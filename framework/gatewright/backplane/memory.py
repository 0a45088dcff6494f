"""The backplane of one process: nothing to install, gone with the process."""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from secrets import token_urlsafe
from typing import Literal

from gatewright.backplane.base import (
    DEFAULT_BOUNDS,
    Backplane,
    Batch,
    Bounds,
    Entry,
    Lane,
    Marker,
)
from gatewright.errors import NotStartedError

__all__ = ["Memory"]


class _Sequence:
    """The numbers of one namespace."""

    __slots__ = ("epoch", "members", "seq")

    def __init__(self) -> None:
        self.epoch = token_urlsafe(9)
        self.seq = 0
        self.members: dict[str, set[str]] = {}


class Memory(Backplane):
    """Numbers and delivers at once, within the call that publishes.

    A namespace's path parameters make as many sequences as clients care to name, so those without
    a member are kept only up to `idle`, the least recently used going first; one that comes back
    starts a new epoch.
    """

    def __init__(self, *, idle: int = 10_000) -> None:
        self._idle_limit = idle
        self._lane: Lane | None = None
        self._live: dict[str, _Sequence] = {}
        self._idle: OrderedDict[str, _Sequence] = OrderedDict()

    async def start(self, lane: Lane, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        if self._lane is not None:
            raise NotStartedError(
                "this Memory backplane already serves a running application; "
                "give each Gatewright its own Memory()"
            )
        self._lane = lane

    async def stop(self) -> None:
        self._lane = None
        self._live.clear()
        self._idle.clear()

    async def publish(self, namespace: str, entries: Sequence[Entry]) -> int:
        lane = self._require_lane()
        sequence = self._sequence(namespace)
        first = sequence.seq + 1
        sequence.seq += len(entries)
        lane(Batch(namespace, sequence.epoch, first, entries))
        return first

    async def mark(
        self, namespace: str, action: Literal["join", "leave"], member: str, rooms: Collection[str]
    ) -> int:
        lane = self._require_lane()
        sequence = self._sequence(namespace)
        members = sequence.members
        if action == "join":
            members.setdefault(member, set()).update(rooms)
            self._live[namespace] = sequence
            self._idle.pop(namespace, None)
        elif (joined := members.get(member)) is not None:
            joined.difference_update(rooms)
            if not joined:
                del members[member]
            if not members:
                self._idle[namespace] = self._live.pop(namespace)
                self._trim()
        lane(Marker(namespace, sequence.seq, action, member, rooms))
        return sequence.seq

    def _sequence(self, namespace: str) -> _Sequence:
        sequence = self._live.get(namespace)
        if sequence is not None:
            return sequence
        sequence = self._idle.get(namespace)
        if sequence is None:
            sequence = self._idle[namespace] = _Sequence()
            self._trim()
        else:
            self._idle.move_to_end(namespace)
        return sequence

    def _trim(self) -> None:
        while len(self._idle) > self._idle_limit:
            self._idle.popitem(last=False)

    def _require_lane(self) -> Lane:
        if self._lane is None:
            raise NotStartedError("the application is not running: its lifespan has not started")
        return self._lane
