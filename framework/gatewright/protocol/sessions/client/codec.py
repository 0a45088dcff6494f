"""Frames of a server decoded, frames of a client encoded: JSON and MessagePack."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, get_args

import msgspec
from msgspec import UNSET, Raw

from gatewright.protocol.codecs import FrameError, decode_errors, describe
from gatewright.protocol.sessions.client.frames import (
    ClientFrame,
    Control,
    ServerEnvelope,
    ServerFrame,
)

__all__ = ["CLIENT_CODECS", "ClientCodec"]

_OPS = frozenset(str(kind.__struct_config__.tag) for kind in get_args(Control))


class ClientCodec:
    """One wire format as a client speaks it.

    `dec_hook` and `enc_hook` are msgspec's, for types that it does not know.
    """

    subprotocol: ClassVar[str]
    binary: ClassVar[bool]
    """Whether its frames are binary; text otherwise."""
    null: ClassVar[bytes]
    _format: Any
    """msgspec's module for it; both have the same names."""

    def __init__(
        self,
        dec_hook: Callable[[type, Any], Any] | None = None,
        enc_hook: Callable[[Any], Any] | None = None,
    ) -> None:
        decoder = self._format.Decoder
        self._dec_hook = dec_hook
        self._encode: Callable[[object], bytes] = self._format.Encoder(enc_hook=enc_hook).encode
        self._envelope: Callable[[bytes], ServerEnvelope] = decoder(ServerEnvelope).decode
        self._control: Callable[[bytes], Control] = decoder(Control).decode

    def read(self, message: bytes) -> ServerFrame:
        """Decode a frame of a server; raises `FrameError`."""
        try:
            envelope = self._envelope(message)
            # A new `op` is for newer clients.
            if envelope.event is UNSET and envelope.op is not UNSET and envelope.op in _OPS:
                return self._control(message)
        except decode_errors as error:
            raise FrameError(describe(error)) from None
        return envelope

    def encode(self, value: object) -> bytes:
        """Encode a frame, or data; raises what msgspec raises."""
        return self._encode(value)

    def decoder(self, kind: Any) -> Callable[[Raw | bytes], Any]:
        """A decoder of data into `kind`."""
        decode: Callable[[Raw | bytes], Any] = self._format.Decoder(
            kind, dec_hook=self._dec_hook
        ).decode
        return decode

    def frame(self, frame: ClientFrame) -> bytes:
        return self.encode(frame)


class JsonClientCodec(ClientCodec):
    subprotocol = "gw.v1.json"
    binary = False
    null = b"null"
    _format = msgspec.json


class MsgpackClientCodec(ClientCodec):
    subprotocol = "gw.v1.msgpack"
    binary = True
    null = b"\xc0"
    _format = msgspec.msgpack


CLIENT_CODECS: Mapping[str, type[ClientCodec]] = {
    "json": JsonClientCodec,
    "msgpack": MsgpackClientCodec,
}
