"""The formats of gw.v1: what a server says, and how it reads what clients say."""

from contextlib import suppress
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from gatewright.protocol.codecs import FrameError
from gatewright.protocol.frames import Envelope, ErrorBody
from gatewright.protocol.sessions.codecs import (
    NOBODY,
    SessionCodec,
    SessionJsonCodec,
    SessionMsgpackCodec,
)
from gatewright.protocol.sessions.frames import (
    Ack,
    Away,
    GapNotice,
    Heartbeat,
    Hello,
    Ping,
    Pong,
    Refreshed,
    SessionEnvelope,
)
from gatewright.types import Frame, Position

JSON = SessionJsonCodec(mark="m")
MSGPACK = SessionMsgpackCodec(mark="m")


@pytest.fixture(params=[JSON, MSGPACK], ids=["json", "msgpack"])
def codec(request: pytest.FixtureRequest) -> SessionCodec:
    found: SessionCodec = request.param
    return found


def read(frame: Frame) -> Any:
    decode = msgspec.msgpack.decode if frame.binary else msgspec.json.decode
    return decode(frame.data)


def envelope(codec: SessionCodec, frame: Any) -> Envelope:
    packed = msgspec.msgpack.encode(frame) if codec.binary else msgspec.json.encode(frame).decode()
    return codec.envelope(packed)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@given(VALUES, st.text(min_size=1, max_size=300), st.integers(0, 2**60))
def test_an_event_gets_its_seq_when_it_is_numbered(data: Any, event: str, seq: int) -> None:
    for codec in (JSON, MSGPACK):
        frame = codec.event("/", event, data, None)
        assert read(frame) == {"event": event, "data": data}
        numbered = codec.positioned_event("/", event, data, frame, Position("e", seq))
        assert read(numbered) == {"event": event, "data": data, "seq": seq}
        assert numbered.binary is codec.binary


@given(VALUES, st.integers(1, 10**15 - 1))
def test_a_call_has_an_id_of_text_that_is_read_back(data: Any, number: int) -> None:
    for codec in (JSON, MSGPACK):
        asked = read(codec.event("/", "ask", data, number))
        assert set(asked) == {"event", "data", "id"}
        answer = envelope(codec, {"id": asked["id"], "data": data})
        assert answer.id == number
        assert msgspec.UNSET is answer.event is answer.op


def test_a_call_has_the_same_id_in_both_formats() -> None:
    assert read(JSON.event("/", "ask", 1, 7))["id"] == read(MSGPACK.event("/", "ask", 1, 7))["id"]
    other = SessionJsonCodec()
    assert read(other.event("/", "ask", 1, 7))["id"] != read(JSON.event("/", "ask", 1, 7))["id"]


@given(st.text(max_size=30) | st.integers(0, 2**53 - 1))
def test_an_answer_to_anything_else_is_nobodys(id: str | int) -> None:
    for codec in (JSON, MSGPACK):
        read = envelope(codec, {"id": id, "data": 1})
        right = isinstance(id, str) and id.endswith(".m") and id[:-2].isdigit()
        if not right:
            assert read.id == NOBODY


@pytest.mark.parametrize("frame", [{"event": "x", "id": "1.m"}, {"op": "cancel", "id": "1"}])
def test_the_id_of_a_call_is_a_number(codec: SessionCodec, frame: Any) -> None:
    with pytest.raises(FrameError, match="Expected `int`, got `str`"):
        envelope(codec, frame)


def test_answers_and_items_have_no_seq(codec: SessionCodec) -> None:
    position = Position("e", 5)
    assert read(codec.answer("/", 1, None)) == {"id": 1, "data": None}
    assert read(codec.item("/", 1, "x", [2], position)) == {"id": 1, "item": [2]}
    error = ErrorBody("busy", "later")
    assert read(codec.failure("/", 1, "x", error, position)) == {
        "id": 1,
        "error": {"code": "busy", "message": "later"},
    }
    failed = read(codec.failure("/", None, "x", error, position))
    assert failed["event"] == "exception"
    assert set(failed) == {"event", "data"}


def test_control_frames_are_what_the_specification_says(codec: SessionCodec) -> None:
    hello = Hello(
        session="~x",
        token="t",
        resumed=True,
        epoch="e",
        seq=3,
        last=None,
        heartbeat=Heartbeat(25, 10),
        grace=120,
        max=65536,
    )
    said = {
        "op": "hello",
        "session": "~x",
        "token": "t",
        "resumed": True,
        "epoch": "e",
        "seq": 3,
        "last": None,
        "heartbeat": {"interval": 25, "timeout": 10},
        "grace": 120,
        "max": 65536,
    }
    assert read(codec.control(hello)) == said
    assert read(codec.control(msgspec.structs.replace(hello, expires=1.5))) == {
        **said,
        "expires": 1.5,
    }
    for control, expected in (
        (Ping(7), {"op": "ping", "seq": 7}),
        (Pong(), {"op": "pong"}),
        (Ack(3), {"op": "ack", "id": 3}),
        (
            GapNotice(("lobby", "*"), "e", 2),
            {"op": "gap", "rooms": ["lobby", "*"], "epoch": "e", "seq": 2},
        ),
        (Refreshed(None), {"op": "auth", "expires": None}),
        (Refreshed(2.5), {"op": "auth", "expires": 2.5}),
        (
            Refreshed(error=ErrorBody("forbidden", "no")),
            {"op": "auth", "error": {"code": "forbidden", "message": "no"}},
        ),
        (Away(2.5, "stop"), {"op": "away", "after": 2.5, "reason": "stop"}),
    ):
        assert read(codec.control(control)) == expected


def test_an_open_is_read_with_what_it_asks_for(codec: SessionCodec) -> None:
    resume = {"session": "~x", "token": "t", "epoch": "e", "seq": 2**60, "sent": 7}
    asked = envelope(codec, {"op": "open", "auth": {"a": 1}, "resume": resume})
    assert isinstance(asked, SessionEnvelope)
    assert asked.op == "open"
    assert msgspec.structs.asdict(asked.resume) == resume  # type: ignore[arg-type]
    assert codec.decoder(Any)(asked.auth) == {"a": 1}


@given(st.binary(max_size=200))
def test_reading_raises_nothing_else(data: bytes) -> None:
    for codec, message in ((MSGPACK, data), (JSON, data.decode("utf-8", "surrogateescape"))):
        with suppress(FrameError):
            codec.envelope(message)
