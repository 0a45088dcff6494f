"""What a client reads and writes in `gw.v1`, beside the control frames."""

from typing import TypeAlias

from msgspec import UNSET, Raw, Struct, UnsetType

from gatewright.protocol.frames import ErrorBody, Message
from gatewright.protocol.sessions.frames import (
    Ack,
    Away,
    Bye,
    Cancel,
    ClientPing,
    GapNotice,
    Hello,
    Open,
    Ping,
    Pong,
    Refresh,
    Refreshed,
)

__all__ = [
    "ClientFrame",
    "Control",
    "ServerEnvelope",
    "ServerFrame",
    "SessionAnswer",
    "SessionFailure",
]


class ServerEnvelope(Struct, gc=False):
    """Any frame of a server; what is data stays raw until its type is known."""

    event: str | UnsetType = UNSET
    data: Raw = Raw()
    id: int | str | UnsetType = UNSET
    op: str | UnsetType = UNSET
    item: Raw = Raw()
    error: ErrorBody | UnsetType = UNSET
    seq: int | UnsetType = UNSET


class SessionAnswer(Struct, gc=False):
    """The good answer to a call of the server, under the id that it came with."""

    id: int | str
    data: Raw


class SessionFailure(Struct, gc=False):
    """The bad one."""

    id: int | str
    error: ErrorBody


Control: TypeAlias = Hello | Ping | Pong | Ack | GapNotice | Refreshed | Away

ServerFrame: TypeAlias = ServerEnvelope | Control
"""A decoded frame of a server; a control frame of an unknown `op` is an envelope."""

ClientFrame: TypeAlias = (
    Open | Refresh | Cancel | Bye | ClientPing | Pong | Message | SessionAnswer | SessionFailure
)
"""A frame to encode and send."""
