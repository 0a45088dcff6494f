"""How long a client waits before it connects again."""

from collections.abc import Callable
from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["Backoff"]


class Backoff(Struct, frozen=True):
    """Full jitter: a random part of a bound that doubles from `minimum` to `maximum` seconds.

    A server that restarts is so not met by all of its clients at once.
    """

    minimum: Annotated[float, Meta(gt=0)] = 0.5
    maximum: Annotated[float, Meta(gt=0)] = 20.0

    def delay(self, attempt: int, random: Callable[[], float]) -> float:
        """Seconds before an attempt; the first after a loss is 0. `random` is from 0 to 1."""
        # No client counts so far that the power would overflow.
        bound = min(self.maximum, self.minimum * 2.0 ** min(attempt, 64))
        return bound * random()
