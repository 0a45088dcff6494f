"""The same packets as `socket.io-msgpack-parser` has them: each one map of MessagePack."""

from collections.abc import Callable, Sequence
from secrets import randbelow
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gatewright.protocol.codecs import DecHook, EncHook, decode_errors, describe
from gatewright.protocol.frames import Data, ErrorBody, exception_body
from gatewright.protocol.socketio.notepack import translate
from gatewright.protocol.socketio.packets import (
    Packet,
    PacketError,
    PacketType,
    check,
    fill,
    read_id,
)
from gatewright.protocol.stored import arguments_of
from gatewright.types import Frame, Position

__all__ = ["MsgpackDecoder", "SocketIOMsgpackCodec"]


class _Incoming(Struct, gc=False):
    type: int
    nsp: str = "/"
    data: Raw = Raw()
    id: int | None = None


class _Outgoing(Struct, gc=False, omit_defaults=True):
    type: int
    nsp: str
    data: Any = UNSET
    id: int | UnsetType = UNSET


_NIL = b"\xc0"
_packet = msgspec.msgpack.Decoder(_Incoming).decode
_arguments = msgspec.msgpack.Decoder(list[Raw]).decode
_anything = msgspec.msgpack.Decoder().decode


class MsgpackDecoder:
    """Reads a client's packets; there are no attachments, because bytes need none."""

    __slots__ = ()

    def add(self, message: str | bytes, start: int = 0) -> Packet | None:
        if isinstance(message, str):
            raise PacketError("expected a binary message of MessagePack, got text")
        try:
            found = _packet(translate(message))
            if not PacketType.CONNECT <= found.type <= PacketType.CONNECT_ERROR:
                raise PacketError(f"expected a packet type from 0 to 4, got {found.type}")
            packet = Packet(type=found.type, namespace=found.nsp)
            if found.id is not None:
                packet.id = read_id(found.id)
            # What a client leaves undefined comes as nil.
            has_data = bool(found.data) and bytes(found.data) != _NIL
            if found.type in (PacketType.EVENT, PacketType.ACK):
                fill(packet, _arguments(found.data), _anything)
            elif has_data:
                packet.data = _anything(found.data)
        except decode_errors as error:
            raise PacketError(describe(error)) from None
        check(packet, has_data=has_data)
        return packet


class SocketIOMsgpackCodec:
    """Events and answers as one binary message each; see `SocketIOCodec` for `offsets`."""

    name = "socketio.msgpack"
    positions_volatile = True
    resends = False
    null: Data = (Raw(_NIL),)
    empty: Data = ()

    def __init__(
        self,
        dec_hook: DecHook | None = None,
        enc_hook: EncHook | None = None,
        *,
        offsets: bool = False,
    ) -> None:
        self.positioned = offsets
        # Some clients have 31 bits for an id.
        self.calls_after: int = randbelow(2**30) if offsets else 0
        self._dec_hook = dec_hook
        self._encode = msgspec.msgpack.Encoder(enc_hook=enc_hook).encode

    def decoder(self, kind: Any, *, several: bool = False) -> Callable[[Any], Any]:
        decode = msgspec.msgpack.Decoder(kind, dec_hook=self._dec_hook).decode
        if not several:
            return lambda arguments: decode(arguments[0])
        return lambda arguments: decode(_array(arguments))

    def array(self, data: Data) -> Data:
        return data

    def event(self, namespace: str, event: str, data: Any, call_id: int | None) -> Frame:
        id = None if call_id is None else call_id + self.calls_after
        return self._frame(PacketType.EVENT, namespace, [event, *arguments_of(data)], id)

    def positioned_event(
        self, namespace: str, event: str, data: Any, frame: Frame, position: Position
    ) -> Frame:
        arguments = [event, *arguments_of(data), str(position)]
        return self._frame(PacketType.EVENT, namespace, arguments)

    def answer(self, namespace: str, call_id: int, result: Any) -> Frame:
        arguments = [*result] if result.__class__ is tuple else [result]
        return self._frame(PacketType.ACK, namespace, arguments, call_id)

    def item(
        self, namespace: str, call_id: int, event: str, item: Any, position: Position | None
    ) -> Frame:
        return self._frame(PacketType.EVENT, namespace, self._with([event, item], position))

    def failure(
        self,
        namespace: str,
        call_id: int | None,
        event: str | None,
        error: ErrorBody,
        position: Position | None,
    ) -> Frame:
        if call_id is not None:
            body = exception_body(None, error)
            return self._frame(PacketType.ACK, namespace, [body], call_id)
        arguments = ["exception", exception_body(event, error)]
        return self._frame(PacketType.EVENT, namespace, self._with(arguments, position))

    def connected(self, namespace: str, body: dict[str, Any]) -> Frame:
        return self._frame(PacketType.CONNECT, namespace, body)

    def refused(self, namespace: str, message: str, data: Any = UNSET) -> Frame:
        body = {"message": message} if data is UNSET else {"message": message, "data": data}
        return self._frame(PacketType.CONNECT_ERROR, namespace, body)

    def disconnected(self, namespace: str) -> Frame:
        return self._frame(PacketType.DISCONNECT, namespace, UNSET)

    def _with(self, arguments: list[Any], position: Position | None) -> list[Any]:
        return [*arguments, str(position)] if self.positioned and position else arguments

    def _frame(self, kind: int, namespace: str, data: Any, call_id: int | None = None) -> Frame:
        id = UNSET if call_id is None else call_id
        return Frame(self._encode(_Outgoing(kind, namespace, data, id)), binary=True)


def _array(arguments: Sequence[Any]) -> bytes:
    """Raw arguments as one array."""
    count = len(arguments)
    head = bytes([0x90 | count]) if count < 16 else b"\xdd" + count.to_bytes(4, "big")
    return b"".join([head, *arguments])
