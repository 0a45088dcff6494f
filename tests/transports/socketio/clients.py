"""Engine.IO clients that send what a test says, and answer pings as every client does."""

import asyncio
import json
from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.transports.socketio.requests import Reply, request

__all__ = ["TRANSPORTS", "Client", "Closed", "Poller", "Socket", "Transport"]

SEPARATOR = "\x1e"


class Closed(Exception):
    """The server has ended the session: a close code, or the status of a poll."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Client(ABC):
    """One session, whatever its transport."""

    def __init__(self, url: str, path: str) -> None:
        self.url = url
        self.path = path
        self.handshake: dict[str, Any] = {}
        self.pings = 0

    @property
    def sid(self) -> str:
        return str(self.handshake["sid"])

    def target(self, transport: str, **query: str) -> str:
        """The path of a request, with its query."""
        return f"{self.path}?{urlencode({'EIO': '4', 'transport': transport, **query})}"

    @abstractmethod
    async def send(self, *packets: str | bytes) -> None:
        """Send packets, at once where the transport can."""

    @abstractmethod
    async def next(self) -> str | bytes:
        """The next packet, pings included; raises `Closed`."""

    async def receive(self) -> str | bytes:
        """The next packet that is no ping; raises `Closed`."""
        while (packet := await self.next()) == "2":
            self.pings += 1
            await self.send("3")
        return packet

    async def closed(self) -> int:
        """Read on until the session ends; returns its `Closed.code`."""
        try:
            async with asyncio.timeout(10):
                while True:
                    await self.receive()
        except Closed as closed:
            return closed.code

    async def join(self, namespace: str = "/", auth: Any = None) -> dict[str, Any]:
        """CONNECT to a namespace; returns what the server tells."""
        prefix = "" if namespace == "/" else f"{namespace},"
        await self.send(f"40{prefix}{'' if auth is None else json.dumps(auth)}")
        packet = await self.receive()
        assert isinstance(packet, str)
        assert packet.startswith(f"40{prefix}"), packet
        body: dict[str, Any] = json.loads(packet[len(f"40{prefix}") :])
        return body

    async def call(self, event: str, *arguments: Any, id: int = 0) -> Any:
        """Call an event of the main namespace whose ack is the next packet; returns all of it."""
        await self.send(f"42{id}{json.dumps([event, *arguments])}")
        packet = await self.receive()
        assert isinstance(packet, str)
        assert packet.startswith(f"43{id}["), packet
        return json.loads(packet[len(f"43{id}") :])


class Poller(Client):
    """A client that polls."""

    def __init__(self, url: str, path: str) -> None:
        super().__init__(url, path)
        self._waiting: deque[str | bytes] = deque()

    @classmethod
    async def open(
        cls, url: str, path: str = "/socket.io/", *, headers: Mapping[str, str] | None = None
    ) -> Self:
        client = cls(url, path)
        reply = await request(url, client.target("polling"), headers=headers)
        assert reply.status == 200, reply
        assert reply.text.startswith("0"), reply
        client.handshake = json.loads(reply.text[1:])
        return client

    async def poll(self) -> Reply:
        return await request(self.url, self.target("polling", sid=self.sid))

    async def post(self, *packets: str | bytes, **headers: str) -> Reply:
        body = SEPARATOR.join(
            each if isinstance(each, str) else "b" + b64encode(each).decode() for each in packets
        )
        return await self.post_body(body.encode(), **headers)

    async def post_body(self, body: bytes, **headers: str) -> Reply:
        fields = {"content-type": "text/plain;charset=UTF-8", **headers}
        target = self.target("polling", sid=self.sid)
        return await request(self.url, target, "POST", headers=fields, body=body)

    async def send(self, *packets: str | bytes) -> None:
        reply = await self.post(*packets)
        if reply.status != 200:
            raise Closed(reply.status)
        assert reply.text == "ok"

    async def next(self) -> str | bytes:
        if not self._waiting:
            reply = await self.poll()
            if reply.status != 200:
                raise Closed(reply.status)
            self._waiting += [
                b64decode(each[1:]) if each[0] == "b" else each
                for each in reply.text.split(SEPARATOR)
            ]
        packet = self._waiting.popleft()
        if packet == "1":
            raise Closed(200)
        return packet


class Socket(Client):
    """A client with a WebSocket."""

    def __init__(self, url: str, path: str, socket: ClientConnection) -> None:
        super().__init__(url, path)
        self.socket = socket

    @classmethod
    async def dial(
        cls,
        url: str,
        path: str = "/socket.io/",
        *,
        origin: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """Open the WebSocket alone; the query of `path` may say what it is for."""
        target = f"{path}{'&' if '?' in path else '?'}EIO=4&transport=websocket"
        socket = await connect(
            "ws" + url.removeprefix("http") + target,
            origin=origin,  # type: ignore[arg-type]
            additional_headers=headers,
            compression=None,
            max_size=None,
            max_queue=None,
            ping_interval=None,
        )
        return cls(url, path, socket)

    @classmethod
    async def open(
        cls,
        url: str,
        path: str = "/socket.io/",
        *,
        origin: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        client = await cls.dial(url, path, origin=origin, headers=headers)
        opening = await client.next()
        assert isinstance(opening, str)
        assert opening.startswith("0"), opening
        client.handshake = json.loads(opening[1:])
        return client

    async def send(self, *packets: str | bytes) -> None:
        for each in packets:
            await self.socket.send(each)

    async def next(self) -> str | bytes:
        try:
            packet: str | bytes = await self.socket.recv()
        except ConnectionClosed:
            raise Closed(self.socket.close_code or 0) from None
        return packet

    def abort(self) -> None:
        """Drop the socket without a word, as a network does."""
        self.socket.transport.abort()


class Transport:
    """One way to open a session, for tests that are about both."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def open(self, url: str, path: str = "/socket.io/", **options: Any) -> Client:
        kind: type[Poller | Socket] = Poller if self.name == "polling" else Socket
        return await kind.open(url, path, **options)

    @asynccontextmanager
    async def opened(self, url: str, **options: Any) -> AsyncGenerator[Client]:
        """A session that is dropped at the end, if it has not ended before."""
        client = await self.open(url, **options)
        try:
            yield client
        finally:
            await drop(client)


async def drop(client: Client) -> None:
    """Leave without a goodbye; a polling client can only give a poll up."""
    if isinstance(client, Socket):
        client.abort()
        await client.socket.wait_closed()
    else:
        polling = asyncio.ensure_future(client.next())
        await asyncio.wait([polling], timeout=0.01)
        polling.cancel()
        await asyncio.wait([polling])


TRANSPORTS = [Transport("polling"), Transport("websocket")]
