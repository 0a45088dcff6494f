"""What handlers and emitters say, in both formats of Socket.IO."""

from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw, Struct, UnsetType

from gatewright.errors import EmitError
from gatewright.protocol.frames import ErrorBody
from gatewright.protocol.socketio.codec import SocketIOCodec
from gatewright.protocol.socketio.msgpack import MsgpackDecoder, SocketIOMsgpackCodec
from gatewright.protocol.socketio.packets import JsonDecoder, Packet, PacketError
from gatewright.protocol.stored import arguments_of
from gatewright.types import Frame, Position

Codec = SocketIOCodec | SocketIOMsgpackCodec
POSITION = Position("epoch", 7)
FORMATS: list[type[SocketIOCodec] | type[SocketIOMsgpackCodec]] = [
    SocketIOCodec,
    SocketIOMsgpackCodec,
]


@pytest.fixture(params=FORMATS, ids=["json", "msgpack"])
def codec(request: pytest.FixtureRequest) -> Codec:
    made: Codec = request.param()
    return made


@pytest.fixture(params=FORMATS, ids=["json", "msgpack"])
def positioned(request: pytest.FixtureRequest) -> Codec:
    made: Codec = request.param(offsets=True)
    return made


class Said(Struct):
    author: str
    text: str = ""


class Moved(Struct, array_like=True):
    x: int
    y: int | UnsetType = UNSET
    z: int | UnsetType = UNSET


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents


def enc_hook(value: Any) -> Any:
    if isinstance(value, Money):
        return {"cents": value.cents, "raw": b"\x00"}
    raise NotImplementedError


def dec_hook(kind: type, value: Any) -> Any:
    if kind is Money:
        return Money(value["cents"])
    raise NotImplementedError


def read(codec: Codec, frame: Frame) -> Packet:
    """The packet that a client of the format makes of a frame."""
    decoder = JsonDecoder() if isinstance(codec, SocketIOCodec) else MsgpackDecoder()
    packet = decoder.add(frame.payload, 0 if frame.binary else 1)
    for each in frame.attachments:
        assert packet is None
        packet = decoder.add(each.payload)
    assert packet is not None
    return packet


def arguments(codec: Codec, frame: Frame) -> list[Any]:
    module = msgspec.json if isinstance(codec, SocketIOCodec) else msgspec.msgpack
    found = cast(Sequence[Any], read(codec, frame).data)
    return [module.decode(each) if isinstance(each, Raw) else each for each in found]


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(plain, max_size=4), st.none() | st.integers(0, 2**53 - 1))
@pytest.mark.parametrize("kind", FORMATS)
def test_answers_come_back(
    kind: type[SocketIOCodec] | type[SocketIOMsgpackCodec], values: list[Any], id: int | None
) -> None:
    codec = kind()
    frame = codec.answer("/chat", id or 0, tuple(values))
    packet = read(codec, frame)
    assert (packet.type, packet.namespace, packet.id) == (3, "/chat", id or 0)
    assert arguments(codec, frame) == values


@given(plain, st.none() | st.integers(0, 2**53 - 1))
@pytest.mark.parametrize("kind", FORMATS)
def test_events_come_back(
    kind: type[SocketIOCodec] | type[SocketIOMsgpackCodec], value: Any, id: int | None
) -> None:
    codec = kind()
    frame = codec.event("/", "said", value, id)
    packet = read(codec, frame)
    assert (packet.type, packet.namespace, packet.event) == (2, "/", "said")
    assert packet.id == (UNSET if id is None else id)
    assert arguments(codec, frame) == [value]


@given(plain)
@pytest.mark.parametrize("kind", FORMATS)
def test_one_way_of_writing_an_answer_is_as_the_other(
    kind: type[SocketIOCodec] | type[SocketIOMsgpackCodec], value: Any
) -> None:
    codec = kind()
    assert codec.answer("/", 1, value).data == codec.answer("/", 1, (value,)).data


def test_packets_are_written_as_the_reference_does() -> None:
    codec = SocketIOCodec()
    said = codec.event("/", "said", Said("ana", "hi"), None)
    assert said.payload == '42["said",{"author":"ana","text":"hi"}]'
    assert codec.event("/chat", "said", "é", 12).payload == '42/chat,12["said","é"]'
    blob = codec.event("/chat", "blob", b"x", 1)
    assert blob.payload == '451-/chat,1["blob",{"_placeholder":true,"num":0}]'
    assert [each.payload for each in blob.attachments] == [b"x"]
    assert codec.answer("/", 7, None).payload == "437[null]"
    assert codec.answer("/", 7, ()).payload == "437[]"
    assert codec.answer("/", 7, (1, "b")).payload == '437[1,"b"]'
    assert codec.answer("/", 7, [1, "b"]).payload == '437[[1,"b"]]'
    assert codec.answer("/x", 7, b"").payload == '461-/x,7[{"_placeholder":true,"num":0}]'
    assert codec.connected("/", {"sid": "a"}).payload == '40{"sid":"a"}'
    assert codec.connected("/chat", {"sid": "a"}).payload == '40/chat,{"sid":"a"}'
    assert codec.refused("/", "no").payload == '44{"message":"no"}'
    assert codec.refused("/x", "no", {"a": 1}).payload == '44/x,{"message":"no","data":{"a":1}}'
    assert codec.disconnected("/").payload == "41"
    assert codec.disconnected("/x").payload == "41/x,"


def test_packets_of_msgpack_are_maps() -> None:
    codec = SocketIOMsgpackCodec()
    for frame, expected in [
        (codec.event("/", "a", 1, None), {"type": 2, "nsp": "/", "data": ["a", 1]}),
        (codec.event("/x", "a", b"b", 5), {"type": 2, "nsp": "/x", "data": ["a", b"b"], "id": 5}),
        (codec.answer("/", 0, None), {"type": 3, "nsp": "/", "data": [None], "id": 0}),
        (codec.answer("/", 1, (1, 2)), {"type": 3, "nsp": "/", "data": [1, 2], "id": 1}),
        (codec.connected("/", {"sid": "a"}), {"type": 0, "nsp": "/", "data": {"sid": "a"}}),
        (codec.refused("/", "no"), {"type": 4, "nsp": "/", "data": {"message": "no"}}),
        (codec.disconnected("/x"), {"type": 1, "nsp": "/x"}),
    ]:
        assert frame.binary
        assert not frame.attachments
        assert msgspec.msgpack.decode(frame.data) == expected


# Arguments


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (Moved(1, 2, 3), [1, 2, 3]),
        (Moved(1, 2), [1, 2]),
        (Moved(1), [1]),
        ([1, 2], [[1, 2]]),
        ((1, 2), [[1, 2]]),
        (None, [None]),
        (Said("ana"), [{"author": "ana", "text": ""}]),
    ],
)
def test_an_event_like_an_array_is_several_arguments(
    codec: Codec, data: Any, expected: list[Any]
) -> None:
    assert arguments(codec, codec.event("/", "moved", data, None)) == expected
    offset = codec.positioned_event(
        "/", "moved", data, codec.event("/", "moved", data, None), POSITION
    )
    assert arguments(codec, offset) == [*expected, "epoch-7"]


def test_the_fields_at_the_end_may_be_left_out() -> None:
    assert arguments_of(Moved(1, UNSET, 3)) == [1, UNSET, 3]
    assert arguments_of(Moved(1, 2, UNSET)) == [1, 2]


def test_an_offset_stands_behind_attachments_too(positioned: Codec) -> None:
    frame = positioned.event("/", "blob", [b"x", {"y": b"z"}], None)
    sent = positioned.positioned_event("/", "blob", [b"x", {"y": b"z"}], frame, POSITION)
    assert arguments(positioned, sent) == [[b"x", {"y": b"z"}], "epoch-7"]
    # What was made for all stays as it is.
    assert arguments(positioned, frame) == [[b"x", {"y": b"z"}]]


def test_streams_and_exceptions_have_offsets_where_clients_expect_them(positioned: Codec) -> None:
    item = positioned.item("/", 1, "count", 5, POSITION)
    assert arguments(positioned, item) == [5, "epoch-7"]
    assert arguments(positioned, positioned.item("/", 1, "count", 5, None)) == [5]
    error = ErrorBody("invalid", "no")
    failure = positioned.failure("/", None, "say", error, POSITION)
    assert arguments(positioned, failure)[1:] == ["epoch-7"]
    answer = positioned.failure("/", 3, "say", error, POSITION)
    assert len(arguments(positioned, answer)) == 1


def test_without_recovery_there_are_none(codec: Codec) -> None:
    assert arguments(codec, codec.item("/", 1, "count", 5, POSITION)) == [5]
    error = ErrorBody("invalid", "no")
    assert len(arguments(codec, codec.failure("/", None, "say", error, POSITION))) == 1


def test_an_error_is_an_answer_or_an_event(codec: Codec) -> None:
    error = ErrorBody("invalid", "no", {"field": "x"})
    body = {"status": "error", "code": "invalid", "message": "no", "details": {"field": "x"}}
    answer = codec.failure("/chat", 3, "say", error, None)
    assert read(codec, answer).id == 3
    assert arguments(codec, answer) == [body]
    event = codec.failure("/chat", None, "say", error, None)
    assert read(codec, event).event == "exception"
    assert arguments(codec, event) == [{**body, "event": "say"}]


# In


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, 7),
        (str, "é"),
        (Said, {"author": "ana", "text": "hi"}),
        (list[int], [1, 2]),
        (Any, {"a": [None]}),
        (dict[int, str], {"1": "a"}),
        (bytes | None, None),
    ],
)
def test_one_argument(codec: Codec, kind: Any, value: Any) -> None:
    if kind == dict[int, str] and isinstance(codec, SocketIOMsgpackCodec):
        value = {1: "a"}
    frame = codec.event("/", "e", value, None)
    found = codec.decoder(kind)(read(codec, frame).data)
    assert found == msgspec.convert(value, kind, str_keys=True)


def test_bytes_come_as_bytes(codec: Codec) -> None:
    class Picture(Struct):
        name: str
        pixels: bytes

    frame = codec.event("/", "e", Picture("a", b"\x00\xff"), None)
    assert codec.decoder(Picture)(read(codec, frame).data) == Picture("a", b"\x00\xff")


@pytest.mark.parametrize("blob", [False, True])
@pytest.mark.parametrize("count", [2, 15, 16, 40])
def test_several_arguments(codec: Codec, count: int, blob: bool) -> None:  # noqa: FBT001
    values: list[Any] = [*range(count - 1), b"x" if blob else "x"]
    frame = codec.answer("/", 1, tuple(values))
    decode = codec.decoder(list[Any], several=True)
    found = decode(read(codec, frame).data)
    assert found == values


def test_arguments_of_the_wrong_type(codec: Codec) -> None:
    for value in ("text", {"author": 1}, None, [b"x"], {"author": b"x"}):
        frame = codec.event("/", "e", value, None)
        with pytest.raises(msgspec.ValidationError):
            codec.decoder(Said)(read(codec, frame).data)
    with pytest.raises(msgspec.ValidationError, match=r"\$\[1\]"):
        codec.decoder(tuple[int, int], several=True)(
            read(codec, codec.answer("/", 1, (1, "x"))).data
        )


@pytest.mark.parametrize("kind", FORMATS)
def test_hooks_of_the_application(
    kind: type[SocketIOCodec] | type[SocketIOMsgpackCodec],
) -> None:
    codec = kind(dec_hook, enc_hook)
    frame = codec.event("/", "pay", {"price": Money(150)}, None)
    assert arguments(codec, frame) == [{"price": {"cents": 150, "raw": b"\x00"}}]
    found = codec.decoder(dict[str, Money])(read(codec, frame).data)
    assert found["price"].cents == 150


# Limits


@pytest.mark.parametrize("count", [10, 11])
def test_attachments_have_a_limit(count: int) -> None:
    codec = SocketIOCodec()
    if count == 10:
        assert len(codec.event("/", "e", [b"x"] * count, None).attachments) == 10
        return
    expected = "at most 10 binary values"
    with pytest.raises(EmitError, match=expected):
        codec.event("/", "e", [b"x"] * count, None)
    with pytest.raises(EmitError, match=expected):
        codec.answer("/", 1, (b"x",) * count)
    with pytest.raises(EmitError, match=expected):
        codec.item("/", 1, "e", [b"x"] * count, None)


def test_the_size_of_a_frame_is_all_of_it() -> None:
    frame = SocketIOCodec().event("/", "e", b"x" * 1000, None)
    assert frame.size == len(frame.data) + 1000


# Msgpack's own reading


@pytest.mark.parametrize(
    "packet",
    [
        {},
        [],
        7,
        {"type": 2},
        {"type": 2, "nsp": "/"},
        {"type": 2, "nsp": "/", "data": []},
        {"type": 2, "nsp": "/", "data": {}},
        {"type": 2, "nsp": "/", "data": None},
        {"type": 2, "nsp": "/", "data": [None]},
        {"type": 2, "nsp": "/", "data": [True]},
        {"type": 2, "nsp": "/", "data": [b"a"]},
        {"type": 2, "nsp": "/", "data": ["disconnect"]},
        {"type": 2, "nsp": 7, "data": ["a"]},
        {"type": 2, "nsp": "/", "data": ["a"], "id": -1},
        {"type": 2, "nsp": "/", "data": ["a"], "id": 2**53},
        {"type": 2, "nsp": "/", "data": ["a"], "id": 2**64 - 1},
        {"type": 2, "nsp": "/", "data": ["a"], "id": "1"},
        {"type": 2, "nsp": "/", "data": ["a"], "id": 1.5},
        {"type": -1, "nsp": "/"},
        {"type": 5, "nsp": "/", "data": ["a"]},
        {"type": 6, "nsp": "/", "data": [], "id": 1},
        {"type": 2**64 - 1, "nsp": "/"},
        {"type": "2", "nsp": "/", "data": ["a"]},
        {"type": True, "nsp": "/"},
        {"type": None, "nsp": "/"},
        {"type": 3, "nsp": "/", "data": []},
        {"type": 3, "nsp": "/", "id": 1},
        {"type": 3, "nsp": "/", "id": 1, "data": {}},
        {"type": 0, "nsp": "/", "data": []},
        {"type": 0, "nsp": "/", "data": "a"},
        {"type": 1, "nsp": "/", "data": {}},
    ],
)
def test_what_is_no_packet_of_msgpack(packet: Any) -> None:
    with pytest.raises(PacketError) as caught:
        MsgpackDecoder().add(msgspec.msgpack.encode(packet))
    assert str(caught.value)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        b"\x82\xa4type\x02",
        b"\x82\xa4type\x02\xa3nsp\xa1\xff",
        b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa1\xff",
        b"\x83\xa4type\x00\xa3nsp\xa1/\xa4data\x81\x80\x01",
        b"\x83\xa4type\x00\xa3nsp\xa1/\xa4data" + b"\x81\xa1a" * 100_000 + b"\xc0",
        b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data" + b"\x91" * 100_000 + b"\xc0",
        b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\xdd\xff\xff\xff\xff",
        "text",
        "",
    ],
)
def test_bytes_that_are_no_packet(message: str | bytes) -> None:
    with pytest.raises(PacketError):
        MsgpackDecoder().add(message)


def test_what_is_left_out_or_null_is_the_same() -> None:
    for packet in (
        {"type": 0},
        {"type": 0, "nsp": "/"},
        {"type": 0, "nsp": "/", "data": None, "id": None},
        {"type": 0, "nsp": "/", "more": [1]},
    ):
        found = MsgpackDecoder().add(msgspec.msgpack.encode(packet))
        assert found is not None
        assert (found.type, found.namespace, cast(Any, found.data)) == (0, "/", None)
