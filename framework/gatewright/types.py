"""What every floor may know: the opening request, who is asking, and the two sides of a socket."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Generic, Protocol

from msgspec import Struct
from typing_extensions import TypeVar

__all__ = ["DisconnectReason", "Frame", "Gap", "Handshake", "Identity", "Link", "Position"]

P = TypeVar("P")


class Handshake(Struct, frozen=True, kw_only=True):
    """The request that opened a connection.

    `headers` has lower-case names; of a repeated header or query field the last value is kept, of
    `cookie` all of them.
    `auth` is the `auth` of an opening frame or of `connection.authenticate(auth)`; a plain
    WebSocket's handshake has none. `client` is the peer's address as the server reports it.
    """

    namespace: str
    path: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    cookies: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    auth: Any = None
    client: str | None = None


class Identity(Struct, Generic[P], frozen=True):
    """What `authenticate` returns: `user` names the person, `principal` is what handlers get.

    `expires` must be aware of its time zone; the connection is closed (4004) when it has passed,
    unless `connection.authenticate` refreshed it.
    """

    user: str
    principal: P
    expires: datetime | None = None


class DisconnectReason(Struct, frozen=True):
    """Why a socket was lost. `resumable` says whether its session may return."""

    code: int
    text: str = ""
    resumable: bool = False


class Gap(Struct, frozen=True):
    """What a resumed session has missed for good: these rooms' history did not reach back.

    What follows after `seq` in `epoch` is live again.
    """

    rooms: tuple[str, ...]
    epoch: str
    seq: int


class Position(Struct, frozen=True):
    """A place in a namespace's sequence: after entry `seq` of `epoch`.

    As text it is `epoch-seq`, which Socket.IO clients keep as their offset.
    """

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"

    @classmethod
    def parse(cls, text: object) -> "Position | None":
        """Read the text form; None for anything else, whatever a client made of it."""
        if not isinstance(text, str) or len(text) > 64:
            return None
        epoch, dash, seq = text.rpartition("-")
        if not (epoch and dash and seq.isascii() and seq.isdigit() and len(seq) <= 16):
            return None
        return cls(epoch, int(seq))


class Frame:
    """An encoded message, made once and shared by every receiver of its wire format.

    `attachments` follow it at once, with nothing between: Socket.IO sends bytes that way.
    """

    __slots__ = ("_text", "attachments", "binary", "data", "size", "wire")

    def __init__(
        self, data: bytes, *, binary: bool = False, attachments: "tuple[Frame, ...]" = ()
    ) -> None:
        """`data` is UTF-8 unless it is `binary`."""
        self.data: bytes = data
        self.binary: bool = binary
        self.attachments: tuple[Frame, ...] = attachments
        self.size: int = len(data)
        if attachments:
            self.size += sum([frame.size for frame in attachments])
        self.wire: bytes | None = None
        """All of it with WebSocket headers, once a link has asked a library for it."""
        self._text: str | None = None

    @property
    def payload(self) -> str | bytes:
        """What a client gets: text or bytes."""
        if self.binary:
            return self.data
        if self._text is None:
            self._text = self.data.decode()
        return self._text

    @property
    def message(self) -> dict[str, object]:
        """The ASGI message; a new one for every receiver, since middleware may change it."""
        return {"type": "websocket.send", "bytes" if self.binary else "text": self.payload}


class Link(Protocol):
    """One socket as the outbox sees it: what a transport implements."""

    @property
    def immediate(self) -> bool:
        """Whether `write` can ever succeed; elsewhere everything goes through `send`."""
        ...

    @property
    def ping(self) -> Callable[[], None] | None:
        """Asks the peer for a sign of life; None where only the server itself can do that."""
        ...

    @property
    def given(self) -> int:
        """Bytes that were handed to the server so far; what is not `taken` of it is under way."""
        ...

    @property
    def taken(self) -> int:
        """Bytes that the socket has taken so far, as far as the server tells; its rise counts."""
        ...

    @property
    def backlog(self) -> int:
        """Bytes that the server holds for the socket; 0 where it does not tell."""
        ...

    def write(self, frames: list[Frame]) -> bool:
        """Take all frames now, in order, or none: False says that `send` must be awaited."""
        ...

    async def send(self, frame: Frame) -> None:
        """Send one frame, waiting for the socket as long as it takes."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye; nothing is sent afterwards."""
        ...

    def abort(self) -> None:
        """Drop the socket at once, with whatever waits in its buffers."""
        ...
