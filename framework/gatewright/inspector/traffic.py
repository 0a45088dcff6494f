"""How much goes in and out, by the second."""

import time
from collections import Counter

from msgspec import UNSET

from gatewright.inspector.events import AggregatedEvent
from gatewright.observing import Observer
from gatewright.types import DisconnectReason

__all__ = ["Traffic"]


class Traffic(Observer):
    """Counts what the page's histograms show, until it is asked for the counts."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[int, str, str | None]] = Counter()

    def opened(self, socket: object) -> None:
        self._add("rawConnection")

    def closed(self, socket: object, reason: DisconnectReason) -> None:
        # The text may be a client's own; of a WebSocket's close only the code is ours to count by.
        self._add("rawDisconnection", 1, f"code {reason.code}")

    def read(self, size: int) -> None:
        self._add("packetsIn")
        self._add("bytesIn", size)

    def written(self, packets: int, size: int) -> None:
        self._add("packetsOut", packets)
        self._add("bytesOut", size)

    def _add(self, kind: str, count: int = 1, sub_type: str | None = None) -> None:
        self._counts[int(time.time()), kind, sub_type] += count

    def take(self) -> list[AggregatedEvent]:
        """The counts since the last time."""
        counts, self._counts = self._counts, Counter()
        return [
            AggregatedEvent(second * 1000, kind, count, UNSET if sub_type is None else sub_type)
            for (second, kind, sub_type), count in counts.items()
        ]
