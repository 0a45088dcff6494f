"""Whatever happens to nodes, sockets and letters, in the end all see the same, which is so."""

from collections import defaultdict
from itertools import count, cycle
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.presence.nodes import Network, Screen, SimNode, Visitor

ROOMS = ["A", "B"]
DELAY = 1.0
"""Seconds that a letter takes at the most."""

rooms = st.sampled_from(ROOMS)
which = st.integers(0, 5)


class Session:
    """A client's session, and what is true of it."""

    def __init__(self, visitor: Visitor, node: SimNode) -> None:
        self.visitor = visitor
        self.node = node
        """Where it is, or was last."""
        self.here = True
        self.since: dict[str, float] = {}
        """From when on it must be seen in each room, without an end in between."""
        self.lost: float | None = None
        self.stale: list[tuple[SimNode, Visitor]] = []
        """Nodes that have not noticed yet that its socket there is void."""


class PresenceMachine(RuleBasedStateMachine):
    trouble = True
    """Whether letters are lost, nodes killed, the network cut."""

    @initialize(nodes=st.integers(2, 3))
    def start(self, nodes: int) -> None:
        self.net = Network()
        self.sessions: dict[str, Session] = {}
        self.screens: list[tuple[SimNode, Screen]] = []
        self.ids = count(1)
        self.disturbed = float("-inf")
        self.checked: defaultdict[int, int] = defaultdict(int)
        for _ in range(nodes):
            self.net.start()

    def teardown(self) -> None:
        if hasattr(self, "net"):
            self.net.close()

    @property
    def now(self) -> float:
        return self.net.loop.time()

    def node(self, number: int) -> SimNode | None:
        """A node that clients reach."""
        found = [node for node in self.net.nodes.values() if node.name not in self.net.cut]
        return found[number % len(found)] if found else None

    def session(self, number: int, *, here: bool) -> Session | None:
        found = [each for each in self.sessions.values() if each.here is here]
        return found[number % len(found)] if found else None

    def screen(self, node: SimNode) -> Screen:
        screen = self.net.screen()
        self.screens.append((node, screen))
        return screen

    # Clients

    @precondition(lambda self: len(self.sessions) < 6)
    @rule(
        number=which,
        user=st.sampled_from(["ana", "bob", None]),
        joins=st.sets(rooms),
        meta=st.integers(0, 2) | st.none(),
    )
    def arrive(self, number: int, user: str | None, joins: set[str], meta: int | None) -> None:
        if (node := self.node(number)) is None:
            return
        visitor = Visitor(f"~{next(self.ids)}", user, self.screen(node))
        if meta is not None:
            visitor.meta(meta)
        session = self.sessions[visitor.id] = Session(visitor, node)
        node.visit(visitor, joins)
        if meta is not None:
            self.net.do(node.tracker.track, visitor)
            session.since = dict.fromkeys(joins, self.now)

    @rule(number=which, meta=st.integers(0, 2))
    def track(self, number: int, meta: int) -> None:
        if session := self.session(number, here=True):
            session.visitor.meta(meta)
            self.net.do(session.node.tracker.track, session.visitor)
            for room in session.visitor.joined:
                session.since.setdefault(room, self.now)

    @rule(number=which)
    def untrack(self, number: int) -> None:
        if session := self.session(number, here=True):
            session.visitor.tracked = None
            self.net.do(session.node.tracker.track, session.visitor)
            session.visitor.screen.rooms.clear()
            session.since.clear()

    @rule(number=which, room=rooms)
    def move(self, number: int, room: str) -> None:
        session = self.session(number, here=True)
        if session is None or session.node.name in self.net.cut:
            return
        leaves = room in session.visitor.joined
        self.net.move("leave" if leaves else "join", session.visitor, [room])
        if leaves:
            session.since.pop(room, None)
            session.visitor.screen.rooms.pop(room, None)
        elif session.visitor.tracked:
            session.since[room] = self.now

    @rule(number=which)
    def drop(self, number: int) -> None:
        if session := self.session(number, here=True):
            self.drop_one(session)

    def drop_one(self, session: Session) -> None:
        self.net.do(lambda: session.node.lose(session.visitor, kept=True))
        session.here = False
        session.lost = self.now

    @rule(number=which, to=which)
    def resume(self, number: int, to: int) -> None:
        session, node = self.session(number, here=False), self.node(to)
        if session is not None and node is not None:
            self.take(session, node)

    @rule(number=which, to=which)
    def take_over(self, number: int, to: int) -> None:
        """Its client is back elsewhere, and its node does not know yet."""
        session, node = self.session(number, here=True), self.node(to)
        if session is not None and node is not None and session.node is not node:
            session.stale.append((session.node, session.visitor))
            session.lost = self.now
            self.take(session, node)

    def take(self, session: Session, node: SimNode) -> None:
        before = session.visitor
        assert session.lost is not None
        if self.now - session.lost > self.net.settings.presence_linger:
            session.since = {}
        visitor = Visitor(before.id, before.user, self.screen(node), before.generation + 1)
        visitor.tracked = before.tracked
        self.net.do(lambda: node.resume(visitor, set(before.joined)))
        session.visitor, session.node, session.here = visitor, node, True
        if visitor.tracked:
            for room in visitor.joined:
                session.since.setdefault(room, self.now)

    @rule(number=which)
    def notice_void_socket(self, number: int) -> None:
        for session in self.sessions.values():
            for node, visitor in session.stale:
                self.net.do(lambda node=node, visitor=visitor: node.lose(visitor, kept=True))
            session.stale.clear()

    @rule(number=which)
    def bye(self, number: int) -> None:
        session = self.session(number, here=True)
        if session is None or session.node.name in self.net.cut:
            return
        self.net.do(lambda: session.node.lose(session.visitor, kept=False))
        self.net.move("leave", session.visitor, session.visitor.joined)
        del self.sessions[session.visitor.id]
        self.forget_stale(session)

    def forget_stale(self, session: Session) -> None:
        for node, visitor in session.stale:
            self.net.do(lambda node=node, visitor=visitor: node.lose(visitor, kept=True))

    # Time and trouble

    @rule(seconds=st.sampled_from([0.05, 0.5, 2.0, 7.0, 14.5, 20.0]))
    def wait(self, seconds: float) -> None:
        self.net.loop.advance(seconds, 0.25)
        self.check_leaves()

    @rule(lags=st.lists(st.sampled_from([0.0, 0.0, 0.1, 0.5, DELAY]), min_size=1, max_size=4))
    def lag(self, lags: list[float]) -> None:
        self.net.lags = cycle(lags)

    @precondition(lambda self: self.trouble)
    @rule(letters=st.integers(1, 4))
    def lose(self, letters: int) -> None:
        self.net.losing += letters
        self.disturbed = float("inf")

    @precondition(lambda self: self.trouble and len(self.net.nodes) > 1)
    @rule(number=which, notice=st.floats(0, 8))
    def kill(self, number: int, notice: float) -> None:
        node = list(self.net.nodes.values())[number % len(self.net.nodes)]
        self.net.kill(node)
        for session in self.sessions.values():
            session.stale = [each for each in session.stale if each[0] is not node]
            if session.node is node and session.here:
                session.here = False
                session.lost = self.now
                session.visitor.screen.lose()
        self.net.loop.advance(notice, 0.25)
        self.disturbed = max(self.disturbed, self.now)
        for other in self.net.nodes.values():
            self.net.meet(other, node, lives=False)

    @precondition(lambda self: len(self.net.nodes) > 1 and not self.net.cut & self.net.nodes.keys())
    @rule(number=which)
    def stop(self, number: int) -> None:
        """A node is replaced: its clients are sent away, and come back elsewhere."""
        node = list(self.net.nodes.values())[number % len(self.net.nodes)]
        for session in self.sessions.values():
            session.stale = [each for each in session.stale if each[0] is not node]
            if session.node is node and session.here:
                self.drop_one(session)
        self.net.stop(node)

    @precondition(lambda self: not self.net.cut & self.net.nodes.keys())
    @rule()
    def begin(self) -> None:
        if len(self.net.nodes) < 4:
            self.net.start()

    @precondition(lambda self: self.trouble and not self.net.cut & self.net.nodes.keys())
    @rule(number=which, noticed=st.booleans())
    def part(self, number: int, *, noticed: bool) -> None:
        nodes = list(self.net.nodes.values())
        node = nodes[number % len(nodes)]
        self.net.cut.add(node.name)
        self.disturbed = float("inf")
        if noticed:
            self.net.loop.advance(7, 0.25)
            for other in nodes:
                if other is not node:
                    self.net.meet(other, node, lives=False)
                    self.net.meet(node, other, lives=False)

    @precondition(lambda self: self.trouble)
    @rule()
    def heal(self) -> None:
        for node in [each for each in self.net.nodes.values() if each.name in self.net.cut]:
            self.net.cut.discard(node.name)
            for other in self.net.nodes.values():
                if other is not node:
                    if node.name not in other.tracker._others:
                        self.net.meet(other, node, lives=True)
                    if other.name not in node.tracker._others:
                        self.net.meet(node, other, lives=True)
        # Until what was lost has been asked for.
        self.disturbed = self.now + 15 if self.net.losing == 0 else float("inf")

    # What must hold

    def check_leaves(self) -> None:
        """Nobody has left who was there all the time, or back soon enough."""
        for index, (_, screen) in enumerate(self.screens):
            new = screen.leaves[self.checked[index] :]
            self.checked[index] = len(screen.leaves)
            for at, room, person in new:
                if at < self.disturbed + 12:
                    continue
                for session in self.sessions.values():
                    id = session.visitor.user or session.visitor.id
                    begun = session.since.get(room)
                    linger = self.net.settings.presence_linger
                    there = session.here or (
                        session.lost is not None and at - session.lost < linger
                    )
                    if id == person and begun is not None and there:
                        assert begun > at - 2 * DELAY - 0.5, (at, room, person, begun)

    def truth(self, room: str) -> dict[str, list[Any]]:
        found: defaultdict[str, list[tuple[float, str, Any]]] = defaultdict(list)
        for session in self.sessions.values():
            visitor = session.visitor
            if session.here and visitor.tracked and room in visitor.joined:
                assert visitor.tracked.meta is not None
                meta = msgspec.msgpack.decode(visitor.tracked.meta)
                found[visitor.user or visitor.id].append((visitor.tracked.since, visitor.id, meta))
        return {id: [each[2] for each in sorted(several)] for id, several in found.items()}

    @rule()
    def settle(self) -> None:
        """Ten seconds after the last trouble, and after the linger, all is as it is."""
        self.net.losing = 0
        self.heal()
        self.notice_void_socket(0)
        self.net.lags = cycle([0.0])
        self.net.loop.advance(12, 0.25)
        # Now every node has heard what there is; who is away may still be listed.
        away = {
            session.visitor.user or session.visitor.id
            for session in self.sessions.values()
            if not session.here
        }
        for room in ROOMS:
            views = [node.shows(room) for node in self.net.nodes.values()]
            assert all(view == views[0] for view in views), views
            assert {**self.truth(room), **views[0]}.keys() <= self.truth(room).keys() | away
        self.net.loop.advance(20, 0.25)
        for room in ROOMS:
            for node in self.net.nodes.values():
                assert node.shows(room) == self.truth(room), node.name
            for session in self.sessions.values():
                visitor = session.visitor
                if session.here and visitor.tracked and room in visitor.joined:
                    assert visitor.screen.rooms[room] == self.truth(room)
        self.check_leaves()
        for node in self.net.nodes.values():
            here = {each.id for each in node.visitors.values() if each.tracked}
            assert {key[1] for key in node.tracker._locals} == here
            # What is said of who is gone is said for a minute.
            entries = node.tracker._own.entries.items()
            assert [entry for key, entry in entries if not entry.gone and key[1] not in here] == []


class CalmMachine(PresenceMachine):
    trouble = False


TestPresence = PresenceMachine.TestCase
TestPresence.settings = settings(settings.default or settings(), stateful_step_count=30)
TestCalm = CalmMachine.TestCase
TestCalm.settings = settings(settings.default or settings(), stateful_step_count=30)
