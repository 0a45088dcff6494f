"""A client's side of `gw.v1`: opening, positions, calls."""

import pytest
from msgspec import UNSET, Raw

from gatewright.errors import EventError
from gatewright.protocol.frames import ErrorBody, Message
from gatewright.protocol.sessions import frames as wire
from gatewright.protocol.sessions.client import (
    CallEnded,
    ClientSession,
    Closed,
    Delivered,
    Drop,
    Lost,
    Missed,
    Opened,
    ServerEnvelope,
)
from gatewright.protocol.sessions.client.place import Place
from gatewright.types import Gap, Position
from tests.protocol.opened_sessions import failed, hello, opened, returned, said

# Opening


def test_the_first_open_asks_for_nothing_and_the_next_for_the_session() -> None:
    session = ClientSession()
    statuses = [session.status]
    session.connected(0, {"token": "x"})
    assert session.frames() == [wire.Open({"token": "x"})]
    session.received(hello(), 0)
    assert session.events() == [Opened("~a", resumed=False)]
    statuses.append(session.status)
    session.received(said("said", 9), 0)
    session.call("say")
    session.lost(1)
    session.connected(2)
    assert [*statuses, session.status] == ["connecting", "open", "resuming"]
    (opening,) = session.frames()[-1:]
    assert opening == wire.Open(
        UNSET, wire.Resume(session="~a", token="t1", epoch="e", seq=9, sent=1)
    )


def test_nothing_counts_before_hello() -> None:
    session = ClientSession()
    session.connected(0)
    session.frames()
    for frame in (said("said", 9), wire.Ping(9), wire.GapNotice(("a",), "e", 3)):
        session.received(frame, 0)
    session.call("say")
    assert not session.message("wave")
    assert (session.frames(), session.events()) == ([], [])


def test_a_server_that_says_no_hello_is_given_up() -> None:
    session = ClientSession(open_timeout=20)
    session.connected(100)
    assert session.deadline == 120
    session.passed(119.9)
    assert session.events() == []
    session.passed(120)
    drop, lost = session.events()
    assert drop == Drop(None, "no hello within 20 s")
    assert isinstance(lost, Lost)
    session.lost(121)
    assert session.events() == []


@pytest.mark.parametrize("code", [1000, 1008, 4500, 4501, 4503, 4508, 4999])
def test_codes_that_say_not_to_return(code: int) -> None:
    session = opened()
    session.call("say")
    session.call("count", stream=True)
    session.lost(1, code, "why")
    events = session.events()
    assert events[-1] == Closed(code, "why")
    assert session.status == "closed"
    assert session.until is session.deadline is None
    assert {each.call.event: each.error.code for each in events[:-1]} == {  # type: ignore[union-attr]
        "say": "reply_lost",
        "count": "interrupted",
    }
    with pytest.raises(EventError, match="closed: the connection has ended"):
        session.call("say")


@pytest.mark.parametrize("code", [None, 1001, 1002, 1006, 1012, 3000, 4002, 4004, 4009, 4499])
def test_codes_that_say_to_return(code: int | None) -> None:
    session = opened()
    session.lost(1, code)
    (lost,) = session.events()
    assert isinstance(lost, Lost)
    assert session.until == lost.until >= 1


def test_what_never_left_is_closed_and_bye_is_the_last_frame() -> None:
    session = ClientSession()
    session.call("say")
    session.bye()
    assert session.frames() == []
    assert failed(session) == {"say": "closed"}
    session = opened()
    session.call("say")
    session.bye()
    session.bye()
    assert session.frames() == [wire.Bye()]
    assert session.events()[-1:] == [Closed(1000, "the client has left")]


# Positions


def test_the_rules_of_positions() -> None:
    place = Place()
    place.begin("e", 5)
    assert not place.move(5)
    assert not place.move(3)
    assert place.move(8)
    place.gap("e", 12)
    assert place.position == Position("e", 8), "the replay of other rooms follows"
    place.gap("e", 6)
    assert place.position == Position("e", 6)
    place.gap("f", 9)
    assert place.position == Position("f", 9)


def test_pings_move_the_position_and_are_answered() -> None:
    session = opened()
    session.received(wire.Ping(7), 1)
    session.received(said("said", 7), 1)
    session.received(said("typing"), 1)
    assert session.frames() == [wire.Pong()]
    assert session.events() == [Delivered("typing", Raw(b"1"), None)]
    session.received(wire.GapNotice(("lobby",), "f", 2), 1)
    assert session.events() == [Missed(Gap(("lobby",), "f", 2))]
    assert session.position == Position("f", 2)


# Calls


def test_the_window_and_who_waits_for_it() -> None:
    session = opened(queue=10)
    stream = session.call("count", stream=True)
    calls = [session.call("say") for _ in range(128)]
    assert [each.id for each in calls] == list(range(2, 130))
    calls.append(session.call("last"))
    session.received(ServerEnvelope(id=3, data=Raw(b"1")), 0)
    assert [calls[-1].id] == [None], "the lowest has not ended"
    session.received(ServerEnvelope(id=2, data=Raw(b"1")), 0)
    assert [stream.id, calls[-1].id] == [1, 130]
    assert [type(each) for each in session.events()] == [CallEnded, CallEnded]


def test_the_queue_is_bounded() -> None:
    session = ClientSession(queue=2)
    session.call("say")
    session.call("say")
    assert session.full
    with pytest.raises(EventError, match="too_many: 2 calls wait"):
        session.call("say")


def test_what_is_sent_again_and_what_is_not() -> None:
    session = opened()
    one, stream, two, three, four = (
        session.call(name, Raw(b"7"), stream=name == "stream")
        for name in ("one", "stream", "two", "three", "four")
    )
    session.received(ServerEnvelope(id=1, data=Raw(b"1")), 0)
    session.frames()
    session.lost(1)
    assert failed(session) == {"stream": "interrupted"}
    session.cancel(two)
    session.cancel(four)
    assert session.frames() == []
    five = session.call("five")
    assert returned(session, last=4) == [
        wire.Cancel(3),
        Message("three", Raw(b"7"), 4),
        Message("five", UNSET, 6),
    ]
    assert failed(session) == {}
    assert session.calls == [three, five]
    assert (one.id, stream.id) == (1, 2)


def test_a_server_that_does_not_know_is_asked_all_the_same() -> None:
    session = opened()
    session.call("one")
    session.cancel(session.call("two"))
    session.frames()
    assert returned(session, last=None) == [wire.Cancel(2), Message("one", UNSET, 1)]


def test_in_a_new_session_replies_are_lost_and_ids_begin_anew() -> None:
    session = opened()
    session.call("one")
    session.frames()
    session.lost(1)
    session.call("two")
    session.connected(1)
    session.received(hello(session="~b", seq=1), 1)
    assert session.frames()[1:] == [Message("two", UNSET, 1)]
    assert failed(session) == {"one": "reply_lost"}
    assert session.position == Position("e", 1)


def test_a_call_that_is_too_large_is_not_sent() -> None:
    session = opened()
    session.call("large", size=101)
    session.call("small", size=100)
    assert session.frames() == [Message("small", UNSET, 1)]
    assert failed(session) == {"large": "too_large"}
    assert returned(session, last=1, max=99) == []
    assert failed(session) == {"small": "reply_lost"}


def test_a_cancelled_call_has_no_end_and_is_in_the_window_until_the_server_ends_it() -> None:
    session = opened()
    call = session.call("say")
    session.cancel(call)
    session.cancel(call)
    assert session.frames() == [Message("say", UNSET, 1), wire.Cancel(1)]
    assert session.calls == [call]
    session.received(ServerEnvelope(id=1, item=Raw(b"1")), 0)
    session.received(ServerEnvelope(id=1, error=ErrorBody("cancelled")), 0)
    assert (session.events(), session.calls) == ([], [])


def test_calls_first_go_before_what_waits_in_a_new_session() -> None:
    session = ClientSession(hold=True)
    session.call("say")
    session.connected(0)
    session.received(hello(), 0)
    session.call("join", first=True)
    assert session.frames()[1:] == [Message("join", UNSET, 1)]
    session.release("~another")
    assert session.frames() == []
    session.release("~a")
    assert session.frames() == [Message("say", UNSET, 2)]
    session.call("say")
    assert len(returned(session, last=2)) == 3, "nothing is held in a session that goes on"
