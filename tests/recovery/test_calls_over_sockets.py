"""Calls over sockets that are cut: each is executed once, and has one end."""

from collections.abc import Generator
from pathlib import Path

import pytest

from gatewright.protocol.sessions.window import Window
from tests.recovery.sim.client import WINDOW, Call
from tests.recovery.sim.network import Frame, Socket
from tests.recovery.sim.simulation import Person, Simulation, simulated


@pytest.fixture(params=["memory", "file"])
def sim(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Simulation]:
    """The server with its sessions in memory or in a file, and clients of either kind."""
    with simulated(tmp_path / "sessions" if request.param == "file" else None) as running:
        running.product = request.param == "file"
        yield running


@pytest.fixture
def durable(tmp_path: Path) -> Generator[Simulation]:
    with simulated(tmp_path / "sessions") as running:
        yield running


def somebody(sim: Simulation, user: str | None = "ana") -> Person:
    person = sim.arrive(user)
    sim.calm()
    return person


def present(person: Person) -> Socket:
    assert person.socket is not None
    return person.socket


def good(call: Call) -> bool:
    return call.end == {"id": call.id, "data": call.uid}


def code(call: Call) -> str:
    assert call.end is not None
    return str(call.end["error"]["code"])


def window(sim: Simulation) -> Window:
    """What the server remembers of the calls of its one client."""
    dispatcher = sim.process.app._dispatcher
    assert dispatcher is not None
    (session,) = dispatcher._sessions
    assert session.ledger is not None
    return session.ledger.window


def held(sim: Simulation, person: Person, event: str = "work") -> Call:
    """A call that has been taken, and waits before its effect."""
    call = sim.call(person, event, hold=True)
    sim.server_hears(present(person))
    assert call.uid in sim.process.held
    return call


def kinds(socket: Socket) -> list[object]:
    """What is under way to a client: ops, events, ids."""
    frames = [frame for frame in socket.down if isinstance(frame, dict)]
    return [frame.get("op") or frame.get("event") or frame.get("id") for frame in frames]


@pytest.mark.parametrize("moment", ["before", "between", "after"])
def test_a_cut_around_the_effect_changes_nothing(sim: Simulation, moment: str) -> None:
    ana = somebody(sim)
    call = held(sim, ana)
    if moment != "before":
        sim.release(call.uid)
    if moment == "after":
        sim.release(call.uid)
    sim.cut(ana)
    sim.calm()
    assert good(call)
    assert sim.truth.effects[call.uid] == 1


def test_a_call_that_runs_goes_on_when_its_client_is_back(sim: Simulation) -> None:
    ana = somebody(sim)
    call = held(sim, ana)
    for _ in range(3):
        sim.cut(ana)
        sim.calm(finish=False)
        assert call.end is None
    sim.release(call.uid)
    sim.release(call.uid)
    assert kinds(present(ana)) == [call.id]
    sim.calm()
    assert good(call)


def test_what_is_sent_again_while_it_runs_is_acknowledged(sim: Simulation) -> None:
    ana = somebody(sim)
    call = held(sim, ana)
    sim.cut(ana)
    sim.connect(ana)
    sim.server_hears(present(ana))
    sim.client_hears(ana)
    sim.server_hears(present(ana))
    assert list(present(ana).down) == [{"op": "ack", "id": call.id}]


def test_a_call_that_ended_while_nobody_was_there_has_its_end_waiting(sim: Simulation) -> None:
    ana = somebody(sim)
    call = held(sim, ana)
    sim.cut(ana)
    sim.release(call.uid)
    sim.release(call.uid)
    sim.calm()
    assert good(call)
    assert sim.truth.effects[call.uid] == 1


def test_two_run_and_the_later_one_ends_first(sim: Simulation) -> None:
    ana = somebody(sim)
    first, second = held(sim, ana), sim.call(ana)
    sim.cut(ana)
    sim.calm()
    assert good(first)
    assert good(second)
    assert sim.truth.effects[second.uid] == 1


def test_a_bad_end_is_kept_as_well(sim: Simulation) -> None:
    ana = somebody(sim)
    call = sim.call(ana, "fail")
    sim.server_hears(present(ana))
    sim.cut(ana)
    sim.calm()
    assert code(call) == "of_the_lab"
    assert sim.truth.effects[call.uid] == 1


def test_a_message_without_an_id_is_handled_once_at_the_most(sim: Simulation) -> None:
    ana = somebody(sim)
    lost, told = sim.message(ana), 0
    sim.cut(ana)
    sim.calm()
    told = sim.message(ana)
    sim.calm()
    sim.cut(ana)
    sim.calm()
    assert (sim.truth.effects[lost], sim.truth.effects[told]) == (0, 1)


def test_a_window_full_of_calls_waits_for_the_lowest(sim: Simulation) -> None:
    ana = somebody(sim)
    lowest = held(sim, ana)
    others = [sim.call(ana) for _ in range(WINDOW + 5)]
    assert sum(call.id is not None for call in others) == WINDOW - 1
    sim.calm(finish=False)
    sim.cut(ana)
    sim.calm()
    assert good(lowest)
    assert all(good(call) for call in others)


def test_the_ends_of_a_whole_window_are_kept(sim: Simulation) -> None:
    ana = somebody(sim)
    calls = [sim.call(ana) for _ in range(WINDOW)]
    while present(ana).up:
        sim.server_hears(present(ana))
    sim.cut(ana)
    sim.calm()
    assert all(good(call) for call in calls)


# What is remembered


def test_a_pong_lets_ends_go(sim: Simulation) -> None:
    ana = somebody(sim)
    sim.call(ana)
    sim.calm()
    assert window(sim)._ends
    sim.pass_time(4)
    sim.calm()
    assert not window(sim)._ends


def test_a_pong_confirms_no_end_that_came_after_its_ping(sim: Simulation) -> None:
    ana = somebody(sim)
    sim.pass_time(4)
    call = sim.call(ana)
    socket = present(ana)
    sim.server_hears(socket)
    sim.client_hears(ana)
    assert socket.up.popleft() == {"op": "pong"}
    socket.up.append({"op": "pong"})
    sim.server_hears(socket)
    sim.cut(ana)
    sim.calm()
    assert good(call)


def test_a_pong_confirms_no_end_that_went_over_another_socket(sim: Simulation) -> None:
    ana = somebody(sim)
    call = sim.call(ana)
    sim.server_hears(present(ana))
    sim.cut(ana)
    sim.connect(ana)
    socket = present(ana)
    sim.server_hears(socket)
    sim.client_hears(ana)
    sim.pass_time(4)
    sim.client_hears(ana)
    # The pong gets there before the call that is sent again.
    again, pong = socket.up
    assert pong == {"op": "pong"}
    socket.up.clear()
    socket.up.extend([pong, again])
    sim.server_hears(socket)
    sim.server_hears(socket)
    sim.cut(ana)
    sim.calm()
    assert good(call)


def test_what_was_confirmed_and_comes_again_is_not_executed(sim: Simulation) -> None:
    ana = somebody(sim)
    call = sim.call(ana)
    sim.calm()
    sim.pass_time(4)
    sim.calm()
    present(ana).up.append(call.frame)
    sim.server_hears(present(ana))
    frame = present(ana).down.pop()
    assert isinstance(frame, dict)
    assert frame["error"]["code"] == "reply_lost"
    assert sim.truth.effects[call.uid] == 1


def test_hello_says_how_many_were_taken(sim: Simulation) -> None:
    ana = somebody(sim)
    sim.call(ana, hold=True)
    sim.call(ana)
    sim.call(ana)
    socket = present(ana)
    sim.server_hears(socket)
    sim.server_hears(socket)
    sim.cut(ana)
    sim.connect(ana)
    sim.server_hears(present(ana))
    hello = present(ana).down[0]
    assert isinstance(hello, dict)
    assert hello["last"] == 2


# Another process


@pytest.mark.parametrize("killed", [False, True])
def test_what_a_process_has_taken_with_it(durable: Simulation, *, killed: bool) -> None:
    ana = somebody(durable)
    done, never = durable.call(ana), durable.call(ana)
    again = durable.call(ana, "redo")
    durable.server_hears(present(ana))
    durable.restart(killed=killed)
    durable.cut(ana)
    after = durable.call(ana)
    durable.calm()
    assert code(done) == "reply_lost"
    assert durable.truth.effects[done.uid] == 1
    if killed:
        assert code(never) == "reply_lost"
        assert durable.truth.effects[never.uid] == 0
    else:
        # One that stops writes down which calls it has taken.
        assert good(never)
    assert good(again)
    assert good(after)


def test_what_was_called_in_a_session_that_is_over_ends_by_itself(sim: Simulation) -> None:
    ana = somebody(sim)
    called = held(sim, ana)
    sim.cut(ana)
    later = sim.call(ana)
    sim.pass_time(28)
    sim.calm()
    assert code(called) == "reply_lost"
    assert good(later)
    assert later.id == 1


# Streams


def test_a_stream_ends_with_its_socket(sim: Simulation) -> None:
    ana = somebody(sim)
    stream = sim.call(ana, "count", value=3)
    sim.server_hears(present(ana))
    sim.release(stream.uid)
    sim.client_hears(ana)
    sim.cut(ana)
    assert stream.items == [0]
    assert code(stream) == "interrupted"
    sim.calm()
    assert not sim.process.held
    assert stream.items == [0]


# Calls of the server


def asked(sim: Simulation) -> tuple[Person, int, Frame]:
    """Somebody who was asked something, and the answer that is under way."""
    ana = somebody(sim)
    assert ana.watch.story is not None
    uid = sim.ask(ana.watch.story)
    sim.client_hears(ana)
    return ana, uid, present(ana).up[-1]


def test_a_question_is_asked_again_and_answered_by_the_same(sim: Simulation) -> None:
    ana, uid, answer = asked(sim)
    sim.cut(ana)
    sim.connect(ana)
    sim.server_hears(present(ana))
    sim.client_hears(ana)
    sim.client_hears(ana)
    assert list(present(ana).up) == [answer]
    sim.calm()
    assert sim.questions[uid].result() == [uid]
    assert ana.client.asked == [uid]


def test_a_question_whose_time_is_over_is_not_asked_again(sim: Simulation) -> None:
    ana = somebody(sim)
    assert ana.watch.story is not None
    sim.ask(ana.watch.story)
    sim.cut(ana)
    sim.pass_time(16)
    sim.calm()
    assert not ana.client.asked


def test_an_answer_to_another_process_answers_nothing(durable: Simulation) -> None:
    ana, _, answer = asked(durable)
    durable.restart()
    durable.cut(ana)
    durable.calm()
    assert ana.watch.story is not None
    uid = durable.ask(ana.watch.story)
    socket = present(ana)
    # The id of before, as a client sends it that keeps what it has answered.
    socket.up.append({**answer, "data": -1})
    durable.server_hears(socket)
    assert not durable.questions[uid].done()
    durable.calm()
    assert durable.questions[uid].result() == [uid]
