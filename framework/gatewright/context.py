"""What is known about the event under way."""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from gatewright.connection import Connection
from gatewright.di import Level
from gatewright.emitter import Emitter
from gatewright.types import DisconnectReason, Gap, Handshake, Identity

__all__ = ["Context"]


class Context:
    """The event that is handled, for guards, interceptors, error handlers and extractors.

    While a connection opens, `event` is None and there is no `connection` yet.
    """

    __slots__ = (
        "_connection",
        "_identity",
        "call_id",
        "connected",
        "converted",
        "data",
        "emitter",
        "event",
        "gap",
        "handshake",
        "level",
        "namespace",
        "path",
        "payload",
        "reason",
        "room",
    )

    def __init__(
        self,
        namespace: str,
        path: Mapping[str, str],
        handshake: Handshake,
        connection: Connection | None = None,
        event: str | None = None,
        data: Raw | bytes = b"",
        call_id: int | None = None,
    ) -> None:
        self.namespace = namespace
        self.path = path
        self.handshake = handshake
        self.event = event
        self.call_id = call_id
        """The caller's id; None where nobody waits for an answer."""
        self.data = data
        self.payload: Any = None
        """What the handler will get as its payload, once it is decoded."""
        self.level: Level | None = None
        """Where narrower things than the application's are injected from."""
        self.reason: DisconnectReason | None = None
        self.gap: Gap | None = None
        self.room: str | None = None
        self.converted: Mapping[tuple[str, Any], Any] = {}
        """Path parameters by name and annotation."""
        self.emitter: Emitter | None = None
        """Bound to this namespace; None while the connection opens."""
        self.connected = 0
        """How many gateways' connect hooks have finished."""
        self._connection = connection
        self._identity: Identity[Any] | None = None

    def connect(self, connection: Connection, emitter: Emitter) -> None:
        """The connection has opened."""
        self._connection = connection
        self.emitter = emitter

    def derive(self) -> "Context":
        """The same place, for a hook of its own."""
        context = Context(self.namespace, self.path, self.handshake, self._connection)
        context.converted = self.converted
        context.emitter = self.emitter
        return context

    @property
    def connection(self) -> Connection:
        """The connection; raises `RuntimeError` while it is still opening."""
        if self._connection is None:
            raise RuntimeError(
                "expected a connection, but it is still opening; a guard that also runs at "
                "opening takes Handshake, Principal[T] or Context.handshake instead"
            )
        return self._connection

    @property
    def identity(self) -> Identity[Any] | None:
        """Who is asking, also while the connection opens."""
        return self._identity if self._connection is None else self._connection.identity

    @identity.setter
    def identity(self, identity: Identity[Any] | None) -> None:
        self._identity = identity

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of one call; unique among all calls.

        Raises `RuntimeError` for a message that is no call: it has no id to be repeated by.
        """
        if self.call_id is None:
            raise RuntimeError("expected a call with an id, got a message without one")
        return f"{self.connection.id}:{self.call_id}"
