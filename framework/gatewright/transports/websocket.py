"""The plain WebSocket door: JSON or MessagePack, no handshake of its own."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from gatewright.connections import Way
from gatewright.dispatcher import Dispatcher, NoSuchPath
from gatewright.emitter import fill
from gatewright.errors import BackplaneError, EventError
from gatewright.liveness import Heart
from gatewright.node import Node
from gatewright.openings import Opening
from gatewright.outbox import Outbox
from gatewright.protocol.close import CloseCode
from gatewright.protocol.codecs import Codec, EnvelopeCodec, FrameError
from gatewright.protocol.rates import TokenBucket
from gatewright.protocol.sessions.codecs import SessionCodec
from gatewright.rooms import LOST_TOUCH
from gatewright.session import Session
from gatewright.transports.admission import allowed_origin, read_handshake
from gatewright.transports.links import Cut, make_link
from gatewright.transports.reading import read, reason_of, size_of, to_the_end
from gatewright.transports.sessions import SessionSocket
from gatewright.types import DisconnectReason, Link

__all__ = ["NOT_STARTED", "STOPPING", "SUBPROTOCOLS", "WebSocketDoor", "deny"]

logger: logging.Logger = logging.getLogger("gatewright")

SUBPROTOCOLS: Mapping[str, str] = {
    "plain.json": "json",
    "plain.msgpack": "msgpack",
    "gw.v1.json": "gw.v1.json",
    "gw.v1.msgpack": "gw.v1.msgpack",
}
"""What a client may offer, and the codec it gets; who offers nothing gets JSON."""

NOT_STARTED = (
    "This gatewright application was not started: a mounted application's lifespan never runs. "
    "Pass lifespan=realtime.lifespan to the outer application, or enter "
    "`async with realtime.lifespan(app)` in its own."
)

STOPPING = "The server stops; connect again."


class WebSocketDoor:
    """The ASGI application of one namespace."""

    def __init__(
        self,
        path: str,
        dispatcher: Callable[[], Dispatcher | None],
        accepting: Callable[[], TokenBucket | None],
    ) -> None:
        self._path = path
        self._dispatcher = dispatcher
        self._accepting = accepting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        dispatcher = self._dispatcher()
        if dispatcher is None:
            logger.error(NOT_STARTED)
            await deny(scope, receive, send, HTTPStatus.SERVICE_UNAVAILABLE, NOT_STARTED)
            return
        if dispatcher.stopping:
            await deny(scope, receive, send, HTTPStatus.SERVICE_UNAVAILABLE, STOPPING)
            return
        bucket = self._accepting()
        if bucket is not None and not bucket.take(asyncio.get_running_loop().time()):
            text = "Too many connections are being opened; try again."
            await deny(scope, receive, send, HTTPStatus.SERVICE_UNAVAILABLE, text)
            return
        values: dict[str, str] = {k: str(v) for k, v in scope.get("path_params", {}).items()}
        handshake = read_handshake(scope, fill(self._path, values), values)
        origins = dispatcher.node.settings.origins
        if not allowed_origin(handshake, scope.get("scheme", "ws"), origins):
            origin = handshake.headers.get("origin")
            text = (
                "Expected no cookies without an Origin."
                if origin is None
                else f"The origin {origin[:200]!r} is not allowed here."
            )
            await deny(scope, receive, send, HTTPStatus.FORBIDDEN, text)
            return
        offered: list[str] = scope.get("subprotocols", [])
        subprotocol = next((each for each in offered if each in SUBPROTOCOLS), None)
        if offered and subprotocol is None:
            known = ", ".join(SUBPROTOCOLS)
            text = f"Expected one of the sub-protocols {known}, or none."
            await deny(scope, receive, send, HTTPStatus.BAD_REQUEST, text)
            return
        codec = dispatcher.node.codecs[SUBPROTOCOLS[subprotocol] if subprotocol else "json"]
        try:
            converted = dispatcher.convert(self._path, values)
        except NoSuchPath:
            await deny(scope, receive, send, HTTPStatus.NOT_FOUND, "Not Found")
            return
        with dispatcher.arriving():
            if isinstance(codec, SessionCodec):
                socket = SessionSocket(dispatcher, self._path, handshake, converted, codec)
                await socket.serve(scope, receive, send)
                return
            try:
                opening = await dispatcher.open(self._path, handshake, converted)
            except EventError as error:
                await deny(scope, receive, send, HTTPStatus.FORBIDDEN, str(error))
                return
            except BackplaneError as error:
                logger.warning("%s: nobody can be let in: %s", handshake.namespace, error)
                status = HTTPStatus.SERVICE_UNAVAILABLE
                await deny(scope, receive, send, status, LOST_TOUCH.capitalize() + ".")
                return
            await self._accept(dispatcher, opening, codec, subprotocol, scope, receive, send)

    async def _accept(
        self,
        dispatcher: Dispatcher,
        opening: Opening,
        codec: Codec,
        subprotocol: str | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        if dispatcher.stopping:
            await opening.aclose()
            await deny(scope, receive, send, HTTPStatus.SERVICE_UNAVAILABLE, STOPPING)
            return
        try:
            connect = await receive()
            if connect["type"] != "websocket.connect":
                await opening.aclose()
                return
            await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": []})
        except BaseException as error:
            await opening.aclose(error)
            if isinstance(error, OSError):
                # The client left while it was let in.
                return
            raise
        cut = Cut()
        node = dispatcher.node
        link = make_link(scope, receive, send, cut)
        outbox = Outbox(link, node.flusher, node.settings.outbox)
        session = dispatcher.session(self._path, opening, Way(outbox, codec))
        heart = _heart(link, outbox, node)
        await _converse(dispatcher, session, scope, receive, cut, heart)


def _heart(link: Link, outbox: Outbox, node: Node) -> Heart | None:
    """What finds out that the peer is gone; None where the server itself does."""
    asks = link.ping
    if asks is None:
        return None

    def ping() -> None:
        outbox.mark()
        asks()

    def dead() -> None:
        outbox.abort(CloseCode.GOING_AWAY, "ping timeout")

    interval, timeout = node.settings.ping_interval, node.settings.ping_timeout
    return Heart(node.wheel, interval, timeout, ping=ping, dead=dead, moving=outbox.moving)


async def _converse(
    dispatcher: Dispatcher,
    session: Session,
    scope: Scope,
    receive: Receive,
    cut: Cut,
    heart: Heart | None,
) -> None:
    """Feed a session from its socket until that is lost, then end it."""
    reason = DisconnectReason(CloseCode.GOING_AWAY)
    node, outbox = dispatcher.node, session.connection.outbox
    assert isinstance(outbox, Outbox)
    for observer in node.observers:
        observer.opened(session)
    session.start()
    try:
        with cut:
            reason = await _read(session, scope, receive, node, heart)
    finally:
        if outbox.goodbye is not None:
            # In our words if we have closed it: a peer that is gone says nothing.
            reason = DisconnectReason(*outbox.goodbye)
        if heart is not None:
            heart.stop()
        for observer in node.observers:
            observer.closed(session, reason)
        await to_the_end(dispatcher.ending(session, reason))


async def _read(
    session: Session, scope: Scope, receive: Receive, node: Node, heart: Heart | None
) -> DisconnectReason:
    max_frame, observers = node.settings.max_frame, node.observers
    connection = session.connection
    outbox, codec = connection.outbox, connection.codec
    assert isinstance(codec, EnvelopeCodec)

    def take(payload: str | bytes) -> Session | None:
        if observers:
            for observer in observers:
                observer.read(len(payload))
        if outbox.closing:
            # Said goodbye already: read on only to see the client's own.
            return None
        # A character has at most four bytes, so most texts need no second look.
        if len(payload) * 4 > max_frame and size_of(payload) > max_frame:
            outbox.close(CloseCode.TOO_LARGE, f"a message has at most {max_frame} bytes")
            return None
        try:
            envelope = codec.envelope(payload)
        except FrameError as error:
            session.reject(str(error))
        else:
            session.feed(envelope)
        return session if session.full else None

    return reason_of(await read(scope, receive, take, heart))


async def deny(scope: Scope, receive: Receive, send: Send, status: int, text: str) -> None:
    """Refuse a handshake with an HTTP status, or 403 where the server can say nothing else."""
    websocket = WebSocket(scope, receive, send)
    message = await websocket.receive()
    if message["type"] != "websocket.connect":
        return
    if "websocket.http.response" in scope.get("extensions", {}):
        await websocket.send_denial_response(PlainTextResponse(text, status))
        # uvicorn 0.54 logs an error for an application that returns before the socket is closed,
        # as if it had forgotten to answer; the close it has begun takes a turn of the loop.
        for _ in range(3):
            await asyncio.sleep(0)
    else:
        await websocket.close()
