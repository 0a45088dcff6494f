"""Frames of a server decoded, frames of a client encoded: JSON and MessagePack."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, cast, get_args

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


class ClientCodec(ABC):
    """One wire format as a client speaks it.

    `dec_hook` and `enc_hook` are msgspec's, for types that it does not know.
    """

    subprotocol: str
    binary: bool
    """Whether its frames are binary; text otherwise."""
    null: bytes

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

    @abstractmethod
    def encode(self, value: object) -> bytes:
        """Encode a frame, or data; raises what msgspec raises."""

    @abstractmethod
    def decoder(self, kind: Any) -> Callable[[Raw | bytes], Any]:
        """A decoder of data into `kind`."""

    def frame(self, frame: ClientFrame) -> bytes:
        return self.encode(frame)

    @abstractmethod
    def _envelope(self, message: bytes) -> ServerEnvelope: ...

    @abstractmethod
    def _control(self, message: bytes) -> Control: ...


class JsonClientCodec(ClientCodec):
    subprotocol = "gw.v1.json"
    binary = False
    null = b"null"

    def __init__(
        self,
        dec_hook: Callable[[type, Any], Any] | None = None,
        enc_hook: Callable[[Any], Any] | None = None,
    ) -> None:
        self._dec_hook = dec_hook
        self._encode = msgspec.json.Encoder(enc_hook=enc_hook).encode
        self._decode_envelope = msgspec.json.Decoder(ServerEnvelope).decode
        self._decode_control = cast(
            Callable[[bytes], Control], msgspec.json.Decoder(Control).decode
        )

    def encode(self, value: object) -> bytes:
        return self._encode(value)

    def decoder(self, kind: Any) -> Callable[[Raw | bytes], Any]:
        return msgspec.json.Decoder(kind, dec_hook=self._dec_hook).decode

    def _envelope(self, message: bytes) -> ServerEnvelope:
        return self._decode_envelope(message)

    def _control(self, message: bytes) -> Control:
        return self._decode_control(message)


class MsgpackClientCodec(ClientCodec):
    subprotocol = "gw.v1.msgpack"
    binary = True
    null = b"\xc0"

    def __init__(
        self,
        dec_hook: Callable[[type, Any], Any] | None = None,
        enc_hook: Callable[[Any], Any] | None = None,
    ) -> None:
        self._dec_hook = dec_hook
        self._encode = msgspec.msgpack.Encoder(enc_hook=enc_hook).encode
        self._decode_envelope = msgspec.msgpack.Decoder(ServerEnvelope).decode
        self._decode_control = cast(
            Callable[[bytes], Control], msgspec.msgpack.Decoder(Control).decode
        )

    def encode(self, value: object) -> bytes:
        return self._encode(value)

    def decoder(self, kind: Any) -> Callable[[Raw | bytes], Any]:
        return msgspec.msgpack.Decoder(kind, dec_hook=self._dec_hook).decode

    def _envelope(self, message: bytes) -> ServerEnvelope:
        return self._decode_envelope(message)

    def _control(self, message: bytes) -> Control:
        return self._decode_control(message)


CLIENT_CODECS: Mapping[str, type[JsonClientCodec | MsgpackClientCodec]] = {
    "json": JsonClientCodec,
    "msgpack": MsgpackClientCodec,
}
