"""What the suites of Engine.IO ask of a server: the protocol's own, and that of its client.

There is no Socket.IO here. Every message is sent back, as text or bytes as it came.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime

from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatewright.flusher import Flusher
from gatewright.liveness import Wheel
from gatewright.session import Session
from gatewright.transports.socketio import SocketIO
from gatewright.transports.socketio.door import EngineDoor
from gatewright.transports.socketio.engine import Engine, EngineSocket, Receivers
from gatewright.types import DisconnectReason, Frame, Handshake

OUTBOX = 1 << 20


class Echo:
    """Sends back what comes."""

    def __init__(self, socket: EngineSocket) -> None:
        self._outbox = socket.outbox

    def message(self, message: str | bytes, start: int) -> Session | None:
        self.answer(message if isinstance(message, bytes) else message[start:])
        return None

    def answer(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self._outbox.push(Frame(message, binary=True))
        else:
            self._outbox.push(Frame(b"4" + message.encode()))

    def pinged(self) -> None: ...

    def ponged(self) -> None: ...

    def lost(self, reason: DisconnectReason) -> None: ...


class ClientEcho(Echo):
    """Greets, and knows what the client's suite asks for."""

    def __init__(self, socket: EngineSocket) -> None:
        super().__init__(socket)
        # The session is not quite there yet.
        asyncio.get_running_loop().call_soon(self.answer, "hi")

    def answer(self, message: str | bytes) -> None:
        match message:
            case "give binary":
                super().answer(bytes(range(5)))
            case "give utf8":
                super().answer("пойду спать всем спокойной ночи")
            case "sendHeaders":
                super().answer(json.dumps(posted))
            case _:
                super().answer(message)


posted: dict[str, str] = {}
"""The headers of the POST that came last."""


async def not_denied(handshake: Handshake) -> bool:
    return "deny" not in handshake.query


def serving(config: SocketIO, receivers: Receivers) -> Starlette:
    """An application with nothing but Engine.IO, at `config.path`."""
    engine: Engine | None = None

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        nonlocal engine
        engine = Engine(config, Flusher(10), Wheel(), OUTBOX, receivers)
        yield
        engine.stop()
        engine = None

    door = EngineDoor(config, ("*",), lambda: engine)
    routes = [Route(config.path, door), WebSocketRoute(config.path, door)]
    return Starlette(routes=routes, lifespan=lifespan)


def with_cookies(app: ASGIApp) -> ASGIApp:
    """Add the cookies of the client's suite to each handshake, and note the headers of POSTs."""

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            posted.clear()
            posted.update({name.decode(): value.decode() for name, value in scope["headers"]})
        begins = scope["type"] != "lifespan" and b"sid=" not in scope["query_string"]

        async def cookies(message: Message) -> None:
            if begins and message["type"] in ("http.response.start", "websocket.accept"):
                now = format_datetime(datetime.now(UTC), usegmt=True)
                values = [
                    "1=1; Max-Age=86400",
                    "2=2; Path=/; HttpOnly; Secure; SameSite=Strict",
                    "3=3; Max-Age=0",
                    f"4=4; Expires={now}",
                ]
                added = [(b"set-cookie", value.encode()) for value in values]
                message = {**message, "headers": [*message.get("headers", []), *added]}
            await send(message)

        await app(scope, receive, cookies)

    return outer


protocol = serving(SocketIO(path="/engine.io/", ping_interval=0.3, ping_timeout=0.2), Echo)
"""For the suite of the protocol, on port 3000."""

client = with_cookies(
    serving(
        SocketIO(path="/engine.io/", ping_interval=0.5, max_payload=100, allow_request=not_denied),
        ClientEcho,
    )
)
"""For the suite of engine.io-client, on port 3000."""
