"""The messages of servers, read and written."""

import contextlib
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.bridges.wire import (
    Answer,
    Channels,
    Flags,
    Options,
    Packet,
    Request,
    RequestType,
    WireError,
    Writer,
    head_of,
    names,
    read_broadcast,
    read_request,
    read_response,
)

pack = msgspec.msgpack.encode


def broadcast(*data: Any, **options: Any) -> bytes:
    packet = {"type": 2, "data": data, "nsp": "/"}
    return pack(["peer01", packet, {"rooms": [], "except": [], "flags": {}, **options}])


def test_channels_are_named_as_the_adapter_names_them() -> None:
    channels = Channels.of("socket.io", "/a*[b]")
    assert channels.broadcast == "socket.io#/a*[b]#"
    assert channels.request == "socket.io-request#/a*[b]#"
    assert channels.response == channels.answers("") == "socket.io-response#/a*[b]#"
    assert channels.answers("peer01") == "socket.io-response#/a*[b]#peer01#"
    assert channels.pattern == r"socket.io#/a\*\[b\]#*"


def test_a_broadcast() -> None:
    message = broadcast("news", 1, b"\0", rooms=["a", 7], flags={"volatile": True, "compress": 1})
    uid, packet, options = read_broadcast(message)
    assert uid == "peer01"
    assert packet == Packet(["news", 1, b"\0"])
    assert options == Options(["a", 7], [], Flags(volatile=True))


def test_what_is_missing_has_a_default() -> None:
    assert read_broadcast(pack(["x", {"data": ["a"]}, {}])) == ("x", Packet(["a"]), Options())


def test_rooms_are_texts() -> None:
    assert names(["a", 7, 7.0, "7", 7.5, 2**60]) == ("a", "7", "7.5", "1152921504606846976")


@pytest.mark.parametrize(
    ("date", "text"),
    [
        (datetime(2026, 11, 24, 12, tzinfo=UTC), "2026-11-24T12:00:00.000Z"),
        (datetime(2026, 11, 24, 12, 0, 0, 7000, tzinfo=UTC), "2026-11-24T12:00:00.007Z"),
        (datetime(1899, 12, 31, tzinfo=UTC), "1899-12-31T00:00:00.000Z"),
        (datetime(2600, 1, 1, tzinfo=UTC), "2600-01-01T00:00:00.000Z"),
    ],
)
def test_dates_are_texts_as_json_has_them(date: datetime, text: str) -> None:
    _, packet, _ = read_broadcast(broadcast("at", date, {"in": [date, 1]}))
    assert packet.data == ["at", text, {"in": [text, 1]}]
    response = read_response(pack({"requestId": "r", "type": 9, "packet": [date]}))
    assert response.packet == [text]


def test_older_servers_have_extensions_of_their_own() -> None:
    # undefined, a Date and an ArrayBuffer of notepack 2
    message = broadcast("x").replace(
        pack(["x"]), b"\x94\xa1x\xd4\0\0\xd7\0" + (1000).to_bytes(8, "big") + b"\xc7\2\0ab"
    )
    _, packet, _ = read_broadcast(message)
    assert packet.data == ["x", None, "1970-01-01T00:00:01.000Z", b"ab"]


@pytest.mark.parametrize(
    ("read", "message", "reason"),
    [
        (read_broadcast, b"", "truncated"),
        (read_broadcast, b"garbage", "array"),
        (read_broadcast, pack(["x", {"data": ["a"]}]), "length 3"),
        (read_broadcast, pack([1, {"data": ["a"]}, {}]), "str"),
        (read_broadcast, pack(["x", {"data": "a"}, {}]), "array"),
        (read_broadcast, pack(["x", None, {}]), "object"),
        (read_broadcast, broadcast("a", rooms="room"), "array"),
        (read_broadcast, broadcast("a", rooms=[{}]), "rooms"),
        (read_broadcast, broadcast("a", flags={"timeout": "long"}), "float"),
        (read_broadcast, broadcast("x").replace(pack("x"), b"\xc7\1\5a"), "extension of type 5"),
        (read_broadcast, pack(["x", {"data": ["a"]}, {}])[:-1], "truncated"),
        (read_request, b"{", "truncated"),
        (read_request, b"{}", "type"),
        (read_request, b'{"type": "5"}', "int"),
        (read_request, b'{"type": 2, "rooms": {}}', "array"),
        (read_request, b'{"type": 2, "uid": "\xff"}', "UTF-8"),
        (read_request, b'{"type": 5, "data": %b' % (b"[" * 100_000), "nested too deeply"),
        (read_response, b"{}", "requestId"),
        (read_response, b'{"requestId": "r", "clientCount": []}', "int"),
    ],
)
def test_what_is_malformed_is_refused_with_a_reason(read: Any, message: bytes, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        read(message)


@given(st.binary(max_size=200))
def test_no_message_does_more_than_that(message: bytes) -> None:
    for read in (read_broadcast, read_request, read_response):
        for each in (message, b"{" + message, b"\x93\xa1x" + message):
            with contextlib.suppress(WireError):
                read(each)


def test_own_broadcasts_are_known_by_their_beginning() -> None:
    for family in ("gatewright.", "g" * 30 + ".", "Gruppe ä."):
        head = head_of(family, "0123abcd")
        message = Writer(family + "dcba3210").broadcast("/", ["a"], Options())
        assert message.startswith(head)
        assert not Writer("other." + "dcba3210").broadcast("/", ["a"], Options()).startswith(head)


def test_what_is_written_is_what_node_writes() -> None:
    writer = Writer("uid")
    options = Options(("a",), ("b",), Flags(volatile=True))
    assert msgspec.msgpack.decode(writer.broadcast("/n", ["e", b"\0"], options)) == [
        "uid",
        {"type": 2, "data": ["e", b"\0"], "nsp": "/n"},
        {"rooms": ["a"], "except": ["b"], "flags": {"volatile": True}},
    ]
    moved = Request(RequestType.REMOTE_JOIN, "uid", opts=Options(("a",)), rooms=("b",))
    assert msgspec.json.decode(writer.request(moved)) == {
        "uid": "uid",
        "type": 2,
        "opts": {"rooms": ["a"], "except": [], "flags": {}},
        "rooms": ["b"],
    }
    asked = Request(
        RequestType.BROADCAST,
        "uid",
        "r1",
        Options(flags=Flags(timeout=1500.0)),
        packet=Packet(("e", b"\0")),
    )
    assert msgspec.msgpack.decode(writer.request(asked)) == {
        "uid": "uid",
        "requestId": "r1",
        "type": 7,
        "packet": {"type": 2, "data": ["e", b"\0"], "nsp": "/"},
        "opts": {"rooms": [], "except": [], "flags": {"timeout": 1500}},
    }
    count = Answer("r1", RequestType.BROADCAST_CLIENT_COUNT, client_count=0)
    assert msgspec.json.decode(writer.answer(count)) == {
        "requestId": "r1",
        "type": 8,
        "clientCount": 0,
    }
    ack = Answer("r1", RequestType.BROADCAST_ACK, packet=None)
    assert msgspec.msgpack.decode(writer.answer(ack)) == {
        "requestId": "r1",
        "type": 9,
        "packet": None,
    }
