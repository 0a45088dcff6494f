"""A token bucket that is told the time."""

from gatewright.settings import Rate

__all__ = ["TokenBucket"]


class TokenBucket:
    """Lets `rate.per_second` through on average and `rate.burst` at once."""

    __slots__ = ("_burst", "_per_second", "_tokens", "_updated")

    def __init__(self, rate: Rate, now: float) -> None:
        self._per_second = rate.per_second
        self._burst = float(rate.burst)
        self._tokens = self._burst
        self._updated = now

    def take(self, now: float) -> bool:
        """Take one token; False when there is none. `now` is seconds of a monotonic clock."""
        tokens = self._tokens + (now - self._updated) * self._per_second
        self._updated = now
        if tokens > self._burst:
            tokens = self._burst
        if tokens < 1.0:
            self._tokens = tokens
            return False
        self._tokens = tokens - 1.0
        return True
