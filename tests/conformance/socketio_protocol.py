"""What the Socket.IO protocol's own test-suite asks of a server."""

from typing import Any

from msgspec import UNSET

from gatewright import Connection, Event, Gatewright, Handshake, Settings, gateway, on, on_connect
from gatewright.transports.socketio import SocketIO


class Auth(Event, event="auth", array_like=True):
    auth: Any


class MessageBack(Event, event="message-back", array_like=True):
    first: Any = UNSET
    second: Any = UNSET
    third: Any = UNSET


class Greets:
    @on_connect
    async def greet(self, connection: Connection, handshake: Handshake) -> None:
        await connection.emit(Auth(handshake.auth or {}))


@gateway("/", emits=[Auth, MessageBack])
class MainGateway(Greets):
    @on("message")
    async def message(
        self, connection: Connection, first: Any = UNSET, second: Any = UNSET, third: Any = UNSET
    ) -> None:
        await connection.emit(MessageBack(first, second, third))

    @on("message-with-ack")
    async def answer(self, first: Any = UNSET, second: Any = UNSET, third: Any = UNSET) -> Any:
        return tuple([each for each in (first, second, third) if each is not UNSET])


@gateway("/custom", emits=[Auth])
class CustomGateway(Greets):
    pass


app = Gatewright(
    gateways=[MainGateway, CustomGateway],
    socketio=SocketIO(ping_interval=0.3, ping_timeout=0.2, connect_timeout=1.0),
    settings=Settings(origins=("*",)),
)
