"""The real server and clients by the letter, over a network that does whatever hypothesis likes."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.recovery.sim.network import Codec
from tests.recovery.sim.simulation import Person, Simulation
from tests.recovery.sim.truth import Story

_SHM = "/dev/shm"  # noqa: S108 — for files that are private to their test
MEMORY = _SHM if Path(_SHM).is_dir() else None
"""A file system that waits for no disk, where there is one."""

rooms = st.sampled_from(["A", "B"])
users = st.sampled_from(["ana", "bob"])
whos = st.integers(0, 2)

somebody = precondition(lambda self: bool(self.sim.people))


class SessionMachine(RuleBasedStateMachine):
    """Whatever happens, everybody gets what is theirs, once and in order, or is told of a gap."""

    file = False

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY)) if self.file else None
        self.sim = Simulation(self.folder / "sessions.db" if self.folder else None)

    def person(self, who: int) -> Person:
        return self.sim.people[who % len(self.sim.people)]

    def story(self, person: Person) -> Story | None:
        """The session of somebody who is there, as far as the server knows."""
        story = person.watch.story
        return story if story is not None and story.here else None

    # Clients

    @precondition(lambda self: len(self.sim.people) < 3)
    @rule(user=st.none() | users, codec=st.sampled_from(["json", "msgpack"]), joins=st.sets(rooms))
    def arrive(self, user: str | None, codec: Codec, joins: set[str]) -> None:
        person = self.sim.arrive(user, codec)
        self.flow(self.sim.people.index(person))
        for room in sorted(joins):
            self.sim.call(person, "join", room=room)
        self.flow(self.sim.people.index(person))

    @somebody
    @rule(
        who=whos,
        event=st.sampled_from(["work", "work", "redo", "fail", "say", "save", "count"]),
        hold=st.booleans(),
        room=rooms,
        value=st.integers(1, 3),
    )
    def call(self, who: int, event: str, *, hold: bool, room: str, value: int) -> None:
        self.sim.call(self.person(who), event, hold=hold, room=room, value=value)

    @somebody
    @rule(who=whos, event=st.sampled_from(["join", "leave"]), room=rooms)
    def move(self, who: int, event: str, room: str) -> None:
        self.sim.call(self.person(who), event, room=room)

    @somebody
    @rule(who=whos)
    def message(self, who: int) -> None:
        self.sim.message(self.person(who))

    @somebody
    @rule(who=whos)
    def connect(self, who: int) -> None:
        person = self.person(who)
        if person.socket is None and not person.client.gone:
            self.sim.connect(person)

    @somebody
    @rule(who=whos, half=st.booleans())
    def cut(self, who: int, *, half: bool) -> None:
        person = self.person(who)
        if person.socket is not None:
            self.sim.cut(person, half=half)

    @somebody
    @rule(who=whos)
    def leave(self, who: int) -> None:
        person = self.person(who)
        if person.client.gone and person.socket is None:
            person.client.again()
        elif person.client.open:
            self.sim.leave(person)

    # The network

    @somebody
    @rule(who=whos, count=st.integers(1, 3), newest=st.booleans())
    def up(self, who: int, count: int, *, newest: bool) -> None:
        for _ in range(count):
            sockets = [each for each in self.person(who).sockets if each.up]
            if sockets:
                self.sim.server_hears(sockets[-1 if newest else 0])

    @somebody
    @rule(who=whos, count=st.integers(1, 3))
    def down(self, who: int, count: int) -> None:
        for _ in range(count):
            person = self.person(who)
            if person.socket is not None and person.socket.down:
                self.sim.client_hears(person)

    @somebody
    @rule(who=whos)
    def flow(self, who: int) -> None:
        """Everything that is under way on one socket gets through."""
        person = self.person(who)
        while (socket := person.socket) is not None and not socket.over:
            if socket.down:
                self.sim.client_hears(person)
            elif socket.up and socket.server:
                self.sim.server_hears(socket)
            else:
                return

    @somebody
    @rule(who=whos)
    def server_loses(self, who: int) -> None:
        person = self.person(who)
        if person.socket is not None:
            self.sim.server_loses(person)

    @somebody
    @rule(who=whos)
    def notice(self, who: int) -> None:
        person = self.person(who)
        if person.strays:
            self.sim.notice(person, person.strays[0])

    # The server

    @rule(
        to=st.none() | st.sets(rooms, max_size=2),
        users=st.none() | st.sets(users, max_size=1),
        out=st.none() | st.none() | rooms,
    )
    def emit(self, to: set[str] | None, users: set[str] | None, out: str | None) -> None:
        self.sim.emit(
            None if to is None else tuple(sorted(to)),
            None if users is None else tuple(sorted(users)),
            () if out is None else (out,),
        )

    @somebody
    @rule(who=whos, out=st.booleans())
    def emit_to_one(self, who: int, *, out: bool) -> None:
        story = self.person(who).watch.story
        if story is not None:
            self.sim.emit(None if out else (story.id,), None, (story.id,) if out else ())

    @rule()
    def type(self) -> None:
        self.sim.type()

    @somebody
    @rule(who=whos)
    def ask(self, who: int) -> None:
        if (story := self.story(self.person(who))) is not None:
            self.sim.ask(story)

    @precondition(lambda self: self.sim.process.held)
    @rule(which=st.integers(0, 3), times=st.integers(1, 2))
    def release(self, which: int, times: int) -> None:
        uid = list(self.sim.process.held)[which % len(self.sim.process.held)]
        for _ in range(times):
            if uid in self.sim.process.held:
                self.sim.release(uid)

    @rule(room=rooms, yes=st.booleans())
    def forbid(self, room: str, *, yes: bool) -> None:
        (self.sim.truth.forbidden.add if yes else self.sim.truth.forbidden.discard)(room)

    @rule(seconds=st.sampled_from([1, 3, 7, 7, 26]))
    def time_passes(self, seconds: int) -> None:
        self.sim.pass_time(seconds)

    @precondition(lambda self: bool(self.sim.people))
    @rule(killed=st.booleans(), rarely=st.integers(0, 2))
    def restart(self, *, killed: bool, rarely: int) -> None:
        if rarely == 0:
            self.sim.restart(killed=killed)

    @rule()
    def calm(self) -> None:
        self.sim.calm(finish=False)

    def teardown(self) -> None:
        if hasattr(self, "sim"):
            try:
                self.sim.finish()
            finally:
                if self.folder is not None:
                    shutil.rmtree(self.folder)


class DurableSessionMachine(SessionMachine):
    """The same, where sessions outlive their process."""

    file = True


TestInMemory = SessionMachine.TestCase
TestInAFile = DurableSessionMachine.TestCase
TestInMemory.settings = TestInAFile.settings = settings(stateful_step_count=40)
