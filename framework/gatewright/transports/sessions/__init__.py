"""The WebSocket door's `gw.v1`: sessions, whose sockets come and go."""

from gatewright.transports.sessions.socket import SessionSocket

__all__ = ["SessionSocket"]
