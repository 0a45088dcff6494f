"""The requests of Engine.IO: which are let in, and to which session they belong."""

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus

from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from gatewright.errors import EventError
from gatewright.protocol.engineio import Refusal, refusal_body
from gatewright.protocol.rates import TokenBucket
from gatewright.transports.admission import allowed_origin, read_handshake
from gatewright.transports.socketio.config import SocketIO
from gatewright.transports.socketio.engine import Engine, EngineSocket
from gatewright.transports.socketio.http import Exchange, poll, post
from gatewright.transports.socketio.sockets import refuse, serve, upgrade
from gatewright.transports.websocket import NOT_STARTED, STOPPING
from gatewright.types import Handshake

__all__ = ["EngineDoor"]

logger: logging.Logger = logging.getLogger("gatewright")

REVISION = "4"

SEVERAL = (
    "long-polling does not work here: there are several workers, and each request may come to "
    'another one; let clients connect with transports: ["websocket"]'
)


class Refused(Exception):
    """A request that is answered with an error of the protocol."""

    def __init__(self, refusal: Refusal, message: str | None = None) -> None:
        super().__init__(message or refusal.text)
        self.refusal = refusal
        self.message = message


class EngineDoor:
    """The ASGI application of one Engine.IO endpoint, for HTTP and WebSockets."""

    def __init__(
        self,
        config: SocketIO,
        origins: tuple[str, ...],
        engine: Callable[[], Engine | None],
        accepting: Callable[[], TokenBucket | None] = lambda: None,
    ) -> None:
        self._config = config
        self._origins = origins
        self._engine = engine
        self._accepting = accepting
        self._told = False

    @property
    def routes(self) -> list[BaseRoute]:
        """Where it is found: clients end the path with a slash, unless they are told not to."""
        path = self._config.path.rstrip("/")
        return [
            kind(each, self, name="socketio")
            for each in (f"{path}/", path)
            for kind in (Route, WebSocketRoute)
            if each
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = read_handshake(scope, self._config.path, {})
        scheme: str = scope.get("scheme", "http")
        allowed = allowed_origin(request, scheme, self._origins)
        exchange = Exchange(scope, receive, send, request, self._origins, allowed=allowed)
        try:
            engine = self._running()
            if scope["type"] == "websocket":
                await self._websocket(engine, request, scope, receive, send, allowed=allowed)
            else:
                await self._http(engine, exchange)
        except Refused as refused:
            body = refusal_body(refused.refusal, refused.message)
            if scope["type"] == "websocket":
                await refuse(scope, receive, send, refused.refusal.status, body)
            else:
                await exchange.answer(refused.refusal.status, body, "application/json")
        except _Unavailable as unavailable:
            text = str(unavailable).encode()
            if scope["type"] == "websocket":
                await refuse(scope, receive, send, HTTPStatus.SERVICE_UNAVAILABLE, text)
            else:
                await exchange.answer(HTTPStatus.SERVICE_UNAVAILABLE, text)

    def _running(self) -> Engine:
        engine = self._engine()
        if engine is None:
            logger.error(NOT_STARTED)
            raise _Unavailable(NOT_STARTED)
        return engine

    async def _http(self, engine: Engine, exchange: "Exchange") -> None:
        request, method = exchange.request, exchange.method
        if "origin" in request.headers and not exchange.allowed:
            raise Refused(Refusal.FORBIDDEN, "this origin is not allowed")
        if method == "OPTIONS":
            await exchange.preflight()
            return
        socket = self._session(engine, request)
        if socket is None:
            if method != "GET":
                raise Refused(Refusal.BAD_METHOD)
            if request.query["transport"] != "polling":
                raise Refused(Refusal.BAD_REQUEST)
            await self._admit(engine, request)
            await poll(engine.open(request), exchange, engine)
            return
        if socket.transport != request.query["transport"]:
            raise Refused(Refusal.BAD_REQUEST)
        if method == "GET":
            await poll(socket, exchange, engine)
        elif method == "POST":
            await post(socket, exchange, self._config.max_payload)
        else:
            raise Refused(Refusal.BAD_REQUEST)

    async def _websocket(
        self,
        engine: Engine,
        request: Handshake,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        allowed: bool,
    ) -> None:
        # Whoever knows a session's id has begun it, and may send its load balancer's cookie.
        knows = "origin" not in request.headers and bool(request.query.get("sid"))
        if not (allowed or knows):
            raise Refused(Refusal.FORBIDDEN, "this origin is not allowed")
        socket = self._session(engine, request)
        if request.query["transport"] != "websocket":
            raise Refused(Refusal.BAD_REQUEST)
        if socket is not None:
            await upgrade(engine, socket, scope, receive, send)
            return
        await self._admit(engine, request)
        await serve(engine, request, scope, receive, send)

    def _session(self, engine: Engine, request: Handshake) -> EngineSocket | None:
        """The session that a request names; None for one that begins a new one."""
        query = request.query
        if query.get("transport") not in self._config.transports:
            raise Refused(Refusal.UNKNOWN_TRANSPORT)
        if query["transport"] == "polling" and not engine.alone:
            if not self._told:
                self._told = True
                logger.warning("a Socket.IO client was refused: %s", SEVERAL)
            raise Refused(Refusal.UNKNOWN_TRANSPORT, SEVERAL)
        sid = query.get("sid")
        if not sid:
            return None
        socket = engine.sockets.get(sid)
        if socket is None:
            raise Refused(Refusal.UNKNOWN_SESSION)
        return socket

    async def _admit(self, engine: Engine, request: Handshake) -> None:
        """Let a new session begin."""
        if engine.stopping:
            raise _Unavailable(STOPPING)
        bucket = self._accepting()
        if bucket is not None and not bucket.take(asyncio.get_running_loop().time()):
            raise _Unavailable("Too many connections are being opened; try again.")
        if self._config.allow_request is not None:
            try:
                allowed = await self._config.allow_request(request)
            except EventError as error:
                raise Refused(Refusal.FORBIDDEN, error.message or error.code) from None
            except Exception:
                logger.exception("allow_request failed")
                raise Refused(Refusal.FORBIDDEN) from None
            if allowed is False:
                raise Refused(Refusal.FORBIDDEN)
        if engine.stopping:
            raise _Unavailable(STOPPING)
        if request.query.get("EIO") != REVISION:
            raise Refused(Refusal.UNSUPPORTED_VERSION)


class _Unavailable(Exception):
    """The server cannot begin a session now."""
