"""The real server and clients by the letter, over a network that does whatever hypothesis likes."""

import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.recovery.sim.network import Codec
from tests.recovery.sim.simulation import SETTINGS, Person, Simulation

_SHM = "/dev/shm"  # noqa: S108 — for files that are private to their test
MEMORY = _SHM if Path(_SHM).is_dir() else None
"""A file system that waits for no disk, where there is one."""

rooms = st.sampled_from(["A", "B"])
users = st.sampled_from(["ana", "bob"])
whos = st.integers(0, 2)


class Whom(NamedTuple):
    rooms: frozenset[str] | None
    users: frozenset[str] | None
    one: int | None
    """Somebody's own session, among the rooms."""
    out: str | int | None
    """A room, or somebody."""
    soon: bool


WHOM = st.builds(
    Whom,
    st.frozensets(rooms, min_size=1) | st.frozensets(rooms, min_size=1) | st.none(),
    st.none() | st.none() | st.frozensets(users, min_size=1),
    st.none() | st.none() | whos,
    st.none() | st.none() | rooms | whos,
    st.booleans(),
)

# What happens while somebody is away: an emit, a late frame of theirs, their rooms forbidden.
MEANWHILE = st.lists(
    WHOM | WHOM | st.sampled_from(["late", "late", "forbid A", "allow"]), max_size=5
)

somebody = precondition(lambda self: bool(self.sim.people))


class SessionMachine(RuleBasedStateMachine):
    """Whatever happens, everybody gets what is theirs, once and in order, or is told of a gap."""

    file = False
    little = False

    @initialize(joins=st.lists(st.sets(rooms), max_size=2))
    def start(self, joins: list[set[str]]) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY)) if self.file else None
        bounds = {"history": 3, "replay": 4} if self.little else {}
        self.sim = Simulation(
            self.folder / "sessions" if self.folder else None,
            msgspec.structs.replace(SETTINGS, **bounds),
            gaps=self.little,
        )
        for number, each in enumerate(joins):
            self.arrive("ana" if number else None, "json", each, product=bool(number))

    def person(self, who: int) -> Person:
        return self.sim.people[who % len(self.sim.people)]

    # Clients

    @precondition(lambda self: len(self.sim.people) < 3)
    @rule(
        user=st.none() | users,
        codec=st.sampled_from(["json", "msgpack"]),
        joins=st.sets(rooms),
        product=st.booleans(),
    )
    def arrive(
        self, user: str | None, codec: Codec, joins: set[str], *, product: bool = False
    ) -> None:
        person = self.sim.arrive(user, codec, product=product)
        who = self.sim.people.index(person)
        self.flow(who)
        for room in sorted(joins):
            self.sim.call(person, "join", room=room)
        self.flow(who)

    @somebody
    @rule(
        who=whos,
        event=st.sampled_from(["work", "work", "redo", "fail", "say", "save", "count"]),
        hold=st.booleans(),
        room=rooms,
        value=st.integers(1, 3),
        times=st.integers(1, 2),
    )
    def call(self, who: int, event: str, *, hold: bool, room: str, value: int, times: int) -> None:
        for _ in range(times):
            self.sim.call(self.person(who), event, hold=hold, room=room, value=value)

    @somebody
    @rule(who=whos, event=st.sampled_from(["join", "leave"]), room=rooms, at_once=st.booleans())
    def move(self, who: int, event: str, room: str, *, at_once: bool) -> None:
        self.sim.call(self.person(who), event, room=room)
        if at_once:
            self.flow(who)

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
    @rule(who=whos, how=st.sampled_from(["all", "half", "server", "notice", "connect"]))
    def trouble(self, who: int, how: str) -> None:
        """A socket is lost, by both sides or by one; or one side finds out, or tries again."""
        person = self.person(who)
        if how == "notice":
            if person.strays:
                self.sim.notice(person, person.strays[0])
        elif how == "connect":
            if person.socket is None and not person.client.gone:
                self.sim.connect(person)
        elif person.socket is not None:
            if how == "server":
                self.sim.server_loses(person)
            else:
                self.sim.cut(person, half=how == "half")

    @somebody
    @rule(
        who=whos,
        event=st.sampled_from(["", "join", "leave", "say", "work"]),
        room=rooms,
        heard=st.integers(0, 2),
        meanwhile=MEANWHILE,
        back=st.sampled_from(["not", "open", "cut", "all"]),
        slow=st.sampled_from([None, None, "authorize", "resume"]),
    )
    def absence(
        self,
        who: int,
        event: str,
        room: str,
        heard: int,
        meanwhile: list[Whom | str],
        back: str,
        slow: str | None,
    ) -> None:
        """Somebody is cut off while they are up to something, and returns while others are."""
        self.trouble(who, "connect")
        self.flow(who)
        person = self.person(who)
        if person.socket is None:
            return
        if event:
            self.sim.call(person, event, room=room)
        if heard and person.socket.up and not person.socket.over:
            self.sim.server_hears(person.socket)
        if heard == 2:
            self.down(who, 1)
        self.trouble(who, "half")
        for each in meanwhile:
            if isinstance(each, Whom):
                self.emit(each)
            elif each == "late":
                self.up(who, 1, newest=False)
            else:
                self.forbid("A", yes=each == "forbid A")
        if back == "not":
            return
        if slow is not None:
            self.sim.process.slow = {slow}
        self.trouble(who, "connect")
        self.up(who, 1, newest=True)
        for each in meanwhile[:2]:
            if isinstance(each, Whom):
                self.emit(each)
        self.sim.process.slow.clear()
        self.release_hooks()
        if back == "cut":
            self.down(who, heard + 1)
            self.trouble(who, "all")
        elif back == "all":
            self.flow(who)

    def release_hooks(self) -> None:
        while waiting := [uid for uid in self.sim.process.held if uid < 0]:
            self.sim.release(waiting[0])

    # The server

    @rule(whom=WHOM)
    def emit(self, whom: Whom) -> None:
        to = None if whom.rooms is None else set(whom.rooms)
        if whom.one is not None and (own := self.own_room(whom.one)) is not None:
            to = {own, *(to or ())}
        out = self.own_room(whom.out) if isinstance(whom.out, int) else whom.out
        self.sim.emit(
            None if to is None else tuple(sorted(to)),
            None if whom.users is None else tuple(sorted(whom.users)),
            () if out is None else (out,),
            soon=whom.soon,
        )

    def own_room(self, who: int) -> str | None:
        story = self.person(who).watch.story if self.sim.people else None
        return None if story is None else story.id

    @somebody
    @rule(who=whos, what=st.sampled_from(["message", "type", "ask", "ask"]))
    def besides(self, who: int, what: str) -> None:
        person = self.person(who)
        story = person.watch.story
        if what == "message":
            self.sim.message(person)
        elif what == "type":
            self.sim.type()
        elif story is not None and story.here:
            self.sim.ask(story)

    @precondition(lambda self: self.sim.process.held)
    @rule(which=st.integers(0, 3), times=st.integers(1, 2))
    def release(self, which: int, times: int) -> None:
        uid = list(self.sim.process.held)[which % len(self.sim.process.held)]
        for _ in range(times):
            if uid in self.sim.process.held:
                self.sim.release(uid)

    def forbid(self, room: str, *, yes: bool) -> None:
        forbidden = self.sim.truth.forbidden
        if yes:
            forbidden.add(room)
        else:
            forbidden.clear()

    @rule(seconds=st.sampled_from([1, 3, 4, 7, 26]))
    def time_passes(self, seconds: int) -> None:
        self.sim.pass_time(seconds)

    @somebody
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


class LittleSessionMachine(SessionMachine):
    """The same where little is kept, so that there are gaps."""

    little = True


class DurableSessionMachine(SessionMachine):
    """The same where sessions outlive their process."""

    file = True


# They work all the time: how long they take is the machine's affair.
pytestmark = [pytest.mark.long(50), pytest.mark.timeout(300), pytest.mark.no_cover]

TestInMemory = SessionMachine.TestCase
TestWithLittleHistory = LittleSessionMachine.TestCase
TestInAFile = DurableSessionMachine.TestCase
TestInMemory.settings = settings(stateful_step_count=60, max_examples=2 * settings().max_examples)
TestWithLittleHistory.settings = settings(stateful_step_count=60)
TestInAFile.settings = settings(
    stateful_step_count=60, max_examples=max(10, settings().max_examples // 4)
)
