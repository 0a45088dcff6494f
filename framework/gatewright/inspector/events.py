"""What the page is told: the events of @socket.io/admin-ui 0.5, as its server part sends them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from gatewright.declare.events import Event
from gatewright.transports.socketio.details import Request

__all__ = [
    "EVENTS",
    "AggregatedEvent",
    "AllSockets",
    "Config",
    "EventReceived",
    "EventSent",
    "NamespaceCount",
    "RoomJoined",
    "RoomLeft",
    "ServerStats",
    "SessionBegun",
    "Socket",
    "SocketConnected",
    "SocketDisconnected",
    "SocketUpdated",
    "Transport",
    "instant",
]


def instant() -> str:
    """Now, as JavaScript writes it: text, whatever the format of the packets."""
    return f"{datetime.now(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


class Socket(Struct, frozen=True, rename="camel"):
    """A connection; `client_id` is the same for all connections over one Engine.IO session."""

    id: str
    client_id: str
    transport: str
    nsp: str
    data: Any
    handshake: Request
    rooms: Sequence[str]


class Transport(Struct, frozen=True):
    """What has changed of a connection."""

    id: str
    nsp: str
    transport: str


class AggregatedEvent(Struct, frozen=True, rename="camel", omit_defaults=True):
    """How much of something there was in one second, which `timestamp` names in milliseconds."""

    timestamp: int
    type: str
    count: int
    sub_type: str | UnsetType = UNSET


class NamespaceCount(Struct, frozen=True, rename="camel"):
    """How many connections a namespace has."""

    name: str
    sockets_count: int


class SessionBegun(Event, event="session", frozen=True, array_like=True):
    """The id that the page sends instead of the password from now on."""

    id: str


class Config(Event, event="config", frozen=True, rename="camel"):
    """What the page may offer."""

    supported_features: Sequence[str]


class ServerStats(Event, event="server_stats", frozen=True, rename="camel"):
    """Every two seconds; the page draws its figures from it."""

    server_id: str
    hostname: str
    pid: int
    uptime: float
    clients_count: int
    polling_clients_count: int
    aggregated_events: Sequence[AggregatedEvent]
    namespaces: Sequence[NamespaceCount]


class AllSockets(Event, event="all_sockets", frozen=True, array_like=True):
    """Who is there when a page begins to watch."""

    sockets: Sequence[Socket]


class SocketConnected(Event, event="socket_connected", frozen=True, array_like=True):
    """A connection has been let in."""

    socket: Socket
    timestamp: str


class SocketUpdated(Event, event="socket_updated", frozen=True, array_like=True):
    """A connection has changed its transport."""

    socket: Transport


class SocketDisconnected(Event, event="socket_disconnected", frozen=True, array_like=True):
    """A connection has ended."""

    nsp: str
    id: str
    reason: str
    timestamp: str


class RoomJoined(Event, event="room_joined", frozen=True, array_like=True):
    """A connection is in a room."""

    nsp: str
    room: str
    id: str
    timestamp: str


class RoomLeft(Event, event="room_left", frozen=True, array_like=True):
    """A connection is in a room no longer."""

    nsp: str
    room: str
    id: str
    timestamp: str


class EventReceived(Event, event="event_received", frozen=True, array_like=True):
    """A client's event: its name, then its arguments."""

    nsp: str
    id: str
    args: Sequence[Any]
    timestamp: str


class EventSent(Event, event="event_sent", frozen=True, array_like=True):
    """An event to one connection: its name, then its arguments."""

    nsp: str
    id: str
    args: Sequence[Any]
    timestamp: str


EVENTS: Sequence[type[Event]] = (
    SessionBegun,
    Config,
    ServerStats,
    AllSockets,
    SocketConnected,
    SocketUpdated,
    SocketDisconnected,
    RoomJoined,
    RoomLeft,
    EventReceived,
    EventSent,
)
