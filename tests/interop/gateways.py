"""Gateways as any application has them; foreign clients use them in these tests."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from gatewright import (
    Connection,
    DisconnectReason,
    Emitter,
    Event,
    EventError,
    Handshake,
    Identity,
    State,
    gateway,
    on,
    on_connect,
    on_disconnect,
)

__all__ = ["GATEWAYS", "authenticate"]


class Bell(Event, event="bell", array_like=True):
    """An event without arguments."""


class Number(Event, event="number", array_like=True):
    n: int


class Weather(Event, event="weather", array_like=True):
    place: str
    degrees: float
    wind: list[int]
    remark: str | UnsetType = UNSET


class Said(Event, event="said"):
    text: str


class Left(Event, event="left"):
    id: str
    reason: str


class Question(Event, event="question"):
    text: str


class Picture(Event, event="picture"):
    name: str
    pixels: bytes
    layers: dict[str, list[bytes]]


class Point(Struct):
    x: int
    y: int


class Move(Struct):
    piece: str
    to: Point


class Upload(Struct):
    name: str
    content: bytes
    parts: list[bytes] = []


class Numbers(Struct):
    seen: list[int] = []


async def authenticate(handshake: Handshake) -> Identity[str] | None:
    auth: Any = handshake.auth
    match auth:
        case {"token": "expired"}:
            raise EventError("unauthenticated", "the token has expired", {"at": "12:00"})
        case {"token": str(token)}:
            return Identity(token, token)
        case _:
            return None


@gateway("/", emits=[Bell, Number, Weather, Picture, Question])
class Main:
    @on("me")
    async def me(self, connection: Connection, handshake: Handshake) -> dict[str, Any]:
        return {
            "id": connection.id,
            "user": connection.user,
            "auth": handshake.auth,
            "query": handshake.query.get("lab"),
            "header": handshake.headers.get("x-lab"),
        }

    @on("nothing")
    async def nothing(self) -> None: ...

    @on("echo")
    async def echo(self, what: Any) -> Any:
        return what

    @on("pair")
    async def pair(self, first: Any, second: Any, third: Any = "none") -> tuple[Any, ...]:
        return second, first, third

    @on("event")
    async def event(self, connection: Connection, arguments: int) -> None:
        if arguments == 0:
            await connection.emit(Bell())
        elif arguments == 1:
            await connection.emit(Number(1))
        elif arguments == 3:
            await connection.emit(Weather("Jena", 18.5, [3, 5]))
        else:
            await connection.emit(Weather("Jena", 18.5, [3, 5], "sunny"))

    @on("flicker")
    async def flicker(self, emitter: Emitter, connection: Connection) -> None:
        await emitter.to(connection.id).emit(Bell(), volatile=True)

    # Order

    @on("number")
    async def number(self, connection: Connection, n: int, numbers: State[Numbers]) -> int:
        await connection.save(Numbers([*numbers.seen, n]))
        return n

    @on("numbers")
    async def numbers(self, numbers: State[Numbers]) -> list[int]:
        return numbers.seen

    @on("burst")
    async def burst(self, connection: Connection, count: int) -> None:
        for n in range(count):
            await connection.emit(Number(n))

    @on("large")
    async def large(self, text: str, size: int) -> tuple[int, str]:
        return len(text), "é" * size

    @on("count")
    async def count(self, to: int) -> AsyncIterator[int]:
        for n in range(to):
            yield n

    # Errors

    @on("take")
    async def take(self, name: str) -> None:
        raise EventError("taken", f"{name} is taken", {"free": [f"{name}2"]})

    @on("crash")
    async def crash(self) -> None:
        # Logged with its traceback: the tests know this line.
        raise RuntimeError("a crash that was asked for")

    @on("move")
    async def move(self, move: Move) -> str:
        return f"{move.piece} to {move.to.x}, {move.to.y}"

    @on("steps")
    async def steps(self, first: int, second: Point) -> int:
        return first + second.x

    # Asking the client

    @on("ask")
    async def ask(self, connection: Connection, text: str) -> str:
        return await connection.call(Question(text), str)

    @on("ask_two")
    async def ask_two(self, connection: Connection) -> list[Any]:
        number, text = await connection.call(Question("two"), tuple[int, str])
        return [number, text]

    @on("ask_bytes")
    async def ask_bytes(self, connection: Connection) -> int:
        return sum(await connection.call(Question("bytes"), bytes))

    @on("ask_in_vain")
    async def ask_in_vain(self, connection: Connection) -> str:
        return await connection.call(Question("hello?"), str, timeout=0.05)

    # Bytes

    @on("upload")
    async def upload(self, file: Upload) -> dict[str, Any]:
        joined = file.content + b"".join(file.parts)
        return {"name": file.name, "size": len(joined), "reversed": joined[::-1]}

    @on("join_bytes")
    async def join_bytes(self, first: bytes, second: bytes, third: bytes) -> tuple[bytes, int]:
        joined = first + second + third
        return joined, len(joined)

    @on("picture")
    async def picture(self, connection: Connection) -> None:
        layers = {"front": [b"\x01", b"\x02\x03"], "back": [b""]}
        await connection.emit(Picture("moth", bytes(range(256)), layers))

    # The end

    @on("leave")
    async def leave(self, connection: Connection) -> None:
        await connection.emit(Bell())
        await connection.disconnect("enough")


@gateway("/chat", emits=[Said, Left, Question, Picture])
class Chat:
    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter

    @on_disconnect
    async def left(self, connection: Connection, reason: DisconnectReason) -> None:
        for room in connection.joined:
            await self.emitter.to(room).emit(Left(connection.id, reason.text))

    @on("join")
    async def join(self, connection: Connection, room: str) -> str:
        await connection.join(room)
        return connection.id

    @on("quit")
    async def quit(self, connection: Connection, room: str) -> None:
        await connection.leave(room)

    @on("say")
    async def say(self, room: str, text: str) -> None:
        await self.emitter.to(room).emit(Said(text))

    @on("say_often")
    async def say_often(self, room: str, texts: list[str]) -> None:
        for text in texts:
            await self.emitter.to(room).emit(Said(text))

    @on("mention")
    async def mention(self, room: str, text: str) -> None:
        """Say what nobody needs to hear who is away."""
        await self.emitter.to(room).emit(Said(text), volatile=True)

    @on("show")
    async def show(self, room: str, name: str, pixels: bytes) -> None:
        await self.emitter.to(room).emit(Picture(name, pixels, {"back": [pixels, b""]}))

    @on("tell")
    async def tell(self, connection: Connection, room: str, text: str) -> None:
        await connection.to(room).emit(Said(text))

    @on("say_except")
    async def say_except(self, room: str, without: str, text: str) -> None:
        await self.emitter.to(room).except_(without).emit(Said(text))

    @on("whisper")
    async def whisper(self, user: str, text: str) -> None:
        await self.emitter.to_user(user).emit(Said(text))

    @on("poll")
    async def poll(self, room: str, text: str) -> list[str]:
        return sorted(await self.emitter.to(room).call(Question(text), str))

    @on("dismiss")
    async def dismiss(self, room: str) -> None:
        await self.emitter.to(room).disconnect("dismissed")


@gateway("/lab/{bench}")
class Lab:
    @on("where")
    async def where(self, connection: Connection, bench: int) -> tuple[str, int]:
        return connection.namespace, bench


async def member(handshake: Handshake) -> None:
    auth: Any = handshake.auth
    if not isinstance(auth, dict) or auth.get("card") != "valid":
        raise EventError("forbidden", "members only", {"office": "room 12"})


@gateway("/members", guards=[member])
class Members:
    @on("hello")
    async def hello(self) -> str:
        return "welcome"


@gateway("/closed")
class Closed:
    @on_connect
    async def connected(self) -> None:
        raise EventError("closed", "come back tomorrow", {"opens": 8})


@gateway("/broken")
class Broken:
    @on_connect
    async def connected(self) -> None:
        raise RuntimeError("a crash that was asked for")


@gateway("/patient", concurrency=4)
class Patient:
    """What a client does that does not get its answers in time."""

    def __init__(self) -> None:
        self.attempts: dict[str, int] = defaultdict(int)
        self.tried_again: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    @on("slow")
    async def slow(self, key: str) -> int:
        """The first attempt is not answered before the second has come."""
        self.attempts[key] += 1
        if self.attempts[key] == 1:
            await self.tried_again[key].wait()
        self.tried_again[key].set()
        return self.attempts[key]

    @on("attempts")
    async def how_many(self, key: str) -> int:
        return self.attempts[key]

    @on("quick")
    async def quick(self, key: str) -> None:
        self.attempts[key] += 1


GATEWAYS: list[type] = [Main, Chat, Lab, Members, Closed, Broken, Patient]
