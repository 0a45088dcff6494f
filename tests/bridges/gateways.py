"""A server of ours in a cluster with Node's: `uvicorn tests.bridges.gateways:app`."""

import os
from typing import Any

from msgspec import Struct

from gatewright import (
    CallTimeout,
    Connection,
    Emitter,
    Event,
    EventError,
    Gatewright,
    Handshake,
    Identity,
    State,
    authorize_room,
    gateway,
    on,
)
from gatewright.bridges import SocketIORedis

__all__ = ["app"]

cluster = SocketIORedis(os.environ["REDIS_URL"], user_room="user {}", requests_timeout=2)


class Said(Event, event="said"):
    text: str


class Picture(Event, event="picture", array_like=True):
    name: str
    pixels: bytes
    layers: dict[str, list[bytes]]


class Question(Event, event="question"):
    text: str


class Profile(Struct):
    name: str = ""
    age: int = 0


class Gateway:
    @authorize_room
    async def may_join(self, room: str) -> bool:
        return "secret" not in room

    @on("join")
    async def join(self, connection: Connection, room: str, profile: State[Profile]) -> str:
        await connection.join(room)
        await connection.save(Profile(connection.user or "", 36))
        return connection.id

    @on("rooms")
    async def rooms(self, connection: Connection) -> list[str]:
        return sorted(connection.rooms)

    @on("say")
    async def say(self, emitter: Emitter, room: str, text: str) -> None:
        await emitter.to(room).emit(Said(text))

    @on("say_to_all")
    async def say_to_all(self, emitter: Emitter, text: str) -> None:
        await emitter.emit(Said(text))

    @on("mention")
    async def mention(self, emitter: Emitter, room: str, text: str) -> None:
        await emitter.to(room).emit(Said(text), volatile=True)

    @on("show")
    async def show(self, emitter: Emitter, room: str, pixels: bytes) -> None:
        await emitter.to(room).emit(Picture("moth", pixels, {"back": [pixels, b""]}))

    @on("tell")
    async def tell(self, connection: Connection, room: str, text: str) -> None:
        await connection.to(room).emit(Said(text))

    @on("say_except")
    async def say_except(
        self, emitter: Emitter, rooms: list[str], without: list[str], text: str
    ) -> None:
        await emitter.to(*rooms).except_(*without).emit(Said(text))

    @on("whisper")
    async def whisper(self, emitter: Emitter, user: str, text: str) -> None:
        await emitter.to_user(user).emit(Said(text))

    @on("poll")
    async def poll(self, emitter: Emitter, room: str, timeout: float) -> dict[str, Any]:
        try:
            answers = await emitter.to(room).call(Question("?"), Any, timeout=timeout)
        except CallTimeout as late:
            return {"answers": late.answers, "missing": len(late.missing)}
        return {"answers": list(answers), "missing": 0}

    @on("count")
    async def count(self, emitter: Emitter, room: str) -> dict[str, Any]:
        target = emitter.to(room)
        return {"count": await target.count(), "members": await target.members()}

    @on("gather")
    async def gather(self, emitter: Emitter, room: str, into: str) -> int:
        return await emitter.to(room).join(into)

    @on("scatter")
    async def scatter(self, emitter: Emitter, room: str, out_of: str) -> None:
        await emitter.to(room).leave(out_of)

    @on("dismiss")
    async def dismiss(self, emitter: Emitter, room: str) -> None:
        await emitter.to(room).disconnect()

    @on("ask_servers")
    async def ask_servers(self, connection: Connection, event: str, data: Any) -> Any:
        namespace = connection.namespace
        return await cluster.server_side_emit_with_ack(event, data, namespace=namespace)

    @on("tell_servers")
    async def tell_servers(self, connection: Connection, event: str, data: Any) -> None:
        cluster.server_side_emit(event, data, namespace=connection.namespace)


@gateway("/chat", emits=[Said, Picture, Question])
class Chat(Gateway):
    """Where scenarios keep to rooms of their own."""


@gateway("/lab/{bench}", emits=[Said, Picture, Question])
class Lab(Gateway):
    """Where each has a namespace of its own."""


@cluster.on("how many", namespace="/chat")
async def how_many(words: list[str], least: int = 0) -> int:
    return max(len(words), least)


@cluster.on("repeat", namespace="/chat")
async def repeat(room: str, text: str) -> None:
    await app.emitter.of("/chat").to(room).emit(Said(text))


@cluster.on("refuse", namespace="/chat")
async def refuse() -> None:
    raise EventError("closed", "come back tomorrow")


async def authenticate(handshake: Handshake) -> Identity[str] | None:
    auth: Any = handshake.auth
    return Identity(auth["user"], "") if isinstance(auth, dict) and "user" in auth else None


app = Gatewright([Chat, Lab], authenticate=authenticate, bridges=[cluster])
