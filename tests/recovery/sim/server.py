"""The server's side of a simulation: its process, what that does, and what comes after it."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

from msgspec import UNSET

from gatewright import Settings
from gatewright.backplane import Backplane, Memory, SQLite
from tests.recovery.sim.lab import PATH, Ask, Process, Said, Typing
from tests.recovery.sim.loop import SimLoop
from tests.recovery.sim.person import Person
from tests.recovery.sim.truth import Emitted, Story, Truth

__all__ = ["SETTINGS", "Server"]

SETTINGS = Settings(
    ping_interval=4,
    ping_timeout=2,
    grace=20,
    finish_timeout=3,
    call_timeout=15,
    max_away_per_user=100,
)

IDEMPOTENT = "redo"


class Server:
    """One process after the other. What it does is over when a method returns."""

    def __init__(
        self, file: Path | None = None, settings: Settings = SETTINGS, *, gaps: bool = False
    ) -> None:
        """With a `file` the server keeps its sessions there, otherwise in its memory."""
        self.loop = SimLoop()
        self.truth = Truth()
        self.settings = settings
        self.gaps = gaps
        self.people: list[Person] = []
        self.uids = 0
        self.kinds: dict[int, str] = {}
        """The event of each call and message, by its uid."""
        self.questions: dict[int, Any] = {}
        """The tasks of the server's calls, by uid."""
        self._file = file
        self._lives = 0
        self._judging = False
        """Whether something is looked at; at the end this means that it was found wrong."""
        self._emitting: asyncio.Task[None] | None = None
        self.process = self._start()

    def _start(self) -> Process:
        backplane: Backplane = Memory(clock=self.loop.time)
        if self._file is not None:
            # Of a process that dies nothing is lost either way; this one is faster.
            backplane = SQLite(self._file, synchronous="normal", clock=self.loop.time)

        async def start() -> Process:
            return Process(self.truth, backplane, self.settings)

        process = self.loop.run_until_complete(start())
        self.loop.settle()
        if process.running.done():
            process.running.result()
        assert process.ready
        position = self.loop.run(backplane.position(PATH))
        if position.epoch != self.truth.epoch:
            self.truth.begin_epoch(position.epoch, position.seq)
        assert position.seq == self.truth.head, "the sequence went back"
        return process

    def _uid(self, event: str) -> int:
        self.uids += 1
        self.kinds[self.uids] = event
        return self.uids

    # What the server does

    def emit(
        self,
        rooms: tuple[str, ...] | None = None,
        users: tuple[str, ...] | None = None,
        except_: tuple[str, ...] = (),
        *,
        soon: bool = False,
    ) -> int:
        """Emit an event and return its mark; `soon` means together with what comes next."""
        mark = self._uid("said")
        target = self.process.app.emitter.of(PATH).except_(*except_)
        if rooms is not None:
            target = target.to(*rooms)
        if users is not None:
            target = target.to_user(*users)

        async def emit() -> None:
            seq = await target.emit(Said(mark))
            self.truth.emitted(Emitted(mark, self.truth.epoch, seq, rooms, users, except_))

        self._emitting = self.loop.create_task(emit())
        if not soon:
            self._settle()
        return mark

    def storm(self, rooms: tuple[str, ...], count: int) -> None:
        """Emit in each turn of the loop, and as soon as the last is done, while others do things.

        It is under way until what comes next is done.
        """
        marks = iter([self._uid("said") for _ in range(count)])
        target = self.process.app.emitter.of(PATH).to(*rooms)

        async def emit() -> None:
            for mark in marks:
                seq = await target.emit(Said(mark))
                self.truth.emitted(Emitted(mark, self.truth.epoch, seq, rooms, None, ()))

        async def rage() -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(count):
                    group.create_task(emit())
                    await asyncio.sleep(0)

        self._emitting = self.loop.create_task(rage())

    def type(self) -> None:
        """A volatile event to everyone."""
        mark = self._uid("typing")
        self.truth.volatile.add(mark)
        self.loop.run(self.process.app.emitter.of(PATH).emit(Typing(mark), volatile=True))
        self._settle()

    def ask(self, story: Story) -> int:
        """The server calls the client of a session that is here."""
        uid = self._uid("ask")
        target = self.process.app.emitter.of(PATH).to(story.id)
        self.questions[uid] = self.loop.create_task(target.call(Ask(uid), int))
        self._settle()
        return uid

    def release(self, uid: int) -> None:
        """A handler that waits goes on."""
        self.process.release(uid)
        self._settle()

    def restart(self, *, killed: bool = False) -> None:
        """The server stops, or is killed, and another one takes its place."""
        self._settle()
        self._judging = True
        old = self.process
        if killed:
            old.alive = False
            self._keep_what_was_written()
        old.stop()
        self.loop.advance(1)
        for person in self.people:
            for socket in person.all_sockets:
                # What a server does to its sockets when it stops, or the system when it dies.
                socket.tell_server(1012)
            person.strays.clear()
        for _ in range(60):
            self.loop.settle()
            if old.running.done():
                break
            self.loop.advance(1)
        old.running.result()
        for story in self.truth.stories.values():
            story.moves()
            if killed and story.here:
                story.hooks.append("killed")
                story.left = self.loop.time()
            if self._file is None:
                if not killed:
                    assert story.over, f"{story.id} was not ended: {story.hooks}"
                story.over = True
        for person in self.people:
            person.watch.process_ended()
        old.alive = False
        self.process = self._start()
        self._judging = False
        self._settle()

    def _keep_what_was_written(self) -> None:
        """What a killed process leaves behind: its files as they are, whatever it does later."""
        if self._file is None:
            return
        self._lives += 1
        copy = self._file.with_name(f"{self._lives}-{self._file.name}")
        for suffix in ("", "-wal"):
            source = self._file.with_name(self._file.name + suffix)
            if source.exists():
                shutil.copy(source, copy.with_name(copy.name + suffix))
        self._file = copy

    # What must be so

    def _settle(self) -> None:
        self.loop.settle()
        for person in self.people:
            for socket in person.sockets:
                if socket.session is not None and socket.last is UNSET:
                    socket.last = self.truth.stories[socket.session].taken
        self.check()

    def check(self) -> None:
        if self._emitting is not None and self._emitting.done():
            self._emitting.result()
        assert not self.truth.wrong, self.truth.wrong
        for uid, effects in self.truth.effects.items():
            assert effects == 1 or self.kinds[uid] == IDEMPOTENT, f"{uid} was done {effects} times"
        for person in self.people:
            asked = person.client.asked
            assert len(asked) == len(set(asked)), f"a question was asked twice: {asked}"
