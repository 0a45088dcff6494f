"""A client's side of `gw.v1`: what the server asks, what time does, and frames."""

import msgspec
import pytest
from msgspec import Raw

from gatewright.protocol.codecs import FrameError
from gatewright.protocol.frames import ErrorBody
from gatewright.protocol.sessions import frames as wire
from gatewright.protocol.sessions.client import (
    CLIENT_CODECS,
    Asked,
    Backoff,
    ClientSession,
    Drop,
    Lost,
    OpenCall,
    RefreshDue,
    RefreshEnded,
    ServerEnvelope,
    SessionAnswer,
)
from gatewright.protocol.sessions.client.renewal import Renewal
from tests.protocol.opened_sessions import hello, opened, returned

# Calls of the server


def test_a_question_is_run_once_and_answered_as_often_as_asked() -> None:
    session = opened()
    question = ServerEnvelope(event="sure", id="q.1", data=Raw(b"1"))
    session.received(question, 0)
    (asked,) = session.events()
    assert isinstance(asked, Asked)
    session.received(question, 0)
    session.lost(1)
    session.events()
    session.answer(asked.question, Raw(b"true"))
    assert session.frames() == []
    assert returned(session, last=0) == []
    session.received(question, 1)
    session.received(question, 1)
    assert session.frames() == [SessionAnswer("q.1", Raw(b"true"))] * 2
    assert not any(isinstance(each, Asked) for each in session.events())


def test_the_answer_to_a_question_of_a_former_session_is_not_sent() -> None:
    session = opened()
    session.received(ServerEnvelope(event="sure", id="q.1"), 0)
    (asked,) = session.events()
    assert isinstance(asked, Asked)
    session.lost(1)
    session.connected(1)
    session.received(hello(session="~b"), 1)
    session.received(ServerEnvelope(event="sure", id="q.1"), 1)
    session.frames()
    session.answer(asked.question, Raw(b"true"))
    assert session.frames() == []


def test_the_answers_of_the_last_128_questions_are_kept() -> None:
    session = opened()
    for number in range(129):
        session.received(ServerEnvelope(event="sure", id=f"q{number}"), 0)
        (asked,) = session.events()
        assert isinstance(asked, Asked)
        session.answer(asked.question, Raw(b"1"))
    session.frames()
    session.received(ServerEnvelope(event="sure", id="q1"), 0)
    assert session.frames() == [SessionAnswer("q1", Raw(b"1"))]
    session.received(ServerEnvelope(event="sure", id="q0"), 0)
    assert session.frames() == []


# Time


def test_silence_is_a_loss_and_whatever_comes_is_a_sign_of_life() -> None:
    session = opened(100)
    assert session.deadline == 135
    session.received(wire.Ack(1), 130)
    session.passed(135)
    assert session.events() == []
    assert session.deadline == 165
    session.passed(165)
    assert session.events()[0] == Drop(None, "nothing heard for 35 s")


def test_attempts_are_further_and_further_apart_up_to_a_bound() -> None:
    session = ClientSession(backoff=Backoff(0.5, 20), random=lambda: 1)
    delays: list[float] = []
    for _ in range(8):
        session.failed(0)
        assert session.until is not None
        delays.append(session.until)
    assert delays == [0.5, 1, 2, 4, 8, 16, 20, 20]
    session.connected(0)
    session.received(hello(), 10)
    session.lost(10.4)
    assert session.until == 30.4, "a connection of less than half a second is none"
    session.connected(40)
    session.received(hello(), 40)
    session.lost(41)
    assert session.until == 41.5


def test_going_away() -> None:
    session = opened(100)
    session.received(wire.Away(3, "restart"), 100)
    assert session.deadline == 103
    session.passed(103)
    drop, lost = session.events()
    assert drop == Drop(1001, "the server goes away")
    assert lost == Lost(None, "the server goes away", 103)
    session.failed(103)
    assert session.until == 103.25


def test_a_socket_that_is_closed_sooner_waits_for_the_time_that_the_server_chose() -> None:
    session = opened(100)
    session.received(wire.Away(3, "restart"), 100)
    session.lost(101, 1012, "restart")
    assert session.until == 103


def test_an_identity_is_refreshed_in_time() -> None:
    session = opened(100, expires=20.0)
    assert session.deadline == 100 + 20 - 10 * 0.75
    session.passed(112.5)
    assert session.events() == [RefreshDue()]
    session.refresh("new")
    assert session.frames() == [wire.Refresh("new")]
    session.received(wire.Refreshed(expires=30), 113)
    assert session.events() == [RefreshEnded(30, None)]
    assert session.deadline == 113 + 30 - 15 * 0.75
    session.received(wire.Refreshed(expires=None), 114)
    assert session.deadline == 149, "silence is all that is left"


def test_a_refresh_that_fails_is_tried_again_while_there_is_time() -> None:
    renewal = Renewal(lambda: 0.0)
    times: list[float | None] = []
    renewal.plan(0, 200)
    times.append(renewal.due)
    for now in (170, 199.5):
        renewal.repeat(now)
        times.append(renewal.due)
    assert times == [170, 185, None]
    session = opened(0, expires=20.0)
    session.received(wire.Refreshed(error=ErrorBody("forbidden")), 1)
    assert session.events() == [RefreshEnded(None, ErrorBody("forbidden"))]
    session.lost(2)
    session.refresh("too late")
    assert session.frames() == []


# The wire


@pytest.fixture(params=["json", "msgpack"])
def format_(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def test_frames_are_read(format_: str) -> None:
    codec = CLIENT_CODECS[format_]()
    encode = getattr(msgspec, format_).encode
    one = Raw(encode(1))
    for frame, read in [
        ({"event": "said", "data": 1, "seq": 3}, ServerEnvelope("said", one, seq=3)),
        ({"op": "ping", "seq": 3}, wire.Ping(3)),
        ({"op": "ping", "seq": 3, "event": "x"}, ServerEnvelope("x", op="ping", seq=3)),
        ({"op": "of the future", "id": []}, None),
        ({"op": "of the future", "now": 1}, ServerEnvelope(op="of the future")),
        ({"op": "auth", "expires": None}, wire.Refreshed(None)),
        ({"id": 1, "item": None}, ServerEnvelope(id=1, item=Raw(encode(None)))),
        ({"id": 1, "error": {"code": "x"}}, ServerEnvelope(id=1, error=ErrorBody("x"))),
    ]:
        if read is None:
            with pytest.raises(FrameError):
                codec.read(encode(frame))
        else:
            assert codec.read(encode(frame)) == read
    with pytest.raises(FrameError):
        codec.read(b"\xc1")
    with pytest.raises(FrameError):
        codec.read(encode({"op": "ping", "seq": "3"}))


def test_an_unknown_op_is_ignored() -> None:
    session = opened()
    session.call("say")
    session.frames()
    session.received(ServerEnvelope(op="of the future", id=1), 0)
    assert (session.frames(), session.events()) == ([], [])


def test_what_it_is_called() -> None:
    call = OpenCall("say")
    assert repr(call) == "<OpenCall None 'say'>"
