"""How things are named in Redis, and the form of what stands in a lane."""

import struct
from typing import Final

from redis.crc import key_slot

from gatewright.backplane.shared.log import Message

__all__ = ["CAST", "MESSAGE", "Garbage", "Names", "cast", "unpack"]

MESSAGE: Final = 1
CAST: Final = 2

_HEADER: Final = struct.Struct(">BQQIQQB")
"""Kind, n, seq, count, Redis time in µs, bytes in the lane before it, length of the epoch."""


class Garbage(ValueError):
    """Bytes that none of us has written."""


class Names:
    """The names of one namespace's keys; all are in one slot of a cluster, by their hash tag.

    What belongs to no namespace is in the place of an empty one. `part` keeps keys apart from all
    others of the same slot.
    """

    __slots__ = ("_tag", "channel", "due", "index", "messages", "nodes", "record", "slot", "state")

    def __init__(self, prefix: str, namespace: str, part: str = "", database: int = 0) -> None:
        tag = f"{{{prefix}:{_quoted(namespace)}}}{part}"
        self._tag = tag
        self.slot: int = key_slot(tag.encode())
        self.state: str = f"{tag}:state"
        self.messages: str = f"{tag}:lane"
        self.record: str = f"{tag}:session:"
        """Followed by an id."""
        self.index: str = f"{tag}:key:"
        """Followed by a SHA-256 in hexadecimal digits."""
        # Channels do not belong to a database.
        self.channel: str = f"{tag}:channel{database or ''}"
        # The rest is used of the empty namespace only.
        self.due: str = f"{tag}:due"
        self.nodes: str = f"{tag}:nodes{database or ''}"

    def node(self, name: str) -> str:
        """The channel of a node's mail; its name is not used again."""
        return f"{self._tag}:node:{name}"


def _quoted(namespace: str) -> str:
    """A namespace without braces, which would end the hash tag; another one for each."""
    if not {"{", "}"} & {*namespace} and not namespace.startswith("%"):
        return namespace
    quoted = namespace.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
    return f"%{quoted}"


def cast(body: bytes) -> bytes:
    """What travels on a lane's channel without standing in the lane."""
    return bytes([CAST]) + body


def unpack(packed: bytes) -> Message:
    """Read what `lane.lua` has packed; raises `Garbage`."""
    try:
        kind, n, seq, count, _, _, length = _HEADER.unpack_from(packed)
        start = _HEADER.size + length
        epoch = packed[_HEADER.size : start].decode("ascii")
    except (struct.error, UnicodeDecodeError) as error:
        raise Garbage(str(error)) from None
    if kind != MESSAGE or len(epoch) != length or n < 1 or count > seq:
        raise Garbage("no message of a lane")
    return Message(epoch, n, n - 1, seq, count, packed[start:])
