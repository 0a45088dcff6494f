"""The outbox's way to a socket: plain ASGI, or straight to uvicorn's transport."""

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.types import Scope, Send

try:
    from websockets.frames import Frame as WebSocketFrame
    from websockets.frames import Opcode
except ModuleNotFoundError:  # pragma: no cover
    # An extra; where uvicorn's sans-I/O class runs, it is there.
    pass

from gatewright.protocol.close import clip_reason
from gatewright.types import Frame, Link

__all__ = ["EXTENSION", "AsgiLink", "DirectLink", "make_link"]

EXTENSION = "gatewright.protocol"
"""The ASGI extension under which `gatewright.server` hands over its protocol object."""


class AsgiLink:
    """Any ASGI server: one `send` per frame, awaited."""

    immediate = False

    def __init__(self, send: Send, cut: Callable[[], None]) -> None:
        self._send = send
        self._cut = cut

    def write(self, frames: list[Frame]) -> bool:
        return False

    async def send(self, frame: Frame) -> None:
        await self._send(frame.message)

    async def close(self, code: int, reason: str) -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": clip_reason(reason)})

    def abort(self) -> None:
        # ASGI has no word for it: leaving the application is the most that can be done.
        self._cut()


class DirectLink:
    """uvicorn's protocol object: frames of one tick leave in one write, and it can be aborted.

    ASGI allows one message per send and uvicorn makes a system call of each, which is most of what
    a message costs. Framing and compression are done by the library that uvicorn uses for both.
    """

    immediate = True

    def __init__(self, send: Send, protocol: Any) -> None:
        self._send = send
        self._protocol = protocol
        # What a compressing socket gets depends on what it got before: it cannot be shared.
        self._shared = not protocol.conn.extensions

    def write(self, frames: list[Frame]) -> bool:
        protocol = self._protocol
        if protocol.disconnected or protocol.close_sent or protocol.transport.is_closing():
            # Gone: what is written now goes nowhere, as with any socket.
            return True
        if not protocol.writable.is_set():
            return False
        if not self._shared:
            self._write_own(frames)
        elif len(frames) == 1:
            protocol.transport.write(wire(frames[0]))
        elif frames:
            protocol.transport.write(b"".join([wire(frame) for frame in frames]))
        return True

    def _write_own(self, frames: list[Frame]) -> None:
        conn = self._protocol.conn
        for frame in frames:
            if frame.binary:
                conn.send_binary(frame.data)
            else:
                conn.send_text(frame.data)
        self._protocol.transport.write(b"".join(conn.data_to_send()))

    async def send(self, frame: Frame) -> None:
        await self._protocol.writable.wait()
        self.write([frame])

    async def close(self, code: int, reason: str) -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": clip_reason(reason)})

    def abort(self) -> None:
        self._protocol.transport.abort()


def wire(frame: Frame) -> bytes:
    """The frame with its WebSocket header, encoded once for all its receivers."""
    if frame.wire is None:
        opcode = Opcode.BINARY if frame.binary else Opcode.TEXT
        frame.wire = WebSocketFrame(opcode, frame.data).serialize(mask=False)
    return frame.wire


def make_link(scope: Scope, send: Send, cut: Callable[[], None]) -> Link:
    """The best link to an accepted socket; `cut` is called to abort one that has no other way."""
    protocol = scope.get("extensions", {}).get(EXTENSION, getattr(send, "__self__", None))
    if protocol is not None and _is_uvicorn(protocol):
        return DirectLink(send, protocol)
    return AsgiLink(send, cut)


def _is_uvicorn(protocol: Any) -> bool:
    """Whether it is uvicorn's sans-I/O class as we know it; anything else goes through ASGI."""
    conn = getattr(protocol, "conn", None)
    return (
        hasattr(getattr(protocol, "transport", None), "abort")
        and isinstance(getattr(protocol, "writable", None), asyncio.Event)
        and hasattr(protocol, "close_sent")
        and hasattr(protocol, "disconnected")
        and isinstance(getattr(conn, "extensions", None), list)
        and all(hasattr(conn, name) for name in ("send_text", "send_binary", "data_to_send"))
    )
