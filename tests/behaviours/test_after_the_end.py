"""What still happens to a connection that is gone must not keep anything of it."""

import asyncio

import pytest

from gatewright import Connection, Event, gateway, on
from tests.behaviours.support import running, until

pytestmark = pytest.mark.anyio


class Said(Event, event="said"):
    text: str


known: list[Connection] = []


@gateway("/chat", emits=[Said])
class Chat:
    @on("remember me")
    async def remember(self, connection: Connection) -> None:
        known.append(connection)


async def test_a_connection_that_has_ended_joins_nothing_any_more() -> None:
    async with running(Chat) as client:
        async with client.connect("/chat") as ana:
            await ana.call("remember me")
            members = await client.app.emitter.of("/chat").members()
        dispatcher = client.app._dispatcher
        assert dispatcher is not None
        connection = known.pop()
        assert [connection.id] == members
        async with client.connect("/chat"):
            await connection.join("lobby")
            await connection.leave("lobby")
            await connection.emit(Said("nobody hears it"))
            await connection.disconnect()
            assert connection.rooms == frozenset()
            assert dispatcher.node.namespaces["/chat"].rooms == {}
            assert dispatcher.node.backplane._sequences._live == {}  # type: ignore[attr-defined]


async def test_a_join_that_is_overtaken_by_the_end_joins_nothing() -> None:
    asked, allowed = asyncio.Event(), asyncio.Event()

    @gateway("/rooms")
    class Rooms:
        @on("join")
        async def join(self, connection: Connection) -> None:
            async def later() -> None:
                await allowed.wait()
                await connection.join("lobby")

            joining.append(asyncio.create_task(later()))
            asked.set()

    joining: list[asyncio.Task[None]] = []
    async with running(Rooms) as client:
        async with client.connect("/rooms") as ana:
            await ana.emit("join")
            await asked.wait()
        assert len(client.app) == 0
        allowed.set()
        await until(joining[0].done)
        assert await client.app.emitter.of("/rooms").to("lobby").count() == 0
        dispatcher = client.app._dispatcher
        assert dispatcher is not None
        assert dispatcher.node.backplane._sequences._live == {}  # type: ignore[attr-defined]
