"""Every door of the same small application, and clients that do only what a test tells them."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from injector import Binder
from msgspec import Struct
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from gatewright import Connection, DisconnectReason, Event, Gatewright, Settings, gateway, on
from gatewright.liveness import Heart
from gatewright.node import Node
from gatewright.observing import Observer
from gatewright.session import Session
from gatewright.transports.socketio import SocketIO
from tests._support.raw import RawClient
from tests._support.server import Url, serve

__all__ = ["DOORS", "OURS", "SANSIO", "WSPROTO", "Door", "House", "house", "until"]


class Said(Event, event="said"):
    text: str


class Story:
    """What was noted, and a gate that a handler waits at."""

    def __init__(self) -> None:
        self.notes: list[int] = []
        self.gate = asyncio.Event()


@gateway("/chat", emits=[Said])
class Chat:
    def __init__(self, story: Story) -> None:
        self.story = story

    @on("join")
    async def join(self, connection: Connection) -> None:
        await connection.join("lobby")

    @on("wait")
    async def wait(self) -> None:
        await self.story.gate.wait()

    @on("note")
    async def note(self, number: int) -> None:
        self.story.notes.append(number)


class Door(Struct, frozen=True):
    """How a client comes in and speaks."""

    name: str
    path: str = "/chat"
    subprotocol: str | None = None
    opening: str | None = None
    answer: str | None = None
    """How the answer to `opening` begins."""

    def says(self, event: str, data: object = None) -> str:
        if self.name == "socket.io":
            return f"42/chat,{json.dumps([event, data])}"
        return json.dumps({"event": event, "data": data})


DOORS = [
    Door("plain"),
    Door("gw.v1", "/chat", "gw.v1.json", '{"op": "open"}', '{"op":"hello"'),
    Door(
        "socket.io",
        "/socket.io/?EIO=4&transport=websocket",
        opening="40/chat,",
        answer="40/chat,",
    ),
]

OURS = "gatewright.server:WebSocketProtocol"
SANSIO = "websockets-sansio"
WSPROTO = "wsproto"


class Watch(Observer):
    """Counts sockets, and keeps why they were lost."""

    def __init__(self) -> None:
        self.open = 0
        self.lost: list[DisconnectReason] = []

    def opened(self, socket: object) -> None:
        self.open += 1

    def closed(self, socket: object, reason: DisconnectReason) -> None:
        self.open -= 1
        self.lost.append(reason)


class House:
    """The served application, seen from outside and from inside."""

    def __init__(self, realtime: Gatewright, url: Url, door: Door, story: Story) -> None:
        self.realtime = realtime
        self.url = url
        self.door = door
        self.story = story
        self.watch = Watch()
        self.node.observers.append(self.watch)

    @property
    def node(self) -> Node:
        dispatcher = self.realtime._dispatcher
        assert dispatcher is not None
        return dispatcher.node

    @property
    def hearts(self) -> list[Heart]:
        return [heart for hearts in self.node.wheel._slots.values() for heart in hearts]

    @property
    def members(self) -> dict[str, Connection]:
        return cast(dict[str, Connection], self.node.namespaces["/chat"].members)

    @property
    def sessions(self) -> list[Session]:
        dispatcher = self.realtime._dispatcher
        return list(dispatcher._sessions) if dispatcher is not None else []

    def joined(self) -> set[str]:
        return {id for id, each in self.members.items() if each.rooms}

    @asynccontextmanager
    async def client(self, buffer: int | None = 4096) -> AsyncGenerator[RawClient]:
        """One that has come in and joined the lobby, and does nothing more by itself."""
        door = self.door
        before = self.joined()
        async with RawClient.connect(
            self.url, door.path, subprotocol=door.subprotocol, buffer=buffer
        ) as client:
            if door.opening is not None:
                assert door.answer is not None
                await client.send(door.opening)
                async with asyncio.timeout(10):
                    while not (await client.receive())[1].startswith(door.answer.encode()):
                        pass
            await client.send(door.says("join"))
            await until(lambda: self.joined() - before)
            yield client

    async def fill(self, enough: Callable[[], object]) -> None:
        """Speak to the lobby until it is enough."""
        async with asyncio.timeout(20):
            while not enough():
                text = os.urandom(24_000).hex()
                await self.realtime.emitter.of("/chat").to("lobby").emit(Said(text))
                await asyncio.sleep(0)


@asynccontextmanager
async def house(
    door: Door,
    ws: str,
    *,
    interval: float,
    timeout: float,
    mounted: bool = False,
    **settings: Any,
) -> AsyncGenerator[House]:
    """Serve it with these times for all heartbeats there are, ours and the server's own."""
    story = Story()

    def modules(binder: Binder) -> None:
        binder.bind(Story, to=story)

    realtime = Gatewright(
        gateways=[Chat],
        modules=[modules],
        socketio=SocketIO(ping_interval=interval, ping_timeout=timeout),
        settings=Settings(ping_interval=interval, ping_timeout=timeout, **settings),
    )
    app: ASGIApp = realtime
    if mounted:
        app = Starlette(routes=[Mount("/", realtime)], lifespan=realtime.lifespan)
    async with serve(app, ws=ws, ws_ping_interval=interval, ws_ping_timeout=timeout) as url:
        home = House(realtime, url, door, story)
        yield home
        story.gate.set()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)
