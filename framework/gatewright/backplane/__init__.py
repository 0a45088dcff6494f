"""What carries events and memberships, and keeps sessions and their history."""

from gatewright.backplane.base import Backplane
from gatewright.backplane.memory import Memory
from gatewright.backplane.sqlite import SQLite
from gatewright.backplane.urls import connect

__all__ = ["Backplane", "Memory", "SQLite", "connect"]
