"""What a client's side of a session tells whoever drives it."""

from typing import TypeAlias

from msgspec import Raw, Struct

from gatewright.protocol.frames import ErrorBody
from gatewright.protocol.sessions.client.asked import Question
from gatewright.protocol.sessions.client.calls import OpenCall
from gatewright.types import Gap

__all__ = [
    "Asked",
    "CallEnded",
    "CallFailed",
    "ClientEvent",
    "Closed",
    "Delivered",
    "Drop",
    "ItemArrived",
    "Lost",
    "Missed",
    "Opened",
    "RefreshDue",
    "RefreshEnded",
]


class Opened(Struct, frozen=True):
    """`hello` has come: the session of before if `resumed`, otherwise a new one."""

    session: str
    resumed: bool


class Delivered(Struct, frozen=True):
    """A message of the server; `seq` where it stands in the sequence."""

    event: str
    data: Raw
    seq: int | None


class Asked(Struct, frozen=True):
    """A call of the server, to be run and answered once."""

    question: Question


class ItemArrived(Struct, frozen=True):
    """One item of a stream."""

    call: OpenCall
    data: Raw


class CallEnded(Struct, frozen=True):
    """The good end of a call, or of a stream."""

    call: OpenCall
    data: Raw


class CallFailed(Struct, frozen=True):
    """The bad end, from the server or from the rules of the protocol."""

    call: OpenCall
    error: ErrorBody


class Missed(Struct, frozen=True):
    """What was emitted to these rooms up to `seq` may be lost."""

    gap: Gap


class RefreshDue(Struct, frozen=True):
    """The identity expires soon: `refresh` is to be called with new credentials."""


class RefreshEnded(Struct, frozen=True):
    """The answer to `refresh`: seconds until the next expiry, None for never; or an error."""

    expires: float | None
    error: ErrorBody | None


class Drop(Struct, frozen=True):
    """The socket is to be let go: with a close code, or at once where nobody would answer it."""

    code: int | None
    why: str


class Lost(Struct, frozen=True):
    """The socket has ended, the session has not: the next socket is due at `until`."""

    code: int | None
    reason: str
    until: float


class Closed(Struct, frozen=True):
    """It is over for good; no other event follows. All calls have failed before it."""

    code: int
    reason: str


ClientEvent: TypeAlias = (
    Opened
    | Delivered
    | Asked
    | ItemArrived
    | CallEnded
    | CallFailed
    | Missed
    | RefreshDue
    | RefreshEnded
    | Drop
    | Lost
    | Closed
)
