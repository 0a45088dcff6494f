"""A server whose clients others emit to: `tests.emitting.chat:app`."""

from msgspec import Struct

from gatewright import (
    Connection,
    Event,
    EventError,
    Gatewright,
    Handshake,
    Identity,
    Principal,
    authorize_room,
    gateway,
    on,
    on_connect,
)
from gatewright.backplane import Backplane

__all__ = ["Asked", "Chat", "Lab", "Moved", "Other", "Said", "app", "make"]


class Said(Event, event="said"):
    author: str
    text: str


class Asked(Event, event="asked"):
    question: str


class Moved(Event, event="moved"):
    to: int


class Other(Event, event="other"):
    """What no gateway here declares."""


class User(Struct):
    name: str


async def authenticate(handshake: Handshake) -> Identity[User]:
    name = handshake.query.get("name", "nobody")
    return Identity(name, User(name))


@gateway("/chat", emits=[Said, Asked])
class Chat:
    @authorize_room
    async def may_join(self, connection: Connection, room: str) -> bool:
        return not room.startswith("staff")

    @on_connect
    async def came(self, connection: Connection) -> None:
        await connection.join("lobby")

    @on("id")
    async def id(self, connection: Connection) -> str:
        return connection.id

    @on("rooms")
    async def rooms(self, connection: Connection) -> list[str]:
        return sorted(connection.rooms)

    @on("whoami")
    async def whoami(self, user: Principal[User]) -> str:
        return user.name

    @on("refuse")
    async def refuse(self) -> None:
        raise EventError("refused")


@gateway("/lab/{bench}", emits=[Moved])
class Lab:
    @on("bench")
    async def bench(self, bench: str) -> str:
        return bench


def make(backplane: Backplane | None = None) -> Gatewright:
    return Gatewright(gateways=[Chat, Lab], authenticate=authenticate, backplane=backplane)


app = make()
