"""A WebSocket client of one TCP socket, which does only what a test tells it to.

A library's client reads, answers and closes on its own; these tests are about peers that do not.
"""

import asyncio
import base64
import os
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Self
from urllib.parse import urlsplit

__all__ = ["RawClient", "masked"]

TEXT, BINARY, CLOSE = 0x1, 0x2, 0x8


def masked(payload: str | bytes, opcode: int | None = None) -> bytes:
    """A client's frame, masked as RFC 6455, 5.3 wants it."""
    data = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload
    if opcode is None:
        opcode = TEXT if isinstance(payload, str) else BINARY
    if len(data) < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | len(data))
    elif len(data) < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, len(data))
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, len(data))
    key = os.urandom(4)
    number = int.from_bytes(data, "big")
    mask = int.from_bytes((key * (len(data) // 4 + 1))[: len(data)], "big")
    return head + key + (number ^ mask).to_bytes(len(data), "big")


class RawClient:
    """Reads when it is told to, and otherwise not even what its kernel has room for."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = b""
        self.response = b""

    @property
    def port(self) -> int:
        """Its own port."""
        number: int = self._socket.getsockname()[1]
        return number

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        url: str,
        path: str,
        *,
        deflate: bool = False,
        subprotocol: str | None = None,
        buffer: int | None = 4096,
    ) -> AsyncGenerator[Self]:
        """Open a WebSocket; `buffer` is the size of the receive buffer in bytes."""
        client = await cls.open(url, path, deflate=deflate, subprotocol=subprotocol, buffer=buffer)
        try:
            yield client
        finally:
            client.close()

    @classmethod
    async def open(
        cls,
        url: str,
        path: str,
        *,
        deflate: bool = False,
        subprotocol: str | None = None,
        buffer: int | None = None,
        segment: int | None = None,
    ) -> Self:
        """`segment` is the largest TCP segment that may be sent to it, in bytes."""
        host, port = urlsplit(url).hostname, urlsplit(url).port
        sock = socket.socket()
        sock.setblocking(False)
        if buffer is not None:
            # Before the connection: it limits the window that is offered.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        if segment is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
        client = cls(sock)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (host, port))
            lines = [
                f"GET {path} HTTP/1.1",
                f"Host: {host}:{port}",
                "Upgrade: websocket",
                "Connection: Upgrade",
                f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
                "Sec-WebSocket-Version: 13",
            ]
            if deflate:
                lines.append("Sec-WebSocket-Extensions: permessage-deflate")
            if subprotocol:
                lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
            await client.send_bytes("\r\n".join([*lines, "", ""]).encode())
            while b"\r\n\r\n" not in client._buffer:
                await client._more()
            client.response, _, client._buffer = client._buffer.partition(b"\r\n\r\n")
            assert client.response.startswith(b"HTTP/1.1 101"), client.response
        except BaseException:
            client.close()
            raise
        return client

    async def send_bytes(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def send(self, payload: str | bytes) -> None:
        """A text or a binary message."""
        await self.send_bytes(masked(payload))

    async def send_close(self, code: int = 1000) -> None:
        await self.send_bytes(masked(struct.pack("!H", code), CLOSE))

    async def receive(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame, first bits dropped; raises OSError or EOFError."""
        while True:
            parsed = self._parse()
            if parsed is not None:
                return parsed
            await self._more()

    async def until_gone(self) -> None:
        """Read and forget everything until the server has dropped the connection."""
        loop = asyncio.get_running_loop()
        try:
            while await loop.sock_recv(self._socket, 1 << 20):
                pass
        except ConnectionResetError:
            pass

    async def until_reset(self) -> None:
        """Wait, without reading, until the server has reset the connection."""
        async with asyncio.timeout(10):
            while not self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                await asyncio.sleep(0.01)

    def reset(self) -> None:
        """Leave as a crashed or unplugged peer does: RST instead of a goodbye."""
        linger = struct.pack("ii", 1, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._socket.close()

    def close(self) -> None:
        self._socket.close()

    def _parse(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 0x7F, 2
        if size == 126:
            start = 4
        elif size == 127:
            start = 10
        if len(buffer) < start:
            return None
        if start > 2:
            size = int.from_bytes(buffer[2:start], "big")
        if len(buffer) < start + size:
            return None
        self._buffer = buffer[start + size :]
        return buffer[0] & 0x0F, buffer[start : start + size]

    async def _more(self) -> None:
        data = await asyncio.get_running_loop().sock_recv(self._socket, 1 << 20)
        if not data:
            raise EOFError("the server closed the connection")
        self._buffer += data
