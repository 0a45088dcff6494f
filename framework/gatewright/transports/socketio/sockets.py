"""A session's WebSocket: from the start, or as the upgrade of one that polls."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from gatewright.protocol.close import CloseCode
from gatewright.protocol.engineio import PROBED
from gatewright.session import Session
from gatewright.transports.links import Cut, make_link
from gatewright.transports.reading import payload_of, read, size_of
from gatewright.transports.socketio.cookies import cookie_headers
from gatewright.transports.socketio.engine import Engine, EngineSocket, new_id
from gatewright.types import DisconnectReason, Handshake, Link

__all__ = ["refuse", "serve", "upgrade"]

NOOP_INTERVAL: Final = 0.1
"""Seconds, as the reference's: its client counts the packets of its first tenth of a second."""


async def serve(
    engine: Engine, request: Handshake, scope: Scope, receive: Receive, send: Send
) -> None:
    """Begin a session over a WebSocket and read it to its end."""
    if (await receive())["type"] != "websocket.connect":
        return
    # The handshake is answered first: a session has something to say from its first moment.
    id = new_id()
    headers = cookie_headers(engine.config, id)
    try:
        await send({"type": "websocket.accept", "subprotocol": None, "headers": headers})
    except OSError:
        # The client left while it was let in.
        return
    cut = Cut()
    socket = engine.open(request, make_link(scope, receive, send, cut), id)
    if engine.stopping:
        engine.stop()
    await _read(socket, scope, receive, engine.config.max_payload, cut)


async def upgrade(
    engine: Engine, socket: EngineSocket, scope: Scope, receive: Receive, send: Send
) -> None:
    """Go on with a WebSocket once the client has probed it; else leave the session polling."""
    if (await receive())["type"] != "websocket.connect":
        return
    await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
    refused = socket.upgrading or socket.closed or socket.polling is None
    if refused or not engine.config.upgrades:
        await send({"type": "websocket.close", "code": CloseCode.POLICY})
        return
    cut = Cut()
    link = make_link(scope, receive, send, cut)
    socket.upgrading = True
    try:
        if await _probed(socket, receive, link.send, engine.config.upgrade_timeout):
            await _read(socket, scope, receive, engine.config.max_payload, cut, link)
            return
    finally:
        socket.upgrading = False
    with contextlib.suppress(OSError):
        await link.close(CloseCode.POLICY, "expected a probe and an upgrade")


async def _probed(
    socket: EngineSocket,
    receive: Receive,
    send: Callable[..., Awaitable[None]],
    timeout: float,
) -> bool:
    """Whether the client has probed the WebSocket and wants to go on with it."""
    noops: asyncio.TimerHandle | None = None
    loop = asyncio.get_running_loop()

    def noop() -> None:
        nonlocal noops
        if (polling := socket.polling) is not None:
            polling.noop()
        noops = loop.call_later(NOOP_INTERVAL, noop)

    try:
        async with asyncio.timeout(timeout) as socket.probing:
            while True:
                packet = payload_of(await receive())
                if socket.closed:
                    return False
                if packet == "2probe":
                    await send(PROBED)
                    if noops is None:
                        noops = loop.call_later(NOOP_INTERVAL, noop)
                else:
                    return packet == "5"
    except TimeoutError:
        return False
    finally:
        socket.probing = None
        if noops is not None:
            noops.cancel()


async def _read(
    socket: EngineSocket,
    scope: Scope,
    receive: Receive,
    limit: int,
    cut: Cut,
    link: Link | None = None,
) -> None:
    """Read a session to its end; with a link, one that has been polling until now."""

    def take(packet: str | bytes) -> Session | None:
        # A character has at most four bytes, so most texts need no second look.
        if len(packet) * 4 > limit and size_of(packet) > limit:
            text = f"a message has at most {limit} bytes"
            socket.close(DisconnectReason(CloseCode.TOO_LARGE, text))
            return None
        return socket.receive(packet)

    try:
        with cut:
            if link is not None:
                await socket.switch(link)
            await read(scope, receive, take, socket.heart)
    except OSError:
        # The client left in the middle of its upgrade.
        pass
    finally:
        with anyio.CancelScope(shield=True):
            await socket.aclose()


async def refuse(scope: Scope, receive: Receive, send: Send, status: int, body: bytes) -> None:
    """Refuse a WebSocket with an HTTP answer, or 403 where the server can say nothing else."""
    websocket = WebSocket(scope, receive, send)
    if (await websocket.receive())["type"] != "websocket.connect":
        return
    if "websocket.http.response" in scope.get("extensions", {}):
        response = Response(body, status, media_type="application/json")
        await websocket.send_denial_response(response)
        # See `gatewright.transports.websocket.deny`.
        for _ in range(3):
            await asyncio.sleep(0)
    else:
        await websocket.close()
