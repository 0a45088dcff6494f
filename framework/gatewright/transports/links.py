"""The outbox's way to a socket: plain ASGI, or straight to uvicorn's transport."""

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from starlette.types import Receive, Scope, Send

if sys.platform != "win32":
    import fcntl
    import termios

if TYPE_CHECKING or find_spec("websockets") is not None:
    # An extra; where uvicorn's sans-I/O class runs, it is there.
    from websockets.frames import Frame as WebSocketFrame
    from websockets.frames import Opcode

from gatewright.protocol.close import clip_reason
from gatewright.types import Frame, Link

__all__ = ["EXTENSION", "AsgiLink", "Cut", "DirectLink", "make_link"]

_NO_LINGER = struct.pack("ii", 1, 0)
_INT = struct.Struct("i")
_ZERO = _INT.pack(0)

EXTENSION = "gatewright.protocol"
"""The ASGI extension under which `gatewright.server` hands over its protocol object."""


class Transport(Protocol):
    """What is asked of a server's transport, asyncio's or uvloop's."""

    def abort(self) -> None: ...
    def get_extra_info(self, name: str) -> Any: ...
    def get_write_buffer_size(self) -> int: ...


def drop(transport: Transport) -> None:
    """Abort a connection in TCP's sense: a reset, and nothing kept.

    A transport's own `abort` forgets its buffer and closes the socket, but the kernel still tries
    for minutes to deliver what it has, megabytes of it, to a peer that does not read.
    """
    sock = transport.get_extra_info("socket")
    # No TCP, or closed already: then there is nothing to forget.
    with contextlib.suppress(OSError, AttributeError, ValueError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def unacknowledged(transport: Transport | None) -> int:
    """Bytes that the kernel has sent or will send, and the peer has not acknowledged.

    The kernel takes no more from us until a third of its buffer, which may be megabytes, is free
    again; a peer on a thin line reads all the time and seems to stand still for a minute.
    """
    if transport is None or sys.platform == "win32":
        return 0
    try:
        descriptor = transport.get_extra_info("socket").fileno()
        (size,) = _INT.unpack(fcntl.ioctl(descriptor, termios.TIOCOUTQ, _ZERO))
    except (OSError, ValueError, AttributeError):
        # Closed, or no TCP.
        return 0
    return int(size)


class AsgiLink:
    """Any ASGI server: one `send` per frame, awaited.

    ASGI has no word for a socket's buffer, nor for dropping it; where the server's transport can
    be reached, it has both.
    """

    immediate = False
    ping = None

    def __init__(
        self, send: Send, cut: Callable[[], None], transport: Transport | None = None
    ) -> None:
        self._send = send
        self._cut = cut
        self._transport = transport
        self._given = 0

    @property
    def backlog(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    @property
    def given(self) -> int:
        return self._given

    @property
    def taken(self) -> int:
        return self._given - self.backlog - unacknowledged(self._transport)

    def write(self, frames: list[Frame]) -> bool:
        return False

    async def send(self, frame: Frame) -> None:
        await self._send(frame.message)
        for attachment in frame.attachments:
            await self._send(attachment.message)
        self._given += frame.size

    async def close(self, code: int, reason: str) -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": clip_reason(reason)})

    def abort(self) -> None:
        if self._transport is not None:
            drop(self._transport)
        # Leaving the application is the most that plain ASGI can do.
        self._cut()


class DirectLink:
    """uvicorn's protocol object: frames of one tick leave in one write, and it can be aborted.

    ASGI allows one message per send and uvicorn makes a system call of each, which is most of what
    a message costs. Framing and compression are done by the library that uvicorn uses for both.
    """

    immediate = True

    def __init__(self, send: Send, protocol: Any, *, pings: bool = False) -> None:
        """`pings` says whether somebody listens for what the peer answers to them."""
        self._send = send
        self._protocol = protocol
        self.ping: Callable[[], None] | None = self._ping if pings else None
        # What a compressing socket gets depends on what it got before: it cannot be shared.
        self._shared = not protocol.conn.extensions
        self._given = 0

    @property
    def backlog(self) -> int:
        size: int = self._protocol.transport.get_write_buffer_size()
        return size

    @property
    def given(self) -> int:
        return self._given

    @property
    def taken(self) -> int:
        return self._given - self.backlog - unacknowledged(self._protocol.transport)

    def write(self, frames: list[Frame]) -> bool:
        protocol = self._protocol
        if protocol.disconnected or protocol.close_sent or protocol.transport.is_closing():
            # Gone: what is written now goes nowhere, as with any socket.
            return True
        if not protocol.writable.is_set():
            return False
        if frames:
            if not self._shared:
                data = self._own(frames)
            elif len(frames) == 1:
                data = wire(frames[0])
            else:
                data = b"".join([wire(frame) for frame in frames])
            self._given += len(data)
            protocol.transport.write(data)
        return True

    def _own(self, frames: list[Frame]) -> bytes:
        conn = self._protocol.conn
        for frame in frames:
            for each in (frame, *frame.attachments):
                if each.binary:
                    conn.send_binary(each.data)
                else:
                    conn.send_text(each.data)
        return b"".join(conn.data_to_send())

    async def send(self, frame: Frame) -> None:
        # What uvicorn writes of its own, pongs for instance, may fill the buffer again before the
        # one that waited gets its turn.
        while not self.write([frame]):
            await self._protocol.writable.wait()

    async def close(self, code: int, reason: str) -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": clip_reason(reason)})

    def _ping(self) -> None:
        protocol = self._protocol
        if protocol.disconnected or protocol.close_sent or protocol.transport.is_closing():
            return
        # A control frame may stand between any two frames of ours.
        protocol.conn.send_ping(b"")
        protocol.transport.write(b"".join(protocol.conn.data_to_send()))

    def abort(self) -> None:
        drop(self._protocol.transport)


class Cut:
    """Ends the reading of a socket that the server has no way to abort."""

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self.done: bool = False

    def __call__(self) -> None:
        if self._task is not None and not self.done:
            self.done = True
            self._task.cancel()

    def __enter__(self) -> None:
        """Read inside the block: the cancellation that is our own ends there."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        cut, self.done = self.done, True
        # A server that cancels its applications goes on cancelling.
        return (
            cut
            and kind is not None
            and issubclass(kind, asyncio.CancelledError)
            and self._task is not None
            and self._task.uncancel() == 0
        )


SMALL = 4096
"""Bytes of a frame whose header is kept for the next one of its size."""


@lru_cache(maxsize=2 * SMALL + 2)
def header(size: int, *, binary: bool) -> bytes:
    """The library's header for a frame of so many bytes; a server's depends on nothing else."""
    opcode = Opcode.BINARY if binary else Opcode.TEXT
    return WebSocketFrame(opcode, bytes(size)).serialize(mask=False)[: -size or None]


def wire(frame: Frame) -> bytes:
    """The frame with its WebSocket header, encoded once for all its receivers."""
    if frame.wire is None:
        size = len(frame.data)
        if size <= SMALL:
            data = header(size, binary=frame.binary) + frame.data
        else:
            opcode = Opcode.BINARY if frame.binary else Opcode.TEXT
            data = WebSocketFrame(opcode, frame.data).serialize(mask=False)
        if frame.attachments:
            data = b"".join([data, *[wire(each) for each in frame.attachments]])
        frame.wire = data
    return frame.wire


def make_link(scope: Scope, receive: Receive, send: Send, cut: Callable[[], None]) -> Link:
    """The best link to an accepted socket; `cut` is called to abort one that has no other way."""
    ours = scope.get("extensions", {}).get(EXTENSION)
    protocol = ours if ours is not None else getattr(send, "__self__", None)
    if protocol is not None and _is_uvicorn(protocol):
        return DirectLink(send, protocol, pings=hasattr(ours, "heard"))
    # Middleware often wraps `send` and leaves `receive` alone, as Starlette's own does.
    return AsgiLink(
        send, cut, _transport(protocol) or _transport(getattr(receive, "__self__", None))
    )


def _transport(protocol: Any) -> Transport | None:
    # uvloop's transports have no base class in common with asyncio's.
    transport = getattr(protocol, "transport", None)
    known = hasattr(transport, "abort") and hasattr(transport, "get_write_buffer_size")
    return transport if known else None


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
