"""What happens, as it happens: the page's lists of sockets, rooms and events."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

from msgspec import Raw

from gatewright.connection import Connection
from gatewright.declare.events import Event
from gatewright.inspector.events import (
    EventReceived,
    EventSent,
    RoomJoined,
    RoomLeft,
    SocketConnected,
    SocketDisconnected,
    SocketUpdated,
    Transport,
    instant,
)
from gatewright.inspector.preview import Preview
from gatewright.inspector.sockets import describe, transport
from gatewright.observing import Observer
from gatewright.protocol.codecs import Codec, EnvelopeCodec
from gatewright.protocol.frames import Data
from gatewright.protocol.stored import arguments_of
from gatewright.redaction import plain
from gatewright.rooms import Member
from gatewright.transports.socketio.details import carrier
from gatewright.types import DisconnectReason

__all__ = ["Feed"]

MAX_DATA: Final = 64 * 1024
"""Bytes of a received event that are looked into."""

ROWS: Final = 500
"""Events of one namespace between two figures that are told of; the rest is counted."""

Tell = Callable[[Event, bool], None]
"""Tell all pages; True for what may be lost where a page is slow."""


class Feed(Observer):
    """Tells the pages what changes. The admin's own namespace is shown without its events."""

    def __init__(self, tell: Tell, own: str, connections: Iterable[Connection]) -> None:
        """`connections` are those that are there already, and listed by the pages."""
        self._tell = tell
        self._own = own
        self._rows: dict[str, int] = {}
        self._decoders: dict[str, Callable[[Any], Any]] = {}
        self._shown: set[Connection] = set()
        self._carried: dict[object, set[Connection]] = {}
        for connection in connections:
            self._show(connection)

    # Connections and rooms

    def connected(self, connection: Connection) -> None:
        # One that was still opening when a page asked is listed by it, with the rooms of then.
        self._show(connection)
        self._tell(SocketConnected(describe(connection), instant()), False)

    def disconnected(self, connection: Connection, reason: DisconnectReason) -> None:
        if connection not in self._shown:
            return
        self._shown.discard(connection)
        socket = carrier(connection)
        carried = self._carried.get(socket)
        if carried is not None:
            carried.discard(connection)
            if not carried:
                del self._carried[socket]
        id, namespace = connection.id, connection.namespace
        # Its own room is none that it could leave by itself.
        self.left(namespace, id, id)
        text = plain(reason.text) or f"closed with {reason.code}"
        self._tell(SocketDisconnected(namespace, id, text, instant()), False)

    def upgraded(self, socket: object) -> None:
        for each in self._carried.get(socket, ()):
            changed = Transport(each.id, each.namespace, transport(each))
            self._tell(SocketUpdated(changed), False)

    def joined(self, namespace: str, room: str, id: str) -> None:
        self._tell(RoomJoined(namespace, plain(room), id, instant()), False)

    def left(self, namespace: str, room: str, id: str) -> None:
        self._tell(RoomLeft(namespace, plain(room), id, instant()), False)

    def _show(self, connection: Connection) -> None:
        self._shown.add(connection)
        if (socket := carrier(connection)) is not None:
            self._carried.setdefault(socket, set()).add(connection)

    # Events

    def received(self, connection: Connection, event: str, data: Data) -> None:
        namespace = connection.namespace
        if namespace != self._own and self._counted(namespace):
            shown = _arguments(event, self._decode(connection.codec, data))
            self._tell(EventReceived(namespace, connection.id, shown, instant()), True)

    def sent(self, namespace: str, members: Collection[Member], event: str, data: Any) -> None:
        if namespace == self._own:
            return
        shown: Sequence[Any] | None = None
        for member in members:
            if self._counted(namespace):
                if shown is None:
                    shown = _arguments(event, arguments_of(data))
                self._tell(EventSent(namespace, member.id, shown, instant()), True)

    def _counted(self, namespace: str) -> bool:
        """Whether there is room for another row."""
        rows = self._rows[namespace] = self._rows.get(namespace, 0) + 1
        return rows <= ROWS

    def pause(self) -> None:
        """Some time has passed: say what was left out, and begin anew."""
        for namespace, rows in self._rows.items():
            if rows > ROWS:
                text = f"({rows - ROWS} more events are not shown)"
                self._tell(EventSent(namespace, "", [text], instant()), True)
        self._rows.clear()

    def _decode(self, codec: Codec, data: Data) -> Sequence[Any]:
        size = _size(data)
        if size > MAX_DATA:
            return (f"<{size} bytes>",)
        if size == 0:
            return ()
        several = not isinstance(codec, EnvelopeCodec)
        decode = self._decoders.get(codec.name)
        if decode is None:
            kind: Any = list[Any] if several else Any
            decode = self._decoders[codec.name] = codec.decoder(kind, several=several)
        try:
            decoded = decode(data)
        except Exception:
            # Whatever a client sends: its handler says what is wrong about it.
            return ("<not readable>",)
        return decoded if several else (decoded,)


def _size(data: Data) -> int:
    """Bytes that are not decoded yet; of Socket.IO's attachments none."""
    if isinstance(data, Raw | bytes):
        return len(memoryview(data))
    return sum(len(memoryview(each)) if isinstance(each, Raw) else 1 for each in data)


def _arguments(event: str, arguments: Sequence[Any]) -> Sequence[Any]:
    preview = Preview()
    return [plain(event), *[preview.of(each) for each in arguments]]
