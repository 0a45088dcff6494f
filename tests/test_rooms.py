"""Rooms as the lane of a real backplane makes them, against a model of who is where."""

import contextlib
from collections.abc import Awaitable
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from gatewright.backplane import Memory
from gatewright.backplane.base import Batch, Entry, Marker, Passing
from gatewright.flusher import Flusher
from gatewright.protocol.outgoing import Outgoing
from gatewright.rooms import Namespaces, send_volatile
from tests._support.clock import ManualLoop
from tests._support.members import JSON, MSGPACK, Listener

T = TypeVar("T")

rooms = st.sampled_from(["lobby", "attic", "cellar"])
users = st.sampled_from(["ana", "ben"])
namespaces = st.sampled_from(["/chat", "/lab/7"])


class RoomsMachine(RuleBasedStateMachine):
    """Everyone who comes, joins, leaves, changes their name, goes; and what they must hear."""

    members = Bundle("members")

    @initialize()
    def start(self) -> None:
        self.loop = ManualLoop()
        self.node = Namespaces()
        self.backplane = Memory()
        self.passed: list[Passing] = []
        self.run(self.backplane.start(self.lane))
        self.numbers = {"/chat": 0, "/lab/7": 0}
        self.made = 0
        self.said = 0
        self.present: dict[str, tuple[str, Listener]] = {}
        self.users: dict[str, str | None] = {}
        self.inside: dict[str, set[str]] = {}
        self.expected: dict[str, list[int]] = {}
        self.everyone: dict[str, Listener] = {}

    def run(self, awaitable: Awaitable[T]) -> T:
        return self.loop.run(awaitable)

    def lane(self, passing: Passing) -> None:
        self.passed.append(passing)
        self.node.lane(passing)

    # Coming and going

    @rule(target=members, namespace=namespaces, user=st.none() | users, text=st.booleans())
    def enter(self, namespace: str, user: str | None, *, text: bool) -> str:
        self.made += 1
        name = f"member {self.made}"
        codec = JSON if text else MSGPACK
        listener = Listener(name, Flusher(10), user=user, codec=codec)
        self.present[name] = (namespace, listener)
        self.everyone[name] = listener
        self.users[name] = user
        self.inside[name] = set()
        self.expected[name] = []
        self.node.enter(namespace, listener)
        return name

    @rule(member=members, names=st.sets(rooms, min_size=1))
    def join(self, member: str, names: set[str]) -> None:
        namespace, _ = self.present[member]
        self.mark(namespace, "join", member, names)
        self.inside[member] |= names

    @rule(member=members, names=st.sets(rooms, min_size=1))
    def leave(self, member: str, names: set[str]) -> None:
        namespace, _ = self.present[member]
        self.mark(namespace, "leave", member, names)
        self.inside[member] -= names

    @rule(member=members, user=st.none() | users)
    def rename(self, member: str, user: str | None) -> None:
        namespace, listener = self.present[member]
        before, listener.user = listener.user, user
        self.node[namespace].rename(listener, before)
        self.users[member] = user

    @rule(member=consumes(members), told=st.booleans(), late=st.booleans())
    def exit(self, member: str, *, told: bool, late: bool) -> None:
        """`told` is whether the backplane could still be told; `late` what comes after the end."""
        namespace, listener = self.present.pop(member)
        if told and listener.joined:
            self.mark(namespace, "leave", member, set(listener.joined))
        self.node.exit(namespace, listener)
        if not told:
            self.mark(namespace, "leave", member, self.inside[member] or {"lobby"})
        del self.inside[member]
        if late:
            listener.user = "ana"
            self.node[namespace].rename(listener, "ben")
            self.node[namespace].apply(Marker(namespace, 0, "join", member, ["lobby"]))

    def mark(self, namespace: str, action: Any, member: str, names: set[str]) -> None:
        number = self.run(self.backplane.mark(namespace, action, member, sorted(names)))
        assert number == self.numbers[namespace]

    # Speaking

    @rule(
        namespace=namespaces,
        whom=st.lists(
            st.tuples(
                st.none() | st.lists(rooms | st.integers(1, 9).map("member {}".format), max_size=3),
                st.none() | st.lists(users, max_size=2),
                st.lists(rooms | st.integers(1, 9).map("member {}".format), max_size=2),
            ),
            min_size=1,
            max_size=3,
        ),
        volatile=st.booleans(),
    )
    def say(
        self,
        namespace: str,
        whom: list[tuple[list[str] | None, list[str] | None, list[str]]],
        *,
        volatile: bool,
    ) -> None:
        entries = []
        for to, to_users, out in whom:
            self.said += 1
            outgoing = Outgoing("said", self.said)
            for member in self.receivers(namespace, to, to_users, out):
                self.expected[member].append(self.said)
            if volatile:
                self.loop.run(self.volatile(namespace, to, to_users, out, outgoing))
            else:
                several = tuple(to) if to is not None else None
                them = tuple(to_users) if to_users is not None else None
                entries.append(Entry(outgoing, several, them, tuple(out)))
        if entries:
            first = self.run(self.backplane.publish(namespace, entries))
            assert first == self.numbers[namespace] + 1
            self.numbers[namespace] += len(entries)
        self.loop.settle()

    async def volatile(
        self,
        namespace: str,
        to: list[str] | None,
        to_users: list[str] | None,
        out: list[str],
        outgoing: Outgoing,
    ) -> None:
        send_volatile(self.node[namespace].select(to, to_users, out), outgoing, None)

    def receivers(
        self, namespace: str, to: list[str] | None, to_users: list[str] | None, out: list[str]
    ) -> set[str]:
        here = {name for name, (where, _) in self.present.items() if where == namespace}

        def in_any(names: list[str]) -> set[str]:
            return {each for each in here if each in names or self.inside[each] & set(names)}

        if to is None and to_users is None:
            chosen = here
        else:
            chosen = in_any(to or []) | {e for e in here if self.users[e] in (to_users or [])}
        return chosen - in_any(out)

    # What always holds

    @invariant()
    def everyone_heard_what_was_meant_for_them_once_and_in_order(self) -> None:
        if hasattr(self, "loop"):
            for name, listener in self.everyone.items():
                assert listener.received == self.expected[name]

    @invariant()
    def the_rooms_of_a_member_are_what_it_joined(self) -> None:
        if hasattr(self, "loop"):
            for name, (_, listener) in self.present.items():
                assert listener.joined == self.inside[name]

    @invariant()
    def markers_stand_between_the_entries_that_they_came_between(self) -> None:
        if hasattr(self, "loop"):
            at = {"/chat": 0, "/lab/7": 0}
            for passing in self.passed:
                if isinstance(passing, Batch):
                    assert passing.first == at[passing.namespace] + 1
                    at[passing.namespace] += len(passing.entries)
                else:
                    assert isinstance(passing, Marker)
                    assert passing.seq == at[passing.namespace]

    @invariant()
    def no_room_is_kept_for_nobody(self) -> None:
        if hasattr(self, "loop"):
            here = {where for where, _ in self.present.values()}
            assert len(self.node) == len(here)
            for namespace in here:
                found = self.node[namespace]
                present = {n: x for n, (where, x) in self.present.items() if where == namespace}
                assert found.members == present
                assert {r for n in present for r in self.inside[n]} == set(found.rooms)
                assert {n for each in found.rooms.values() for n in each} <= set(present)
                assert all(found.rooms.values())
                assert {self.users[n] for n in present} - {None} == set(found.users)
                assert {n for each in found.users.values() for n in each} <= set(present)

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        with contextlib.closing(self.loop):
            for name in list(self.present):
                self.exit(name, told=True, late=False)
            assert len(self.node) == 0
            assert not self.backplane._sequences._live
            for listener in self.everyone.values():
                self.run(listener.outbox.aclose())
            self.run(self.backplane.stop())


TestRoomsMachine = RoomsMachine.TestCase
