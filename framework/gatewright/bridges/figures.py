"""What a bridge has done, and what it has to complain about."""

import logging
import time
from typing import Final

from msgspec import Struct

__all__ = ["Complaints", "Figures"]

logger: logging.Logger = logging.getLogger("gatewright")

PAUSE: Final = 1.0
"""Seconds between two complaints: whoever floods a channel must not flood the log."""


class Figures(Struct):
    """Counts of messages, from the start on."""

    told: int = 0
    """Were handed to Redis."""
    lost: int = 0
    """Were not: Redis was out of reach or too slow, or they could not be encoded."""
    heard: int = 0
    """Came from other servers, and were for this one."""
    refused: int = 0
    """Came, and were nothing that such a server sends, or nothing that could be delivered."""
    breaks: int = 0
    """How often Redis was lost."""


class Complaints:
    """Counts what goes wrong, and logs it, not more than once a second."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._next = 0.0

    def refuse(self, what: str, reason: object) -> None:
        """Something that came cannot be used."""
        self._figures.refused += 1
        if self._may_speak():
            logger.warning(
                "Socket.IO bridge: refused %.200s: %.300s (%d refused so far)",
                what,
                reason,
                self._figures.refused,
            )

    def lose(self, what: str, reason: object) -> None:
        """Something cannot be told."""
        self._figures.lost += 1
        if self._may_speak():
            logger.warning(
                "Socket.IO bridge: %.200s is not told: %.300s (%d lost so far)",
                what,
                reason,
                self._figures.lost,
            )

    def _may_speak(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + PAUSE
        return True
