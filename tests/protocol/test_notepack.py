"""What JavaScript's notepack writes for what MessagePack has no word for."""

import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.protocol.socketio.msgpack import MsgpackDecoder
from gatewright.protocol.socketio.notepack import translate

UNDEFINED = b"\xd4\x00\x00"


def date(milliseconds: int) -> bytes:
    return b"\xd7\x00" + struct.pack(">q", milliseconds)


def array_buffer(data: bytes) -> bytes:
    for head, size, limit in [(b"\xc7", ">B", 1 << 8), (b"\xc8", ">H", 1 << 16)]:
        if len(data) < limit:
            return head + struct.pack(size, len(data)) + b"\x00" + data
    return b"\xc9" + struct.pack(">I", len(data)) + b"\x00" + data


def listed(*values: bytes) -> bytes:
    return bytes([0x90 | len(values)]) + b"".join(values)


def read(message: bytes) -> Any:
    return msgspec.msgpack.decode(translate(message))


def test_undefined_is_null() -> None:
    assert read(listed(b"\x01", UNDEFINED, b"\x02")) == [1, None, 2]


@pytest.mark.parametrize("size", [0, 1, 8, 255, 256, 65_535, 65_536])
def test_an_array_buffer_is_bytes(size: int) -> None:
    data = bytes(size)
    assert read(listed(array_buffer(data), b"\x07")) == [data, 7]


def test_a_date_is_its_text_as_in_json() -> None:
    assert read(date(1_700_000_000_123)) == "2023-11-14T22:13:20.123Z"
    assert read(date(-1)) == "1969-12-31T23:59:59.999Z"


def test_a_date_beyond_what_python_knows_is_null() -> None:
    assert read(date(8_640_000_000_000_000)) is None


def test_undefined_inside_of_maps_of_every_size() -> None:
    for count in (3, 20, 70_000):
        plain = msgspec.msgpack.encode(dict.fromkeys(range(count), 5))
        head = {3: 1, 20: 3, 70_000: 5}[count]
        first_value = head + 1
        assert plain[first_value] == 5
        assert read(plain[:first_value] + UNDEFINED + plain[first_value + 1 :])[0] is None


def test_what_only_looks_like_it_is_left_alone() -> None:
    for text in (UNDEFINED, date(5), array_buffer(b"abc")):
        message = msgspec.msgpack.encode([text, {"a": text}, 7])
        assert translate(message) == message


def test_foreign_extensions_are_left_alone() -> None:
    message = msgspec.msgpack.encode([msgspec.msgpack.Ext(5, b"\xd4\x00\x00"), 1])
    assert translate(message) == message


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(anything)
def test_plain_messagepack_means_the_same(value: object) -> None:
    assert read(msgspec.msgpack.encode(value)) == value
    # With something to translate in it, every byte is walked over.
    walked = read(listed(UNDEFINED, msgspec.msgpack.encode(value), date(0), array_buffer(b"x")))
    assert walked == [None, value, "1970-01-01T00:00:00.000Z", b"x"]


@given(st.binary())
def test_what_is_no_messagepack_is_left_to_the_decoder(message: bytes) -> None:
    translate(message)
    translate(UNDEFINED + message)
    translate(listed(UNDEFINED, message))


def test_deep_nesting_does_not_overflow() -> None:
    message = b"\x91" * 100_000 + UNDEFINED
    assert translate(message) == b"\x91" * 100_000 + b"\xc0"


def test_a_client_without_auth_may_connect() -> None:
    message = b"\x83\xa4type\x00\xa4data" + UNDEFINED + b"\xa3nsp\xa1/"
    packet = MsgpackDecoder().add(message)
    assert packet is not None
    assert packet.data is None
