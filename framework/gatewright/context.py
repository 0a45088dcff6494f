"""What is known about the event under way, and about where it happens."""

from collections.abc import Mapping
from typing import Any

from gatewright.connection import Connection
from gatewright.di import Level
from gatewright.emitter import Emitter
from gatewright.people import Presence
from gatewright.protocol.frames import Data
from gatewright.types import DisconnectReason, Gap, Handshake, Identity

__all__ = ["Context", "Place"]


class Place:
    """What all events of one connection share; also where one is that still opens."""

    __slots__ = (
        "connected",
        "connection",
        "converted",
        "emitter",
        "handshake",
        "identity",
        "presence",
    )

    def __init__(
        self, handshake: Handshake, converted: Mapping[tuple[str, Any], Any] | None = None
    ) -> None:
        self.handshake: Handshake = handshake
        self.converted: Mapping[tuple[str, Any], Any] = converted or {}
        """Path parameters by name and annotation."""
        self.identity: Identity[Any] | None = None
        """Who is asking while the connection opens; the connection knows it afterwards."""
        self.connection: Connection | None = None
        self.emitter: Emitter | None = None
        """Bound to this namespace; None while the connection opens."""
        self.presence: Presence | None = None
        """Likewise."""
        self.connected: int = 0
        """How many gateways' connect hooks have finished."""


class Context:
    """The event that is handled, for guards, interceptors, error handlers and extractors.

    While a connection opens, `event` is None and there is no `connection` yet.
    """

    __slots__ = ("call_id", "data", "event", "gap", "level", "payload", "place", "reason", "room")

    def __init__(
        self,
        place: Place,
        event: str | None = None,
        data: Data = b"",
        call_id: int | None = None,
    ) -> None:
        self.place: Place = place
        self.event: str | None = event
        self.data: Data = data
        self.call_id: int | None = call_id
        """The caller's id; None where nobody waits for an answer."""
        self.payload: Any = None
        """What the handler will get as its payload, once it is decoded."""
        self.level: Level | None = None
        """Where narrower things than the application's are injected from."""
        self.reason: DisconnectReason | None = None
        self.gap: Gap | None = None
        self.room: str | None = None

    @property
    def namespace(self) -> str:
        """The path as it was asked for, parameters filled in."""
        connection = self.place.connection
        return self.place.handshake.namespace if connection is None else connection.namespace

    @property
    def path(self) -> Mapping[str, str]:
        """The path parameters as text."""
        return self.place.handshake.path

    @property
    def handshake(self) -> Handshake:
        """The request that opened the connection."""
        return self.place.handshake

    @property
    def connection(self) -> Connection:
        """The connection; raises `RuntimeError` while it is still opening."""
        connection = self.place.connection
        if connection is None:
            raise RuntimeError(
                "expected a connection, but it is still opening; a guard that also runs at "
                "opening takes Handshake, Principal[T] or Context.handshake instead"
            )
        return connection

    @property
    def identity(self) -> Identity[Any] | None:
        """Who is asking, also while the connection opens."""
        connection = self.place.connection
        return self.place.identity if connection is None else connection.identity

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of one call; unique among all calls.

        Raises `RuntimeError` for a message that is no call: it has no id to be repeated by.
        """
        if self.call_id is None:
            raise RuntimeError("expected a call with an id, got a message without one")
        return f"{self.connection.id}:{self.call_id}"
