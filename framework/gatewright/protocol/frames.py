"""The frames of DESIGN 5.1 as msgspec structs; `docs/protocol.md` is their specification."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

__all__ = [
    "Answer",
    "CallId",
    "Data",
    "Envelope",
    "ErrorBody",
    "ExceptionBody",
    "Failure",
    "Item",
    "Message",
    "exception_body",
    "failure",
]

Data: TypeAlias = Raw | bytes | Sequence[Any]
"""An event's data before its type is known: raw, or Socket.IO's list of arguments."""


CallId = Annotated[int, Meta(ge=0, le=2**53 - 1)]
"""A client that counts in doubles must be able to echo it exactly."""


class Envelope(Struct, gc=False):
    """Any frame of a client; `data` stays raw until its handler's type is known.

    Unknown keys are ignored and of duplicate keys the last one wins: both are decided here, once,
    before a guard or a handler sees anything.
    """

    event: str | UnsetType = UNSET
    data: Raw = Raw()
    id: CallId | UnsetType = UNSET
    op: str | UnsetType = UNSET
    error: Raw = Raw()


class Message(Struct, omit_defaults=True, gc=False):
    """An event to a client; with an id, a call that wants an answer."""

    event: str
    data: Any
    id: int | UnsetType = UNSET


class Answer(Struct, gc=False):
    """The good end of a call."""

    id: int
    data: Any


class Item(Struct, gc=False):
    """One item of a stream; an `Answer` or a `Failure` follows the last one."""

    id: int
    item: Any


class ErrorBody(Struct, gc=False):
    """What went wrong, for programs (`code`), people (`message`) and forms (`details`)."""

    code: str
    message: str = ""
    details: Any = UNSET


class Failure(Struct, gc=False):
    """The bad end of a call."""

    id: int
    error: ErrorBody


class ExceptionBody(Struct, gc=False):
    """The data of the event `exception`: a message without an id that failed."""

    code: str
    message: str = ""
    details: Any = UNSET
    event: str | UnsetType = UNSET
    status: str = "error"


def failure(call_id: int | None, event: str | None, error: ErrorBody) -> Failure | Message:
    """The frame that tells of an error: a call's end, or the event `exception` for a message."""
    if call_id is not None:
        return Failure(call_id, error)
    return Message("exception", exception_body(event, error))


def exception_body(event: str | None, error: ErrorBody) -> ExceptionBody:
    # The name is the client's own text; what is long about it helps nobody.
    name = UNSET if event is None else event[:64]
    return ExceptionBody(error.code, error.message, error.details, name)
