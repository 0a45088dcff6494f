"""One socket at a time: opened, and judged when that fails."""

import ssl as tls
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
)
from websockets.typing import Origin, Subprotocol

from gatewright.client.errors import ConnectError

__all__ = ["Options", "Unreachable", "closing", "open_with"]

_TRANSIENT = frozenset({408, 425, 429})
"""HTTP refusals below 500 that are about this moment."""


class Options(Struct, frozen=True, kw_only=True):
    """What a socket is opened with."""

    url: str
    subprotocol: str
    max_size: int | None
    ssl: tls.SSLContext | None
    headers: Mapping[str, str]
    origin: str | None


class Unreachable(Exception):
    """An attempt that failed; `final` if the next one would fail as well."""

    def __init__(self, error: ConnectError, *, final: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.final = final


async def open_with(options: Options) -> ClientConnection:
    """Open a socket that speaks `gw.v1`; raises `Unreachable`."""
    url = options.url
    secure: dict[str, Any] = {} if options.ssl is None else {"ssl": options.ssl}
    try:
        socket = await open_socket(
            url,
            subprotocols=[Subprotocol(options.subprotocol)],
            additional_headers=options.headers,
            origin=None if options.origin is None else Origin(options.origin),
            max_size=options.max_size,
            compression=None,
            # The session has its own heartbeats, which tell more than these.
            ping_interval=None,
            close_timeout=1,
            **secure,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        text = bytes(error.response.body or b"").decode(errors="replace").strip()
        final = 400 <= status < 500 and status not in _TRANSIENT
        raise Unreachable(ConnectError(url, status, text), final=final) from error
    except (InvalidURI, tls.SSLCertVerificationError) as error:
        raise Unreachable(ConnectError(url, None, str(error)), final=True) from error
    except (OSError, InvalidHandshake) as error:
        raise Unreachable(ConnectError(url, None, str(error)), final=False) from error
    if socket.subprotocol != options.subprotocol:
        await socket.close(1002)
        reason = f"expected a server that speaks {options.subprotocol}, got one that does not"
        raise Unreachable(ConnectError(url, None, reason), final=True)
    return socket


def closing(closed: ConnectionClosed) -> tuple[int | None, str, bool]:
    """How a socket ended: the peer's close code and reason, and whether it was our own doing."""
    received, sent = closed.rcvd, closed.sent
    if received is not None and (closed.rcvd_then_sent or sent is None):
        return received.code, received.reason, False
    if sent is not None:
        return sent.code, sent.reason, True
    return None, "", False
