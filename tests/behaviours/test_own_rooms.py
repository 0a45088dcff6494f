"""A connection's id is a room of its own, and of nobody else."""

import pytest

from gatewright import Connection, Emitter, Event, EventError, Gatewright, gateway, on
from gatewright.testing import TestClient

pytestmark = pytest.mark.anyio


class Secret(Event, event="secret"):
    text: str


@gateway("/rooms", emits=[Secret])
class Rooms:
    @on("who")
    async def who(self, connection: Connection) -> str:
        return connection.id

    @on("join")
    async def join(self, connection: Connection, room: str) -> None:
        await connection.join(room)

    @on("tell")
    async def tell(self, emitter: Emitter, to: str) -> list[str]:
        await emitter.to(to).emit(Secret("for you alone"))
        return await emitter.to(to).members()


async def test_nobody_joins_the_room_that_is_a_connection_s_own() -> None:
    app = Gatewright(gateways=[Rooms])
    async with (
        TestClient(app) as client,
        client.connect("/rooms") as ana,
        client.connect("/rooms") as eve,
    ):
        own = await ana.call("who", reply=str)
        with pytest.raises(EventError) as refused:
            await eve.call("join", own)
        assert refused.value.code == "invalid"
        assert refused.value.message == (
            "a room's name does not begin with '~': "
            "connection ids do, and each is a room of its own"
        )
        assert await eve.call("tell", own, reply=list[str]) == [own]
        assert await ana.expect(Secret) == Secret("for you alone")
        assert eve.received() == []
