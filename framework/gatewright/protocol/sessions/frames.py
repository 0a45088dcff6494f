"""The control frames of `gw.v1` as msgspec structs; `docs/protocol.md` is their specification."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from gatewright.protocol.frames import CallId, Envelope, ErrorBody

__all__ = [
    "WINDOW",
    "Ack",
    "Away",
    "Bye",
    "Cancel",
    "ClientPing",
    "GapNotice",
    "Heartbeat",
    "Hello",
    "Open",
    "Ping",
    "Pong",
    "Refresh",
    "Refreshed",
    "Resume",
    "SessionEnvelope",
]

WINDOW = 128
"""Ids that a client may be ahead of its lowest call that has not ended, and ends that are kept."""


class Resume(Struct, kw_only=True, gc=False):
    """What a client shows to get its session back."""

    session: str
    token: str
    epoch: str
    seq: Annotated[int, Meta(ge=0)]
    sent: CallId = 0
    """The highest id under which it has sent a call."""


class SessionEnvelope(Envelope, gc=False):
    """Any frame of a client in `gw.v1`; the id of an answer is the text that the call came with."""

    id: CallId | str | UnsetType = UNSET  # type: ignore[assignment]
    auth: Raw = Raw()
    resume: Resume | UnsetType = UNSET


# From a client


class Open(Struct, tag_field="op", tag="open", omit_defaults=True):
    """The first frame."""

    auth: Any = UNSET
    resume: Resume | UnsetType = UNSET


class Refresh(Struct, tag_field="op", tag="auth"):
    """New credentials for the same user."""

    auth: Any


class Cancel(Struct, tag_field="op", tag="cancel"):
    """The end of a client's interest in its call."""

    id: int


class Bye(Struct, tag_field="op", tag="bye"):
    """The client will not return."""


class ClientPing(Struct, tag_field="op", tag="ping"):
    """A client's question whether anybody is there."""


# From both


class Pong(Struct, tag_field="op", tag="pong"):
    """The answer to a ping; a client's confirms everything that came before it."""


# From a server


class Heartbeat(Struct):
    """Seconds between two pings, and how long the answer may take."""

    interval: float
    timeout: float


class Hello(Struct, tag_field="op", tag="hello", omit_defaults=True, kw_only=True):
    """The answer to `open`."""

    session: str
    token: str
    resumed: bool
    epoch: str
    seq: int
    last: int | None
    """The highest id of a call that was taken; None where nobody knows any more."""
    heartbeat: Heartbeat
    grace: float
    max: int
    expires: float | UnsetType = UNSET
    """Seconds until the identity expires."""


class Ping(Struct, tag_field="op", tag="ping"):
    """Everything up to `seq` was sent before it."""

    seq: int


class Ack(Struct, tag_field="op", tag="ack"):
    """Calls up to this id are taken."""

    id: int


class GapNotice(Struct, tag_field="op", tag="gap"):
    """What was emitted to these rooms up to `seq` may be lost."""

    rooms: tuple[str, ...]
    epoch: str
    seq: int


class Refreshed(Struct, tag_field="op", tag="auth", omit_defaults=True):
    """The answer to `auth`: seconds until the identity expires, None for never; or an error."""

    expires: float | UnsetType | None = UNSET
    error: ErrorBody | UnsetType = UNSET


class Away(Struct, tag_field="op", tag="away"):
    """Connect again after so many seconds, elsewhere perhaps."""

    after: float
    reason: str
