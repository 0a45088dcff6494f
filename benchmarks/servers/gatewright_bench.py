"""gatewright itself, through its public surface only."""

from __future__ import annotations

from msgspec import Struct

from gatewright import Connection, Emitter, Event, Gatewright, Settings, gateway, on


class Echo(Struct):
    text: str
    n: int


class Join(Struct):
    room: str


class Say(Struct):
    room: str
    text: str
    n: int


class Message(Event, event="msg"):
    text: str
    n: int


@gateway("/ws", emits=[Message])
class Bench:
    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter

    @on("echo")
    async def echo(self, message: Echo) -> Echo:
        return message

    @on("join")
    async def join(self, connection: Connection, join: Join) -> None:
        await connection.join(join.room)

    @on("pub")
    async def pub(self, message: Say) -> None:
        await self.emitter.to(message.room).emit(Message(message.text, message.n))


# No peer limits its callers; the default (1000 events per second and connection) would
# measure the limit, not the server. Where it is one of several nodes, GATEWRIGHT_BACKPLANE says so.
app = Gatewright(gateways=[Bench], settings=Settings(rate=None))
