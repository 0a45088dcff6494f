"""How a WebSocket's messages come in: from the server's queue, or straight from its parser."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio
from starlette.types import Message, Receive, Scope

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


async def read(
    scope: Scope,
    receive: Receive,
    take: Taker,
    wait: Callable[[Session], Awaitable[None]] = Session.room,
) -> Message:
    """Hand every message to `take`; returns the one that says that the socket is lost.

    While a session has no room, the next message waits, and behind it the client.
    """
    server = scope.get("extensions", {}).get(EXTENSION)
    direct = _Direct(server, take) if hasattr(server, "reader") else None
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
                await wait(busy)
            busy = take(payload)
    finally:
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
