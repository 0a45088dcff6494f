"""What a session gets on its return, step by step: the counterexamples of the models."""

from collections.abc import Generator
from pathlib import Path

import msgspec
import pytest

from tests.recovery.sim.simulation import SETTINGS, Person, Simulation, simulated

LITTLE = msgspec.structs.replace(SETTINGS, history=2, replay=3)


@pytest.fixture(params=["memory", "file"])
def sim(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Simulation]:
    """The server with its sessions in memory or in a file, and clients of either kind."""
    with simulated(tmp_path / "sessions" if request.param == "file" else None) as running:
        running.product = request.param == "file"
        yield running


@pytest.fixture
def little() -> Generator[Simulation]:
    """One that keeps two entries of a room, and replays three."""
    with simulated(settings=LITTLE, gaps=True) as running:
        yield running


def member(
    sim: Simulation, *rooms: str, user: str | None = "ana", product: bool | None = None
) -> Person:
    """Somebody in some rooms, with nothing under way."""
    person = sim.arrive(user, product=product)
    for room in rooms:
        sim.call(person, "join", room=room)
    sim.calm()
    return person


def shown(person: Person) -> list[int]:
    """The marks of what a client has got."""
    return [each.data["mark"] for each in person.client.shown if each.event == "said"]


def hear(sim: Simulation, person: Person, count: int) -> None:
    for _ in range(count):
        sim.client_hears(person)


def comes_back(sim: Simulation, person: Person) -> None:
    """A new socket, whose `open` has got to the server."""
    sim.connect(person)
    assert person.socket is not None
    sim.server_hears(person.socket)


def test_what_was_missed_comes_in_order_and_once(sim: Simulation) -> None:
    ana = member(sim, "A")
    assert ana.watch.story is not None
    sim.cut(ana)
    marks = [
        sim.emit(("A",)),
        sim.emit(None, ("ana",)),
        sim.emit((ana.watch.story.id,)),
        sim.emit(),
        sim.emit(("A", "B"), ("ana",)),
    ]
    sim.emit(("B",))
    sim.emit(None, ("bob",))
    sim.calm()
    assert shown(ana) == marks


def test_what_was_on_the_way_when_the_socket_was_lost_comes_again(sim: Simulation) -> None:
    ana = member(sim, "A")
    marks = [sim.emit(("A",)) for _ in range(4)]
    hear(sim, ana, 2)
    sim.cut(ana)
    sim.calm()
    assert shown(ana) == marks


def test_a_replay_that_is_cut_goes_on_where_it_was(sim: Simulation) -> None:
    ana = member(sim, "A", "B")
    sim.cut(ana)
    marks = [sim.emit((room,)) for room in "ABABAB"]
    for count in (0, 1, 3):
        comes_back(sim, ana)
        hear(sim, ana, count)
        sim.cut(ana)
    sim.calm()
    assert shown(ana) == marks


def test_a_join_entitles_to_nothing_that_was_before_it(sim: Simulation) -> None:
    ana = member(sim)
    sim.emit(("B",))
    sim.call(ana, "join", room="B")
    assert ana.socket is not None
    sim.server_hears(ana.socket)
    sim.cut(ana)
    after = sim.emit(("B",))
    sim.calm()
    assert shown(ana) == [after]


def test_what_was_before_it_left_is_still_owed(sim: Simulation) -> None:
    ana = member(sim, "B")
    assert ana.socket is not None
    before = sim.emit(("B",))
    sim.call(ana, "leave", room="B")
    sim.server_hears(ana.socket)
    sim.emit(("B",))
    sim.cut(ana)
    sim.calm()
    assert shown(ana) == [before]


def test_a_membership_that_ends_while_it_is_away_ends_there(sim: Simulation) -> None:
    ana = member(sim, "B")
    sim.call(ana, "leave", room="B")
    sim.cut(ana, half=True)
    before = sim.emit(("B",))
    sim.server_hears(ana.strays[0])
    sim.emit(("B",))
    sim.calm()
    assert shown(ana) == [before]


def test_who_is_left_out_is_judged_where_the_entry_stands(sim: Simulation) -> None:
    ana = member(sim, "A", "B")
    sim.call(ana, "leave", room="B")
    sim.cut(ana, half=True)
    sim.emit(("A",), except_=("B",))
    sim.server_hears(ana.strays[0])
    after = sim.emit(("A",), except_=("B",))
    sim.calm()
    assert shown(ana) == [after]


def test_who_speaks_to_a_room_is_left_out_of_the_replay_too(sim: Simulation) -> None:
    ana, bob = member(sim, "A"), member(sim, "A", user="bob")
    said = sim.call(ana, "say", room="A")
    assert ana.socket is not None
    sim.server_hears(ana.socket)
    sim.cut(ana)
    sim.cut(bob)
    sim.calm()
    assert (shown(ana), shown(bob)) == ([], [said.uid])


def test_what_comes_while_the_hooks_run_waits_for_hello(sim: Simulation) -> None:
    ana = member(sim, "A")
    sim.cut(ana)
    missed = sim.emit(("A",))
    sim.process.slow = {"resume"}
    comes_back(sim, ana)
    meanwhile = sim.emit(("A",))
    assert ana.socket is not None
    assert not ana.socket.down
    sim.process.slow.clear()
    sim.calm()
    assert shown(ana) == [missed, meanwhile]


@pytest.mark.parametrize("hook", ["authorize", "resume"])
def test_what_comes_while_it_is_taken_over_comes_once(sim: Simulation, hook: str) -> None:
    ana = member(sim, "A", "B")
    sim.process.slow = {hook}
    sim.cut(ana)
    marks = [sim.emit(("A",))]
    comes_back(sim, ana)
    marks.append(sim.emit(("B",)))
    sim.process.slow.clear()
    marks.append(sim.emit(("A",), soon=True))
    sim.release(next(iter(sim.process.held)))
    marks.append(sim.emit(("B",)))
    sim.calm()
    assert shown(ana) == marks


def test_what_is_emitted_in_the_moment_of_the_return_comes_once(sim: Simulation) -> None:
    ana = member(sim, "A")
    marks: list[int] = []
    for _ in range(5):
        sim.cut(ana)
        sim.connect(ana)
        marks.append(sim.emit(("A",), soon=True))
        assert ana.socket is not None
        sim.server_hears(ana.socket)
        marks.append(sim.emit(("A",)))
    sim.calm()
    assert shown(ana) == marks


def test_a_return_in_the_midst_of_a_storm_loses_nothing_and_gets_nothing_twice(
    sim: Simulation,
) -> None:
    ana = member(sim, "A")
    for count in range(20, 40):
        sim.cut(ana)
        sim.connect(ana)
        sim.storm(("A",), count)
        assert ana.socket is not None
        sim.server_hears(ana.socket)
    sim.calm()
    assert shown(ana) == [entry.mark for entry in sim.truth.log]
    assert len(shown(ana)) == sum(range(20, 40))


def test_a_room_that_is_forbidden_meanwhile_is_left_and_not_replayed(sim: Simulation) -> None:
    ana = member(sim, "A", "B")
    sim.cut(ana)
    sim.emit(("B",))
    both = sim.emit(("A", "B"))
    sim.truth.forbidden.add("B")
    comes_back(sim, ana)
    sim.emit(("B",))
    sim.calm()
    assert shown(ana) == [both]
    assert ana.watch.story is not None
    assert ana.watch.story.rooms == {"A"}


def test_a_volatile_event_has_no_number_and_is_not_replayed(sim: Simulation) -> None:
    ana = member(sim)
    sim.emit()
    sim.type()
    sim.calm()
    sim.cut(ana)
    sim.type()
    sim.emit()
    sim.calm()
    events = [each.event for each in ana.client.shown]
    assert events == ["said", "typing", "said"]


# Gaps


def test_a_gap_is_told_before_the_replay(little: Simulation) -> None:
    ana = member(little, "A", "B")
    little.cut(ana)
    lost = [little.emit(("A",)) for _ in range(3)]
    there = little.emit(("B",))
    comes_back(little, ana)
    # Hello, the gap and the replay; whoever is cut behind the replay has heard of the gap.
    hear(little, ana, 3)
    little.cut(ana)
    little.calm()
    assert shown(ana) == [there]
    assert [gap["rooms"] for gap in ana.watch.gaps] == [["A"]]
    assert not set(lost) & set(shown(ana))


def test_a_gap_that_did_not_arrive_is_told_again(little: Simulation) -> None:
    ana = member(little, "A", "B")
    little.cut(ana)
    for _ in range(3):
        little.emit(("A",))
    little.emit(("B",))
    comes_back(little, ana)
    hear(little, ana, 1)
    little.cut(ana)
    little.calm()
    assert [gap["rooms"] for gap in ana.watch.gaps] == [["A"]]


def test_over_the_limit_of_a_replay_the_largest_room_is_a_gap(little: Simulation) -> None:
    ana = member(little, "A", "B", "C")
    little.cut(ana)
    little.emit(("A",))
    marks = [little.emit((room,)) for room in ("B", "C")]
    little.emit(("A",))
    little.calm()
    assert shown(ana) == marks
    assert [gap["rooms"] for gap in ana.watch.gaps] == [["A"]]


@pytest.mark.parametrize("forged", ["beyond", "epoch"])
def test_a_position_of_another_sequence_makes_all_a_gap(little: Simulation, forged: str) -> None:
    ana = member(little, "A")
    little.emit(("A",))
    little.calm()
    little.cut(ana)
    if forged == "beyond":
        ana.letter.seq = ana.watch.seq = 1000
    else:
        ana.letter.epoch = ana.watch.epoch = "another"
    little.emit(("A",))
    little.calm()
    (gap,) = ana.watch.gaps
    assert ana.watch.story is not None
    assert set(gap["rooms"]) == {"*", "A", "ana", ana.watch.story.id}
    assert (ana.client.epoch, ana.client.seq) == (little.truth.epoch, little.truth.head)
    after = little.emit(("A",))
    little.calm()
    assert shown(ana)[-1] == after


# Pings


def test_who_hears_nothing_is_told_of_no_gap_later(little: Simulation) -> None:
    ana = member(little, "A")
    for _ in range(4):
        little.emit(("A",), except_=("A",))
    little.pass_time(4)
    hear(little, ana, 1)
    little.cut(ana)
    little.calm()
    assert not ana.watch.gaps


@pytest.mark.parametrize("late", [1, 2])
def test_a_pong_confirms_its_own_ping_and_no_later_one(sim: Simulation, late: int) -> None:
    ana = member(sim, "A")
    socket = ana.socket
    assert socket is not None
    pongs = []
    for _ in range(2):
        sim.pass_time(4)
        hear(sim, ana, 1)
        pongs.append(socket.up.pop())
        # Something else is heard of the client, so that it is asked again before it has answered.
        sim.message(ana)
        sim.server_hears(socket)
    for pong in pongs[: late - 1]:
        socket.up.append(pong)
        sim.server_hears(socket)
    mark = sim.emit(("A",))
    sim.pass_time(4)
    assert len(socket.down) == 2
    socket.up.append(pongs[late - 1])
    sim.server_hears(socket)
    sim.cut(ana)
    sim.calm()
    assert shown(ana) == [mark]


def test_what_was_confirmed_is_not_sent_to_a_client_that_forgot_it(sim: Simulation) -> None:
    ana = member(sim, "A", product=False)
    first = sim.emit(("A",))
    sim.pass_time(4)
    hear(sim, ana, 2)
    assert ana.socket is not None
    sim.server_hears(ana.socket)
    sim.cut(ana)
    second = sim.emit(("A",))
    ana.letter.seq = ana.watch.seq = 0
    # It is owed to nobody any more.
    sim.truth.log[0] = msgspec.structs.replace(sim.truth.log[0], rooms=())
    sim.calm()
    assert shown(ana) == [first, second]
