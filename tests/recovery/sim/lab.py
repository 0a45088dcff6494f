"""The application under test: its handlers wait where they are told to, and write down what is."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from msgspec import Struct

from gatewright import (
    Connection,
    Context,
    Event,
    EventError,
    Gap,
    Gatewright,
    Handshake,
    Identity,
    Settings,
    State,
    authorize_room,
    gateway,
    on,
    on_connect,
    on_disconnect,
    on_end,
    on_resume,
)
from gatewright.backplane import Backplane
from tests.recovery.sim.truth import Emitted, Story, Truth

__all__ = ["PATH", "Ask", "Process", "Said", "Typing"]

PATH = "/lab"


class Said(Event, event="said"):
    mark: int


class Typing(Event, event="typing"):
    """Volatile."""

    mark: int


class Ask(Event, event="ask"):
    uid: int


class Notes(Struct):
    value: int = 0


class Job(Struct):
    """What a call is about. A handler that is told to hold waits before its effect, and after."""

    uid: int
    hold: bool = False
    room: str = ""
    value: int = 0


class Process:
    """One life of the server: a running application, until it stops or is killed."""

    def __init__(self, truth: Truth, backplane: Backplane, settings: Settings) -> None:
        self.truth = truth
        self.alive = True
        self.held: dict[int, asyncio.Future[None]] = {}
        """Handlers that wait, by the call they serve, and hooks, under numbers below 0."""
        self.slow: set[str] = set()
        """Hooks that wait."""
        self._hooks = 0
        self.app = Gatewright(
            gateways=[_lab(self)],
            authenticate=_who,
            backplane=backplane,
            settings=settings,
            socketio=None,
        )
        self._stopping = asyncio.Event()
        self.running: asyncio.Task[None] = asyncio.get_running_loop().create_task(self._run())
        self.ready: bool = False

    async def _run(self) -> None:
        async with self.app.run():
            self.ready = True
            await self._stopping.wait()

    def stop(self) -> None:
        self._stopping.set()

    def release(self, uid: int) -> None:
        """Let a handler go on."""
        waiting = self.held.pop(uid)
        if not waiting.done():
            waiting.set_result(None)

    async def hold(self, uid: int) -> None:
        waiting = self.held[uid] = asyncio.get_running_loop().create_future()
        try:
            await waiting
        finally:
            if self.held.get(uid) is waiting:
                del self.held[uid]

    async def in_hook(self, name: str) -> None:
        """A hook of this name begins."""
        if name in self.slow:
            self._hooks -= 1
            await self.hold(self._hooks)

    async def perform(self, job: Job) -> None:
        """Do what a call asks for, where a handler does it."""
        if job.hold:
            await self.hold(job.uid)
        if self.alive:
            self.truth.effects[job.uid] += 1
        if job.hold:
            await self.hold(job.uid)

    def story(self, connection: Connection) -> Story | None:
        """The story to go on with; None in a process that nobody sees any more."""
        return self.truth.stories[connection.id] if self.alive else None

    def hook(self, connection: Connection, name: str, after: set[str]) -> Story | None:
        story = self.story(connection)
        if story is not None:
            if story.hooks[-1] not in after or story.over:
                self.truth.wrong.append(f"{name} of {story.id} after {story.hooks}")
            story.hooks.append(name)
        return story


async def _who(handshake: Handshake) -> Identity[Any] | None:
    user: str | None = handshake.auth["user"]
    return None if user is None else Identity(user, None)


def _lab(process: Process) -> type:
    truth = process.truth

    @gateway(PATH, emits=[Said, Typing, Ask], concurrency=2)
    class Lab:
        @on_connect
        async def connect(self, connection: Connection) -> None:
            begun = truth.epoch, truth.head
            await process.in_hook("connect")
            if process.alive:
                position = connection.keeper.start if connection.keeper is not None else None
                assert position is not None
                truth.stories[connection.id] = Story(
                    id=connection.id,
                    user=connection.user,
                    epoch=position.epoch,
                    start=position.seq,
                )
                if (position.epoch, position.seq) != begun:
                    truth.wrong.append(f"a session begins at {position}, not at the head")

        @on_resume
        async def resume(
            self, connection: Connection, notes: State[Notes], gap: Gap | None
        ) -> None:
            story = process.story(connection)
            # What it may not be in any more it has left when it was taken over, before this.
            for room in story.rooms & truth.forbidden if story is not None else ():
                assert story is not None
                story.revoke(room, truth.head)
            await process.in_hook("resume")
            story = process.hook(connection, "resume", {"disconnect", "killed"})
            if story is None:
                return
            story.kept = None
            if set(connection.rooms) != story.rooms:
                truth.wrong.append(f"resumed in {connection.rooms}, not in {story.rooms}")
            if notes.value != story.saved:
                truth.wrong.append(f"resumed with {notes.value}, but {story.saved} was saved")

        @on_disconnect
        async def disconnect(self, connection: Connection) -> None:
            story = process.hook(connection, "disconnect", {"connect", "resume"})
            if story is not None:
                story.left = asyncio.get_running_loop().time()
                story.kept = story.taken

        @on_end
        async def end(self, connection: Connection) -> None:
            story = process.hook(connection, "end", {"disconnect", "killed"})
            if story is not None:
                story.over = True

        @authorize_room
        async def may(self, room: str) -> bool:
            await process.in_hook("authorize")
            truth.once_forbidden |= truth.forbidden
            return room not in truth.forbidden

        @on("work")
        async def work(self, job: Job) -> int:
            await process.perform(job)
            return job.uid

        @on("redo", idempotent=True)
        async def redo(self, job: Job) -> int:
            await process.perform(job)
            return job.uid

        @on("tell")
        async def tell(self, job: Job) -> None:
            await process.perform(job)

        @on("join")
        async def join(self, connection: Connection, job: Job) -> int:
            await connection.join(job.room)
            if (story := process.story(connection)) is not None:
                story.join(job.room, truth.head)
            await process.perform(job)
            return job.uid

        @on("leave")
        async def leave(self, connection: Connection, job: Job) -> int:
            await connection.leave(job.room)
            if (story := process.story(connection)) is not None:
                story.leave(job.room, truth.head)
            await process.perform(job)
            return job.uid

        @on("save")
        async def save(self, connection: Connection, job: Job) -> int:
            await process.perform(job)
            await connection.save(Notes(job.value))
            if (story := process.story(connection)) is not None:
                story.saved = job.value
            return job.uid

        @on("say")
        async def say(self, connection: Connection, job: Job) -> int:
            """To a room, without the one who says it."""
            seq = await connection.to(job.room).emit(Said(job.uid))
            if process.alive:
                out = (connection.id,)
                entry = Emitted(job.uid, truth.epoch, seq, (job.room,), None, out)
                truth.emitted(entry)
            await process.perform(job)
            return job.uid

        @on("count")
        async def count(self, job: Job) -> AsyncIterator[int]:
            for number in range(job.value):
                await process.hold(job.uid)
                yield number

        @on("fail")
        async def fail(self, context: Context, job: Job) -> None:
            await process.perform(job)
            raise EventError("of_the_lab", f"call {context.call_id}")

    return Lab
