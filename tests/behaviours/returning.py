"""A client that can be cut off and return, by what Socket.IO calls connection state recovery."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Self

from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect

from gatewright import (
    Connection,
    DisconnectReason,
    Emitter,
    Event,
    Gap,
    State,
    gateway,
    on,
    on_connect,
    on_disconnect,
    on_end,
    on_resume,
)

__all__ = ["Client", "Count", "Refused", "Said", "Witness", "chat"]


class Said(Event, event="said"):
    text: str


class Count(Struct):
    n: int = 0


class Refused(Exception):
    """A CONNECT_ERROR."""


class Client:
    """One client of the main namespace; keeps what it needs to return."""

    def __init__(self, socket: ClientConnection, ticket: dict[str, str]) -> None:
        self.socket = socket
        self.ticket = ticket
        self.id = ""
        self.recovered = False
        self.said: list[str] = []
        """The texts it has heard of, in order."""

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, url: str, ticket: dict[str, str] | None = None, **auth: str
    ) -> AsyncGenerator[Self]:
        address = f"ws{url.removeprefix('http')}/socket.io/?EIO=4&transport=websocket"
        async with connect(address) as socket:
            client = cls(socket, dict(ticket or {}))
            await client._open(auth)
            yield client

    async def _open(self, auth: dict[str, str]) -> None:
        await self.socket.recv()
        before = self.ticket.get("pid")
        await self.socket.send("40" + json.dumps({**self.ticket, **auth}))
        text = str(await self._receive())
        if text.startswith("44"):
            raise Refused(json.loads(text[2:])["message"])
        body = json.loads(text.removeprefix("40"))
        self.id = body["sid"]
        self.recovered = body["pid"] == before
        self.ticket["pid"] = body["pid"]

    async def _receive(self) -> str:
        async with asyncio.timeout(5):
            return str(await self.socket.recv())

    async def call(self, event: str, *arguments: object) -> Any:
        """Call; what else arrives before the answer is noted."""
        await self.socket.send(f"421{json.dumps([event, *arguments])}")
        while not (text := await self._receive()).startswith("431"):
            self._note(text)
        (answer,) = json.loads(text.removeprefix("431"))
        return answer

    async def hear(self, count: int) -> list[str]:
        """Wait until so many texts were heard of in all."""
        while len(self.said) < count:
            self._note(await self._receive())
        return self.said

    def _note(self, text: str) -> None:
        name, body, offset = json.loads(text.removeprefix("42"))
        assert name == "said"
        self.said.append(body["text"])
        self.ticket["offset"] = offset

    def cut(self) -> None:
        """Drop the connection as a network does."""
        self.socket.transport.abort()


class Witness:
    """What the hooks of a chat have seen."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.reasons: list[DisconnectReason] = []
        self.states: list[int] = []
        self.rooms: list[list[str]] = []


def chat(witness: Witness, path: str = "/") -> type:
    """A gateway that tells its witness of everything."""

    @gateway(path, emits=[Said])
    class Chat:
        def __init__(self, emitter: Emitter) -> None:
            self.emitter = emitter

        @on_connect
        async def connected(self, connection: Connection) -> None:
            witness.seen.append("connect")
            await connection.join("lobby")

        @on_resume
        async def resumed(
            self, connection: Connection, gap: Gap | None, count: State[Count]
        ) -> None:
            assert gap is None
            witness.seen.append("resume")
            witness.states.append(count.n)
            witness.rooms.append(sorted(connection.rooms))

        @on_disconnect
        async def lost(self, connection: Connection, reason: DisconnectReason) -> None:
            witness.seen.append("disconnect")
            witness.reasons.append(reason)

        @on_end
        async def ended(self, connection: Connection) -> None:
            witness.seen.append("end")
            witness.rooms.append(sorted(connection.rooms))

        @on("join")
        async def join(self, connection: Connection, room: str) -> None:
            await connection.join(room)

        @on("leave")
        async def leave(self, connection: Connection, room: str) -> None:
            await connection.leave(room)

        @on("count")
        async def count(self, connection: Connection, n: int) -> None:
            await connection.save(Count(n))

        @on("say")
        async def say(self, room: str, text: str) -> int:
            return await self.emitter.to(room).emit(Said(text))

        @on("quit")
        async def quit(self, connection: Connection) -> None:
            await connection.disconnect()

    return Chat
