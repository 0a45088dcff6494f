"""What the servers of a Socket.IO cluster say to each other, as @socket.io/redis-adapter 8 has it.

There is no specification: this was read in its code and seen on the wire. Requests and answers are
JSON, or MessagePack where bytes may be in them; broadcasts are MessagePack.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from gatewright.protocol.codecs import EncHook, decode_errors, describe
from gatewright.protocol.socketio.notepack import translate

__all__ = [
    "Answer",
    "Channels",
    "Described",
    "Flags",
    "Options",
    "Packet",
    "Request",
    "RequestType",
    "Response",
    "WireError",
    "Writer",
    "head_of",
    "names",
    "read_broadcast",
    "read_request",
    "read_response",
    "without_content",
]

T = TypeVar("T")

Room: TypeAlias = str | int | float
"""In JavaScript anything can be a room; here `42` is the room "42"."""


class WireError(ValueError):
    """A message that none of these servers would send."""


class RequestType(IntEnum):
    """What one server asks of all others."""

    SOCKETS = 0
    ALL_ROOMS = 1
    REMOTE_JOIN = 2
    REMOTE_LEAVE = 3
    REMOTE_DISCONNECT = 4
    REMOTE_FETCH = 5
    SERVER_SIDE_EMIT = 6
    BROADCAST = 7
    BROADCAST_CLIENT_COUNT = 8
    BROADCAST_ACK = 9


class Channels(Struct, frozen=True):
    """Where one namespace is talked about."""

    broadcast: str
    """Of a broadcast to one room this is followed by `room#`."""
    request: str
    response: str

    @classmethod
    def of(cls, key: str, namespace: str) -> "Channels":
        return cls(
            f"{key}#{namespace}#", f"{key}-request#{namespace}#", f"{key}-response#{namespace}#"
        )

    @property
    def pattern(self) -> str:
        """What a subscriber to all broadcasts asks Redis for."""
        return _GLOB.sub(r"\\\g<0>", self.broadcast) + "*"

    def answers(self, uid: str) -> str:
        """Where one server alone hears the answers to its requests."""
        return f"{self.response}{uid}#" if uid else self.response


_GLOB: Final = re.compile(r"[\\*?\[\]^]")


class Flags(Struct, frozen=True, omit_defaults=True):
    """How a broadcast is meant; the time limit of one with acks is in milliseconds."""

    volatile: Any = False
    timeout: float | None = None


class Options(Struct, frozen=True):
    """Whom something is for: everybody where there are no `rooms`."""

    rooms: Sequence[Room] = ()
    except_: Sequence[Room] = field(name="except", default=())
    flags: Flags = Flags()


class Packet(Struct, frozen=True):
    """A Socket.IO packet; `data` is the event and its arguments."""

    data: Sequence[Any]
    type: int = 2
    nsp: str = "/"


class Request(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What is asked of all servers."""

    type: int
    uid: str = ""
    request_id: str | None = None
    opts: Options | None = None
    rooms: Sequence[Room] = ()
    close: Any = False
    data: Sequence[Any] = ()
    packet: Packet | None = None
    # How servers before 8 move one socket.
    sid: str | None = None
    room: Room | None = None


class Described(Struct, frozen=True):
    """A socket of another server; its id is all that is used of it."""

    id: str


class Response(Struct, frozen=True, rename="camel"):
    """One server's answer, or one client's to a broadcast with acks."""

    request_id: str
    type: int | None = None
    client_count: int = 0
    packet: Any = None
    data: Any = None
    sockets: Sequence[Described | str] = ()


class Answer(Struct, frozen=True, rename="camel", omit_defaults=True):
    """An answer of ours; which fields it has depends on what was asked."""

    request_id: str | None
    type: int | UnsetType = UNSET
    client_count: int | UnsetType = UNSET
    packet: Any = UNSET
    data: Any = UNSET
    rooms: Sequence[str] | UnsetType = UNSET
    sockets: Sequence[Any] | UnsetType = UNSET


def without_content(answer: Answer) -> Answer:
    """The same for those who only count answers."""
    data = UNSET if answer.data is UNSET else None
    packet = UNSET if answer.packet is UNSET else None
    return msgspec.structs.replace(answer, data=data, packet=packet)


def names(rooms: Sequence[Room]) -> tuple[str, ...]:
    """Rooms as texts, each once."""
    return tuple(dict.fromkeys(_name(room) for room in rooms))


def _name(room: Room) -> str:
    return f"{room:g}" if isinstance(room, float) and room.is_integer() else str(room)


# In


def read_broadcast(message: bytes) -> tuple[str, Packet, Options]:
    """Who has sent it, what, and for whom; raises `WireError`."""
    uid, packet, options = _read(message, _broadcast, _broadcast)
    return uid, packet, options


def read_request(message: bytes) -> Request:
    return _read(message, _request_json, _request)


def read_response(message: bytes) -> Response:
    return _read(message, _response_json, _response)


def _read(message: bytes, json: Callable[[bytes], T], msgpack: Callable[[bytes], T]) -> T:
    try:
        if message[:1] == b"{":
            return json(message)
        found = msgpack(translate(message))
        # Only where there may be dates every value is looked at.
        return _with_texts(found) if _DATE.search(message) else found
    except decode_errors as error:
        raise WireError(describe(error)) from None


def _extension(code: int, _: memoryview) -> Any:
    raise msgspec.ValidationError(f"expected no MessagePack extension of type {code}")


_broadcast = msgspec.msgpack.Decoder(tuple[str, Packet, Options], ext_hook=_extension).decode
_request = msgspec.msgpack.Decoder(Request, ext_hook=_extension).decode
_request_json = msgspec.json.Decoder(Request).decode
_response = msgspec.msgpack.Decoder(Response, ext_hook=_extension).decode
_response_json = msgspec.json.Decoder(Response).decode

_DATE: Final = re.compile(rb"\xd6\xff|\xd7\xff|\xc7\x0c\xff")


def _with_texts(value: Any) -> Any:
    """The same with dates as JavaScript's JSON has them: so clients get them, whatever they speak.

    The parser of MessagePack that JavaScript's clients have does not know the dates of this one.
    """
    kind = value.__class__
    if kind is datetime:
        moment = value.astimezone(UTC).replace(tzinfo=None)
        return f"{moment.isoformat(timespec='milliseconds')}Z"
    if kind is dict:
        return {key: _with_texts(each) for key, each in value.items()}
    if kind is list:
        return [_with_texts(each) for each in value]
    if kind is tuple:
        return tuple([_with_texts(each) for each in value])
    if isinstance(value, Struct):
        changed = {name: _with_texts(getattr(value, name)) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **changed)
    return value


# Out


class Writer:
    """Says what one server has to say."""

    def __init__(self, uid: str, enc_hook: EncHook | None = None) -> None:
        self.uid: str = uid
        self._json = msgspec.json.Encoder(enc_hook=enc_hook).encode
        self._msgpack = msgspec.msgpack.Encoder(enc_hook=enc_hook).encode

    def broadcast(self, namespace: str, arguments: Sequence[Any], options: Options) -> bytes:
        return self._msgpack((self.uid, Packet(arguments, nsp=namespace), options))

    def request(self, request: Request) -> bytes:
        """A request; raises what the encoder raises for what nobody can encode."""
        # A packet may hold bytes, which JSON has none of.
        return self._json(request) if request.packet is None else self._msgpack(request)

    def answer(self, answer: Answer) -> bytes:
        return self._json(answer) if answer.packet is UNSET else self._msgpack(answer)

    def json(self, value: Any) -> Raw:
        return Raw(self._json(value))


def head_of(family: str, own: str) -> bytes:
    """How broadcasts begin whose sender's name is `family` and as much again as `own`, in ASCII."""
    return msgspec.msgpack.encode((family + own, None, None))[: -2 - len(own)]
