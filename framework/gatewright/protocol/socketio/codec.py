"""What handlers and emitters say, as Socket.IO packets of JSON."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from secrets import randbelow
from typing import Any

import msgspec
from msgspec import UNSET, Raw, convert

from gatewright.errors import EmitError
from gatewright.protocol.codecs import DecHook, EncHook
from gatewright.protocol.frames import Data, ErrorBody, exception_body
from gatewright.protocol.socketio.attachments import BYTES, carries_bytes, detach, may_carry
from gatewright.protocol.socketio.packets import MAX_ATTACHMENTS
from gatewright.protocol.stored import arguments_of
from gatewright.types import Frame, Position

__all__ = ["SocketIOCodec"]


class SocketIOCodec:
    """Events and answers with any number of arguments; bytes travel as attachments.

    With `offsets` every event without an id ends with its position, as clients expect of a server
    with connection state recovery: of whatever string comes last they remember the latest.
    """

    name = "socketio"
    positions_volatile = True
    resends = False
    null: Data = (Raw(b"null"),)
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
        self._enc_hook = enc_hook
        self._encode = msgspec.json.Encoder(enc_hook=enc_hook).encode

    # In

    def decoder(self, kind: Any, *, several: bool = False) -> Callable[[Any], Any]:
        decode = msgspec.json.Decoder(kind, dec_hook=self._dec_hook).decode
        hook = self._dec_hook

        def one(arguments: Sequence[Any]) -> Any:
            first = arguments[0]
            if first.__class__ is Raw:
                return decode(first)
            return convert(first, kind, dec_hook=hook, str_keys=True)

        def all_of_them(arguments: Sequence[Any]) -> Any:
            if all(isinstance(each, Raw) for each in arguments):
                return decode(b"[%b]" % b",".join(arguments))
            return convert(list(arguments), kind, dec_hook=hook, str_keys=True)

        return all_of_them if several else one

    def array(self, data: Data) -> Data:
        return data

    # Out

    def event(self, namespace: str, event: str, data: Any, call_id: int | None) -> Frame:
        arguments = arguments_of(data)
        id = None if call_id is None else call_id + self.calls_after
        return self._packet(2, namespace, id, (event, *arguments))

    def positioned_event(
        self, namespace: str, event: str, data: Any, frame: Frame, position: Position
    ) -> Frame:
        return _with_offset(frame, position)

    def answer(self, namespace: str, call_id: int, result: Any) -> Frame:
        kind = result.__class__
        if kind is tuple:
            return self._packet(3, namespace, call_id, result)
        if may_carry(kind) and carries_bytes(result):
            return self._packet(3, namespace, call_id, (result,))
        # What most answers are, in one step.
        return Frame(b"43%b%d[%b]" % (prefix(namespace), call_id, self._encode(result)))

    def item(
        self, namespace: str, call_id: int, event: str, item: Any, position: Position | None
    ) -> Frame:
        frame = self._packet(2, namespace, None, (event, item))
        return self._finished(frame, position)

    def failure(
        self,
        namespace: str,
        call_id: int | None,
        event: str | None,
        error: ErrorBody,
        position: Position | None,
    ) -> Frame:
        if call_id is not None:
            return self._packet(3, namespace, call_id, (exception_body(None, error),))
        frame = self._packet(2, namespace, None, ("exception", exception_body(event, error)))
        return self._finished(frame, position)

    def connected(self, namespace: str, body: dict[str, Any]) -> Frame:
        """The CONNECT that answers a client's."""
        return Frame(b"40%b%b" % (prefix(namespace), self._encode(body)))

    def refused(self, namespace: str, message: str, data: Any = UNSET) -> Frame:
        """A CONNECT_ERROR; clients show `message` and hand on `data`."""
        body = {"message": message} if data is UNSET else {"message": message, "data": data}
        return Frame(b"44%b%b" % (prefix(namespace), self._encode(body)))

    def disconnected(self, namespace: str) -> Frame:
        return Frame(b"41%b" % prefix(namespace))

    def _finished(self, frame: Frame, position: Position | None) -> Frame:
        return _with_offset(frame, position) if self.positioned and position else frame

    def _packet(
        self, kind: int, namespace: str, call_id: int | None, arguments: Sequence[Any]
    ) -> Frame:
        attachments: list[bytes] = []
        if any(carries_bytes(each) for each in arguments):
            built = msgspec.to_builtins(
                arguments, builtin_types=BYTES, str_keys=True, enc_hook=self._enc_hook
            )
            arguments = detach(built, attachments)
        if len(attachments) > MAX_ATTACHMENTS:
            raise EmitError(
                f"{namespace}: expected at most {MAX_ATTACHMENTS} binary values in one Socket.IO "
                f"packet, got {len(attachments)}; put them together or send several"
            )
        id = b"" if call_id is None else b"%d" % call_id
        body = self._encode(arguments)
        if not attachments:
            return Frame(b"4%d%b%b%b" % (kind, prefix(namespace), id, body))
        head = b"4%d%d-%b%b%b" % (kind + 3, len(attachments), prefix(namespace), id, body)
        frames = tuple([Frame(each, binary=True) for each in attachments])
        return Frame(head, attachments=frames)


def prefix(namespace: str) -> bytes:
    """How a packet names its namespace: the main one goes without saying."""
    if namespace == "/":
        return b""
    # The name may be a client's invention, a megabyte of it: that is not kept.
    return _short_prefix(namespace) if len(namespace) <= 256 else _prefix(namespace)


def _prefix(namespace: str) -> bytes:
    return namespace.encode() + b","


_short_prefix = lru_cache(maxsize=4096)(_prefix)


def _with_offset(frame: Frame, position: Position) -> Frame:
    # The packet ends with the array of its arguments, whatever they are.
    data = b'%b,"%b"]' % (frame.data[:-1], str(position).encode())
    return Frame(data, attachments=frame.attachments)
