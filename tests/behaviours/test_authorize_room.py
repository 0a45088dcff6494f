import asyncio

import pytest

from gatewright import Connection, EventError, authorize_room, gateway, on_connect
from tests.behaviours.rooms import Rooms, Said
from tests.behaviours.support import ends, running

pytestmark = pytest.mark.anyio


class Doors:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def gateway(self) -> type:
        doors = self

        @gateway("/d", emits=[Said])
        class Guarded(Rooms):
            @authorize_room
            async def may_enter(self, connection: Connection, room: str) -> bool:
                doors.asked.append(room)
                if room == "broken":
                    raise LookupError
                if room == "paid":
                    raise EventError("payment_required")
                await asyncio.sleep(0)
                return not room.startswith("secret")

        return Guarded


async def test_authorize_room_is_asked_for_every_room_and_refuses() -> None:
    doors = Doors()
    async with running(doors.gateway()) as app, app.connect("/d") as ana:
        assert await ana.call("join", ["lobby"]) == ["lobby"]
        assert (await ends(ana, "join", ["secret"])).code == "forbidden"
        assert (await ends(ana, "join", ["paid"])).code == "payment_required"
        assert (await ends(ana, "join", ["broken"])).code == "internal"
        assert await ana.call("join", ["lobby"]) == ["lobby"]
    assert doors.asked == ["lobby", "secret", "paid", "broken"]


async def test_one_room_refused_is_none_joined() -> None:
    doors = Doors()
    async with running(doors.gateway()) as app, app.connect("/d") as ana:
        assert (await ends(ana, "join", ["lobby", "secret"])).code == "forbidden"
        assert await ana.call("join", []) == []


async def test_authorize_room_is_asked_when_the_emitter_joins_too() -> None:
    doors = Doors()
    async with running(doors.gateway()) as app, app.connect("/d") as ana:
        emitter = app.app.emitter.of("/d")
        assert await emitter.join("secret") == 0
        assert await emitter.join("lobby") == 1
        assert await ana.call("join", []) == ["lobby"]


async def test_authorize_room_of_all_gateways_of_a_namespace_has_to_pass() -> None:
    doors = Doors()

    @gateway("/d")
    class Second:
        @authorize_room
        async def lobby_only(self, connection: Connection, room: str) -> bool:
            return "lobby" in room

        @on_connect
        async def connected(self, connection: Connection) -> None:
            await connection.join("lobby")

    async with running(doors.gateway(), Second) as app, app.connect("/d") as ana:
        assert (await ends(ana, "join", ["attic"])).code == "forbidden"
        assert (await ends(ana, "join", ["secret lobby"])).code == "forbidden"
        assert await ana.call("join", ["second lobby"]) == ["lobby", "second lobby"]
