"""Socket.IO over one Engine.IO session: its namespaces, and whom its packets are for."""

import asyncio
import logging
from typing import Any, Final

from gatewright.connections import Way
from gatewright.dispatcher import Dispatcher, NoSuchPath
from gatewright.errors import BackplaneError, ErrorCode, EventError
from gatewright.openings import Opening
from gatewright.protocol.close import CloseCode
from gatewright.protocol.engineio import PayloadError
from gatewright.protocol.rates import TokenBucket
from gatewright.protocol.socketio.msgpack import MsgpackDecoder
from gatewright.protocol.socketio.packets import (
    Decoder,
    JsonDecoder,
    Packet,
    PacketError,
    PacketType,
)
from gatewright.recovery import Ticket, new_secret
from gatewright.rooms import LOST_TOUCH
from gatewright.session import Session
from gatewright.settings import Rate
from gatewright.transports.socketio.channel import Channel, Codec
from gatewright.transports.socketio.config import SocketIO
from gatewright.transports.socketio.engine import EngineSocket
from gatewright.types import DisconnectReason, Handshake, Position

__all__ = ["Client"]

logger: logging.Logger = logging.getLogger("gatewright")

INVALID_NAMESPACE: Final = "Invalid namespace"
"""The reference's words: clients compare them."""

CLIENT_LEFT: Final = DisconnectReason(CloseCode.NORMAL, "client namespace disconnect")
NEVER_CONNECTED: Final = DisconnectReason(CloseCode.OPEN_TIMEOUT, "no namespace joined")

MAX_NAMESPACE: Final = 1024
"""Characters of a namespace's name: some of them are kept long after their clients."""

CONNECTS: Final = Rate(20, 100)
"""CONNECT packets of one client: each asks guards, and perhaps a database."""


class Client:
    """One client. A namespace that it joins is a connection, with a task of its own."""

    def __init__(
        self,
        socket: EngineSocket,
        config: SocketIO,
        dispatcher: Dispatcher,
        codec: Codec,
    ) -> None:
        self._socket = socket
        self._config = config
        self._dispatcher = dispatcher
        self._codec = codec
        self._decoder: Decoder = JsonDecoder() if config.parser == "json" else MsgpackDecoder()
        self._channels: dict[str, Channel] = {}
        self._left: dict[str, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._connects = TokenBucket(CONNECTS, loop.time())
        self._timer = loop.call_later(config.connect_timeout, self._never_connected)

    # From the engine

    def message(self, message: str | bytes, start: int) -> Session | None:
        try:
            packet = self._decoder.add(message, start)
        except PacketError as error:
            raise PayloadError(str(error)) from None
        if packet is None:
            return None
        channel = self._channels.get(packet.namespace)
        if channel is None:
            self._unjoined(packet)
            return None
        kind = packet.type
        if kind == 2 or kind == 3:  # noqa: PLR1714 - once per message
            session = channel.session
            if session is None:
                raise PayloadError("expected nothing before CONNECT is answered")
            session.feed(packet)
            return session if session.full else None
        if kind == PacketType.DISCONNECT:
            channel.end(CLIENT_LEFT)
        else:
            raise PayloadError(f"{packet.namespace} is connected already")
        return None

    def pinged(self) -> None:
        for channel in self._channels.values():
            if channel.session is not None and channel.keeper is not None:
                channel.keeper.sent(channel.session.connection.position)

    def ponged(self) -> None:
        for channel in self._channels.values():
            if channel.keeper is not None:
                channel.keeper.confirm()

    def lost(self, reason: DisconnectReason) -> None:
        self._timer.cancel()
        for channel in list(self._channels.values()):
            channel.end(reason)

    def _unjoined(self, packet: Packet) -> None:
        if packet.type == PacketType.CONNECT:
            if len(packet.namespace) > MAX_NAMESPACE:
                raise PayloadError(f"a namespace has at most {MAX_NAMESPACE} characters")
            self._connect(packet.namespace, packet.data)
        elif packet.namespace not in self._left or packet.type == PacketType.CONNECT_ERROR:
            raise PayloadError(f"{packet.namespace} is not connected")
        # Else it was under way when we said goodbye.

    def _never_connected(self) -> None:
        if not self._channels:
            self._socket.close(NEVER_CONNECTED)

    # Namespaces

    def forget(self, channel: Channel) -> None:
        if self._channels.get(channel.namespace) is channel:
            del self._channels[channel.namespace]
            self._left[channel.namespace] = None
            if len(self._left) > self._config.max_namespaces:
                del self._left[next(iter(self._left))]
            if not self._channels and not self._socket.closed:
                self._timer.cancel()
                self._timer = self._loop.call_later(
                    self._config.connect_timeout, self._never_connected
                )

    def _connect(self, namespace: str, auth: Any) -> None:
        channel = Channel(self, self._socket, self._codec, namespace)
        if not self._connects.take(self._loop.time()):
            channel.refused(EventError(ErrorCode.TOO_MANY, "too many connections; slow down"))
            return
        if len(self._channels) >= self._config.max_namespaces:
            text = f"expected at most {self._config.max_namespaces} namespaces"
            channel.refused(EventError(ErrorCode.TOO_MANY, text))
            return
        found = self._dispatcher.find(namespace)
        if found is None:
            channel.close(CloseCode.FORBIDDEN, INVALID_NAMESPACE)
            return
        path, values = found
        try:
            converted = self._dispatcher.convert(path, values)
        except NoSuchPath:
            channel.close(CloseCode.FORBIDDEN, INVALID_NAMESPACE)
            return
        ticket = None
        if self._config.recovery and auth is not None:
            ticket, auth = split_auth(auth)
        request = self._socket.request
        handshake = Handshake(
            namespace=namespace,
            path=values,
            headers=request.headers,
            cookies=request.cookies,
            query=request.query,
            auth=auth,
            client=request.client,
        )
        self._channels[namespace] = channel
        self._left.pop(namespace, None)
        task = self._loop.create_task(self._serve(channel, path, handshake, converted, ticket))
        self._tasks.add(task)
        task.add_done_callback(self._served)

    async def _serve(
        self,
        channel: Channel,
        path: str,
        handshake: Handshake,
        converted: Any,
        ticket: Ticket | None,
    ) -> None:
        """A connection's life, from its guards to its last hook."""
        dispatcher = self._dispatcher
        with dispatcher.arriving():
            try:
                opening = await dispatcher.open(path, handshake, converted)
            except EventError as error:
                channel.refused(error)
                return
            except BackplaneError as error:
                self._lost_touch(channel, error)
                return
            except Exception:
                logger.exception("%r: opening failed", self._socket)
                channel.refused(EventError(ErrorCode.INTERNAL, "internal error"))
                return
            if channel.closing or dispatcher.stopping:
                # The client has left meanwhile.
                channel.close(CloseCode.RESTART, "server shutting down")
                await opening.aclose()
                return
            limit = asyncio.timeout(dispatcher.node.settings.open_timeout)
            try:
                async with limit:
                    session, resumed = await self._begin(channel, path, opening, ticket)
            except Exception as error:
                if limit.expired():
                    # Not refused: it is to try again.
                    channel.close(CloseCode.OPEN_TIMEOUT, "opening took too long")
                elif isinstance(error, BackplaneError):
                    self._lost_touch(channel, error)
                else:
                    logger.exception("%r: no connection could be made", self._socket)
                    channel.refused(EventError(ErrorCode.INTERNAL, "internal error"))
                await opening.abandon(error)
                return
            channel.session = session
            channel.body["sid"] = session.connection.id
            reason = DisconnectReason(CloseCode.GOING_AWAY)
            try:
                session.start(resumed=resumed)
                reason = await asyncio.shield(channel.gone)
            finally:
                await dispatcher.end(session, reason)

    def _lost_touch(self, channel: Channel, error: BackplaneError) -> None:
        logger.warning("%r: nobody can be let in: %s", self._socket, error)
        # Not refused: it is to try again.
        channel.close(CloseCode.BEHIND, LOST_TOUCH)

    async def _begin(
        self, channel: Channel, path: str, opening: Opening, ticket: Ticket | None
    ) -> tuple[Session, bool]:
        """The session of a connection, and whether it is one that has returned."""
        dispatcher, way = self._dispatcher, Way(channel, self._codec, channel)
        if not self._config.recovery:
            return dispatcher.session(path, opening, way), False
        if ticket is not None:
            resumed = await dispatcher.resume(path, opening, way, ticket)
            if resumed is not None:
                session, channel.replay = resumed.session, resumed.missed
                channel.keeper = session.connection.keeper
                channel.body["pid"] = ticket.secret
                return session, True
        secret = new_secret()
        session = await dispatcher.keep(path, opening, way, secret)
        channel.keeper = session.connection.keeper
        channel.body["pid"] = secret
        return session, False

    def _served(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("%r: a connection failed", self._socket, exc_info=error)


def split_auth(auth: dict[str, Any]) -> tuple[Ticket | None, dict[str, Any] | None]:
    """What a client shows of its former connection, and what its application has to say.

    Whoever has no offset yet, or one that is not ours, goes on from what it has confirmed: its
    client takes any text that comes last in an event for an offset (rule R14).
    """
    pid, offset = auth.get("pid"), auth.get("offset")
    if not isinstance(pid, str) or not pid:
        return None, auth
    rest = {name: value for name, value in auth.items() if name not in ("pid", "offset")}
    return Ticket(pid, Position.parse(offset)), rest or None
