"""The application of these tests, and the witness that all its parts tell of what they do."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from injector import Inject, Module
from msgspec import Struct

from gatewright import (
    Connection,
    DisconnectReason,
    Emitter,
    Event,
    EventError,
    Gap,
    Gatewright,
    Handshake,
    Identity,
    Settings,
    State,
    authorize_room,
    connection_scoped,
    gateway,
    on,
    on_connect,
    on_disconnect,
    on_end,
    on_resume,
    resource,
)
from tests._support.leaks import no_task_left
from tests._support.server import Url
from tests.behaviours.chat import DOORS, Door

__all__ = [
    "Ask",
    "Count",
    "House",
    "Said",
    "Witness",
    "authenticate",
    "chat",
    "running",
    "serving",
    "until",
]

OURS = next(door for door in DOORS if door.name == "ours")


class Said(Event, event="said"):
    text: str


class Ask(Event, event="ask"):
    what: str


class Count(Struct):
    n: int = 0


class Thing:
    """A resource of a connection."""


class Witness:
    """What the application has seen, and what it waits for."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        """Hooks, in their order."""
        self.done: list[Any] = []
        """What handlers were called with: once for each execution."""
        self.ended: list[Any] = []
        self.reasons: list[DisconnectReason] = []
        self.gaps: list[Gap | None] = []
        self.rooms: list[list[str]] = []
        """At each resume, and at the end."""
        self.states: list[int] = []
        self.handshakes: list[Handshake] = []
        self.connections: list[Connection] = []
        self.closed_rooms: set[str] = set()
        self.gate = asyncio.Event()
        """What slow handlers wait for."""
        self.resume_gate = asyncio.Event()
        """What `on_resume` waits for."""
        self.resume_gate.set()
        self.connect_gate = asyncio.Event()
        self.connect_gate.set()
        self.disconnect_gate = asyncio.Event()
        self.disconnect_gate.set()
        self.end_gate = asyncio.Event()
        """What `on_end` waits for."""
        self.end_gate.set()
        self.thing_gate = asyncio.Event()
        """What the resource of a connection waits for when it is closed."""
        self.thing_gate.set()
        self.room_gate = asyncio.Event()
        """What `authorize_room` waits for."""
        self.room_gate.set()
        self.trouble: Exception | None = None
        """What the next connect or resume hook raises."""


async def authenticate(handshake: Handshake) -> Identity[str] | None:
    """Does what `auth` says."""
    auth = handshake.auth if isinstance(handshake.auth, dict) else {}
    if "hang" in auth:
        await asyncio.Event().wait()
    if "break" in auth:
        raise LookupError("of the application")
    if "refuse" in auth:
        raise EventError(auth["refuse"], "not you")
    if "user" not in auth:
        return None
    expires = None
    if "expires" in auth:
        expires = datetime.now(UTC) + timedelta(seconds=auth["expires"])
    return Identity(str(auth["user"]), str(auth.get("name")), expires)


def chat(witness: Witness, *, concurrency: int = 1) -> tuple[type, type[Module]]:
    """A gateway at /chat, and the module of its resources."""

    class Things(Module):
        @connection_scoped
        @resource
        async def thing(self) -> AsyncIterator[Thing]:
            witness.seen.append("open thing")
            yield Thing()
            await witness.thing_gate.wait()
            witness.seen.append("close thing")

    async def guard(handshake: Handshake) -> None:
        auth = handshake.auth if isinstance(handshake.auth, dict) else {}
        if "guard" in auth:
            raise EventError(auth["guard"], "members only")

    @gateway("/chat", emits=[Said, Ask], guards=[guard], concurrency=concurrency)
    class Chat:
        def __init__(self, emitter: Emitter) -> None:
            self.emitter = emitter

        @on_connect
        async def connected(self, connection: Connection) -> None:
            witness.seen.append("connect")
            witness.connections.append(connection)
            witness.handshakes.append(connection.handshake)
            await witness.connect_gate.wait()
            if witness.trouble is not None:
                raise witness.trouble
            await connection.join("lobby")

        @on_resume
        async def resumed(
            self, connection: Connection, gap: Gap | None, count: State[Count]
        ) -> None:
            witness.seen.append("resume")
            witness.gaps.append(gap)
            witness.states.append(count.n)
            witness.rooms.append(sorted(connection.rooms))
            witness.handshakes.append(connection.handshake)
            await witness.resume_gate.wait()
            if witness.trouble is not None:
                raise witness.trouble

        @on_disconnect
        async def lost(self, reason: DisconnectReason) -> None:
            witness.seen.append("disconnect")
            witness.reasons.append(reason)
            await witness.disconnect_gate.wait()

        @on_end
        async def over(self, connection: Connection) -> None:
            await witness.end_gate.wait()
            witness.seen.append("end")
            witness.rooms.append(sorted(connection.rooms))

        @authorize_room
        async def may_join(self, room: str) -> bool:
            await witness.room_gate.wait()
            return room not in witness.closed_rooms

        @on("join")
        async def join(self, connection: Connection, room: str) -> None:
            await connection.join(room)

        @on("leave")
        async def leave(self, connection: Connection, room: str) -> None:
            await connection.leave(room)

        @on("save")
        async def save(self, connection: Connection, n: int) -> None:
            await connection.save(Count(n))

        @on("state")
        async def state(self, count: State[Count]) -> int:
            return count.n

        @on("rooms")
        async def rooms(self, connection: Connection) -> list[str]:
            return sorted(connection.rooms)

        @on("say")
        async def say(self, room: str, text: str) -> int:
            return await self.emitter.to(room).emit(Said(text))

        @on("type")
        async def type(self, text: str) -> None:
            await self.emitter.emit(Said(text), volatile=True)

        @on("echo")
        async def echo(self, what: Any) -> Any:
            return what

        @on("work")
        async def work(self, what: Any) -> Any:
            witness.done.append(what)
            return what

        @on("again", idempotent=True)
        async def again(self, what: Any) -> Any:
            witness.done.append(what)
            return what

        @on("patient", idempotent=True)
        async def patient(self, what: Any) -> Any:
            witness.done.append(what)
            await witness.gate.wait()
            return what

        @on("slow")
        async def slow(self, connection: Connection, thing: Inject[Thing], what: str) -> str:
            """Waits for the gate, and then does what it was asked to."""
            witness.done.append(what)
            try:
                await witness.gate.wait()
                kind, _, about = what.partition(" ")
                if kind == "join":
                    await connection.join(about)
                elif kind == "leave":
                    await connection.leave(about)
                elif kind == "save":
                    await connection.save(Count(int(about)))
                elif kind == "emit":
                    await connection.emit(Said(about))
                elif kind == "ask":
                    return await connection.call(Ask(about), str)
                elif kind == "disconnect":
                    await connection.disconnect(about)
                elif kind == "renew":
                    await connection.authenticate({"user": "ana", "expires": float(about)})
            except BaseException as error:
                witness.seen.append(f"slow: {type(error).__name__}")
                raise
            witness.ended.append(what)
            return f"did {what}"

        @on("ask")
        async def ask(self, connection: Connection, what: str, timeout: float = 60) -> str:
            return await connection.call(Ask(what), str, timeout=timeout)

        @on("count")
        async def count(self, to: int) -> AsyncIterator[int]:
            for number in range(to):
                yield number

        @on("forever")
        async def forever(self) -> AsyncIterator[int]:
            try:
                yield 1
                await asyncio.Event().wait()
            finally:
                witness.seen.append("stream closed")

        @on("big")
        async def big(self, size: int) -> str:
            return "x" * size

        @on("quit")
        async def quit(self, connection: Connection) -> None:
            await connection.disconnect("goodbye")

        @on("who")
        async def who(self, connection: Connection) -> str | None:
            return connection.user

    return Chat, Things


@gateway("/room/{number}", emits=[Said])
class Room:
    @on("say")
    async def say(self, emitter: Emitter, text: str) -> int:
        return await emitter.emit(Said(text))


class House:
    """A served application, its address and its witness."""

    def __init__(self, app: Gatewright, url: Url, witness: Witness) -> None:
        self.app = app
        self.url = url
        self.witness = witness

    @property
    def main(self) -> Emitter:
        return self.app.emitter.of("/chat")

    @property
    def dispatcher(self) -> Any:
        assert self.app._dispatcher is not None
        return self.app._dispatcher

    @property
    def absences(self) -> Any:
        return self.dispatcher._absences

    @property
    def backplane(self) -> Any:
        return self.dispatcher.node.backplane

    async def say(self, room: str, *texts: str) -> None:
        for text in texts:
            await self.main.to(room).emit(Said(text))

    async def gone(self) -> None:
        """Wait until nobody is connected: who may return is away."""
        await until(lambda: len(self.app) == 0)

    def remains(self) -> dict[str, int]:
        """What is kept of sessions, by name; nothing if nobody is here or away."""
        node, absences = self.dispatcher.node, self.absences
        counts = {
            "connections": len(self.app),
            "here": len(absences._here),
            "away": len(absences._away),
            "by user": len(absences._by_user),
            "taking": len(absences._taking),
            "ending": len(absences._tasks),
            "namespaces": len(node.namespaces),
            "away in namespaces": len(node.namespaces._away),
            "held": len(node.namespaces._held),
            "calls": len(node.calls),
            "readers": len(node.calls._readers),
            "hearts": len(node.wheel),
            "asked": len(node.remote),
            "departures": len(self.dispatcher._moves),
            "moving": len(self.dispatcher._moves._tasks),
            "handed": len(node.calls._handed),
        }
        return {what: count for what, count in counts.items() if count}

    async def empty(self) -> None:
        """Wait until nothing is kept any more."""
        try:
            await until(lambda: not self.remains())
        except TimeoutError:
            raise AssertionError(f"left: {self.remains()}") from None


@asynccontextmanager
async def serving(
    witness: Witness | None = None,
    *,
    settings: Settings | None = None,
    concurrency: int = 1,
    door: Door = OURS,
    **options: Any,
) -> AsyncGenerator[House]:
    witness = witness or Witness()
    gateway, module = chat(witness, concurrency=concurrency)
    app = Gatewright(
        gateways=[gateway, Room],
        modules=[module],
        authenticate=authenticate,
        settings=settings or Settings(),
        **options,
    )
    async with door.serve(app) as url:
        yield House(app, url, witness)


@asynccontextmanager
async def running(witness: Witness | None = None, **options: Any) -> AsyncGenerator[House]:
    """The same, alone in its loop: no task is left of it."""
    async with no_task_left(), serving(witness, **options) as house:
        yield house


async def until(condition: Any) -> None:
    """Wait until a condition holds, letting everything else run meanwhile."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)
