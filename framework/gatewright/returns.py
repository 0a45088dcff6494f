"""Connections that can return: begun with a record, and taken over from the socket they lost."""

import asyncio
import logging
from collections.abc import Sequence

from msgspec import Struct

from gatewright.absences import Absence, Absences
from gatewright.backplane.base import Moved, Record
from gatewright.connection import Connection
from gatewright.connections import Connections, Way
from gatewright.errors import EventError
from gatewright.ledger import Ledger
from gatewright.moves import HandOver, Moves
from gatewright.node import Node
from gatewright.openings import Opening
from gatewright.outlets import Nowhere
from gatewright.protocol.sessions.window import Window
from gatewright.recovery import Keeper, Ticket, hash_secret, replay
from gatewright.rooms import Held
from gatewright.session import Session
from gatewright.types import Frame, Gap, Position

__all__ = ["Resumed", "Returns"]

logger: logging.Logger = logging.getLogger("gatewright")


ASKS = 3
"""How many nodes are asked for a session that each has got while the one before was asked."""


class Resumed(Struct):
    """A session that has returned, what it has missed, and what it has missed for good."""

    session: Session
    missed: list[Frame]
    gap: Gap | None = None


class Returns:
    """Begins sessions that may return, and gives them back."""

    def __init__(
        self, node: Node, connections: Connections, absences: Absences, moves: Moves
    ) -> None:
        self._node = node
        self._connections = connections
        self._absences = absences
        self._moves = moves

    async def keep(self, path: str, opening: Opening, way: Way, secret: str) -> Session:
        """The same, of a connection that can return with its secret after its socket was lost."""
        connection = self._connections.make(path, opening, way)
        backplane, namespace, id = self._node.backplane, connection.namespace, connection.id
        with self._node.namespaces.holding(namespace) as held:
            try:
                position = await backplane.open(namespace, id, hash_secret(secret), connection.user)
            except BaseException:
                # Nobody knows whether it was opened; left alone it would be there for ever.
                await asyncio.shield(backplane.end(namespace, id, 1))
                raise
            connection.keeper = Keeper(backplane, namespace, id, position)
            ledger = self._ledger(connection, Window(self._ends)) if way.calls_last else None
            session = self._connections.host(path, opening, connection, way, ledger)
            self._enter(session, held, position)
        return session

    async def resume(self, path: str, opening: Opening, way: Way, ticket: Ticket) -> Resumed | None:
        """Give a connection that returns its session back, and what it has missed.

        None where there is no such session, it is somebody else's, or something of what it missed
        is not there any more and cannot be told: then it begins anew.
        """
        namespace = opening.place.handshake.namespace
        record = await self._find(opening, ticket)
        if record is None:
            return None
        key = namespace, record.id
        async with self._absences.taking(*key):
            with self._moves.arriving(key), self._node.namespaces.holding(namespace) as held:
                return await self._take_over(path, opening, way, ticket, held)

    async def _take_over(
        self, path: str, opening: Opening, way: Way, ticket: Ticket, held: Held
    ) -> Resumed | None:
        """Take over a session that nobody else of this node takes."""
        # Its socket has let go by now, and what it said last is in the record.
        record, handed = await self._let_go(opening, ticket)
        if record is None:
            return None
        absence = self._current(record)
        resumed = await self._take(path, opening, way, ticket, record, absence, handed, held)
        if resumed is None and absence is not None and absence.place.connection is not None:
            # The socket is to be another connection's: no handler of the former may close it.
            absence.place.connection.outbox = Nowhere()
        return resumed

    async def _let_go(
        self, opening: Opening, ticket: Ticket
    ) -> tuple[Record | None, HandOver | None]:
        """The session, and what another node has told that had it until now."""
        record = await self._find(opening, ticket)
        for _ in range(ASKS):
            if record is None or record.node in (None, self._node.remote.name):
                break
            handed = await self._moves.ask(record)
            before, record = record, await self._find(opening, ticket)
            if record is not None and record.generation == before.generation:
                return record, handed
            # Somebody was quicker: it is to be asked of whoever has it now.
        return record, None

    def _current(self, record: Record) -> Absence | None:
        """What this node knows of a session, unless it has been elsewhere since."""
        key = record.namespace, record.id
        absence = self._absences.absent(key)
        connection = absence.place.connection if absence is not None else None
        if connection is None:
            return None
        if record.node in (None, self._node.remote.name):
            return absence
        self._moves.gone(key, record)
        return None

    async def _find(self, opening: Opening, ticket: Ticket) -> Record | None:
        """The session that a ticket is for, if it may be the client's."""
        namespace, identity = opening.place.handshake.namespace, opening.place.identity
        record = await self._node.backplane.find(namespace, hash_secret(ticket.secret))
        if record is None or record.user != (None if identity is None else identity.user):
            return None
        if ticket.session is not None and ticket.session != record.id:
            return None
        return record

    async def _take(
        self,
        path: str,
        opening: Opening,
        way: Way,
        ticket: Ticket,
        record: Record,
        absence: Absence | None,
        handed: HandOver | None,
        held: Held,
    ) -> Resumed | None:
        """Take over a session that nobody else has."""
        backplane, namespace, before_node = self._node.backplane, record.namespace, record.node
        generation = record.generation + 1
        key = hash_secret(ticket.secret)
        before = absence.place.connection if absence is not None else None
        try:
            connection = self._connections.make(path, opening, way, record, before)
        except Exception:
            logger.exception("%s of %s: its state is not what it was", record.id, namespace)
            return None
        revoked = await self._revoked(connection, record.rooms)
        renewed = hash_secret(ticket.renewed) if ticket.renewed is not None else None
        try:
            resumption = await backplane.resume(
                namespace, key, ticket.after, revoked, renewed=renewed
            )
        except BaseException:
            # If it was taken over, nobody has it now: it may be taken over again.
            await asyncio.shield(backplane.release(namespace, record.id, generation))
            raise
        if resumption is None:
            return None
        record = resumption.record
        tell = not resumption.gaps or way.tells_gaps
        missed = replay(resumption, way.codec) if tell else None
        if missed is None:
            if await backplane.end(namespace, record.id, record.generation):
                self._moves.over((namespace, record.id), before_node)
                await self._absences.end(record)
            return None
        if record.generation != generation:
            # Somebody had it in between: what was known of its calls is not all there is.
            absence = handed = None
        connection.keeper = keeper = Keeper(
            backplane, namespace, record.id, resumption.head, record.generation, record.state
        )
        connection.tracked = keeper.tracked
        ledger = None
        if way.calls_last:
            ledger = self._resumed_ledger(connection, absence, handed, record.taken, ticket.sent)
            self._moves.stay(connection, ledger)
        self._moves.took(record, connection, before_node)
        if handed is not None:
            self._node.calls.take_over(record.id, handed.said.asked)
        session = self._connections.host(path, opening, connection, way, ledger)
        self._node.namespaces[namespace].restore(connection, record.rooms)
        self._enter(session, held, resumption.head)
        self._node.presence.arrived(connection)
        head = resumption.head
        gap = Gap(resumption.gaps, head.epoch, head.seq) if resumption.gaps else None
        return Resumed(session, missed, gap)

    def _enter(self, session: Session, held: Held, position: Position) -> None:
        """Let a session that is in its namespace have what has passed since its position."""
        connection, namespaces = session.connection, self._node.namespaces
        hosted = namespaces[connection.namespace]
        # Otherwise the lane has delivered all up to here, and says itself how far it is: others are
        # told by their pings what was written to them.
        if hosted.position is None or hosted.position.epoch != position.epoch:
            hosted.position = position
        namespaces.catch_up(connection, hosted, held, position)
        self._absences.arrived(session)
        for passing in held:
            if isinstance(passing, Moved):
                namespaces.moved(passing)

    @property
    def _ends(self) -> int:
        """Bytes of the ends that are kept for one session: as much as may wait for its socket."""
        return self._node.settings.outbox

    def _ledger(self, connection: Connection, window: Window) -> Ledger:
        return Ledger(connection, self._node.observers, window)

    def _resumed_ledger(
        self,
        connection: Connection,
        absence: Absence | None,
        handed: HandOver | None,
        taken: int | None,
        sent: int,
    ) -> Ledger:
        """What is known of a session's calls; if another process had it, what that has said."""
        known = absence.ledger if absence is not None else None
        if handed is not None and handed.said.calls:
            said = handed.said
            # Ends in another format would say nothing to its client.
            ends = handed.ends if said.codec == connection.codec.name else ()
            window = Window.handed_over(self._ends, said.taken, sent, said.running, ends)
            ledger = self._ledger(connection, window)
            self._moves.follow(handed, connection, ledger)
            return ledger
        if known is None:
            return self._ledger(connection, Window(self._ends, taken, sent))
        known.moved(connection)
        return known

    async def _revoked(self, connection: Connection, rooms: Sequence[str]) -> list[str]:
        """The rooms that a connection may not be in any more."""
        revoked: list[str] = []
        for room in rooms:
            try:
                await connection.admit(room)
            except Exception as error:
                if not isinstance(error, EventError):
                    logger.exception("%r: authorize_room failed", connection)
                revoked.append(room)
        return revoked
