"""An application over SQLite: what a client missed comes after a restart as before it."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec import UNSET
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from gatewright import Connection, Event, Gatewright, gateway, on
from gatewright.backplane import SQLite
from gatewright.testing import TestClient
from gatewright.transports.socketio import SocketIO
from tests._support.server import Url, serve
from tests.backplane.disks import held

pytestmark = pytest.mark.anyio


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents


def enc_hook(value: Any) -> Any:
    if isinstance(value, Money):
        return {"cents": value.cents}
    raise NotImplementedError(f"no hook for {type(value).__name__}")


class Said(Event, event="said"):
    data: Any


class Moved(Event, event="moved", array_like=True):
    x: Any
    y: Any = None


@gateway("/chat", emits=[Said, Moved])
class Chat:
    @on("join")
    async def join(self, connection: Connection) -> None:
        await connection.join("lobby")


def application(file: Path) -> Gatewright:
    return Gatewright(
        gateways=[Chat],
        backplane=SQLite(file),
        socketio=SocketIO(recovery=True),
        enc_hook=enc_hook,
    )


EVENTS: list[Event] = [
    Said("plain"),
    Said({"price": Money(250), "raw": b"\x00\xff", "id": UUID(int=7), "exact": Decimal("1.10")}),
    Said([datetime(2026, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=2))), 2**63, {1: None}]),
    Moved(1, b"two"),
    Moved([Money(1)], "text"),
]


class SessionClient:
    """One of `gw.v1`, which says no more than it must."""

    path = "/chat"

    def __init__(self, name: str) -> None:
        self.subprotocols = [Subprotocol(f"gw.v1.{name}")]
        self.text = name == "json"
        self.resume: Any = UNSET

    async def say(self, socket: ClientConnection, frame: Any) -> None:
        if self.text:
            await socket.send(json.dumps(frame))
        else:
            await socket.send(msgspec.msgpack.encode(frame))

    async def hear(self, socket: ClientConnection) -> Any:
        frame = await socket.recv()
        return json.loads(frame) if isinstance(frame, str) else msgspec.msgpack.decode(frame)

    async def open(self, socket: ClientConnection) -> bool:
        opening = {"op": "open"}
        await self.say(socket, opening if self.resume is UNSET else {**opening, **self.resume})
        hello = await self.hear(socket)
        assert hello["op"] == "hello"
        self.resume = {
            "resume": {
                "session": hello["session"],
                "token": hello["token"],
                "epoch": hello["epoch"],
                "seq": hello["seq"],
                "sent": 1,
            }
        }
        return bool(hello["resumed"])

    async def join(self, socket: ClientConnection) -> None:
        await self.say(socket, {"event": "join", "id": 1})
        assert await self.hear(socket) == {"id": 1, "data": None}


class SocketIOClient:
    """One of Socket.IO that wants to be recovered."""

    path = "/socket.io/?EIO=4&transport=websocket"

    def __init__(self) -> None:
        self.subprotocols: list[Subprotocol] = []
        self.known: dict[str, Any] = {}

    async def open(self, socket: ClientConnection) -> bool:
        assert str(await socket.recv()).startswith("0")
        await socket.send("40/chat," + json.dumps(self.known))
        answer = json.loads(str(await socket.recv()).removeprefix("40/chat,"))
        recovered = bool(answer["pid"] == self.known.get("pid"))
        self.known = {"pid": answer["pid"]}
        return recovered

    async def join(self, socket: ClientConnection) -> None:
        await socket.send('42/chat,1["join"]')
        assert str(await socket.recv()).startswith("43/chat,1")

    def follow(self, frame: str | bytes) -> None:
        """The last argument of an event says where it stands."""
        self.known["offset"] = json.loads(str(frame).removeprefix("42/chat,"))[-1]


Client = SessionClient | SocketIOClient


def client(kind: str) -> Client:
    return SocketIOClient() if kind == "socket.io" else SessionClient(kind)


@asynccontextmanager
async def opened(url: Url, one: Client) -> AsyncGenerator[ClientConnection]:
    async with connect(url.ws + one.path, subprotocols=one.subprotocols or None) as socket:
        yield socket


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


async def heard(socket: ClientConnection) -> list[str | bytes]:
    """What comes until the last of the events."""
    frames: list[str | bytes] = []
    async with asyncio.timeout(10):
        while True:
            frames.append(await socket.recv())
            last = frames[-1]
            if (last if isinstance(last, bytes) else last.encode()).find(b"over") >= 0:
                return frames


@pytest.mark.parametrize("kind", ["json", "msgpack", "socket.io"])
async def test_what_was_missed_comes_after_a_restart_as_it_went_to_others(
    tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "kept.db"
    away, here = client(kind), client(kind)
    app = application(file)
    async with serve(app) as url:
        lobby = app.emitter.of("/chat").to("lobby")
        async with opened(url, away) as socket, opened(url, here) as other:
            for each, its in ((away, socket), (here, other)):
                assert not await each.open(its)
                await each.join(its)
            if isinstance(away, SocketIOClient):
                await lobby.emit(Said("where you stand"))
                await other.recv()
                away.follow(await socket.recv())
            await socket.close(1001)
            for event in EVENTS:
                await lobby.emit(event)
            await lobby.emit(Said("over"))
            live = await heard(other)
    app = application(file)
    async with serve(app) as url, opened(url, away) as socket:
        assert await away.open(socket)
        assert await heard(socket) == live
        await app.emitter.of("/chat").to("lobby").emit(Said("over and on"))
        assert len(await heard(socket)) == 1


async def test_what_cannot_be_kept_fails_at_the_emit(tmp_path: Path) -> None:
    async with TestClient(application(tmp_path / "kept.db")) as running:
        emitter = running.app.emitter.of("/chat")
        async with running.connect("/chat") as ana:
            # JSON could say it, and she speaks nothing else; a file of MessagePack cannot.
            with pytest.raises(OverflowError):
                await emitter.emit(Said({2**70: "as a key"}))
            await emitter.emit(Said(1))
            assert await ana.expect("said") == {"data": 1}


async def test_what_passes_while_the_first_session_enters_has_its_number(tmp_path: Path) -> None:
    app = application(tmp_path / "kept.db")
    backplane = app._backplane
    assert isinstance(backplane, SQLite)
    one = SessionClient("json")
    async with serve(app) as url, opened(url, one) as socket:
        emitter = app.emitter.of("/chat")
        with held(backplane):
            # What is asked for while this is written is written together afterwards.
            emits = [asyncio.create_task(emitter.emit(Said("before")))]
            await until(lambda: backplane._journal._group)
            opening = asyncio.create_task(one.open(socket))
            await until(lambda: backplane._journal._queue)
            emits += [asyncio.create_task(emitter.emit(Said("meanwhile"))) for _ in range(3)]
            await until(lambda: len(backplane._journal._queue) == 4)
        assert not await opening
        assert await asyncio.gather(*emits) == [1, 2, 3, 4]
        assert one.resume["resume"]["seq"] == 1
        assert [(await one.hear(socket))["seq"] for _ in range(3)] == [2, 3, 4]
