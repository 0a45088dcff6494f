"""Envelopes in, frames out, in both formats; and what hostile input is told."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from gatewright.protocol.codecs import (
    EnvelopeCodec,
    FrameError,
    JsonCodec,
    MsgpackCodec,
    decode_errors,
    describe,
)
from gatewright.protocol.frames import Answer, Message
from gatewright.protocol.outgoing import Outgoing

JSON: EnvelopeCodec = JsonCodec()
MSGPACK: EnvelopeCodec = MsgpackCodec()
both = pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=["json", "msgpack"])

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def packed(codec: EnvelopeCodec, frame: Any) -> str | bytes:
    """A frame as a client sends it."""
    return msgspec.msgpack.encode(frame) if codec.binary else msgspec.json.encode(frame).decode()


@both
@given(event=st.text(), data=plain, call_id=st.none() | st.integers(0, 2**53 - 1))
def test_what_one_side_encodes_the_other_reads(
    codec: EnvelopeCodec, event: str, data: Any, call_id: int | None
) -> None:
    frame = codec.encode(Message(event, data, UNSET if call_id is None else call_id))
    assert frame.binary == codec.binary
    assert frame.size == len(frame.data)
    envelope = codec.envelope(frame.payload)
    assert envelope.event == event
    assert envelope.id == (UNSET if call_id is None else call_id)
    assert envelope.op is UNSET
    assert codec.decoder(Any)(envelope.data) == data


@both
def test_data_left_out_is_empty_and_null_is_not(codec: EnvelopeCodec) -> None:
    assert not codec.envelope(packed(codec, {"event": "e"})).data
    assert bytes(codec.envelope(packed(codec, {"event": "e", "data": None})).data) == codec.null
    assert codec.decoder(list[int])(codec.empty) == []


@both
def test_unknown_keys_are_ignored(codec: EnvelopeCodec) -> None:
    envelope = codec.envelope(packed(codec, {"more": [1], "event": "e", "Event": "f"}))
    assert envelope.event == "e"


def test_of_duplicate_keys_the_last_wins() -> None:
    envelope = JSON.envelope('{"event": "a", "data": 1, "event": "b", "data": 2}')
    assert (envelope.event, bytes(envelope.data)) == ("b", b"2")
    message = b"\x84" + b"".join(
        msgspec.msgpack.encode(each) for each in ("event", "a", "data", 1, "event", "b", "data", 2)
    )
    envelope = MSGPACK.envelope(message)
    assert (envelope.event, bytes(envelope.data)) == ("b", b"\x02")


@both
@pytest.mark.parametrize(
    "frame",
    [
        None,
        1,
        "text",
        [],
        [{"event": "e"}],
        {"event": 1},
        {"event": None},
        {"event": ["e"]},
        {"id": -1},
        {"id": 2**53},
        {"id": 2**63},
        {"id": 1.5},
        {"id": True},
        {"id": "1"},
        {"id": None},
        {"op": 1},
    ],
)
def test_other_maps_and_other_things_are_no_frames(codec: EnvelopeCodec, frame: Any) -> None:
    with pytest.raises(FrameError):
        codec.envelope(packed(codec, frame))


@both
def test_the_other_kind_of_frame_is_named(codec: EnvelopeCodec) -> None:
    wrong: str | bytes = "{}" if codec.binary else b"{}"
    expected = "binary frame of MessagePack" if codec.binary else "text frame of JSON"
    with pytest.raises(FrameError, match=f"expected a {expected}, got"):
        codec.envelope(wrong)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("", "truncated"),
        ("{", "truncated"),
        ('{"event": "e"', "truncated"),
        ('{"event": "e"} x', "trailing"),
        ('{"event": "\\ud800"}', "truncated"),
        ('{"event": "\ud800"}', "not UTF-8"),
        ('{"data": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
        ('{"more": ' + '{"a":' * 100_000 + "1" + "}" * 100_001, "nested too deeply"),
        ('{"id": ' + "9" * 5000 + "}", "id"),
        ('{"id": 1e400}', "range"),
    ],
)
def test_text_that_is_no_frame(message: str, says: str) -> None:
    with pytest.raises(FrameError, match=says):
        JSON.envelope(message)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (b"", "truncated"),
        (b"\x81", "truncated"),
        (b"\xdf\xff\xff\xff\xff", "truncated"),
        (b"\x81\xa5event\xa2\xff\xfe", "not UTF-8"),
        (b"\x81\xa5event\xdb\xff\xff\xff\xffabc", "truncated"),
        (b"\x81\xa4data" + b"\x91" * 100_000 + b"\xc0", "nested too deeply"),
        (b"\x80\x80", "trailing"),
        (b"\xc1", "malformed"),
    ],
)
def test_bytes_that_are_no_frame(message: bytes, says: str) -> None:
    with pytest.raises(FrameError, match=says):
        MSGPACK.envelope(message)


@both
def test_what_a_decoder_raises_is_known_and_can_be_told(codec: EnvelopeCodec) -> None:
    raw = b"\x91" * 5000 + b"\xc0" if codec.binary else b"[" * 5000
    bad_text = b"\xa2\xff\xfe" if codec.binary else b'"\xff\xfe"'
    for data in (raw, bad_text, b"", codec.null):
        with pytest.raises(decode_errors) as caught:
            codec.decoder(list[str])(data)
        assert describe(caught.value)


@both
def test_bytes_travel_in_the_way_of_the_format(codec: EnvelopeCodec) -> None:
    frame = codec.encode(Answer(1, b"\x00\xff"))
    decode = msgspec.msgpack.decode if codec.binary else msgspec.json.decode
    assert decode(frame.data)["data"] == (b"\x00\xff" if codec.binary else "AP8=")


@both
def test_an_event_is_encoded_once_per_format(codec: EnvelopeCodec) -> None:
    outgoing = Outgoing("said", [1])
    assert outgoing.frame(codec) is outgoing.frame(codec)
    assert outgoing.frame(JSON).binary is False
    assert outgoing.frame(MSGPACK).binary is True


@both
def test_arguments_become_an_array_unless_they_are_one(codec: EnvelopeCodec) -> None:
    encode = msgspec.msgpack.encode if codec.binary else msgspec.json.encode
    decode = msgspec.msgpack.decode if codec.binary else msgspec.json.decode
    assert decode(codec.array(encode([1, 2]))) == [1, 2]
    assert decode(codec.array(encode({"a": 1}))) == [{"a": 1}]
    assert decode(codec.array(encode("x"))) == ["x"]
    many = list(range(70_000))
    assert decode(codec.array(encode(many))) == many
