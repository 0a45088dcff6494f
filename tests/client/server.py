"""A server to be killed: `uvicorn tests.client.server:app`, with sessions in `$SESSIONS`."""

import os
from collections.abc import AsyncIterator

from gatewright import Connection, Emitter, Event, Gatewright, Settings, gateway, on
from gatewright.backplane import SQLite

__all__ = ["Said", "app"]


class Said(Event, event="said"):
    n: int


@gateway("/chat", emits=[Said])
class Chat:
    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter

    @on("join")
    async def join(self, connection: Connection, room: str) -> None:
        await connection.join(room)

    @on("say", idempotent=True)
    async def say(self, n: int) -> int:
        return await self.emitter.to("lobby").emit(Said(n))

    @on("once")
    async def once(self, n: int) -> int:
        return await self.emitter.to("lobby").emit(Said(n))

    @on("forever")
    async def forever(self) -> AsyncIterator[int]:
        while True:
            yield 1


app = Gatewright(
    gateways=[Chat],
    settings=Settings(rate=None),
    backplane=SQLite(os.environ["SESSIONS"]) if "SESSIONS" in os.environ else None,
)
