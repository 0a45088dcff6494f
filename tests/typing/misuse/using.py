# type: ignore
# ruff: noqa: T201, PGH003
"""What must not pass a type checker where connections, emitters and clients are used.

As tests/typing/misuse/declaring.py.
"""

from typing import assert_type

from msgspec import Struct

from gatewright import Answers, Connection, Context, Emitter, Gatewright
from gatewright.testing import TestClient, TestConnection
from tests.typing.programs.chat import Poll, Said, Say, Visitor
from tests.typing.programs.prices import Prices


class Unnamed(Struct):
    text: str


async def emits(emitter: Emitter, connection: Connection) -> None:
    assert_type(await emitter.emit(Said("ana", "hi")), int)
    assert_type(await emitter.to("lobby", "hall").except_("cellar").emit(Said("ana", "hi")), int)
    assert_type(await connection.emit(Said("ana", "hi")), int)
    await emitter.emit("said")  # error
    await emitter.emit({"author": "ana"})  # error
    await emitter.to(5).emit(Said("ana", "hi"))  # error
    await emitter.to(["lobby"]).emit(Said("ana", "hi"))  # error
    number: int = await emitter.emit(Said("ana", "hi"), volatile=True)  # error
    await emitter.emit(Said("ana", "hi"), key="author")  # error
    await emitter.emit(Said("ana", "hi"), volatile=True, key="author")
    await emitter.of("/lab/{bench}", bench=7).emit(Said("ana", "hi"))
    emitter.of(7)  # error
    print(number)


async def forgets(emitter: Emitter, connection: Connection) -> None:
    emitter.emit(Said("ana", "hi"))  # error
    connection.join("lobby")  # error


async def calls(emitter: Emitter, connection: Connection) -> None:
    assert_type(await emitter.to("lobby").call(Poll("lunch?"), bool), Answers[bool])
    assert_type(await connection.call(Poll("lunch?"), bool, timeout=2), bool)
    answer: str = await connection.call(Poll("lunch?"), bool)  # error
    await connection.call("poll", bool)  # error
    await connection.call(Poll("lunch?"))  # error
    print(answer)


async def connects(connection: Connection, context: Context) -> None:
    assert_type(connection.rooms, frozenset[str])
    assert_type(connection.user, str | None)
    assert_type(context.connection, Connection)
    assert_type(context.event, str | None)
    await connection.join(5)  # error
    await connection.save({"name": "ana"})  # error
    await connection.save(Visitor("ana"))
    connection.rooms.add("lobby")  # error
    connection.namespace = "/other"  # error


async def gets(realtime: Gatewright) -> None:
    assert_type(realtime.get(Prices), Prices)
    assert_type(await realtime.aget(Prices), Prices)
    text: str = realtime.get(Prices)  # error
    print(text)


async def tests(client: TestClient) -> None:
    async with client.connect("/chat", query={"token": "a"}) as ana:
        assert_type(ana, TestConnection)
        assert_type(await ana.call("say", Say("lobby", "hi"), reply=int), int)
        assert_type(await ana.call("join", "lobby", reply=list[str]), list[str])
        assert_type(await ana.expect(Said), Said)
        text: str = await ana.call("say", Say("lobby", "hi"), reply=int)  # error
        await ana.expect(Unnamed)  # error
        await ana.call(5)  # error
        async for number in ana.stream("count", 3, item=int):
            assert_type(number, int)
        print(text)
    async with client.connect("/chat", codec="pickle"):  # error
        pass
