"""How much is in a lane, as far as this node has heard or appended it."""

from collections import deque
from typing import Final

__all__ = ["Sizes"]

OVERHEAD: Final = 120
"""Bytes of a message beside its body: subject, headers and what the file has for itself."""

STEPS: Final = 32
"""Places that are remembered within the limit."""

TOO_MUCH: Final = 1.25


class Sizes:
    """Finds the place behind which a lane has `limit` bytes, once it has a quarter more.

    Sequence numbers that this node knows nothing of are taken to be as large as the next one.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._total = 0
        self._last: int | None = None
        self._places: deque[tuple[int, int]] = deque(maxlen=4 * STEPS)
        """Sequence numbers, and how much there was in all before each."""

    def add(self, seq: int, size: int) -> None:
        """Count a message, if it is not counted yet."""
        last = self._last if self._last is not None else seq - 1
        if seq <= last:
            return
        self._last = seq
        each, step = size + OVERHEAD, self._limit // STEPS
        first = max(last + 1, seq - 2 * self._limit // each)
        self._total += (first - last - 1) * each
        stride = max(1, step // each)
        for number in range(first, seq + 1, stride):
            if not self._places or self._total - self._places[-1][1] >= step:
                self._places.append((number, self._total))
            self._total += each * min(stride, seq + 1 - number)

    def excess(self) -> int | None:
        """The number below which the lane is to be forgotten; it is not told again."""
        places = self._places
        if not places or self._total - places[0][1] <= TOO_MUCH * self._limit:
            return None
        # The newest place stays: one message alone may be too much.
        while len(places) > 1 and self._total - places[0][1] > self._limit:
            places.popleft()
        return places[0][0]
