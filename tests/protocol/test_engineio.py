"""Packets, payloads and errors of Engine.IO v4."""

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.protocol.engineio import (
    CLOSE,
    NOOP,
    PING,
    PROBED,
    SEPARATOR,
    PacketType,
    PayloadError,
    Refusal,
    decode_packet,
    decode_payload,
    encode_payload,
    open_packet,
    refusal_body,
)
from gatewright.types import Frame

texts = st.text(st.characters(exclude_characters=SEPARATOR, exclude_categories=["Cs"]))


def test_the_packets_that_are_always_the_same() -> None:
    assert [each.payload for each in (CLOSE, PING, PROBED, NOOP)] == ["1", "2", "3probe", "6"]


def test_types_have_their_numbers() -> None:
    assert [each.value for each in PacketType] == list("0123456")


def test_the_handshake_counts_in_milliseconds() -> None:
    packet = open_packet("x", ["websocket"], 25.0, 0.3, 1_000_000)
    assert packet.data.startswith(b"0")
    assert json.loads(packet.data[1:]) == {
        "sid": "x",
        "upgrades": ["websocket"],
        "pingInterval": 25000,
        "pingTimeout": 300,
        "maxPayload": 1000000,
    }


@pytest.mark.parametrize(
    ("refusal", "code", "status", "text"),
    [
        (Refusal.UNKNOWN_TRANSPORT, 0, 400, "Transport unknown"),
        (Refusal.UNKNOWN_SESSION, 1, 400, "Session ID unknown"),
        (Refusal.BAD_METHOD, 2, 400, "Bad handshake method"),
        (Refusal.BAD_REQUEST, 3, 400, "Bad request"),
        (Refusal.FORBIDDEN, 4, 403, "Forbidden"),
        (Refusal.UNSUPPORTED_VERSION, 5, 400, "Unsupported protocol version"),
    ],
)
def test_refusals_are_the_reference_s(refusal: Refusal, code: int, status: int, text: str) -> None:
    assert refusal.status == status
    assert json.loads(refusal_body(refusal)) == {"code": code, "message": text}
    assert json.loads(refusal_body(refusal, 'a "reason"')) == {
        "code": code,
        "message": 'a "reason"',
    }


# Payloads


def test_a_payload_of_everything() -> None:
    blob = Frame(b"\x01\x02\x03\x04", binary=True)
    frames = [PING, Frame(b"4hello"), Frame(b"451-[]", attachments=(blob, blob)), NOOP, blob]
    assert encode_payload(frames) == (
        b"2\x1e4hello\x1e451-[]\x1ebAQIDBA==\x1ebAQIDBA==\x1e6\x1ebAQIDBA=="
    )


def test_an_empty_attachment_is_still_one() -> None:
    payload = encode_payload([Frame(b"", binary=True)])
    assert payload == b"b"
    assert decode_packet("b") == b""


@given(st.lists(texts | st.binary(), min_size=1))
def test_payloads_come_back(packets: list[str | bytes]) -> None:
    frames = [
        Frame(b"4" + each.encode()) if isinstance(each, str) else Frame(each, binary=True)
        for each in packets
    ]
    found: list[str | bytes] = []
    for packet in decode_payload(encode_payload(frames)):
        data = decode_packet(packet)
        found.append(packet[1:] if data is None else data)
    assert found == packets


@given(st.binary())
def test_any_body_is_packets_or_refused(body: bytes) -> None:
    try:
        packets = decode_payload(body)
    except PayloadError:
        with pytest.raises(UnicodeDecodeError):
            body.decode()
        return
    assert SEPARATOR.join(packets).encode() == body
    for packet in packets:
        try:
            data = decode_packet(packet)
        except PayloadError:
            assert packet[:1] not in set("0123456")
        else:
            assert (data is None) == (packet[0] in "0123456")


@given(st.text())
def test_any_packet_is_one_or_refused(packet: str) -> None:
    try:
        data = decode_packet(packet)
    except PayloadError:
        assert packet[:1] not in set("0123456")
    else:
        if data is not None:
            # One spelling for each: nothing is skipped, nothing left out.
            assert "b" + b64encode(data).decode() == packet


@pytest.mark.parametrize(
    "packet", ["bA", "bAQ", "bAQ=", "bAQID BA==", "bAQIDBA==x", "b====", "b-_8=", "bé", "b\ud800"]
)
def test_base64_is_read_strictly(packet: str) -> None:
    with pytest.raises(PayloadError, match="expected base64"):
        decode_packet(packet)


@pytest.mark.parametrize("packet", ["", "7", "9", "x", "٤", " 4", "\ud800", "\x00"])
def test_a_packet_has_one_of_seven_types(packet: str) -> None:
    with pytest.raises(PayloadError, match="from 0 to 6"):
        decode_packet(packet)


@pytest.mark.parametrize("body", [b"\xff", b"4\xed\xa0\x80", b"4ok\x1e4\xc3", b"4\xf5\x80\x80\x80"])
def test_a_payload_is_utf_8(body: bytes) -> None:
    with pytest.raises(PayloadError, match="UTF-8"):
        decode_payload(body)
