"""What clients answer to the calls of the server, also on the way to another node."""

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Generic, cast, get_origin

import msgspec
from msgspec import Raw, Struct
from typing_extensions import TypeVar

from gatewright.errors import ErrorCode, EventError
from gatewright.protocol.codecs import Codec, decode_errors, describe
from gatewright.protocol.frames import Data, Envelope, ErrorBody
from gatewright.protocol.stored import dump, load

__all__ = ["Answers", "Reply", "read", "refer", "reply_of"]

logger: logging.Logger = logging.getLogger("gatewright")

T = TypeVar("T")


class Answers(list[T], Generic[T]):
    """The receivers' answers in the order of their arrival.

    `errors` holds, by connection id, those who answered with an error or left meanwhile.
    """

    def __init__(
        self, answers: Iterable[T] = (), errors: dict[str, EventError] | None = None
    ) -> None:
        super().__init__(answers)
        self.errors: dict[str, EventError] = errors if errors is not None else {}


class Reply(Struct, array_like=True):
    """What one client has said to a call, in its wire format; or why it has said nothing."""

    member: str
    codec: str = ""
    data: bytes | list[tuple[bool, bytes]] | None = None
    """Several arguments, where a format has such, are each as it came (True), or as builtins."""
    error: tuple[str, str, Any] | None = None
    """Code, message and details."""


def read(codec: Codec, envelope: Envelope, kind: Any) -> Any:
    """A client's answer, decoded as `kind`; raises the `EventError` that it is instead."""
    if envelope.error:
        raise _error(codec, envelope)
    return decode(codec, envelope.data or codec.null, kind)


def decode(codec: Codec, data: Data, kind: Any) -> Any:
    """An answer's data as `kind`; raises `EventError` for what is no such."""
    try:
        return _decoder(codec, kind)(data)
    except decode_errors as error:
        raise EventError(ErrorCode.INVALID, describe(error)) from None
    except Exception as error:
        # A dec_hook's bug is the application's own: it must not end the client's connection.
        logger.exception("the answer of a connection could not be decoded")
        raise EventError(ErrorCode.INTERNAL, "the answer could not be decoded") from error


def reply_of(member: str, codec: Codec, envelope: Envelope) -> Reply:
    """A client's answer in a form that travels; nobody here knows what it is to be decoded as."""
    if envelope.error:
        return failed(member, _error(codec, envelope))
    data = envelope.data or codec.null
    if isinstance(data, Raw | bytes):
        return Reply(member, codec.name, bytes(data))
    arguments = [
        (True, bytes(each)) if isinstance(each, Raw) else (False, dump("", each)) for each in data
    ]
    return Reply(member, codec.name, arguments)


def failed(member: str, error: EventError) -> Reply:
    return Reply(member, error=(error.code, error.message, error.details))


def refer(reply: Reply, codecs: Mapping[str, Codec], kind: Any) -> Any:
    """What came from another node, decoded as `kind`; raises the `EventError` that it is."""
    if reply.error is not None:
        raise EventError(*reply.error)
    codec = codecs.get(reply.codec)
    if codec is None or reply.data is None:
        raise EventError(ErrorCode.INVALID, f"an answer in an unknown format, {reply.codec[:64]!r}")
    data: Data
    if isinstance(reply.data, bytes):
        data = Raw(reply.data)
    else:
        data = [Raw(each) if raw else load(each)[1] for raw, each in reply.data]
    return decode(codec, data, kind)


def _error(codec: Codec, envelope: Envelope) -> EventError:
    try:
        body = cast(ErrorBody, _decoder(codec, ErrorBody)(envelope.error))
    except decode_errors as error:
        return EventError(ErrorCode.INVALID, describe(error))
    return EventError(
        body.code, body.message, None if body.details is msgspec.UNSET else body.details
    )


@lru_cache(maxsize=1024)
def _cached(codec: Any, kind: Any) -> Callable[[Any], Any]:
    decoder: Callable[[Any], Any] = codec.decoder(kind, several=_is_tuple(kind))
    return decoder


def _decoder(codec: Codec, kind: Any) -> Callable[[Any], Any]:
    try:
        return _cached(cast(Any, codec), kind)
    except TypeError:
        # An unhashable type, such as Annotated with a mutable argument.
        return codec.decoder(kind, several=_is_tuple(kind))


def _is_tuple(kind: Any) -> bool:
    """Whether an answer of several arguments is wanted, where a format knows such."""
    return get_origin(kind) is tuple
