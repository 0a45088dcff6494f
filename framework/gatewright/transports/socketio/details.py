"""Connections as Socket.IO's own servers describe theirs, and end them."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from msgspec import Struct

from gatewright.connection import Connection
from gatewright.protocol.close import CloseCode
from gatewright.redaction import plain, redacted
from gatewright.transports.socketio.channel import Channel
from gatewright.transports.socketio.engine import EngineSocket
from gatewright.types import DisconnectReason

__all__ = ["Request", "carrier", "disconnect", "request"]


class Request(Struct, frozen=True):
    """A handshake, without what would let anybody act in the client's name."""

    address: str
    headers: dict[str, Any]
    query: dict[str, Any]
    issued: int
    """Milliseconds of Unix time."""
    secure: bool
    time: str
    url: str
    xdomain: bool


def carrier(connection: Connection) -> EngineSocket | None:
    """The Engine.IO session that a connection is carried by; None for a plain WebSocket."""
    outbox = connection.outbox
    return outbox.socket if isinstance(outbox, Channel) else None


def request(connection: Connection) -> Request:
    """The request that opened a connection."""
    handshake, since = connection.handshake, connection.since
    headers, query = redacted(handshake.headers), redacted(handshake.query)
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


async def disconnect(
    chosen: Collection[Connection], others: Iterable[Connection], reason: str, *, close: bool
) -> None:
    """End connections; with `close` also those of `others` that their clients have elsewhere."""
    if close:
        sockets = {socket for each in chosen if (socket := carrier(each)) is not None}
        for each in list(others):
            if carrier(each) in sockets:
                await each.disconnect(reason)
        for socket in sockets:
            socket.close(DisconnectReason(CloseCode.DISCONNECTED, reason))
    for each in list(chosen):
        await each.disconnect(reason)
