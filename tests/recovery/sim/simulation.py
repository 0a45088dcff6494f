"""The application, its clients and the network between them, one step at a time."""

import asyncio
import contextlib
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

from msgspec import UNSET

from gatewright import CallTimeout, EventError, Settings
from gatewright.backplane import Backplane, Memory, SQLite
from tests.recovery.sim.client import Call, Client
from tests.recovery.sim.lab import PATH, Ask, Process, Said, Typing
from tests.recovery.sim.loop import SimLoop
from tests.recovery.sim.network import Closing, Codec, Socket
from tests.recovery.sim.product import ProductClient
from tests.recovery.sim.truth import Emitted, Story, Truth
from tests.recovery.sim.watch import Watch

__all__ = ["Person", "Simulation", "simulated"]

SETTINGS = Settings(
    ping_interval=4,
    ping_timeout=2,
    grace=20,
    finish_timeout=3,
    call_timeout=15,
    max_away_per_user=100,
)

IDEMPOTENT = "redo"


class Person:
    """Somebody with a client: its present socket, and those that it has given up."""

    def __init__(self, client: Client | ProductClient, watch: Watch, codec: Codec) -> None:
        self.client = client
        self.watch = watch
        self.codec: Codec = codec
        self.socket: Socket | None = None
        self.strays: list[Socket] = []
        self.heard = 0.0
        self.told: set[int] = set()
        """Messages without an id that were sent."""

    @property
    def letter(self) -> Client:
        """Its client, as one that can be made to forget."""
        assert isinstance(self.client, Client)
        return self.client

    @property
    def sockets(self) -> list[Socket]:
        """Those that the server has, the oldest first."""
        own = [] if self.socket is None else [self.socket]
        return [each for each in (*self.strays, *own) if each.server and not each.over]


class Simulation:
    """Everything happens by a call of one of its methods, and is over when that returns."""

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

    # People and sockets

    def arrive(
        self, user: str | None = None, codec: Codec = "json", *, product: bool = False
    ) -> Person:
        """Somebody comes, and connects; with the `product`'s own client, or one by the letter."""
        watch = Watch(self.truth, self.settings, gaps=self.gaps)
        client = ProductClient(user, self.loop.time) if product else Client(user)
        person = Person(client, watch, codec)
        self.people.append(person)
        self.connect(person)
        return person

    def connect(self, person: Person) -> None:
        """Open a socket; its `open` is under way then."""
        assert person.socket is None
        person.client.connect()

        async def dial() -> Socket:
            return Socket(self.process.app, PATH, person.codec)

        person.socket = self.loop.run_until_complete(dial())
        person.watch.opens(person.client.up[0])
        person.heard = self.loop.time()
        self._send(person)
        self._settle()
        assert person.socket.accepted, f"refused: {person.socket.refused}"

    def _send(self, person: Person) -> None:
        """What the client wants to send gets under way."""
        frames, person.client.up[:] = list(person.client.up), []
        assert person.socket is not None or not frames
        for frame in frames:
            if "event" in frame and "id" in frame:
                by_id = {call.id: call for call in person.client.calls if call.end is None}
                person.watch.sends(by_id[frame["id"]])
            if person.socket is not None and person.socket.server:
                person.socket.up.append(frame)

    def server_hears(self, socket: Socket) -> None:
        """The server gets the next frame that is under way on a socket."""
        speaks = not socket.closing
        frame = socket.deliver_up()
        if frame.get("op") == "open" and (asked := frame.get("resume")) is not None:
            self.truth.stories[asked["session"]].opened(asked["sent"])
        if "event" in frame and "id" in frame and speaks and socket.session is not None:
            self.truth.stories[socket.session].takes(frame["id"])
        self._settle()

    def client_hears(self, person: Person) -> None:
        """The client gets the next frame that is under way."""
        socket = person.socket
        assert socket is not None
        frame = socket.deliver_down()
        self._judging = True
        person.heard = self.loop.time()
        if isinstance(frame, Closing):
            person.socket = None
            person.client.lost(frame.code)
            self._judging = False
            self._settle()
            return
        person.watch.sees(frame, self.loop.time(), socket.last)
        person.client.receive(frame)
        where = person.client.epoch, person.client.seq
        # One that has said goodbye need not look any more.
        assert person.client.gone or where == (person.watch.epoch, person.watch.seq)
        self._judging = False
        self._send(person)
        self._settle()

    def cut(self, person: Person, *, half: bool = False) -> None:
        """The client loses its socket; if only `half`, what it has sent may still get through."""
        socket = person.socket
        assert socket is not None
        person.socket = None
        person.client.lost()
        socket.lose_client()
        if half and socket.server:
            person.strays.append(socket)
        else:
            socket.tell_server()
        self._settle()

    def server_loses(self, person: Person) -> None:
        """The server learns that a socket is lost, its client does not."""
        assert person.socket is not None
        person.socket.tell_server()
        self._settle()

    def notice(self, person: Person, socket: Socket) -> None:
        """The server learns at last that a socket is lost that the client gave up."""
        person.strays.remove(socket)
        socket.tell_server()
        self._settle()

    # What clients do

    def call(
        self,
        person: Person,
        event: str = "work",
        *,
        hold: bool = False,
        room: str = "",
        value: int = 0,
    ) -> Call:
        uid = self._uid(event)
        data = {"uid": uid, "hold": hold, "room": room, "value": value}
        call = Call(uid=uid, event=event, data=data, stream=event == "count")
        person.client.call(call)
        self._send(person)
        return call

    def message(self, person: Person) -> int:
        """One without an id, which may be lost but never comes twice."""
        uid = self._uid("tell")
        if person.client.message("tell", {"uid": uid}):
            self._send(person)
        return uid

    def leave(self, person: Person) -> None:
        """Say goodbye, and go."""
        assert person.socket is not None
        person.client.bye()
        self._send(person)

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

    def pass_time(self, seconds: int) -> None:
        """Time passes, a second at a time; clients give up a server that is silent."""
        silence = self.settings.ping_interval + self.settings.ping_timeout
        for _ in range(seconds):
            self.loop.advance(1)
            self._settle()
            for person in self.people:
                if person.socket is not None and self.loop.time() - person.heard > silence:
                    self.cut(person, half=True)

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
            for socket in (*person.strays, *([person.socket] if person.socket else [])):
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

    def calm(self, *, finish: bool = True) -> None:
        """Let everybody come back and everything get through; then nothing may be missing."""
        for _ in range(1000):
            if not self._something(finish=finish):
                break
        else:
            raise AssertionError("it never comes to rest")
        for person in self.people:
            if person.client.gone:
                continue
            person.watch.at_rest()
            for call in person.client.calls:
                done = call.end is not None or not finish
                assert done or call.uid in self.process.held, f"{call} never ended"

    def _something(self, *, finish: bool) -> bool:
        """One thing that is bound to happen; False if there is none."""
        for person in self.people:
            for stray in list(person.strays):
                if stray.up and stray.server and not stray.over:
                    self.server_hears(stray)
                else:
                    self.notice(person, stray)
                return True
            socket = person.socket
            if socket is None:
                if not person.client.gone:
                    self.connect(person)
                    return True
            elif socket.down:
                self.client_hears(person)
                return True
            elif socket.up:
                self.server_hears(socket)
                return True
            elif not socket.server or socket.over:
                self.cut(person)
                return True
        if finish and self.process.held:
            self.release(next(iter(self.process.held)))
            return True
        return False

    def finish(self) -> None:
        """All comes to an end, and nothing may be left."""
        if self._judging:
            self.abandon()
            return
        try:
            self.calm()
            for uid, task in self.questions.items():
                self._judge(uid, task)
            self.process.stop()
            self._stop_clients()
        except BaseException:
            self.abandon()
            raise
        self._end()
        self.loop.close()
        self.check()

    def abandon(self) -> None:
        """Something went wrong: end without a look at what is left."""
        self.process.stop()
        for task in self.questions.values():
            task.cancel()
        self._end()
        with contextlib.suppress(AssertionError):
            self.loop.close()

    def _end(self) -> None:
        for person in self.people:
            for socket in (*person.strays, *([person.socket] if person.socket else [])):
                socket.tell_server()
        for _ in range(90):
            self.loop.settle()
            if self.process.running.done():
                break
            self.loop.advance(1)

    def _stop_clients(self) -> None:
        self.loop.settle()
        for person in self.people:
            while person.socket is not None and person.socket.down:
                self.client_hears(person)

    def _judge(self, uid: int, task: Any) -> None:
        """What has become of a call of the server."""
        if not task.done():
            self.pass_time(int(self.settings.call_timeout) + 1)
        try:
            answers = task.result()
        except CallTimeout:
            return
        except EventError:
            return
        for answer in answers:
            assert answer == uid
            assert any(uid in person.client.asked for person in self.people)


@contextlib.contextmanager
def simulated(*args: Any, **options: Any) -> Generator[Simulation]:
    """A simulation, to whose end everything has to have come right."""
    sim = Simulation(*args, **options)
    try:
        yield sim
    except BaseException:
        sim.abandon()
        raise
    sim.finish()
