"""A Socket.IO client that keeps everything it hears, for tests to wait for."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable
from itertools import count
from typing import Any, Self, TypeVar

import httpx2
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests._support.server import Url

__all__ = ["Poller", "Refused", "Wire", "wire"]

T = TypeVar("T")

WAIT = 10
"""Seconds for what should come at once."""


class Refused(Exception):
    """A CONNECT_ERROR: its message and its code."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(body["message"])
        self.code = body.get("data", {}).get("code")


class Wire:
    """One Engine.IO session over a WebSocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._changed = asyncio.Condition()
        self._ids = count()
        self.opened: dict[str, Any] = {}
        """By namespace, what CONNECT or CONNECT_ERROR said."""
        self._acks: dict[int, list[Any]] = {}
        self.events: dict[str, list[list[Any]]] = {}
        """By namespace, each as name and arguments."""
        self.left: set[str] = set()
        """Namespaces that the server has ended."""
        self.closed = False

    async def read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for packet in self._socket:
                assert isinstance(packet, str)
                if packet == "2":
                    await self._socket.send("3")
                elif packet[0] == "4":
                    self._take(packet[1], packet[2:])
                    async with self._changed:
                        self._changed.notify_all()
        self.closed = True
        async with self._changed:
            self._changed.notify_all()

    def _take(self, kind: str, rest: str) -> None:
        namespace = "/"
        if rest.startswith("/"):
            namespace, _, rest = rest.partition(",")
        if kind in "04":
            body = json.loads(rest)
            self.opened[namespace] = body if kind == "0" else Refused(body)
        elif kind == "1":
            self.left.add(namespace)
        else:
            id = rest[: rest.index("[")]
            arguments = json.loads(rest[len(id) :])
            if kind == "3":
                self._acks[int(id)] = arguments
            else:
                self.events.setdefault(namespace, []).append(arguments)

    async def until(self, found: Callable[[], T | None]) -> T:
        """Wait until something is true; returns it."""
        async with asyncio.timeout(WAIT), self._changed:
            while not (value := found()):
                assert not self.closed, "the server has closed the socket"
                await self._changed.wait()
            return value

    async def join(self, namespace: str, auth: object = None) -> str:
        """Connect to a namespace; returns the connection's id, raises `Refused`."""
        self.opened.pop(namespace, None)
        await self._send("0", namespace, "" if auth is None else json.dumps(auth))
        body = await self.until(lambda: self.opened.get(namespace))
        if isinstance(body, Refused):
            raise body
        return str(body["sid"])

    async def leave(self, namespace: str) -> None:
        await self._send("1", namespace, "")

    async def emit(self, namespace: str, *arguments: object) -> None:
        """Emit without waiting for anything."""
        await self._send("2", namespace, json.dumps(arguments))

    async def call(self, namespace: str, *arguments: object) -> Any:
        """Emit with an ack; returns what that says."""
        id = next(self._ids)
        await self._send("2", namespace, f"{id}{json.dumps(arguments)}")
        acked = await self.until(lambda: self._acks.get(id))
        return acked[0] if acked else None

    async def _send(self, kind: str, namespace: str, rest: str) -> None:
        await self._socket.send(f"4{kind}{namespace},{rest}")

    async def heard(self, namespace: str, name: str, *begin: object) -> list[Any]:
        """The arguments of the first such event that begins with these; it is waited for."""

        def found() -> list[Any] | None:
            for event in self.events.get(namespace, []):
                if event[0] == name and event[1 : 1 + len(begin)] == list(begin):
                    return event
            return None

        return (await self.until(found))[1:]

    def names(self, namespace: str) -> list[str]:
        """The names of what was heard so far."""
        return [event[0] for event in self.events.get(namespace, [])]


@contextlib.asynccontextmanager
async def wire(
    url: Url, headers: dict[str, str] | None = None, **query: str
) -> AsyncGenerator[Wire]:
    """Open a session; nothing is joined yet."""
    more = "".join(f"&{name}={value}" for name, value in query.items())
    address = f"{url.ws}/socket.io/?EIO=4&transport=websocket{more}"
    async with connect(address, additional_headers=headers) as socket:
        opened = Wire(socket)
        reading = asyncio.create_task(opened.read())
        try:
            yield opened
        finally:
            reading.cancel()
            await asyncio.wait([reading])


class Poller:
    """A session by long-polling that joins one namespace, and may be upgraded."""

    def __init__(self, url: Url) -> None:
        self._url = url
        self._http = httpx2.AsyncClient()
        self.sid = ""

    async def __aenter__(self) -> Self:
        opened = (await self._http.get(self._address())).text
        self.sid = json.loads(opened[1:])["sid"]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    def _address(self, transport: str = "polling") -> str:
        sid = f"&sid={self.sid}" if self.sid else ""
        return f"{self._url}/socket.io/?EIO=4&transport={transport}{sid}"

    async def join(self, namespace: str) -> str:
        await self._http.post(self._address(), content=f"40{namespace},")
        answer = (await self._http.get(self._address())).text
        return str(json.loads(answer.partition(",")[2])["sid"])

    @contextlib.asynccontextmanager
    async def upgraded(self) -> AsyncGenerator[ClientConnection]:
        async with connect("ws" + self._address("websocket").removeprefix("http")) as socket:
            await socket.send("2probe")
            assert await socket.recv() == "3probe"
            await socket.send("5")
            yield socket
