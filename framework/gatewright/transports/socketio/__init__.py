"""The Socket.IO door: Engine.IO v4 below, Socket.IO v5 above, the same gateways behind it."""

from gatewright.transports.socketio.config import Cookie, SocketIO

__all__ = ["Cookie", "SocketIO"]
