"""Connections as the page shows them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import urlencode, urlsplit

from gatewright.connection import Connection
from gatewright.inspector.events import Request, Socket
from gatewright.inspector.preview import REDACTED, Preview, is_secret, plain
from gatewright.transports.socketio.channel import Channel
from gatewright.transports.socketio.engine import EngineSocket
from gatewright.types import Handshake

__all__ = ["carrier", "describe", "transport"]


def carrier(connection: Connection) -> EngineSocket | None:
    """The Engine.IO session that a connection is carried by; None for a plain WebSocket."""
    outbox = connection.outbox
    return outbox.socket if isinstance(outbox, Channel) else None


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
        _request(connection.handshake, connection.since),
        [connection.id, *map(plain, sorted(connection.joined))],
    )


def _request(handshake: Handshake, since: float) -> Request:
    headers, query = _redacted(handshake.headers), _redacted(handshake.query)
    if "referer" in headers:
        # Addresses of pages may carry tokens, too.
        headers["referer"] = headers["referer"].partition("?")[0]
    origin = handshake.headers.get("origin")
    forwarded = handshake.headers.get("x-forwarded-proto", "")
    own = handshake.headers.get("host", "").lower()
    return Request(
        handshake.client or "",
        headers,
        query,
        int(since * 1000),
        forwarded == "https" or (origin or "").startswith("https:"),
        datetime.fromtimestamp(since, UTC).isoformat(),
        f"{plain(handshake.namespace)}?{urlencode(query)}" if query else handshake.namespace,
        origin is not None and urlsplit(origin).netloc.lower() != own,
    )


def _redacted(fields: Mapping[str, str]) -> dict[str, str]:
    return {
        plain(name): REDACTED if is_secret(name) else plain(value) for name, value in fields.items()
    }
