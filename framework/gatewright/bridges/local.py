"""The connections of one namespace on this node, as the other servers of a cluster see them."""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

from msgspec import UNSET, Raw, Struct
from msgspec.structs import asdict

from gatewright.bridges.figures import Complaints
from gatewright.bridges.users import UserRooms
from gatewright.bridges.wire import Options, Packet, Writer, names
from gatewright.connection import Connection
from gatewright.errors import CallTimeout, EventError
from gatewright.node import Node
from gatewright.protocol.frames import ErrorBody, exception_body
from gatewright.protocol.outgoing import Outgoing
from gatewright.protocol.socketio.packets import RESERVED
from gatewright.protocol.stored import Several
from gatewright.rooms import Member, send, send_volatile
from gatewright.transports.socketio.details import disconnect, request

__all__ = ["Local"]

logger: logging.Logger = logging.getLogger("gatewright")

AT_ONCE: Final = 100
"""Connections that join or leave side by side: each waits for the backplane."""

LONGEST: Final = 3600.0
"""Seconds after which a call of another server is over, whatever it says."""

REASON: Final = "disconnected by another server"


Move: TypeAlias = Callable[[Connection], Coroutine[Any, Any, None]]


class _Socket(Struct, frozen=True):
    """A connection, as `fetchSockets` returns it."""

    id: str
    handshake: Mapping[str, Any]
    rooms: Sequence[str]
    data: Any


class Local:
    """What can be done with them. Nothing of it is in the namespace's sequence: it came without."""

    def __init__(
        self,
        node: Node,
        namespace: str,
        users: UserRooms,
        writer: Writer,
        complaints: Complaints,
        *,
        credentials: bool,
    ) -> None:
        self._node = node
        self._name = namespace
        self._users = users
        self._writer = writer
        self._complaints = complaints
        self._credentials = credentials

    def knows(self, room: str) -> bool:
        """Whether anybody could be meant by what is for this room alone, or for all ("")."""
        namespace = self._node.namespaces[self._name]
        if not room:
            return bool(namespace.members)
        if namespace.room(room):
            return True
        return any(user in namespace.users for user in self._users.users((room,)))

    def select(self, options: Options) -> list[Member]:
        """Those for whom something is."""
        namespace = self._node.namespaces[self._name]
        rooms, out = names(options.rooms), names(options.except_)
        users = self._users.users(rooms)
        found = list(namespace.select(rooms or None, users or None, out))
        absent = set(self._users.users(out))
        return [each for each in found if each.user not in absent] if absent else found

    # Events

    def emit(self, packet: Packet, options: Options) -> None:
        outgoing = self._outgoing(packet)
        if outgoing is None:
            return
        members = self._fit(self.select(options), outgoing)
        # In no sequence: as with a volatile event, clients go on from where they are.
        outgoing.volatile = True
        outgoing.position = self._node.namespaces.position(self._name)
        if options.flags.volatile:
            send_volatile(members, outgoing, None)
        else:
            send(members, outgoing)
        self._observe(members, outgoing)

    async def call(
        self,
        packet: Packet,
        options: Options,
        counted: Callable[[int], None],
        answered: Callable[[Any], None],
    ) -> None:
        """Ask them; says how many are asked, and hands on each answer. An error is one as well."""
        outgoing = self._outgoing(packet)
        members = [] if outgoing is None else self._fit(self.select(options), outgoing)
        counted(len(members))
        if outgoing is None or not members:
            return

        def each(answer: Any) -> None:
            if isinstance(answer, EventError):
                details = UNSET if answer.details is None else answer.details
                answer = exception_body(None, ErrorBody(answer.code, answer.message, details))
            answered(answer)

        self._observe(members, outgoing)
        event, data = outgoing.event, outgoing.data
        milliseconds = options.flags.timeout
        limit = self._node.settings.call_timeout if milliseconds is None else milliseconds / 1000
        limit = min(limit, LONGEST)
        try:
            await self._node.calls.call(self._name, members, event, data, Any, limit, each)
        except CallTimeout as late:
            # Whoever asked has waited as long, and knows.
            logger.debug("Socket.IO bridge: %.80r: %s", event, late)

    def _outgoing(self, packet: Packet) -> Outgoing | None:
        event, *arguments = packet.data or [None]
        if not isinstance(event, str) or not event or event in RESERVED:
            self._complaints.refuse(
                f"an event of {self._name}", f"expected an event's name, got {event!r}"
            )
            return None
        data = arguments[0] if len(arguments) == 1 else Several(arguments, 0)
        return Outgoing(event, data, namespace=self._name)

    def _fit(self, members: list[Member], outgoing: Outgoing) -> list[Member]:
        """Those whose formats can carry an event; the others are not worth less without it."""
        unfit: set[str] = set()
        for codec in {member.codec for member in members}:
            try:
                outgoing.prepare(codec)
            except Exception as error:
                self._complaints.refuse(f"{outgoing.event!r} for clients of {codec.name}", error)
                unfit.add(codec.name)
        return [each for each in members if each.codec.name not in unfit] if unfit else members

    def _observe(self, members: Collection[Member], outgoing: Outgoing) -> None:
        for observer in self._node.observers:
            observer.sent(self._name, members, outgoing.event, outgoing.data)

    # Rooms

    async def join(self, options: Options, rooms: Sequence[str]) -> None:
        """Have them join rooms, as far as `@authorize_room` lets them."""
        await self._each(options, lambda connection: connection.join(*rooms))

    async def leave(self, options: Options, rooms: Sequence[str]) -> None:
        await self._each(options, lambda connection: connection.leave(*rooms))

    async def _each(
        self, options: Options, move: Callable[[Connection], Coroutine[Any, Any, None]]
    ) -> None:
        async def one(connection: Connection) -> None:
            try:
                await move(connection)
            except EventError as error:
                logger.debug("Socket.IO bridge: %r is not moved: %s", connection, error)
            except Exception as error:
                self._complaints.refuse(f"a move of {connection!r}", error)

        chosen = self._connections(options)
        for first in range(0, len(chosen), AT_ONCE):
            async with asyncio.TaskGroup() as group:
                for connection in chosen[first : first + AT_ONCE]:
                    group.create_task(one(connection))

    async def disconnect(self, options: Options, *, close: bool) -> None:
        """End them; with `close` their clients' connections in other namespaces as well."""
        spaces = self._node.namespaces if close else ()
        others = [each for space in spaces for each in space.members.values()]
        await disconnect(
            self._connections(options), cast("list[Connection]", others), REASON, close=close
        )

    def _connections(self, options: Options) -> list[Connection]:
        # The members of a namespace are connections; that floor knows them as members.
        return cast("list[Connection]", self.select(options))

    # What is there

    def rooms(self) -> list[str]:
        """All rooms that somebody is in; everybody's id is one."""
        namespace = self._node.namespaces[self._name]
        return [*namespace.members, *namespace.rooms, *self._users.rooms(namespace.users)]

    def describe(self, options: Options) -> list[Raw]:
        """What `fetchSockets` returns of them."""
        return [self._described(each) for each in self._connections(options)]

    def _described(self, connection: Connection) -> Raw:
        rooms = [connection.id, *connection.joined]
        if connection.user is not None:
            rooms += self._users.rooms((connection.user,))
        shown, handshake = asdict(request(connection)), connection.handshake
        if self._credentials:
            shown |= {
                "headers": handshake.headers,
                "query": handshake.query,
                "auth": handshake.auth,
            }
        state: Any = {} if connection.state is None else connection.state
        try:
            return self._writer.json(_Socket(connection.id, shown, rooms, state))
        except Exception as error:
            # An answer is owed, if not this.
            self._complaints.lose(f"the state of {connection!r}", error)
            return self._writer.json(_Socket(connection.id, {"headers": {}}, rooms, {}))
