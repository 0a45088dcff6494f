"""How a WebSocket's messages come in: from the server's queue, or straight from its parser."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import anyio
from starlette.types import Message, Receive, Scope

from gatewright.liveness import Heart
from gatewright.protocol.close import CloseCode
from gatewright.session import Session
from gatewright.transports.links import EXTENSION
from gatewright.types import DisconnectReason

__all__ = ["Taker", "payload_of", "read", "reason_of", "size_of", "to_the_end"]

Taker = Callable[[str | bytes], Session | None]
"""Takes a message; returns a session that has no room for another one."""


class Server(Protocol):
    """What `gatewright.server` offers beyond ASGI."""

    queue: asyncio.Queue[Message]
    reader: Callable[[str | bytes], None] | None
    heard: Callable[[], None] | None


class _Direct:
    """Takes messages within the server's parsing, as long as nothing waits in its queue.

    A queue costs each message a wake-up of our task, and the socket two system calls to pause it.
    """

    def __init__(self, server: Server, take: Taker) -> None:
        self._server = server
        self._take = take
        self.busy: Session | None = None

    def begin(self) -> None:
        # What is queued came first.
        if self._server.queue.empty():
            self.busy = None
            self._server.reader = self

    def end(self) -> None:
        self._server.reader = None

    def __call__(self, message: str | bytes) -> None:
        self.busy = self._take(message)
        if self.busy is not None:
            # What comes from here on waits in the queue, and the server reads no further.
            self._server.reader = None


class _Heartbeats:
    """What asks for signs of life while a socket is read: a heart of ours, or the server's own.

    uvicorn reads nothing while a message waits unread, not even a pong: without our word it would
    close the socket of a healthy client whose handlers are slow.
    """

    def __init__(self, scope: Scope, receive: Receive, heart: Heart | None) -> None:
        server: Any = scope.get("extensions", {}).get(EXTENSION, getattr(receive, "__self__", None))
        self._heart = heart
        self._keepalive = server if hasattr(server, "stop_keepalive") else None
        self._telling = server if hasattr(server, "heard") else None
        if heart is not None:
            if self._keepalive is not None:
                # One who asks is enough.
                self._keepalive.stop_keepalive()
                self._keepalive = None
            if self._telling is not None:
                # A long message on a thin line is heard before it is complete.
                self._telling.heard = heart.heard

    async def wait(self, busy: Session) -> None:
        """Wait until a session has room; meanwhile the client's silence is ours."""
        heart, keepalive = self._heart, self._keepalive
        if heart is not None:
            heart.pause()
        elif keepalive is not None:
            keepalive.stop_keepalive()
        try:
            await busy.room()
        finally:
            if heart is not None:
                heart.resume()
            elif keepalive is not None and not keepalive.disconnected:
                keepalive.start_keepalive()

    def end(self) -> None:
        if self._telling is not None:
            self._telling.heard = None


async def read(scope: Scope, receive: Receive, take: Taker, heart: Heart | None = None) -> Message:
    """Hand every message to `take`; returns the one that says that the socket is lost.

    While a session has no room, the next message waits, and behind it the client. A `heart` takes
    the place of the server's own heartbeats.
    """
    server = scope.get("extensions", {}).get(EXTENSION)
    direct = _Direct(server, take) if hasattr(server, "reader") else None
    heartbeats = _Heartbeats(scope, receive, heart)
    busy: Session | None = None
    try:
        while True:
            if direct is not None and busy is None:
                direct.begin()
            message = await receive()
            payload = payload_of(message)
            if payload is None:
                return message
            if direct is not None:
                busy = busy or direct.busy
                direct.busy = None
            if busy is not None:
                await heartbeats.wait(busy)
            busy = take(payload)
    finally:
        heartbeats.end()
        if direct is not None:
            direct.end()


def payload_of(message: Message) -> str | bytes | None:
    """What a message brings; None when the socket is lost."""
    payload: str | bytes | None = message.get("text")
    return message.get("bytes") if payload is None else payload


def reason_of(message: Message) -> DisconnectReason:
    """Why a socket is lost, by the message that says so."""
    # Some servers say None where they know nothing.
    code: int = message.get("code") or CloseCode.GOING_AWAY
    return DisconnectReason(int(code), message.get("reason") or "")


def size_of(payload: str | bytes) -> int:
    """Bytes of a message on the wire."""
    return len(payload.encode("utf-8", "replace")) if isinstance(payload, str) else len(payload)


async def to_the_end(ending: asyncio.Task[None]) -> None:
    """Await it whoever cancels us meanwhile; the cancellation goes on afterwards."""
    cancelled: asyncio.CancelledError | None = None
    # anyio cancels again and again until its scope is left; asyncio does so once.
    with anyio.CancelScope(shield=True):
        while not ending.done():
            try:
                await asyncio.wait([ending])
            except asyncio.CancelledError as error:
                cancelled = error
    ending.result()
    if cancelled is not None:
        raise cancelled
