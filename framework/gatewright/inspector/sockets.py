"""Connections as the page shows them."""

from hashlib import sha256

from gatewright.connection import Connection
from gatewright.inspector.events import Socket
from gatewright.inspector.preview import Preview
from gatewright.redaction import plain
from gatewright.transports.socketio.details import carrier, request

__all__ = ["describe", "transport"]


def transport(connection: Connection) -> str:
    """`"polling"` or `"websocket"`."""
    socket = carrier(connection)
    return "websocket" if socket is None else socket.transport


def describe(connection: Connection) -> Socket:
    """A connection, without what would let anybody act in its name."""
    socket = carrier(connection)
    return Socket(
        connection.id,
        # Whoever knows a session's id can speak for it: its hash does as well for grouping.
        connection.id if socket is None else sha256(socket.id.encode()).hexdigest()[:12],
        transport(connection),
        connection.namespace,
        Preview().of({"user": connection.user, "state": connection.state}),
        request(connection),
        [connection.id, *map(plain, sorted(connection.joined))],
    )
