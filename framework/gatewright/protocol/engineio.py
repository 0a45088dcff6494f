"""Engine.IO v4 on the wire: packets, polling payloads, the errors of its HTTP requests.

A packet is a text that begins with its type, or bytes, which are a message. Over HTTP several
travel as one payload, bytes as base64. The specification is Engine.IO protocol revision 4.
"""

import binascii
from base64 import b64encode
from collections.abc import Iterable
from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from gatewright.types import Frame

__all__ = [
    "CLOSE",
    "NOOP",
    "PING",
    "PROBED",
    "PacketType",
    "PayloadError",
    "Refusal",
    "decode_packet",
    "decode_payload",
    "encode_payload",
    "open_packet",
    "refusal_body",
]

SEPARATOR: Final = "\x1e"


class PacketType(StrEnum):
    """The first character of a text packet."""

    OPEN = "0"
    CLOSE = "1"
    PING = "2"
    PONG = "3"
    MESSAGE = "4"
    UPGRADE = "5"
    NOOP = "6"


CLOSE: Final = Frame(b"1")
PING: Final = Frame(b"2")
PROBED: Final = Frame(b"3probe")
NOOP: Final = Frame(b"6")


class Refusal(IntEnum):
    """Why a request is refused, in the reference's numbers."""

    UNKNOWN_TRANSPORT = 0
    UNKNOWN_SESSION = 1
    BAD_METHOD = 2
    BAD_REQUEST = 3
    FORBIDDEN = 4
    UNSUPPORTED_VERSION = 5

    @property
    def text(self) -> str:
        """The reference's own words, which clients show."""
        return _TEXTS[self]

    @property
    def status(self) -> int:
        """The HTTP status that goes with it."""
        return 403 if self is Refusal.FORBIDDEN else 400


_TEXTS: dict[Refusal, str] = {
    Refusal.UNKNOWN_TRANSPORT: "Transport unknown",
    Refusal.UNKNOWN_SESSION: "Session ID unknown",
    Refusal.BAD_METHOD: "Bad handshake method",
    Refusal.BAD_REQUEST: "Bad request",
    Refusal.FORBIDDEN: "Forbidden",
    Refusal.UNSUPPORTED_VERSION: "Unsupported protocol version",
}


class PayloadError(ValueError):
    """What a client sent is no packet of Engine.IO."""


def refusal_body(refusal: Refusal, message: str | None = None) -> bytes:
    """The JSON that a refused request is answered with."""
    return msgspec.json.encode({"code": int(refusal), "message": message or refusal.text})


def open_packet(
    sid: str, upgrades: list[str], interval: float, timeout: float, max_payload: int
) -> Frame:
    """The handshake; `interval` and `timeout` are seconds here and milliseconds on the wire."""
    handshake = {
        "sid": sid,
        "upgrades": upgrades,
        "pingInterval": round(interval * 1000),
        "pingTimeout": round(timeout * 1000),
        "maxPayload": max_payload,
    }
    return Frame(b"0" + msgspec.json.encode(handshake))


def encode_payload(frames: Iterable[Frame]) -> bytes:
    """The body that answers a poll; attachments follow the packet that they belong to."""
    parts: list[bytes] = []
    for frame in frames:
        parts.append(_part(frame))
        parts += [_part(attachment) for attachment in frame.attachments]
    return b"\x1e".join(parts)


def _part(frame: Frame) -> bytes:
    return b"b" + b64encode(frame.data) if frame.binary else frame.data


def decode_payload(body: bytes) -> list[str]:
    """The packets of a POST's body, still encoded; raises `PayloadError`."""
    try:
        return body.decode().split(SEPARATOR)
    except UnicodeDecodeError:
        raise PayloadError("expected UTF-8") from None


def decode_packet(packet: str) -> bytes | None:
    """The bytes of a packet in base64, None for one of text; raises `PayloadError` for neither."""
    if packet[:1] == "b":
        try:
            return binascii.a2b_base64(packet[1:], strict_mode=True)
        except ValueError:
            raise PayloadError("expected base64") from None
    if packet[:1] not in _TYPES:
        raise PayloadError(f"expected a packet type from 0 to 6, got {packet[:1]!r}")
    return None


_TYPES: Final = frozenset(PacketType)
