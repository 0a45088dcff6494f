"""Bridges to servers of other kinds, for `Gatewright(bridges=[…])`.

They are opt-in: `SocketIORedis` needs the extra `gatewright[redis]`.
"""

from gatewright.bridges.base import Bridge
from gatewright.bridges.figures import Figures
from gatewright.bridges.socketio import SocketIORedis

__all__ = ["Bridge", "Figures", "SocketIORedis"]
