"""How much one connection may send."""

import time

from gatewright.protocol.rates import TokenBucket
from gatewright.settings import Settings

__all__ = ["Limits"]

_now = time.monotonic


class Limits:
    """The token buckets of one connection, and how often it ran into them."""

    __slots__ = ("_by_event", "_event_rates", "_messages", "_settings", "_violations", "_window")

    def __init__(self, settings: Settings) -> None:
        now = _now()
        self._settings = settings
        self._messages = TokenBucket(settings.rate, now) if settings.rate is not None else None
        self._event_rates = bool(settings.event_rates) or settings.event_rate is not None
        self._by_event: dict[str, TokenBucket | None] = {}
        self._violations = 0
        self._window = now

    def message(self) -> bool:
        """Whether one more message is within the connection's rate."""
        return self._messages is None or self._messages.take(_now())

    def event(self, event: str) -> bool:
        """Whether one more message of this event is within its rate; known events only."""
        if not self._event_rates:
            return True
        if event not in self._by_event:
            rate = self._settings.event_rates.get(event, self._settings.event_rate)
            self._by_event[event] = None if rate is None else TokenBucket(rate, _now())
        bucket = self._by_event[event]
        return bucket is None or bucket.take(_now())

    def violation(self) -> bool:
        """Count a refusal; True when there were too many within the window."""
        now = _now()
        if now - self._window > self._settings.violation_window:
            self._window = now
            self._violations = 0
        self._violations += 1
        return self._violations > self._settings.max_violations
