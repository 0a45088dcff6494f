"""JSON and MessagePack: envelopes in, shared frames out."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, cast

import msgspec
from msgspec import UNSET, Raw

from gatewright.protocol.frames import (
    Answer,
    Data,
    Envelope,
    ErrorBody,
    Item,
    Message,
    failure,
)
from gatewright.types import Frame, Position

__all__ = [
    "Codec",
    "DecHook",
    "EncHook",
    "EnvelopeCodec",
    "FrameError",
    "JsonCodec",
    "MsgpackCodec",
    "decode_errors",
]

EncHook: TypeAlias = Callable[[Any], Any]
DecHook: TypeAlias = Callable[[type, Any], Any]

decode_errors: tuple[type[Exception], ...] = (
    msgspec.DecodeError,
    UnicodeError,
    RecursionError,
)
"""What a decoder raises on hostile input: msgspec lets the last two through unchanged.

Bytes may be no UTF-8, and a text may have surrogates that UTF-8 cannot have.
"""


class FrameError(ValueError):
    """A message that is no frame of this connection's wire format."""


class Codec(Protocol):
    """One wire format of one application, with its hooks for custom types.

    Whatever it encodes is for one namespace, which only some formats mention.
    """

    name: str
    positioned: bool
    """Whether its events carry their position, so that a frame is finished when that is known."""
    positions_volatile: bool
    """Whether volatile events, which have none of their own, carry the last one."""
    resends: bool
    """Whether its clients know calls that they are asked again."""
    calls_after: int
    """What ids of calls to its clients are counted from. An answer that comes late, at another node
    or after a restart, must not be taken for another call's: where only numbers can be ids, each
    process begins elsewhere (rule R13)."""
    null: Data
    empty: Data

    def decoder(self, kind: Any, *, several: bool = False) -> Callable[[Any], Any]:
        """A decoder of data into `kind`, of `array` data if it has several arguments."""
        ...

    def array(self, data: Data) -> Data:
        """Data as an array of arguments: what is none is the first of them."""
        ...

    def event(self, namespace: str, event: str, data: Any, call_id: int | None) -> Frame:
        """An event; with an id, a call that wants an answer."""
        ...

    def positioned_event(
        self, namespace: str, event: str, data: Any, frame: Frame, position: Position
    ) -> Frame:
        """The same, where it stands in the sequence; `frame` is what `event` made of it."""
        ...

    def answer(self, namespace: str, call_id: int, result: Any) -> Frame:
        """The good end of a call."""
        ...

    def item(
        self, namespace: str, call_id: int, event: str, item: Any, position: Position | None
    ) -> Frame:
        """One item of the stream that answers a call."""
        ...

    def failure(
        self,
        namespace: str,
        call_id: int | None,
        event: str | None,
        error: ErrorBody,
        position: Position | None,
    ) -> Frame:
        """The bad end of a call, or the event `exception` where nobody waits for an end."""
        ...


class EnvelopeCodec(ABC):
    """What JSON and MessagePack have in common: frames that are maps."""

    name: str
    binary: bool
    """Whether its frames are binary; text otherwise."""
    positioned = False
    positions_volatile = False
    resends = False
    calls_after = 0
    null: Data
    empty: Data

    @abstractmethod
    def envelope(self, message: str | bytes) -> Envelope:
        """Read a client's frame, its data left raw; raises `FrameError`."""

    @abstractmethod
    def decoder(self, kind: Any, *, several: bool = False) -> Callable[[Any], Any]: ...

    @abstractmethod
    def array(self, data: Data) -> Raw | bytes: ...

    @abstractmethod
    def encode(self, frame: msgspec.Struct) -> Frame: ...

    def event(self, namespace: str, event: str, data: Any, call_id: int | None) -> Frame:
        return self.encode(Message(event, data, UNSET if call_id is None else call_id))

    def positioned_event(
        self, namespace: str, event: str, data: Any, frame: Frame, position: Position
    ) -> Frame:
        return frame

    def answer(self, namespace: str, call_id: int, result: Any) -> Frame:
        return self.encode(Answer(call_id, result))

    def item(
        self, namespace: str, call_id: int, event: str, item: Any, position: Position | None
    ) -> Frame:
        return self.encode(Item(call_id, item))

    def failure(
        self,
        namespace: str,
        call_id: int | None,
        event: str | None,
        error: ErrorBody,
        position: Position | None,
    ) -> Frame:
        return self.encode(failure(call_id, event, error))


class JsonCodec(EnvelopeCodec):
    """Text frames of JSON; `bytes` travel as base64."""

    name = "json"
    binary = False
    null: Data = b"null"
    empty: Data = b"[]"

    def __init__(self, dec_hook: DecHook | None = None, enc_hook: EncHook | None = None) -> None:
        self._dec_hook = dec_hook
        self._encode = msgspec.json.Encoder(enc_hook=enc_hook).encode
        self._envelope = msgspec.json.Decoder(Envelope).decode

    def envelope(self, message: str | bytes) -> Envelope:
        if not isinstance(message, str):
            raise FrameError("expected a text frame of JSON, got a binary frame")
        try:
            return self._envelope(message)
        except decode_errors as error:
            raise FrameError(describe(error)) from None

    def decoder(self, kind: Any, *, several: bool = False) -> Callable[[Any], Any]:
        return msgspec.json.Decoder(kind, dec_hook=self._dec_hook).decode

    def array(self, data: Data) -> Raw | bytes:
        raw = bytes(cast(bytes, data))
        return raw if raw.lstrip()[:1] == b"[" else b"[" + raw + b"]"

    def encode(self, frame: msgspec.Struct) -> Frame:
        return Frame(self._encode(frame))


class MsgpackCodec(EnvelopeCodec):
    """Binary frames of MessagePack; `bytes` travel as they are."""

    name = "msgpack"
    binary = True
    null: Data = b"\xc0"
    empty: Data = b"\x90"

    def __init__(self, dec_hook: DecHook | None = None, enc_hook: EncHook | None = None) -> None:
        self._dec_hook = dec_hook
        self.enc_hook: EncHook | None = enc_hook
        self._encode = msgspec.msgpack.Encoder(enc_hook=enc_hook).encode
        self._envelope = msgspec.msgpack.Decoder(Envelope).decode

    def envelope(self, message: str | bytes) -> Envelope:
        if isinstance(message, str):
            raise FrameError("expected a binary frame of MessagePack, got a text frame")
        try:
            return self._envelope(message)
        except decode_errors as error:
            raise FrameError(describe(error)) from None

    def decoder(self, kind: Any, *, several: bool = False) -> Callable[[Any], Any]:
        return msgspec.msgpack.Decoder(kind, dec_hook=self._dec_hook).decode

    def array(self, data: Data) -> Raw | bytes:
        data = cast(bytes, data)
        head = memoryview(data)[0]
        # fixarray, array 16, array 32; 0x91 is the head of an array of one.
        is_array = 0x90 <= head <= 0x9F or head in (0xDC, 0xDD)
        return data if is_array else b"\x91" + bytes(data)

    def encode(self, frame: msgspec.Struct) -> Frame:
        return Frame(self._encode(frame), binary=True)


def describe(error: Exception) -> str:
    """A decoding error in words that may go to the client."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeError):
        return "text that is not UTF-8"
    return str(error)
