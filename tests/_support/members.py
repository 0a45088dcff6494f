"""A member of a namespace with a real outbox, over a socket that does what the test says."""

from typing import Any

import msgspec

from gatewright.flusher import Flusher
from gatewright.outbox import Outbox
from gatewright.protocol.codecs import EnvelopeCodec, JsonCodec, MsgpackCodec
from tests._support.sockets import ScriptedLink

JSON = JsonCodec()
MSGPACK = MsgpackCodec()


class Listener:
    """What `gatewright.rooms.Member` asks for, and what its socket got."""

    def __init__(
        self,
        id: str,
        flusher: Flusher,
        *,
        user: str | None = None,
        codec: EnvelopeCodec = JSON,
        limit: int = 1024 * 1024,
    ) -> None:
        self.id = id
        self.user = user
        self.codec = codec
        self.link = ScriptedLink(immediate=True)
        self.outbox = Outbox(self.link, flusher, limit)
        self.joined: set[str] = set()
        self.patient = False

    @property
    def frames(self) -> list[dict[str, Any]]:
        """Everything that it was sent, decoded."""
        decode = msgspec.msgpack.decode if self.codec.binary else msgspec.json.decode
        return [decode(frame.data) for frame in self.link.sent]

    @property
    def received(self) -> list[Any]:
        """The data of everything that it was sent."""
        return [frame["data"] for frame in self.frames]
