"""Engine.IO sessions: heartbeats, closing, and what carries them."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from secrets import token_urlsafe
from typing import Final, Protocol

from gatewright.flusher import Flusher
from gatewright.liveness import Heart, Pongs, Wheel
from gatewright.outbox import Outbox
from gatewright.protocol.close import CloseCode
from gatewright.protocol.engineio import (
    CLOSE,
    NOOP,
    PING,
    PacketType,
    PayloadError,
    decode_packet,
    open_packet,
)
from gatewright.session import Session
from gatewright.transports.socketio.config import SocketIO
from gatewright.transports.socketio.polling import Polling
from gatewright.types import DisconnectReason, Handshake, Link

__all__ = ["Engine", "EngineSocket", "Receiver", "Receivers", "new_id"]

logger: logging.Logger = logging.getLogger("gatewright")

TRANSPORT_CLOSE: Final = DisconnectReason(CloseCode.GOING_AWAY, "transport close", resumable=True)
TRANSPORT_ERROR: Final = DisconnectReason(CloseCode.GOING_AWAY, "transport error", resumable=True)
PING_TIMEOUT: Final = DisconnectReason(CloseCode.GOING_AWAY, "ping timeout", resumable=True)
SHUTTING_DOWN: Final = DisconnectReason(CloseCode.RESTART, "server shutting down", resumable=True)
LAST_POLL: Final = 1.0
"""Seconds in which the last poll of a client may arrive that has said goodbye."""

PARSE_ERROR: Final = DisconnectReason(CloseCode.PROTOCOL_ERROR, "parse error")


class Receiver(Protocol):
    """What the layer above does with a session's messages."""

    def message(self, message: str | bytes, start: int) -> Session | None:
        """Take a message; of a text it begins at `start`.

        Returns a connection's session that has no room for another one: reading waits for it.
        Raises `PayloadError` for what ends the session.
        """
        ...

    def pinged(self) -> None:
        """A ping is about to be queued: what it confirms was queued before it."""
        ...

    def ponged(self) -> None:
        """The client has answered the ping that was last told of."""
        ...

    def lost(self, reason: DisconnectReason) -> None:
        """The session is over."""
        ...


Receivers = Callable[["EngineSocket"], Receiver]


class Engine:
    """All sessions of one running application."""

    def __init__(
        self, config: SocketIO, flusher: Flusher, wheel: Wheel, outbox: int, receivers: Receivers
    ) -> None:
        """`outbox` is the limit of each session's outbox in bytes."""
        self.config: SocketIO = config
        self.flusher: Flusher = flusher
        self.wheel: Wheel = wheel
        self.outbox: int = outbox
        self.receivers: Receivers = receivers
        self.sockets: dict[str, EngineSocket] = {}
        self.stopping: bool = False
        self.alone: bool = True
        """Whether all requests to this address come to this process."""
        self._emptied = asyncio.Event()

    def open(
        self, request: Handshake, link: Link | None = None, id: str | None = None
    ) -> "EngineSocket":
        """Begin a session, over a WebSocket if there is a link, by polling otherwise."""
        socket = EngineSocket(self, request, link or Polling(), id or new_id())
        self.sockets[socket.id] = socket
        for observer in self.flusher.observers:
            observer.opened(socket)
        return socket

    def dismiss(self) -> None:
        """Let no session begin any more, and say goodbye to all."""
        self.stopping = True
        for socket in list(self.sockets.values()):
            socket.close(SHUTTING_DOWN)

    async def last_polls(self) -> None:
        """Wait for the next polls of those who have not been told of the goodbye; not for long."""
        if self.sockets:
            self._emptied.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_POLL):
                    await self._emptied.wait()

    def forget(self, socket: "EngineSocket") -> None:
        """A session is over, and nothing of it is left to be told."""
        self.sockets.pop(socket.id, None)
        if not self.sockets:
            self._emptied.set()

    async def aclose(self) -> None:
        """Let the answers that are under way leave; nothing of the rest is kept."""
        await self.last_polls()
        for socket in list(self.sockets.values()):
            socket.forget()

    def stop(self) -> None:
        """Close every session: the server stops."""
        self.dismiss()
        for socket in list(self.sockets.values()):
            if not socket.answering:
                socket.forget()


def new_id() -> str:
    """An id for a session: whoever knows it is taken for its client."""
    return token_urlsafe(15)


class EngineSocket:
    """One session. `outbox` is the one way out, whatever the transport."""

    def __init__(self, engine: Engine, request: Handshake, link: Link, id: str) -> None:
        self.id: str = id
        self.request: Handshake = request
        self.polling: Polling | None = link if isinstance(link, Polling) else None
        """The transport, while the session polls; a WebSocket otherwise."""
        if self.polling is not None:
            self.polling.given_up = lambda: self.lose(TRANSPORT_ERROR)
        self.outbox: Outbox = Outbox(link, engine.flusher, engine.outbox)
        self.upgrading: bool = False
        """Whether a WebSocket is there that it may go on with, or does."""
        self.probing: asyncio.Timeout | None = None
        """The time that the client has to probe it."""
        self.closed: bool = False
        """Whether nothing is received any more; what was queued before may still leave."""
        self.left: bool = False
        """Whether the client has said goodbye while it polled."""
        self.broken: bool = False
        """Whether the client has sent what is no packet."""
        self._engine = engine
        self._observers = engine.flusher.observers
        self._loop = asyncio.get_running_loop()
        self._pongs = Pongs()
        self._timer: asyncio.TimerHandle | None = None
        config = engine.config
        upgrades = self.polling is not None and config.upgrades and "websocket" in config.transports
        self.outbox.push(
            open_packet(
                self.id,
                ["websocket"] if upgrades else [],
                config.ping_interval,
                config.ping_timeout,
                config.max_payload,
            )
        )
        # The reference's first ping comes after a whole interval.
        self.heart: Heart = Heart(
            engine.wheel,
            config.ping_interval,
            config.ping_timeout,
            ping=self._ping,
            dead=self._dead,
            moving=self.outbox.moving,
            first=config.ping_interval,
        )
        self._heard = self.heart.heard
        self._receiver = engine.receivers(self)
        self._message = self._receiver.message

    def __repr__(self) -> str:
        return f"<EngineSocket {self.transport}{', closed' if self.closed else ''}>"

    @property
    def transport(self) -> str:
        """`"polling"` or `"websocket"`."""
        return "websocket" if self.polling is None else "polling"

    # In

    def receive(self, packet: str | bytes) -> Session | None:
        """Take a client's packet; returns a session to `wait` for, as `Receiver.message` does.

        What is no packet closes the session.
        """
        if self.closed:
            return None
        self._heard()
        if self._observers:
            for observer in self._observers:
                observer.read(len(packet))
        try:
            if packet.__class__ is str and packet[:1] == "4":
                return self._message(packet, 1)
            return self._other(packet)
        except PayloadError as error:
            logger.debug("%r: %s", self, error)
            self.fail()
            return None

    def _other(self, packet: str | bytes) -> Session | None:
        """Take what is not, as most packets are, a message of text."""
        if isinstance(packet, bytes):
            return self._message(packet, 0)
        kind = packet[:1]
        if kind == "3":
            self._ponged()
        elif (data := decode_packet(packet)) is not None:
            return self._message(data, 0)
        elif kind == PacketType.CLOSE:
            if self.polling is not None:
                self._leave(self.polling)
            else:
                self.close(TRANSPORT_CLOSE)
        elif kind != PacketType.NOOP:
            raise PayloadError(f"expected a message, a pong or a close, got type {kind}")
        return None

    def _leave(self, polling: Polling) -> None:
        """The client has said goodbye; its poll is sent home, by the reference's NOOP."""
        self.left = True
        self._end(TRANSPORT_CLOSE)
        self.outbox.lose()
        if polling.farewell(NOOP):
            self.forget()
        else:
            # It is under way, on another connection than the goodbye.
            self._timer = self._loop.call_later(LAST_POLL, self.forget)

    async def wait(self, busy: Session) -> None:
        """Wait until a connection has room for another message."""
        # Our own silence towards the client is no sign of its absence.
        self.heart.pause()
        try:
            await busy.room()
        finally:
            self.heart.resume()

    async def switch(self, link: Link) -> None:
        """Go on with a WebSocket."""
        assert self.polling is not None
        await self.polling.switch(link)
        self.polling = None
        self.outbox.relink(link)
        for observer in self._observers:
            observer.upgraded(self)

    # Heartbeats

    def _ping(self) -> None:
        if self._pongs.pinged():
            self._receiver.pinged()
        self.outbox.mark()
        self.outbox.push(PING)

    def _ponged(self) -> None:
        if self._pongs.ponged():
            self._receiver.ponged()

    def _dead(self) -> None:
        self.lose(PING_TIMEOUT)
        self.outbox.abort()

    # The end

    @property
    def answering(self) -> bool:
        """Whether something is there that can take what is still queued."""
        return self.polling is None or self.polling.pending

    def close(self, reason: DisconnectReason) -> None:
        """Say goodbye after everything that was queued before."""
        if not self.closed:
            self._end(reason)
            # The text is for our hooks; a reference's client expects none.
            self.outbox.close(reason.code, "")
            if self.polling is not None:
                # Its next poll gets what is left, and learns that this was all.
                self._timer = self._loop.call_later(self._engine.config.ping_timeout, self.forget)

    def fail(self) -> None:
        """The client has sent what is no packet."""
        self.broken = True
        if self.polling is not None:
            self.lose(PARSE_ERROR)
        else:
            self.close(PARSE_ERROR)

    def lose(self, reason: DisconnectReason) -> None:
        """The transport is gone, and with it what is queued; a poll that waits learns of it."""
        if not self.closed:
            self._end(reason)
            self.outbox.lose()
            if self.polling is not None:
                self.polling.finish(CLOSE)
            self.forget()

    def forget(self) -> None:
        """Nobody will ask for the session again."""
        if self._timer is not None:
            self._timer.cancel()
        self._engine.forget(self)
        if self.polling is not None:
            self.outbox.abort()

    def _end(self, reason: DisconnectReason) -> None:
        self.closed = True
        self.heart.stop()
        if self.probing is not None and not self.probing.expired():
            self.probing.reschedule(self._loop.time())
        self._receiver.lost(reason)
        for observer in self._observers:
            observer.closed(self, reason)
        if self.polling is None:
            self._engine.forget(self)

    async def aclose(self) -> None:
        """The WebSocket's reader has ended: nothing is left to be written."""
        self.lose(TRANSPORT_CLOSE)
        await self.outbox.aclose()
