"""One server with several doors: `uvicorn tests.interop.server:app`."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from gatewright import Gatewright, Settings
from gatewright.transports.socketio.config import Cookie, SocketIO
from tests.interop.gateways import GATEWAYS, authenticate

__all__ = ["app"]


HISTORY = 200


class Balancer:
    """Lets through what its cookie sends to the session's node, as a load balancer would."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = parse_qs(scope.get("query_string", b"").decode())
        cookies = [value.decode() for name, value in scope.get("headers", ()) if name == b"cookie"]
        if "sid" in query and f"io={query['sid'][0]}" not in cookies:
            text = f"expected the cookie of {query['sid'][0]}, got {cookies}"
            await PlainTextResponse(text, HTTPStatus.MISDIRECTED_REQUEST)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class NoWebSockets:
    """Refuses them, as proxies do that were not told about them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def door(socketio: SocketIO) -> Gatewright:
    return Gatewright(
        GATEWAYS,
        authenticate=authenticate,
        socketio=socketio,
        # So that a test can have more than is kept.
        settings=Settings(history=HISTORY) if socketio.recovery else None,
    )


DOORS: dict[str, Gatewright] = {
    "/msgpack": door(SocketIO(parser="msgpack")),
    # Pings in quick succession, and patience: the machine may be busy.
    "/brisk": door(SocketIO(ping_interval=0.1, ping_timeout=2)),
    "/sticky": door(SocketIO(cookie=Cookie())),
    "/no-websockets": door(SocketIO()),
    "/polling-only": door(SocketIO(transports=("polling",))),
    "/recovery": door(SocketIO(recovery=True)),
    "/recovery-msgpack": door(SocketIO(recovery=True, parser="msgpack")),
    "": door(SocketIO()),
}


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        for each in DOORS.values():
            await stack.enter_async_context(each.lifespan(app))
        yield


BEFORE: dict[str, Callable[[ASGIApp], ASGIApp]] = {
    "/sticky": Balancer,
    "/no-websockets": NoWebSockets,
}

app = Starlette(
    routes=[
        Mount(path, BEFORE[path](each) if path in BEFORE else each) for path, each in DOORS.items()
    ],
    lifespan=lifespan,
)
