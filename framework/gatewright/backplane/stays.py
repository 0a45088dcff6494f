"""Who was in what, when: the memberships of one session, each with the numbers it stood between."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gatewright.backplane.base import Stay

__all__ = ["Stays", "within"]

MOST_ENDED: Final = 512
"""Ended stays of one session. Over it, it is cheaper to tell the client of a gap."""


class Stays:
    """The stays of one session in rooms, or under names: those that last and those that ended.

    An ended one is kept until the client has confirmed what it entitles to (R4).
    """

    __slots__ = ("_by_room", "_ended", "lost")

    def __init__(self, stays: Iterable[Stay] = (), lost: int = 0) -> None:
        self._by_room: dict[str, list[Stay]] = {}
        """Of one room they follow each other, so that only the last can still last."""
        self._ended = 0
        self.lost: int = lost
        """Up to this number nobody knows any more what the session was in."""
        for stay in stays:
            self._by_room.setdefault(stay.room, []).append(stay)
            self._ended += stay.until is not None

    def __iter__(self) -> Iterator[Stay]:
        return (stay for stays in self._by_room.values() for stay in stays)

    def at(self, room: str, seq: int) -> Stay | None:
        """The stay in a room within which entry `seq` falls."""
        return within(self._by_room.get(room, ()), seq)

    def lasts(self, room: str) -> bool:
        stays = self._by_room.get(room)
        return stays is not None and stays[-1].until is None

    def join(self, room: str, seq: int) -> None:
        stays = self._by_room.setdefault(room, [])
        last = stays[-1] if stays else None
        if last is None or (last.until is not None and (last.until < seq or last.revoked)):
            stays.append(Stay(room, seq))
        elif last.until is not None:
            # Nothing was emitted meanwhile: it is as if it had not left.
            stays[-1] = Stay(room, last.since)
            self._ended -= 1

    def leave(self, room: str, seq: int, confirmed: int) -> None:
        if not self.lasts(room):
            return
        stays = self._by_room[room]
        last = stays.pop()
        if max(last.since, confirmed) < seq:
            stays.append(Stay(room, last.since, seq))
            self._ended += 1
            if self._ended > MOST_ENDED:
                self.lost = seq
                self.confirm(seq)
        elif not stays:
            del self._by_room[room]

    def revoke(self, room: str, seq: int, confirmed: int) -> None:
        """Leave, and lose the claim to what came before as well."""
        self.leave(room, seq, confirmed)
        stays = self._by_room.get(room, [])
        stays[:] = [Stay(room, stay.since, stay.until, revoked=True) for stay in stays]

    def rebased(self, seq: int) -> "Stays":
        """Those that last, as if they began after entry `seq`."""
        return Stays(Stay(stay.room, seq) for stay in self if stay.until is None)

    def confirm(self, seq: int) -> None:
        """Drop the ended stays that entitle to nothing after `seq`."""
        if not self._ended:
            return
        left = 0
        for room, stays in list(self._by_room.items()):
            stays[:] = [stay for stay in stays if stay.until is None or seq < stay.until]
            left += sum(stay.until is not None for stay in stays)
            if not stays:
                del self._by_room[room]
        self._ended = left


def within(stays: Sequence[Stay], seq: int) -> Stay | None:
    """Of stays in one room, in their order: the one within which entry `seq` falls."""
    place = bisect_left(stays, seq, key=_since)
    if place == 0:
        return None
    stay = stays[place - 1]
    return stay if stay.until is None or seq <= stay.until else None


def _since(stay: Stay) -> int:
    return stay.since
