"""One namespace's share of a Socket.IO client's socket."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from gatewright.errors import EventError
from gatewright.protocol.close import CloseCode, is_final
from gatewright.protocol.socketio.codec import SocketIOCodec
from gatewright.protocol.socketio.msgpack import SocketIOMsgpackCodec
from gatewright.recovery import Keeper
from gatewright.session import Session
from gatewright.transports.socketio.engine import EngineSocket
from gatewright.types import DisconnectReason, Frame

__all__ = ["Channel", "Codec"]

logger: logging.Logger = logging.getLogger("gatewright")

Codec = SocketIOCodec | SocketIOMsgpackCodec


class Owner(Protocol):
    """Who keeps the channels of one client."""

    def forget(self, channel: "Channel") -> None:
        """The channel has ended, at the client's wish or ours."""
        ...


class Channel:
    """Where the frames of one namespace's connection go.

    Until the hooks have let the connection in they are kept, because CONNECT comes first.
    """

    def __init__(self, owner: Owner, socket: EngineSocket, codec: Codec, namespace: str) -> None:
        self.namespace: str = namespace
        self.gone: asyncio.Future[DisconnectReason] = asyncio.get_running_loop().create_future()
        """Why the connection has ended."""
        self.session: Session | None = None
        """Whom its packets are for, once the guards have let it in."""
        self.body: dict[str, str] = {}
        """What CONNECT tells the client."""
        self.keeper: Keeper | None = None
        """The record of a connection that may return."""
        self.replay: list[Frame] = []
        """What a resumed connection has missed; follows CONNECT at once."""
        self._owner = owner
        self.socket: EngineSocket = socket
        """What carries it, along with the client's other namespaces."""
        self._outbox = socket.outbox
        self._codec = codec
        self._held: list[Frame] | None = []
        self._held_size = 0
        self._over = False
        self.push: Callable[[Frame], None] = self._hold
        """Where frames go now: kept, to the socket, or nowhere. A broadcast asks no questions."""

    # As the outlet of a connection

    @property
    def closing(self) -> bool:
        return self._over or self._outbox.closing

    def _hold(self, frame: Frame) -> None:
        assert self._held is not None
        self._held.append(frame)
        self._held_size += frame.size
        if self._held_size > self._outbox.limit:
            self._held = None
            self.close(CloseCode.SLOW_CONSUMER, "too much was sent before CONNECT")

    def push_volatile(self, frame: Frame, key: str | None = None) -> bool:
        if self._over or self._held is not None:
            return False
        # Keys are a namespace's own.
        return self._outbox.push_volatile(frame, key and f"{self.namespace},{key}")

    async def room(self, wanted: int = 0) -> None:
        if not self._over:
            await self._outbox.room(wanted)

    def away(self, after: float, reason: str) -> None:
        """Nothing: Socket.IO's clients come back by delays of their own."""

    def close(self, code: int, reason: str = "") -> None:
        """End this connection; the whole socket where the client is to come back.

        A client that is told of a DISCONNECT stays away.
        """
        if self._over:
            return
        if code == CloseCode.TAKEN_OVER:
            # Its client has another socket already; of this one, other namespaces may be left.
            code = CloseCode.GOING_AWAY
        if not is_final(code):
            # Not even CONNECT_ERROR: a client that is refused stays away, too.
            self.socket.close(DisconnectReason(code, reason, resumable=True))
        elif self._held is not None:
            self._refuse(reason or "closed")
        else:
            self._outbox.push(self._codec.disconnected(self.namespace))
            self.end(DisconnectReason(code, reason or "server namespace disconnect"))

    def lose(self) -> None:
        self._over = True
        self.push = _forget

    def abort(self) -> None:
        self._outbox.abort()

    async def aclose(self) -> None:
        self.lose()

    # As the entrance of a connection

    def opened(self) -> None:
        """The hooks have let it in: tell the client, then what was kept."""
        if self._over:
            return
        held, self._held = self._held or [], None
        self._outbox.push(self._codec.connected(self.namespace, self.body))
        for frame in (*self.replay, *held):
            self._outbox.push(frame)
        self.replay = []
        self.push = self._outbox.push

    def refused(self, error: EventError) -> None:
        """Guards or hooks have not: tell the client why."""
        if not self._over:
            data = {"code": error.code}
            if error.details is not None:
                data["details"] = error.details  # type: ignore[assignment]
            self._refuse(error.message or error.code, data)

    def _refuse(self, message: str, data: object = None) -> None:
        body = {} if data is None else {"data": data}
        try:
            frame = self._codec.refused(self.namespace, message, **body)
        except Exception:
            logger.exception("the details of a refusal cannot be encoded")
            frame = self._codec.refused(self.namespace, "internal error")
        self._outbox.push(frame)
        self.end(DisconnectReason(CloseCode.FORBIDDEN, message))

    def end(self, reason: DisconnectReason) -> None:
        """Nothing passes any more."""
        self.lose()
        self._held = None
        self._owner.forget(self)
        if not self.gone.done():
            self.gone.set_result(reason)


def _forget(frame: Frame) -> None:
    """Where frames of a connection go that has ended."""
