"""The measures of the outboxes that are tested."""

from gatewright.types import Frame

__all__ = ["LIMIT", "STALL", "frame"]

LIMIT = 200
"""Bytes."""

STALL = 8.0
"""Seconds, of a clock that the tests turn."""


def frame(size: int) -> Frame:
    return Frame(b"x" * size)
