"""Makes connections: of those who come, who return, and who will not return any more."""

import logging
from collections.abc import Callable, Mapping
from secrets import token_urlsafe
from typing import Any

from msgspec import Struct

from gatewright.absences import Absence
from gatewright.backplane.base import Record
from gatewright.connection import Connection
from gatewright.context import Place
from gatewright.di import Container
from gatewright.emitter import Emitter
from gatewright.entrance import Entrance
from gatewright.expiry import Expiry
from gatewright.ledger import Ledger
from gatewright.namespaces import NamespacePlan
from gatewright.node import Address, Node
from gatewright.openings import Opening, Openings
from gatewright.outlets import Nowhere, Outlet
from gatewright.people import Presence
from gatewright.protocol.codecs import Codec
from gatewright.protocol.frames import Envelope
from gatewright.recovery import unpack
from gatewright.rooms import OWN_ROOM
from gatewright.session import Session
from gatewright.types import Handshake, Identity

__all__ = ["Connections", "Way"]

logger: logging.Logger = logging.getLogger("gatewright")


class Way(Struct, frozen=True):
    """How a connection is reached: where its frames go, and in which format."""

    outlet: Outlet
    codec: Codec
    entrance: Entrance | None = None
    """Who is told how the opening ended; a plain WebSocket is open before it."""
    controls: Callable[[Envelope], bool] | None = None
    """Who takes the control frames of its format."""
    calls_last: bool = False
    """Whether the client sends calls again that it has no answer of."""
    tells_gaps: bool = False
    """Whether it can be told that something is missing; else it begins anew."""


class Connections:
    """Puts together what a connection consists of."""

    def __init__(
        self,
        node: Node,
        container: Container,
        openings: Openings,
        namespaces: Mapping[str, NamespacePlan],
        find: Callable[[str], tuple[str, Mapping[str, str]] | None],
        convert: Callable[[str, Mapping[str, str]], Mapping[tuple[str, Any], Any]],
    ) -> None:
        self._node = node
        self._container = container
        self._openings = openings
        self._namespaces = namespaces
        self._find = find
        self._convert = convert

    def make(
        self,
        path: str,
        opening: Opening,
        way: Way,
        record: Record | None = None,
        before: Connection | None = None,
    ) -> Connection:
        """A connection; one that returns is the same object again, where this process had it."""
        namespace = self._namespaces[path]
        place, node = opening.place, self._node
        address = Address(place.handshake.namespace, namespace.blueprint.template.emits)
        state = self._state(namespace, record)
        admit, refresh = Openings.admit(namespace, opening), self._openings.refresh(opening)
        if before is None:
            connection = Connection(
                OWN_ROOM + token_urlsafe(16) if record is None else record.id,
                node,
                address,
                place.handshake,
                place.identity,
                state,
                way.codec,
                way.outlet,
                admit=admit,
                refresh=refresh,
            )
        else:
            connection = before
            connection.move(
                place.handshake,
                place.identity,
                state,
                way.codec,
                way.outlet,
                admit=admit,
                refresh=refresh,
            )
        place.connection = connection
        place.emitter = Emitter(node, address)
        place.presence = Presence(node, address)
        opening.level.instances[Connection] = connection
        return connection

    def host(
        self,
        path: str,
        opening: Opening,
        connection: Connection,
        way: Way,
        ledger: Ledger | None = None,
    ) -> Session:
        namespace = self._namespaces[path]
        session = Session(
            self._node,
            connection,
            opening.place,
            opening,
            namespace.plans,
            namespace,
            namespace.blueprint.concurrency,
            Expiry(connection),
            way.entrance,
            ledger,
            way.controls,
        )
        self._node.namespaces.enter(connection.namespace, connection)
        return session

    def revive(self, record: Record) -> Absence | None:
        """A session of a process that is gone: what its record says, and nobody to talk to."""
        found = self._find(record.namespace)
        if found is None:
            return None
        path, values = found
        namespace = self._namespaces[path]
        try:
            place = Place(
                Handshake(namespace=record.namespace, path=values), self._convert(path, values)
            )
            identity = None if record.user is None else Identity(record.user, None)
            address = Address(record.namespace, namespace.blueprint.template.emits)
            opening = Opening(place, self._container.connection({}))
            place.connection = Connection(
                record.id,
                self._node,
                address,
                place.handshake,
                identity,
                self._state(namespace, record),
                next(iter(self._node.codecs.values())),
                Nowhere(),
                admit=Openings.admit(namespace, opening),
                refresh=self._openings.refresh(opening),
            )
        except Exception:
            logger.exception("%s of %s: cannot tell its hooks", record.id, record.namespace)
            return None
        place.emitter = Emitter(self._node, address)
        place.presence = Presence(self._node, address)
        place.connected = len(namespace.gateways)
        return Absence(namespace, place)

    def _state(self, namespace: NamespacePlan, record: Record | None) -> Struct | None:
        blueprint = namespace.blueprint
        kept = b"" if record is None else unpack(record.state)[0]
        if blueprint.state is None:
            return None
        if kept:
            state: Struct = self._node.states.decoder(blueprint.state)(kept)
            return state
        return blueprint.state()
