"""The admin's gateway: pages that watch, and what they may do."""

import logging
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Struct

from gatewright.backplane.base import Entry
from gatewright.connection import Connection
from gatewright.context import Context
from gatewright.declare.decorators import on, on_connect, on_disconnect, on_resume
from gatewright.declare.events import check_event_name
from gatewright.emitter import Target
from gatewright.errors import ErrorCode, EventError, StartupError
from gatewright.inspector.inspector import Inspector
from gatewright.inspector.login import Login
from gatewright.node import Address
from gatewright.protocol.outgoing import Outgoing
from gatewright.relays import Whom
from gatewright.transports.socketio.details import disconnect

__all__ = ["Acting", "Watching"]

logger: logging.Logger = logging.getLogger("gatewright")

MAX_ARGUMENTS: Final = 32
REASON: Final = "disconnected by an administrator"


class Watching:
    """What every page gets. `login` has let it in: it is the guard."""

    login: Login

    def __init__(self, inspector: Inspector) -> None:
        self.inspector = inspector

    @on_connect
    async def connected(self, connection: Connection) -> None:
        known = self.login.knows(connection.handshake)
        logger.info("admin: %r watches, from %s", connection, connection.handshake.client)
        self.inspector.watch(connection, None if known else self.login.sessions.begin())

    @on_resume
    async def returned(self, connection: Connection) -> None:
        # What it has missed is in the lists that it gets anew.
        await self.connected(connection)

    @on_disconnect
    async def disconnected(self, connection: Connection) -> None:
        self.inspector.unwatch(connection)


class Acting(Watching):
    """What pages may do besides, unless the admin is read-only: all of it by the normal ways.

    `to` is a room, the id of a connection being one; without it everybody is meant.
    """

    @on("join")
    async def join(
        self, connection: Connection, namespace: str, room: str, to: str | None = None
    ) -> int:
        return await self._target(connection, namespace, to, f"join {room!r}").join(room)

    @on("leave")
    async def leave(
        self, connection: Connection, namespace: str, room: str, to: str | None = None
    ) -> None:
        await self._target(connection, namespace, to, f"leave {room!r}").leave(room)

    @on("_disconnect")
    async def disconnect(
        self,
        connection: Connection,
        namespace: str,
        close: bool | None = None,  # noqa: FBT001 - an argument of the wire
        to: str | None = None,
    ) -> None:
        """End connections; with `close` all those of their clients, in every namespace."""
        target = self._target(connection, namespace, to, "disconnect")
        if close:
            members = set(await target.members())
            everyone = list(self.inspector.connections())
            found = [each for each in everyone if each.id in members]
            await disconnect(found, everyone, REASON, close=True)
        await target.disconnect(REASON)

    @on("emit")
    async def emit(self, context: Context) -> int:
        """`namespace, to, event, *arguments`: any event, whether it is declared or not."""
        codec = context.connection.codec
        read = codec.decoder(list[Any], several=True)
        namespace, to, event, arguments = _emission(read(codec.array(context.data)))
        self._target(context.connection, namespace, to, f"be sent {event!r}")
        node = self.inspector.node
        outgoing = Outgoing(event, _data(arguments), namespace=namespace)
        for each in node.namespaces.codecs(namespace):
            outgoing.prepare(each)
        rooms = (to,) if to else None
        seq = await node.backplane.publish(namespace, (Entry(outgoing, rooms),))
        for relay in node.relays:
            relay.emit(Whom(namespace, rooms), outgoing)
        return seq

    def _target(self, page: Connection, namespace: str, to: str | None, command: str) -> Target:
        """Whom a command is for; the log keeps who gave it."""
        node = self.inspector.node
        if not node.namespaces[namespace].members:
            raise EventError(ErrorCode.INVALID, "expected a namespace that has connections")
        whom = "all" if not to else repr(to)
        logger.info(
            "admin: %r from %s makes %.200s of %.200r %.200s",
            page,
            page.handshake.client,
            whom,
            namespace,
            command,
        )
        return Target(node, Address(namespace, frozenset()), (to,) if to else None)


def _emission(given: list[Any]) -> tuple[str, str | None, str, list[Any]]:
    match given:
        case [str(namespace), str() | None as to, str(event), *arguments] if (
            len(arguments) <= MAX_ARGUMENTS
        ):
            try:
                check_event_name(event, "emit")
            except StartupError as error:
                text = f"expected {error.expected}, got {error.got}"
                raise EventError(ErrorCode.INVALID, text) from None
            return namespace, to, event, arguments
        case _:
            text = (
                "expected a namespace, a room or null, an event's name, "
                f"and at most {MAX_ARGUMENTS} arguments"
            )
            raise EventError(ErrorCode.INVALID, text)


def _data(arguments: list[Any]) -> Any:
    """What is emitted: one argument is the data itself, as everywhere."""
    return arguments[0] if len(arguments) == 1 else _several(len(arguments))(*arguments)


@lru_cache
def _several(count: int) -> type[Struct]:
    fields = [(f"argument_{number}", Any) for number in range(count)]
    return msgspec.defstruct("Arguments", fields, array_like=True)
