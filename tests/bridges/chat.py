"""The application of the tests that speak to a bridge by the letter."""

import asyncio
from typing import Any

from msgspec import Struct

from gatewright import (
    Connection,
    Emitter,
    Event,
    Gatewright,
    Handshake,
    Identity,
    State,
    authorize_room,
    gateway,
    on,
)
from gatewright.backplane import Backplane
from gatewright.bridges import Bridge

__all__ = ["Chat", "Lab", "Odd", "Question", "Said", "chat"]


class Said(Event, event="said"):
    text: str


class Odd(Event, event="odd"):
    data: Any


class Question(Event, event="question"):
    text: str


class Profile(Struct):
    name: str = ""
    more: Any = None


class Door:
    """Waited at, before the room "slow" is entered."""

    def __init__(self) -> None:
        self.open = asyncio.Event()


@gateway("/chat", emits=[Said, Odd, Question])
class Chat:
    door = Door()

    @authorize_room
    async def may_join(self, room: str) -> bool:
        if room == "slow":
            await self.door.open.wait()
        return room != "secret"

    @on("join")
    async def join(self, connection: Connection, room: str) -> str:
        await connection.join(room)
        return connection.id

    @on("rooms")
    async def rooms(self, connection: Connection) -> list[str]:
        return sorted(connection.rooms)

    @on("save")
    async def save(self, connection: Connection, profile: Profile, before: State[Profile]) -> None:
        await connection.save(profile)

    @on("tell")
    async def tell(self, connection: Connection, text: str) -> None:
        await connection.emit(Said(text))

    @on("ask")
    async def ask(self, emitter: Emitter, room: str) -> list[Any]:
        return await emitter.to(room).call(Question("?"), Any, timeout=5)


@gateway("/lab/{bench}", emits=[Said])
class Lab:
    @on("join")
    async def join(self, connection: Connection, room: str) -> None:
        await connection.join(room)


async def authenticate(handshake: Handshake) -> Identity[None] | None:
    user = handshake.query.get("user")
    return None if user is None else Identity(user, None)


def chat(*bridges: Bridge, backplane: Backplane | None = None) -> Gatewright:
    Chat.door = Door()
    return Gatewright([Chat, Lab], authenticate=authenticate, bridges=bridges, backplane=backplane)
