"""What can be set about the Socket.IO door; the defaults are the reference's."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

from msgspec import Meta, Struct

from gatewright.types import Handshake

__all__ = ["Cookie", "SocketIO"]

Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]


class Cookie(Struct, frozen=True, kw_only=True):
    """A cookie with the session's id, for a load balancer that keeps a client at its node."""

    name: str = "io"
    path: str = "/"
    max_age: int | None = None
    domain: str | None = None
    http_only: bool = True
    secure: bool = False
    same_site: Literal["lax", "strict", "none"] = "lax"


class SocketIO(Struct, frozen=True, kw_only=True):
    """Options of `Gatewright(socketio=…)`; times in seconds, sizes in bytes.

    Allowed origins are those of `Settings.origins`, for this door too.
    """

    path: str = "/socket.io/"
    """Where clients find it; they name it in their option `path`."""

    transports: tuple[Literal["polling", "websocket"], ...] = ("polling", "websocket")

    upgrades: bool = True
    """Whether a client that began with polling may go on with a WebSocket."""

    ping_interval: Seconds = 25.0
    ping_timeout: Seconds = 20.0

    upgrade_timeout: Seconds = 10.0
    """How long the probe of an upgrade may take."""

    connect_timeout: Seconds = 45.0
    """How long a client may stay without having joined a namespace."""

    max_payload: Count = 1_000_000
    """The largest message or body of a client; larger ones are refused with 1009 or 413."""

    max_namespaces: Count = 32
    """Namespaces of one client at a time."""

    cookie: Cookie | None = None

    parser: Literal["json", "msgpack"] = "json"
    """The packets' format; with `"msgpack"` clients need `socket.io-msgpack-parser`."""

    recovery: bool = False
    """Connection state recovery: a client that was cut off gets what it missed.

    Then every event ends with an additional argument, its offset. JavaScript clients know it and
    handlers there don't mind; those of other languages would see an argument too many.
    """

    allow_request: Callable[[Handshake], Awaitable[bool | None]] | None = None
    """Asked before a session begins, as the reference's `allowRequest`; False or an `EventError`
    refuses with HTTP 403. There is no namespace yet: the handshake names this door's path."""
