"""What carries events, memberships and, later, history between nodes."""

from gatewright.backplane.base import Backplane
from gatewright.backplane.memory import Memory

__all__ = ["Backplane", "Memory"]
