"""When an identity that expires is to be refreshed."""

from collections.abc import Callable

__all__ = ["EARLY", "Renewal"]

EARLY = 60.0
"""Seconds before its expiry at which an identity is refreshed at the earliest."""


class Renewal:
    """The next time to refresh; `random` is from 0 to 1."""

    __slots__ = ("_expires", "_random", "due")

    def __init__(self, random: Callable[[], float]) -> None:
        self.due: float | None = None
        self._expires: float | None = None
        self._random = random

    def plan(self, now: float, seconds: float | None) -> None:
        """The identity expires in so many seconds, or never."""
        if seconds is None:
            self.due = self._expires = None
            return
        self._expires = now + seconds
        # Spread, so that those who came together do not all ask together.
        early = min(EARLY, seconds / 2)
        self.due = self._expires - early * (1 + self._random()) / 2

    def repeat(self, now: float) -> None:
        """It is under way; again in half of what is left, should nothing come of it."""
        left = 0.0 if self._expires is None else self._expires - now
        self.due = now + left / 2 if left > 0.5 else None
