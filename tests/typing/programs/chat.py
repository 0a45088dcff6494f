"""A chat: rooms, a state, a question to everybody in a room."""

from typing import assert_type

from msgspec import Struct

from gatewright import (
    Answers,
    CallTimeout,
    Connection,
    DisconnectReason,
    Emitter,
    Event,
    Gatewright,
    State,
    authorize_room,
    gateway,
    on,
    on_disconnect,
)


class Said(Event, event="said"):
    author: str
    text: str


class Typing(Event, event="typing", frozen=True):
    author: str


class Left(Event, event="left", kw_only=True):
    author: str
    back: bool = False


class Poll(Event, event="poll"):
    question: str


class Say(Struct):
    room: str
    text: str


class Visitor(Struct):
    name: str = "somebody"
    said: int = 0


@gateway("/chat", emits=[Said, Typing, Left, Poll])
class ChatGateway:
    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter

    @on("name")
    async def name(self, connection: Connection, visitor: State[Visitor], name: str) -> None:
        assert_type(visitor, Visitor)
        await connection.save(Visitor(name, visitor.said))

    @on("join")
    async def join(self, connection: Connection, room: str) -> list[str]:
        await connection.join(room)
        return sorted(connection.rooms)

    @on("say")
    async def say(self, connection: Connection, visitor: State[Visitor], message: Say) -> int:
        await connection.save(Visitor(visitor.name, visitor.said + 1))
        said = Said(visitor.name, message.text)
        return assert_type(await self.emitter.to(message.room).emit(said), int)

    @on("typing")
    async def typing(self, connection: Connection, visitor: State[Visitor], room: str) -> None:
        # Volatile: it may be lost, so it has no number to return.
        await connection.to(room).emit(Typing(visitor.name), volatile=True)

    @on("poll")
    async def poll(self, room: str, question: str, timeout: float = 1.0) -> list[bool]:
        try:
            answers = await self.emitter.to(room).call(Poll(question), bool, timeout=timeout)
        except CallTimeout as late:
            return [answer for answer in late.answers if isinstance(answer, bool)]
        return assert_type(answers, Answers[bool])

    @on_disconnect
    async def left(
        self, connection: Connection, visitor: State[Visitor], reason: DisconnectReason
    ) -> None:
        await connection.to(*connection.rooms).emit(
            Left(author=visitor.name, back=reason.resumable)
        )

    @authorize_room
    async def may_enter(self, connection: Connection, room: str) -> bool:
        return not room.startswith("secret")


app = Gatewright(gateways=[ChatGateway])
