"""A uvicorn WebSocket class that hands its connection to whichever app the socket ends up in."""

import contextlib
import socket
from asyncio import BaseTransport
from collections.abc import Callable
from typing import Any, Final, cast

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gatewright.transports.links import EXTENSION

__all__ = ["UNSENT", "WebSocketProtocol"]

UNSENT: Final = 128 * 1024
"""Bytes that the kernel takes beyond what is under way; otherwise up to 4 MiB for each peer."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's own class, without compression, reachable through middleware and mounts.

    An application that uvicorn calls directly finds the protocol object by itself; inside a
    Starlette or FastAPI app `send` comes wrapped. With this class frames of one tick leave in one
    write and stalled sockets can be aborted there too, and messages are taken as they are parsed.
    Heartbeats are gatewright's where it has the connection, and uvicorn's elsewhere.
    """

    def __init__(self, config: Config, *args: Any, **kwargs: Any) -> None:
        # A context per connection costs memory, and a broadcast would be compressed once for each
        # receiver instead of encoded once for all.
        config.ws_per_message_deflate = False
        super().__init__(config, *args, **kwargs)
        self.reader: Callable[[str | bytes], None] | None = None
        """Who takes messages at once; None puts them in the queue of ASGI's `receive`."""
        self.heard: Callable[[], None] | None = None
        """Who is told that the peer has sent something, be it a part of a message."""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        # What the kernel holds for a peer that does not read costs memory that nobody sees, is
        # stale when it is read, and stands before every ping. Less of it costs no throughput: what
        # is under way on a fast line is not limited. No TCP, or a system without it: then not.
        with contextlib.suppress(OSError, AttributeError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)

    async def run_asgi(self) -> None:
        scope = cast(dict[str, Any], self.scope)
        scope["extensions"][EXTENSION] = self
        await super().run_asgi()

    def data_received(self, data: bytes) -> None:
        if self.heard is not None:
            self.heard()
        super().data_received(data)

    def send_receive_event_to_app(self) -> None:
        if self.reader is None or self.close_sent:
            super().send_receive_event_to_app()
            return
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        message: str | bytes = data
        if self.curr_msg_data_type == "text":
            try:
                message = data.decode()
            except UnicodeDecodeError:
                # It knows how to close for that.
                super().send_receive_event_to_app()
                return
        self.frames.clear()
        self.reader(message)
