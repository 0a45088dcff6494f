"""Packets of Socket.IO protocol revision 5, and reading them strictly.

A decoder belongs to one client, because a packet with attachments is several messages. What the
reference's parser throws at is refused here: the client's socket is closed.
"""

import re
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, Final, Protocol, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from gatewright.protocol.codecs import decode_errors, describe
from gatewright.protocol.frames import Envelope
from gatewright.protocol.socketio.attachments import AttachmentError, attach

__all__ = ["MAX_ATTACHMENTS", "Decoder", "JsonDecoder", "Packet", "PacketError", "PacketType"]

MAX_ATTACHMENTS: Final = 10
"""Of one packet, in either direction: socket.io-parser refuses more since 4.2.6."""

MAX_ID: Final = 2**53 - 1

RESERVED: Final = frozenset(
    {
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    }
)
"""No client emits these; one that does would pretend to be the framework."""


class PacketType(IntEnum):
    """The digit that a packet begins with."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


class PacketError(ValueError):
    """A message that is no packet of Socket.IO, or comes where another was due."""


class Packet(Envelope, gc=False):
    """One packet of a client; events and answers with attachments are as those without.

    `data` is what CONNECT carries, or the arguments of an event or an answer: raw, or built where
    attachments were put in. `type` is a `PacketType`.
    """

    type: int = PacketType.EVENT
    namespace: str = "/"


class Decoder(Protocol):
    """Reads one client's messages."""

    def add(self, message: str | bytes, start: int = 0) -> Packet | None:
        """A packet, or None while attachments are missing; raises `PacketError`.

        Of a text `start` is where the packet begins.
        """
        ...


_HEADER = re.compile(r"([0-6])(?:(\d+)-)?(?:(/[^,]*)(?:,|$))?(\d*)", re.ASCII)
_WITH_ARGUMENTS = (PacketType.EVENT, PacketType.ACK)
_NO_ERROR = Raw()
_arguments = msgspec.json.Decoder(list[Raw]).decode
_anything = msgspec.json.Decoder().decode
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
"""An escape of JSON; the group is one half of a pair that has lost the other."""


def _decode(decode: Callable[[str], Any], text: str) -> Any:
    """Decode a text; raises `PacketError`."""
    try:
        return decode(text)
    except decode_errors as error:
        return _mended(decode, text, error)


def _mended(decode: Callable[[str], Any], text: str, error: Exception) -> Any:
    """Decode a text in which the other half of a character is missing; raises `PacketError`.

    JavaScript's strings are cut that way, and a browser replaces what is left in what it sends
    itself; only `JSON.stringify` escapes it. msgspec will not have it.
    """
    whole = _ESCAPE.sub(lambda found: r"\ufffd" if found[1] else found[0], text)
    if whole == text:
        raise PacketError(describe(error)) from None
    try:
        return decode(whole)
    except decode_errors as other:
        raise PacketError(describe(other)) from None


def _name_first(text: str) -> tuple[object, list[Raw]]:
    arguments = _arguments(text)
    return (_anything(arguments.pop(0)) if arguments else None), arguments


def _event(message: str, start: int) -> Packet:
    """Read what most packets are, an event, in few steps."""
    data = message.find("[", start)
    head = message[start + 1 : data] if data > 0 else message
    namespace: str = "/"
    id: int | UnsetType = UNSET
    if head:
        if head[0] == "/":
            namespace, comma, head = head.partition(",")
            if not comma:
                raise PacketError("expected a comma behind the namespace")
        if head:
            # `isdigit` knows digits of other scripts, and so does `int`; the protocol does not.
            if not (head.isascii() and head.isdigit()) or len(head) > 16:
                raise PacketError(f"expected digits before the arguments, got {head[:20]!r}")
            id = read_id(int(head))
    try:
        arguments = _arguments(message[data:])
        name = _anything(arguments.pop(0)) if arguments else None
    except decode_errors as error:
        name, arguments = _mended(_name_first, message[data:], error)
    if name.__class__ is not str or name in RESERVED:
        name = check_name(name)
    return Packet(cast(Any, name), cast(Any, arguments), id, UNSET, _NO_ERROR, 2, namespace)


class JsonDecoder:
    """The default format: text, with bytes in messages of their own."""

    __slots__ = ("_attachments", "_missing", "_packet", "_payload")

    def __init__(self) -> None:
        self._packet: Packet | None = None
        self._payload = ""
        self._missing = 0
        self._attachments: list[bytes] = []

    def add(self, message: str | bytes, start: int = 0) -> Packet | None:
        if isinstance(message, str):
            if self._packet is not None:
                raise PacketError("expected an attachment, got text")
            if message[start : start + 1] == "2":
                return _event(message, start)
            return self._text(message, start)
        return self._attachment(message)

    def _text(self, message: str, start: int) -> Packet | None:
        header = _HEADER.match(message, start)
        if header is None:
            raise PacketError(f"expected a packet type from 0 to 6, got {message[start:][:1]!r}")
        digit, attachments, namespace, digits = header.groups()
        kind = int(digit)
        packet = Packet(type=kind, namespace=namespace or "/")
        if digits:
            packet.id = read_id(int(digits) if len(digits) < 20 else -1)
        payload = message[header.end() :]
        if kind >= PacketType.BINARY_EVENT:
            return self._binary(packet, attachments, payload)
        if attachments is not None:
            raise PacketError("expected attachments with a binary packet only")
        if kind in _WITH_ARGUMENTS:
            fill(packet, _decode(_arguments, payload), _anything)
        elif payload:
            packet.data = _decode(_anything, payload)
        check(packet, has_data=bool(payload))
        return packet

    def _binary(self, packet: Packet, attachments: str | None, payload: str) -> Packet | None:
        if attachments is None or len(attachments) > 3 or int(attachments) > MAX_ATTACHMENTS:
            raise PacketError(
                f"expected at most {MAX_ATTACHMENTS} attachments, got {(attachments or '')[:20]!r}"
            )
        packet.type -= PacketType.BINARY_EVENT - PacketType.EVENT
        self._packet, self._payload, self._missing = packet, payload, int(attachments)
        return self._whole() if self._missing == 0 else None

    def _attachment(self, data: bytes) -> Packet | None:
        if self._packet is None:
            raise PacketError("expected text, got an attachment of no packet")
        self._attachments.append(data)
        self._missing -= 1
        return self._whole() if self._missing == 0 else None

    def _whole(self) -> Packet:
        packet, attachments, payload = self._packet, self._attachments, self._payload
        assert packet is not None
        self._packet, self._attachments, self._payload = None, [], ""
        try:
            arguments = attach(_decode(_anything, payload), attachments)
        except decode_errors as error:
            raise PacketError(describe(error)) from None
        except AttachmentError as error:
            raise PacketError(str(error)) from None
        if arguments.__class__ is not list:
            raise PacketError("expected an array of arguments")
        fill(packet, arguments, None)
        check(packet, has_data=True)
        return packet


def read_id(id: int) -> int:
    """The id of a call; one that JavaScript could not count to is refused."""
    if not 0 <= id <= MAX_ID:
        raise PacketError("expected an id from 0 to 2**53 - 1")
    return id


def fill(packet: Packet, arguments: Sequence[Any], decode: Any) -> None:
    """Give an event its name and arguments, an answer its arguments."""
    if packet.type != PacketType.EVENT:
        packet.data = cast(Any, arguments)
        return
    if not arguments:
        raise PacketError("expected the name of an event first, got nothing")
    packet.event = check_name(arguments[0] if decode is None else decode(arguments[0]))
    packet.data = cast(Any, arguments[1:])


def check_name(name: object) -> str:
    """The name of an event; raises `PacketError` for what cannot be one."""
    if isinstance(name, int | float) and not isinstance(name, bool):
        # The reference lets numbers through; no handler has such a name, as its caller is told.
        name = str(name)
    if not isinstance(name, str):
        raise PacketError("expected the name of an event first")
    if name in RESERVED:
        raise PacketError(f"expected an event's name, got {name!r}, which is reserved")
    return name


def check(packet: Packet, *, has_data: bool) -> None:
    """Refuse what the type of a packet does not go with."""
    kind = packet.type
    if not has_data:
        packet.data = cast(Any, None)
    elif kind == PacketType.CONNECT and not isinstance(cast(Any, packet.data), dict):
        raise PacketError("expected an object with CONNECT")
    elif kind == PacketType.DISCONNECT:
        raise PacketError("expected nothing with DISCONNECT")
    if kind == PacketType.ACK and packet.id is UNSET:
        raise PacketError("expected an id with an answer")
