"""Presence over several nodes: what passes between them, and what their clients are told."""

from collections.abc import Iterator
from itertools import cycle

import pytest

from gatewright import Settings
from gatewright.presence.letters import PORTION
from tests.presence.nodes import Network, SimNode, Visitor


@pytest.fixture
def net() -> Iterator[Network]:
    net = Network()
    yield net
    net.close()


def arrive(
    net: Network, node: SimNode, id: str, user: str | None = None, meta: object = "here"
) -> Visitor:
    """Somebody who is in the room A, and tracked."""
    visitor = Visitor(id, user, net.screen())
    visitor.meta(meta)
    node.visit(visitor, ["A"])
    net.do(node.tracker.track, visitor)
    return visitor


def resume(net: Network, node: SimNode, before: Visitor) -> Visitor:
    visitor = Visitor(before.id, before.user, net.screen(), before.generation + 1)
    visitor.tracked = before.tracked
    net.do(lambda: node.resume(visitor, set(before.joined)))
    return visitor


def lose(net: Network, node: SimNode, visitor: Visitor, *, kept: bool = True) -> None:
    net.do(lambda: node.lose(visitor, kept=kept))


def test_all_nodes_and_their_clients_see_the_same(net: Network) -> None:
    one, two = net.start(), net.start()
    ana = arrive(net, one, "~1", "ana", "red")
    bob = arrive(net, two, "~2", "bob", "blue")
    net.loop.advance(1)
    everybody = {"ana": ["red"], "bob": ["blue"]}
    assert one.shows("A") == two.shows("A") == everybody
    assert ana.screen.rooms["A"] == bob.screen.rooms["A"] == everybody


def test_a_node_that_comes_learns_of_several_at_once(net: Network) -> None:
    one, two = net.start(), net.start()
    arrive(net, one, "~1", "ana")
    arrive(net, two, "~2", "bob")
    net.loop.advance(1)
    three = SimNode(net, "three")
    net.nodes["three"] = three

    def begin() -> None:
        three.tracker.start()
        three.remote.peers(one.name, True)
        three.remote.peers(two.name, True)

    net.do(begin)
    net.loop.advance(1)
    assert three.shows("A") == {"ana": ["here"], "bob": ["here"]}


def test_the_devices_of_one_person_are_one_person(net: Network) -> None:
    one, two = net.start(), net.start()
    bob = arrive(net, one, "~1", "bob")
    first = arrive(net, one, "~2", "ana", "phone")
    net.loop.advance(1)
    second = arrive(net, two, "~3", "ana", "desk")
    net.loop.advance(1)
    assert bob.screen.rooms["A"] == {"bob": ["here"], "ana": ["phone", "desk"]}
    lose(net, one, first, kept=False)
    net.loop.advance(1)
    assert bob.screen.rooms["A"] == {"bob": ["here"], "ana": ["desk"]}
    assert [who for _, _, who in bob.screen.comes] == ["ana"]
    assert not bob.screen.leaves
    lose(net, two, second, kept=False)
    net.loop.advance(1)
    assert [who for _, _, who in bob.screen.leaves] == ["ana"]


def test_who_returns_elsewhere_at_the_last_moment_does_not_flicker(net: Network) -> None:
    one, two, three = net.start(), net.start(), net.start()
    ana, bob = arrive(net, one, "~1", "ana"), arrive(net, three, "~2", "bob")
    net.loop.advance(1)
    lose(net, one, ana)
    net.loop.advance(14.99)
    # Both other nodes hear of it after the time has passed.
    net.lags = cycle([0.5])
    resume(net, two, ana)
    net.loop.advance(40, 0.25)
    assert three.shows("A").keys() == {"ana", "bob"}
    assert not bob.screen.leaves


def test_who_does_not_return_leaves_after_the_linger(net: Network) -> None:
    one, two = net.start(), net.start()
    ana, bob = arrive(net, one, "~1", "ana"), arrive(net, two, "~2", "bob")
    net.loop.advance(1)
    lose(net, one, ana)
    lost = net.loop.time()
    net.loop.advance(20, 0.25)
    assert [who for _, _, who in bob.screen.leaves] == ["ana"]
    assert 15 <= bob.screen.leaves[0][0] - lost <= 17


def test_the_clients_of_a_node_that_stops_have_time_to_return(net: Network) -> None:
    one, two = net.start(), net.start()
    ana, cid = arrive(net, one, "~1", "ana"), arrive(net, one, "~2", "cid")
    bob = arrive(net, two, "~3", "bob")
    net.loop.advance(1)
    for visitor in (ana, cid):
        lose(net, one, visitor)
    net.stop(one)
    net.loop.advance(10, 0.25)
    assert not bob.screen.leaves
    resume(net, two, ana)
    net.loop.advance(20, 0.25)
    assert [who for _, _, who in bob.screen.leaves] == ["cid"]
    assert len(two.tracker) == 2


def test_a_node_that_is_replaced(net: Network) -> None:
    one, two = net.start(), net.start()
    ana, cid = arrive(net, one, "~1", "ana"), arrive(net, one, "~2", "cid")
    bob = arrive(net, two, "~3", "bob")
    net.loop.advance(1)
    for visitor in (ana, cid):
        lose(net, one, visitor)
    net.stop(one)
    three = net.start()
    net.loop.advance(1)
    again = resume(net, three, ana)
    # The new one has never heard of who has not returned yet.
    assert again.screen.rooms["A"] == {"ana": ["here"], "cid": ["here"], "bob": ["here"]}
    resume(net, three, cid)
    net.loop.advance(30, 0.25)
    assert not again.screen.comes
    assert not again.screen.leaves
    assert not bob.screen.leaves


def test_the_connections_of_a_node_that_dies_leave_at_once(net: Network) -> None:
    one, two = net.start(), net.start()
    ana, cid = arrive(net, one, "~1", "ana"), arrive(net, one, "~2", "cid")
    bob = arrive(net, two, "~3", "bob")
    net.loop.advance(1)
    net.kill(one)
    resume(net, two, cid)
    net.meet(two, one, lives=False)
    net.loop.advance(1)
    assert [who for _, _, who in bob.screen.leaves] == [ana.user]
    assert two.shows("A").keys() == {"bob", "cid"}


def test_a_goodbye_elsewhere_outdoes_what_an_older_node_still_says(net: Network) -> None:
    one, two, three = net.start(), net.start(), net.start()
    ana, bob = arrive(net, one, "~1", "ana"), arrive(net, three, "~2", "bob")
    net.loop.advance(1)
    # The first node does not know that its socket is void.
    again = resume(net, two, ana)
    net.loop.advance(1)
    lose(net, two, again, kept=False)
    net.loop.advance(1)
    assert [who for _, _, who in bob.screen.leaves] == ["ana"]
    assert three.shows("A").keys() == one.shows("A").keys() == {"bob"}
    lose(net, one, ana)
    net.loop.advance(70, 0.25)
    assert [who for _, _, who in bob.screen.leaves] == ["ana"]
    # Nor is anything kept of it.
    assert len(one.tracker) == len(two.tracker) == len(three.tracker) == 1


def test_a_node_that_comes_later_hears_of_everybody(net: Network) -> None:
    one = net.start()
    big = "x" * 4000
    for number in range(100):
        arrive(net, one, f"~{number}", meta=big)
    net.loop.advance(1)
    net.carried.clear()
    two = net.start()
    net.loop.advance(1)
    assert two.shows("A") == one.shows("A")
    assert len(two.shows("A")) == 100
    parts = [kind for sender, _, kind in net.carried if kind == "presence.part" and sender == "n1"]
    assert len(parts) > 100 * len(big) // PORTION


@pytest.mark.parametrize("lost", [1, 2])
def test_a_lost_letter_is_asked_for(net: Network, lost: int) -> None:
    one, two = net.start(), net.start()
    bob = arrive(net, two, "~1", "bob")
    net.loop.advance(1)
    net.losing = lost
    ana = arrive(net, one, "~2", "ana")
    net.loop.advance(1)
    assert "ana" not in two.shows("A")
    # Nothing follows that would show the hole; or the next letter does.
    if lost == 2:
        ana.meta("there")
        net.do(one.tracker.track, ana)
    net.loop.advance(10, 0.25)
    assert two.shows("A")["ana"] == one.shows("A")["ana"]
    assert bob.screen.rooms["A"] == one.shows("A")


def test_it_is_asked_again_where_the_answer_is_lost(net: Network) -> None:
    one = net.start()
    for number in range(3):
        arrive(net, one, f"~{number}")
    net.losing = 3
    two = net.start()
    assert not two.shows("A")
    net.loop.advance(8, 0.25)
    assert two.shows("A") == one.shows("A")
    asked = [kind for sender, _, kind in net.carried if kind == "presence.ask" and sender == "n2"]
    net.loop.advance(60, 1)
    again = [kind for sender, _, kind in net.carried if kind == "presence.ask" and sender == "n2"]
    assert asked == again


def test_letters_that_overtake_each_other(net: Network) -> None:
    one, two = net.start(), net.start()
    net.loop.advance(1)
    net.lags = cycle([0.9, 0.0, 0.4])
    ana = arrive(net, one, "~1", "ana", 0)
    for meta in range(1, 7):
        ana.meta(meta)
        net.do(one.tracker.track, ana)
        net.loop.advance(0.1)
    net.loop.advance(5, 0.1)
    assert two.shows("A") == {"ana": [6]}


def test_changes_of_one_turn_travel_together(net: Network) -> None:
    one = net.start()
    net.start()
    net.loop.advance(1)
    net.carried.clear()
    visitors = [Visitor(f"~{number}", None, net.screen()) for number in range(20)]
    for visitor in visitors:
        visitor.meta("here")
        one.visit(visitor, ["A"])

    def all_at_once() -> None:
        for visitor in visitors:
            one.tracker.track(visitor)

    net.do(all_at_once)
    assert [kind for _, _, kind in net.carried] == ["presence.changes"]


def test_nothing_travels_where_there_is_one_node() -> None:
    net = Network(Settings(presence_linger=3))
    one = net.start(alone=True)
    ana, bob = arrive(net, one, "~1", "ana"), arrive(net, one, "~2", "bob")
    lose(net, one, ana)
    net.loop.advance(4, 0.5)
    assert [who for _, _, who in bob.screen.leaves] == ["ana"]
    assert not net.carried
    lose(net, one, bob)
    net.loop.advance(4, 0.5)
    assert len(one.tracker) == 0
    net.close()
