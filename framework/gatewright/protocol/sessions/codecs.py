"""The two wire formats of `gw.v1`: what plain mode's say, with positions and control frames."""

from secrets import token_urlsafe
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from gatewright.protocol.codecs import (
    DecHook,
    EncHook,
    EnvelopeCodec,
    FrameError,
    JsonCodec,
    MsgpackCodec,
)
from gatewright.protocol.frames import Envelope
from gatewright.protocol.sessions.frames import SessionEnvelope
from gatewright.types import Frame, Position

__all__ = ["SessionCodec", "SessionJsonCodec", "SessionMsgpackCodec", "new_mark"]

NOBODY = -1
"""The id of an answer that nobody here waits for."""


def new_mark() -> str:
    """What the ids of one process's calls carry."""
    return token_urlsafe(6)


class _Call(Struct, gc=False):
    """A call to a client; its id is opaque to it."""

    event: str
    data: Any
    id: str


class SessionCodec(EnvelopeCodec):
    """What both have in common.

    The ids of calls to clients carry a mark of the process: an answer that comes late, from a
    session that has moved here, must not answer another process's call (rule R13). A call has the
    same id in both formats, or a client that returns in the other one would take it for two.
    """

    positioned = True
    positions_volatile = False
    resends = True
    mark: str
    """What the ids of this process's calls carry: the name of its node, where there are several."""

    def event(self, namespace: str, event: str, data: Any, call_id: int | None) -> Frame:
        if call_id is not None:
            return self.encode(_Call(event, data, f"{call_id}.{self.mark}"))
        return super().event(namespace, event, data, None)

    def call(self, event: str, data: Any, id: str) -> Frame:
        """A call of another node, which has given it this id."""
        return self.encode(_Call(event, data, id))

    def control(self, frame: Struct) -> Frame:
        """A control frame."""
        return self.encode(frame)

    def _read(self, envelope: Envelope) -> SessionEnvelope:
        """Give an answer the id that its call has here; to another node's call it stays a text."""
        assert isinstance(envelope, SessionEnvelope)
        id = envelope.id
        if id is UNSET:
            return envelope
        if envelope.event is UNSET and envelope.op is UNSET:
            number, _, mark = id.partition(".") if isinstance(id, str) else ("", "", "")
            if not (number.isascii() and number.isdigit() and len(number) <= 16):
                envelope.id = NOBODY
            elif mark == self.mark:
                envelope.id = int(number)
        elif isinstance(id, str):
            raise FrameError("Expected `int`, got `str` - at `$.id`")
        return envelope


class SessionJsonCodec(SessionCodec, JsonCodec):
    """Text frames of JSON."""

    name = "gw.v1.json"

    def __init__(
        self,
        dec_hook: DecHook | None = None,
        enc_hook: EncHook | None = None,
        mark: str | None = None,
    ) -> None:
        super().__init__(dec_hook, enc_hook)
        self.mark: str = mark or new_mark()
        self._envelope = msgspec.json.Decoder(SessionEnvelope).decode

    def envelope(self, message: str | bytes) -> Envelope:
        return self._read(super().envelope(message))

    def positioned_event(
        self, namespace: str, event: str, data: Any, frame: Frame, position: Position
    ) -> Frame:
        return Frame(b'%b,"seq":%d}' % (frame.data[:-1], position.seq))


class SessionMsgpackCodec(SessionCodec, MsgpackCodec):
    """Binary frames of MessagePack."""

    name = "gw.v1.msgpack"

    def __init__(
        self,
        dec_hook: DecHook | None = None,
        enc_hook: EncHook | None = None,
        mark: str | None = None,
    ) -> None:
        super().__init__(dec_hook, enc_hook)
        self.mark: str = mark or new_mark()
        self._envelope = msgspec.msgpack.Decoder(SessionEnvelope).decode

    def envelope(self, message: str | bytes) -> Envelope:
        return self._read(super().envelope(message))

    def positioned_event(
        self, namespace: str, event: str, data: Any, frame: Frame, position: Position
    ) -> Frame:
        # A map of two, event and data, becomes one of three.
        seq = msgspec.msgpack.encode(position.seq)
        return Frame(b"\x83%b\xa3seq%b" % (frame.data[1:], seq), binary=True)
