"""A polling client's requests: GET takes what there is, POST brings what it sends."""

import asyncio
from typing import Any, cast

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gatewright.protocol.engineio import (
    CLOSE,
    PayloadError,
    Refusal,
    decode_payload,
    encode_payload,
    refusal_body,
)
from gatewright.transports.socketio.cookies import cookie_headers
from gatewright.transports.socketio.engine import (
    TRANSPORT_CLOSE,
    TRANSPORT_ERROR,
    Engine,
    EngineSocket,
)
from gatewright.types import Handshake

__all__ = ["Exchange", "poll", "post"]


class Exchange:
    """One HTTP request and its answer, with the headers that browsers ask of foreign origins."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        request: Handshake,
        origins: tuple[str, ...],
        *,
        allowed: bool,
    ) -> None:
        self.receive: Receive = receive
        self.request: Handshake = request
        self.allowed: bool = allowed
        """Whether the page that asks may read the answer."""
        self.method: str = scope.get("method", "GET")
        self._scope = scope
        self._send = send
        self._origins = origins

    async def answer(
        self,
        status: int,
        body: bytes,
        media_type: str = "text/plain; charset=UTF-8",
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        response = Response(body, status, self._headers(), media_type)
        response.raw_headers += headers or []
        await response(self._scope, self.receive, self._send)

    async def preflight(self) -> None:
        """Tell a browser what a foreign page may send."""
        asked = self.request.headers.get("access-control-request-headers", "content-type")
        headers = {
            **self._headers(),
            "Access-Control-Allow-Methods": "GET, POST",
            "Access-Control-Allow-Headers": asked,
            "Access-Control-Max-Age": "600",
        }
        await Response(b"", 204, headers)(self._scope, self.receive, self._send)

    def _headers(self) -> dict[str, str]:
        headers = {"Cache-Control": "no-store"}
        origin = self.request.headers.get("origin")
        if origin is None or not self.allowed:
            return headers
        if origin in self._origins or "*" not in self._origins:
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Allow-Credentials"] = "true"
            headers["Vary"] = "Origin"
        else:
            # Cookies go to origins that are named, never to everyone.
            headers["Access-Control-Allow-Origin"] = "*"
        return headers


PACKETS = 100
"""Packets of one body that are taken before others get their turn."""


async def poll(socket: EngineSocket, exchange: Exchange, engine: Engine) -> None:
    """Answer a GET when there is something to say; one that the client gave up ends the session."""
    polling = socket.polling
    assert polling is not None
    if polling.pending:
        # Two at once: whose is the answer? The reference ends it too.
        socket.lose(TRANSPORT_ERROR)
        await exchange.answer(400, b"")
        return
    new = not exchange.request.query.get("sid")
    answer = polling.poll()
    if not answer.done():
        gone = asyncio.ensure_future(_gone(exchange.receive))
        try:
            await asyncio.wait([cast(Any, answer), gone], return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            # Middleware has lost its patience: what is sent from here on must not go this way.
            answer.cancel()
            socket.lose(TRANSPORT_ERROR)
            raise
        finally:
            left = gone.done()
            gone.cancel()
        if left:
            # Whatever the answer was to be, nobody gets it.
            answer.cancel()
            socket.lose(TRANSPORT_ERROR)
            return
    frames = answer.result()
    if not frames:
        body = refusal_body(Refusal.UNKNOWN_SESSION)
        await exchange.answer(400, body, "application/json")
        return
    headers = cookie_headers(engine.config, socket.id) if new else None
    try:
        await exchange.answer(200, encode_payload(frames), headers=headers)
    except BaseException as error:
        socket.lose(TRANSPORT_ERROR)
        if isinstance(error, OSError):
            return
        raise
    polling.answered(frames)
    if socket.left:
        socket.forget()
    elif frames[-1] is CLOSE:
        # Also of a session whose outbox has said goodbye by itself, to a client that was too slow.
        socket.lose(TRANSPORT_CLOSE)
        socket.forget()


async def _gone(receive: Receive) -> None:
    """Return when the client has given its request up."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def post(socket: EngineSocket, exchange: Exchange, limit: int) -> None:
    """Take the packets of a POST, in their order, as fast as their handlers take them."""
    polling = socket.polling
    assert polling is not None
    binary = exchange.request.headers.get("content-type") == "application/octet-stream"
    if socket.left:
        await exchange.answer(400, refusal_body(Refusal.UNKNOWN_SESSION), "application/json")
        return
    if polling.posting or binary:
        socket.lose(TRANSPORT_ERROR)
        await exchange.answer(400, b"")
        return
    polling.posting = True
    try:
        body = await _body(exchange, limit)
        if body is None:
            socket.lose(TRANSPORT_ERROR)
            return
        if len(body) > limit:
            await exchange.answer(413, b"")
            return
        try:
            packets = decode_payload(body)
        except PayloadError:
            socket.fail()
            packets = []
        for index, packet in enumerate(packets):
            if index % PACKETS == PACKETS - 1:
                await asyncio.sleep(0)
            if (busy := socket.receive(packet)) is not None:
                await socket.wait(busy)
    finally:
        polling.posting = False
    if socket.broken:
        await exchange.answer(400, b"")
    else:
        # The reference's type: some browsers offer text/plain for download.
        await exchange.answer(200, b"ok", "text/html")


async def _body(exchange: Exchange, limit: int) -> bytes | None:
    """A request's body, read as far as it may be too large; None if the client left."""
    parts: list[bytes] = []
    size = 0
    while size <= limit:
        message = await exchange.receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body", False):
            break
    return b"".join(parts)
