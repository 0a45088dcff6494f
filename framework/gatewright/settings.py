"""Every default in one place."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["Rate", "Settings"]

Seconds = Annotated[float, Meta(gt=0)]
Bytes = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=1)]


class Rate(Struct, frozen=True):
    """A token bucket: `per_second` tokens flow in, up to `burst`."""

    per_second: Annotated[float, Meta(gt=0)]
    burst: Count


class Settings(Struct, frozen=True, kw_only=True):
    """The limits and timings of one application; sizes in bytes, times in seconds.

    Give it to `Gatewright(settings=…)`; `msgspec.convert(mapping, Settings, strict=False)` reads
    one from environment variables or a configuration file.
    """

    origins: tuple[str, ...] = ()
    """Origins allowed beside the server's own, as `https://app.example`; `"*"` allows every one."""

    max_frame: Bytes = 64 * 1024
    """The largest incoming message; a larger one closes the connection with 1009."""

    max_rooms: Count = 128
    """Rooms of one connection."""

    max_room_name: Bytes = 255
    """Length of a room's name in UTF-8 bytes."""

    max_calls: Count = 128
    """Calls of one connection under way at which another stream is refused; other calls wait."""

    inbox: Count = 256
    """Messages of one connection that wait for their handler before reading pauses."""

    outbox: Bytes = 1024 * 1024
    """Bytes that wait for one connection's socket before its overflow policy applies."""

    stall: Seconds = 10.0
    """How long a socket may refuse to take another byte before it is aborted."""

    rate: Rate | None = Rate(1000, 2000)
    """Messages of one connection; what is over it is answered `too_many`."""

    event_rate: Rate | None = None
    """Messages of one connection for each event name."""

    event_rates: Mapping[str, Rate] = {}
    """The same for single events, by name; takes precedence over `event_rate`."""

    max_violations: Count = 200
    """Refusals for rate within one connection's `violation_window` that close it."""

    violation_window: Seconds = 10.0

    accept_rate: Rate | None = Rate(2000, 4000)
    """Handshakes per second of this process; what is over it is refused with HTTP 503."""

    open_timeout: Seconds = 10.0
    """`authenticate`, the connect guards and `on_connect` hooks together."""

    guard_timeout: Seconds = 5.0
    """One guard."""

    call_timeout: Seconds = 10.0
    """Calls that the server makes to clients, unless `call(timeout=…)` says otherwise."""

    request_timeout: Seconds = 15.0
    """Requests to other nodes; one that dies is known to be dead before, and not waited for."""

    finish_timeout: Seconds = 10.0
    """How long handlers and hooks may go on after their connection is lost or the app stops."""

    ping_interval: Seconds = 25.0
    """Between two pings of the server; the first comes after a random part of it."""

    ping_timeout: Seconds = 10.0
    """How long a peer may stay silent after a ping before its socket is dropped."""

    grace: Seconds = 120.0
    """How long the session of a lost connection is kept for its return."""

    max_away: Count = 10_000
    """Sessions of this process that wait for their clients' return; over it the oldest end."""

    max_away_per_user: Count = 5
    """The same for one user."""

    presence_linger: Seconds = 15.0
    """How long a lost connection that may return stays in the lists of who is there."""

    presence_pause: Seconds = 0.1
    """Between two diffs of one room's list; the first after a quiet time is sent at once."""

    presence_meta: Bytes = 4096
    """What one connection may track, in bytes of MessagePack."""

    drain: Seconds = 10.0
    """The window over which clients are told to come back when the process stops."""

    history: Count = 1000
    """Events kept for each room, and for each user and for everyone, while sessions may return."""

    history_bytes: Bytes = 4 * 1024 * 1024
    """The same in bytes."""

    history_age: Seconds = 300.0
    """The age beyond which an event is kept no longer."""

    history_total: Bytes = 64 * 1024 * 1024
    """Bytes kept for one namespace."""

    replay: Count = 1000
    """Events that one returning connection is sent at the most, in half an outbox of bytes."""
