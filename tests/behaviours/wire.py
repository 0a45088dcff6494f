"""A client over a real socket, with the words of `TestConnection` that these tests use."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gatewright import EventError
from gatewright.testing import Refused

__all__ = ["Wire", "opened"]


class Wire:
    """One real connection; JSON, or MessagePack where that was negotiated."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._ids = count(1)
        self._binary = socket.subprotocol == "plain.msgpack"

    async def send(self, frame: Any) -> None:
        if isinstance(frame, str | bytes):
            await self.socket.send(frame)
        elif self._binary:
            await self.socket.send(msgspec.msgpack.encode(frame))
        else:
            await self.socket.send(json.dumps(frame))

    async def receive(self) -> Any:
        message = await self.socket.recv()
        if isinstance(message, bytes):
            return msgspec.msgpack.decode(message)
        return json.loads(message)

    async def call(self, event: str, data: Any = None) -> Any:
        """Call an event whose answer is the next frame."""
        call_id = next(self._ids)
        await self.send({"event": event, "data": data, "id": call_id})
        frame = await self.receive()
        assert frame["id"] == call_id
        if "error" in frame:
            error = frame["error"]
            raise EventError(error["code"], error["message"], error.get("details"))
        return frame["data"]

    async def closed(self) -> tuple[int, str]:
        """Read until the server closes; code and reason."""
        with suppress(ConnectionClosed):
            while True:
                await self.socket.recv()
        code, reason = self.socket.close_code, self.socket.close_reason
        assert code is not None
        return code, reason or ""

    def abort(self) -> None:
        """Drop the socket without a word, as a network does."""
        self.socket.transport.abort()


@asynccontextmanager
async def opened(
    url: str,
    *,
    origin: str | None = None,
    headers: dict[str, str] | None = None,
    subprotocols: Sequence[str] | None = None,
    compression: str | None = None,
) -> AsyncGenerator[Wire]:
    """Open a real socket; raises `Refused` as the test client does."""
    try:
        socket = await connect(
            url,
            origin=origin,  # type: ignore[arg-type]
            additional_headers=headers,
            subprotocols=subprotocols,  # type: ignore[arg-type]
            compression=compression,
            max_size=None,
        )
    except InvalidStatus as error:
        raise Refused(error.response.status_code, error.response.body.decode()) from None
    async with socket:
        yield Wire(socket)
