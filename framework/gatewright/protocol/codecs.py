"""JSON and MessagePack: envelopes in, shared frames out."""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import msgspec
from msgspec import Raw

from gatewright.protocol.frames import Envelope
from gatewright.types import Frame

__all__ = [
    "Codec",
    "DecHook",
    "EncHook",
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
    """One wire format of one application, with its hooks for custom types."""

    name: str
    binary: bool
    null: bytes
    empty: bytes

    def envelope(self, message: str | bytes) -> Envelope:
        """Read a client's frame, its data left raw; raises `FrameError`."""
        ...

    def decoder(self, kind: Any) -> Callable[[Any], Any]:
        """A decoder of raw data into `kind`, made once per type."""
        ...

    def array(self, data: Raw | bytes) -> Raw | bytes:
        """Data as an array of arguments: what is none is the first of them."""
        ...

    def encode(self, frame: msgspec.Struct) -> Frame: ...


class JsonCodec:
    """Text frames of JSON; `bytes` travel as base64."""

    name = "json"
    binary = False
    null = b"null"
    empty = b"[]"

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

    def decoder(self, kind: Any) -> Callable[[Any], Any]:
        return msgspec.json.Decoder(kind, dec_hook=self._dec_hook).decode

    def array(self, data: Raw | bytes) -> Raw | bytes:
        raw = bytes(data)
        return data if raw.lstrip()[:1] == b"[" else b"[" + raw + b"]"

    def encode(self, frame: msgspec.Struct) -> Frame:
        return Frame(self._encode(frame))


class MsgpackCodec:
    """Binary frames of MessagePack; `bytes` travel as they are."""

    name = "msgpack"
    binary = True
    null = b"\xc0"
    empty = b"\x90"

    def __init__(self, dec_hook: DecHook | None = None, enc_hook: EncHook | None = None) -> None:
        self._dec_hook = dec_hook
        self._encode = msgspec.msgpack.Encoder(enc_hook=enc_hook).encode
        self._envelope = msgspec.msgpack.Decoder(Envelope).decode

    def envelope(self, message: str | bytes) -> Envelope:
        if isinstance(message, str):
            raise FrameError("expected a binary frame of MessagePack, got a text frame")
        try:
            return self._envelope(message)
        except decode_errors as error:
            raise FrameError(describe(error)) from None

    def decoder(self, kind: Any) -> Callable[[Any], Any]:
        return msgspec.msgpack.Decoder(kind, dec_hook=self._dec_hook).decode

    def array(self, data: Raw | bytes) -> Raw | bytes:
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
