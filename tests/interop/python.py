"""python-socketio, which has no types, and how its clients are tried."""

import importlib
from typing import Any

__all__ = ["DOOR", "PATIENCE", "TRANSPORTS", "Refused", "quick", "socketio"]

socketio: Any = importlib.import_module("socketio")
Refused: type[Exception] = socketio.exceptions.ConnectionError

DOOR = "/brisk"
"""The one with short pings. A client that polls and is told to disconnect while it is still posting
forgets what it has not posted, its goodbye too, and then waits for the next ping."""

PATIENCE = 15
"""Seconds, for what should come at once on a machine that is busy."""

TRANSPORTS: dict[str, list[str] | None] = {
    "websocket": ["websocket"],
    "polling": ["polling"],
    "upgrade": None,
}

quick: dict[str, Any] = {
    "reconnection_delay": 0.05,
    "reconnection_delay_max": 0.1,
    "randomization_factor": 0,
}
"""Options of a client that comes back soon."""
