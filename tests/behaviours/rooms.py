"""A gateway with rooms, and what it emits."""

from typing import Any

from gatewright import Connection, Emitter, Event, gateway, on

__all__ = ["Moved", "Rooms", "Said", "silent"]


class Said(Event, event="said"):
    text: str


class Moved(Event, event="moved"):
    x: int


@gateway("/r", emits=[Said, Moved])
class Rooms:
    @on("id")
    async def id(self, connection: Connection) -> str:
        return connection.id

    @on("join")
    async def join(self, connection: Connection, rooms: list[str]) -> list[str]:
        await connection.join(*rooms)
        return sorted(connection.rooms)

    @on("leave")
    async def leave(self, connection: Connection, rooms: list[str]) -> list[str]:
        await connection.leave(*rooms)
        return sorted(connection.rooms)

    @on("say")
    async def say(self, emitter: Emitter, rooms: list[str], text: str) -> int:
        return await emitter.to(*rooms).emit(Said(text))

    @on("others")
    async def others(self, connection: Connection, room: str) -> int:
        return await connection.to(room).emit(Said("others"))

    @on("drag")
    async def drag(self, emitter: Emitter, to: int, key: str | None) -> None:
        for x in range(to):
            await emitter.emit(Moved(x), volatile=True, key=key)

    @on("join and say")
    async def join_and_say(self, connection: Connection, emitter: Emitter, room: str) -> None:
        await connection.join(room)
        await emitter.to(room).emit(Said(room))


async def silent(*connections: Any) -> None:
    for connection in connections:
        await connection.call("id")
        assert connection.received() == []
