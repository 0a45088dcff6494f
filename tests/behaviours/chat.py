"""A chat for the tests over real sockets, and the ways of serving it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from injector import Inject, Module, provider

from gatewright import (
    CallNext,
    Connection,
    Context,
    DisconnectReason,
    Emitter,
    Event,
    EventError,
    Gatewright,
    Handshake,
    catch,
    connection_scoped,
    gateway,
    on,
    on_connect,
    on_disconnect,
)
from tests._support.server import serve
from tests.behaviours.wire import opened

__all__ = ["DOORS", "Door", "Notes", "Said", "Visitor", "chat"]


class Door:
    """A way that uvicorn reads and writes frames, and whether they are compressed."""

    def __init__(self, name: str, ws: str, compression: str | None = None) -> None:
        self.name = name
        self.server: dict[str, Any] = {
            "ws": ws,
            "ws_per_message_deflate": compression is not None,
        }
        self.compression = compression

    def serve(self, app: Any, **config: Any) -> Any:
        return serve(app, **self.server, **config)

    def opened(self, url: str, **options: Any) -> Any:
        return opened(url, compression=self.compression, **options)


DOORS = [
    Door("sansio", "websockets-sansio"),
    Door("sansio compressed", "websockets-sansio", "deflate"),
    Door("ours", "gatewright.server:WebSocketProtocol"),
    Door("wsproto", "wsproto"),
]


class Said(Event, event="said"):
    text: str


class Visitor:
    """One per connection, as NestJS's request-scoped providers of a gateway."""

    made = 0

    def __init__(self, handshake: Handshake) -> None:
        Visitor.made += 1
        self.name = handshake.query.get("name", "nobody")


class Visitors(Module):
    @connection_scoped
    @provider
    def visitor(self, handshake: Handshake) -> Visitor:
        return Visitor(handshake)


class Notes:
    """What the gateways tell the test."""

    def __init__(self) -> None:
        self.patterns: list[str | None] = []
        self.left: list[tuple[str, DisconnectReason]] = []
        self.streams_closed = 0
        self.gate = asyncio.Event()


def chat(notes: Notes, **options: Any) -> Gatewright:
    async def pattern(context: Context, call_next: CallNext) -> Any:
        notes.patterns.append(context.event)
        return await call_next()

    async def allowed(handshake: Handshake) -> None:
        if handshake.query.get("guard") == "slow":
            await notes.gate.wait()
        if handshake.query.get("guard") == "no":
            raise EventError("forbidden", "members only")

    @gateway("/chat", emits=[Said], guards=[allowed])
    class Chat:
        @catch(LookupError)
        async def lost(self, error: LookupError, context: Context) -> EventError:
            return EventError("not_found", f"{context.event}: {error}")

        @on_connect
        async def connected(self, handshake: Handshake) -> None:
            if handshake.query.get("connect") == "breaks":
                raise RuntimeError("of the hook")

        @on_disconnect
        async def left(self, reason: DisconnectReason, visitor: Inject[Visitor]) -> None:
            notes.left.append((visitor.name, reason))

        @on("push", interceptors=[pattern])
        async def push(self, text: str) -> str:
            return text

        @on("nothing")
        async def nothing(self) -> None: ...

        @on("find")
        async def find(self, what: str) -> None:
            raise LookupError(what)

        @on("who")
        async def who(self, visitor: Inject[Visitor]) -> str:
            return visitor.name

        @on("join")
        async def join(self, connection: Connection, room: str) -> None:
            await connection.join(room)

        @on("say")
        async def say(self, emitter: Emitter, room: str, text: str, times: int = 1) -> None:
            for number in range(times):
                await emitter.to(room).emit(Said(f"{text} {number}"))

        @on("leave")
        async def leave(self, connection: Connection, reason: str) -> None:
            await connection.emit(Said("last words"))
            await connection.disconnect(reason)

        @on("wait")
        async def wait(self) -> str:
            await notes.gate.wait()
            return "waited"

        @on("forever")
        async def forever(self) -> AsyncIterator[int]:
            try:
                yield 1
                await asyncio.Event().wait()
            finally:
                notes.streams_closed += 1

        @on("count")
        async def count(self, to: int) -> AsyncIterator[int]:
            for number in range(to):
                yield number

        @on("big")
        async def big(self, size: int) -> str:
            return "x" * size

        @on("cookies")
        async def cookies(self, handshake: Handshake) -> dict[str, str]:
            return dict(handshake.cookies)

    @gateway("/other/{room}/{seat}")
    class Other:
        @on("push")
        async def push(self, text: str, room: str, seat: int) -> list[object]:
            return [room, seat, text]

    return Gatewright([Chat, Other], modules=[Visitors()], **options)
