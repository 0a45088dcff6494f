"""Bytes out of values and back into them: none is overlooked, whatever holds it."""

import dataclasses
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, Generic, NamedTuple, TypedDict, cast
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw, Struct, UnsetType
from typing_extensions import TypeVar

from gatewright.protocol.socketio.attachments import (
    BYTES,
    AttachmentError,
    attach,
    carries_bytes,
    detach,
)
from gatewright.protocol.socketio.codec import SocketIOCodec
from gatewright.protocol.socketio.packets import JsonDecoder

T = TypeVar("T")

data = st.binary(max_size=20)
plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20)
built = st.recursive(
    plain | data,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


class Text(Struct):
    text: str
    more: "int | UnsetType" = UNSET


class Picture(Text):
    """A kind of text, where one is declared."""

    pixels: bytes = b"\x00"


class Note(Struct, rename="camel", tag=True):
    the_text: Text
    the_list: list[Text] = []
    by_name: dict[str, Text] = {}


class Box(Struct, Generic[T]):
    value: T


class Boxes(Struct):
    text: Box[str]
    blob: Box[bytes]


class Row(Struct, array_like=True):
    first: str
    second: Any = None


class Point(NamedTuple):
    x: int
    blob: bytes = b""


class Options(TypedDict, total=False):
    loud: bool
    inner: "Options"


@dataclasses.dataclass
class Tree:
    """It holds itself, and nothing in its annotations says bytes but the leaf."""

    leaf: bytes | None
    trees: "list[Tree]"


@dataclasses.dataclass
class Vine:
    name: str
    vines: "list[Vine]"


class Garden(Struct):
    tree: Tree | None = None
    vine: Vine | None = None
    options: Options | None = None


class Secret(Enum):
    KEY = b"\x01\x02"
    NAME = "name"


class Level(IntEnum):
    LOW = 1


class Lock(Struct):
    secret: Secret
    level: Level = Level.LOW


class Money:
    """A type of the application's own: its hook makes what it likes of it."""

    def __init__(self, made: Any) -> None:
        self.made = made


class Wallet(Struct):
    money: Money
    currency: str = "EUR"


def enc_hook(value: Any) -> Any:
    if isinstance(value, Money):
        return value.made
    raise NotImplementedError


texts = st.builds(Text, st.text(max_size=5)) | st.builds(Picture, st.text(max_size=5), pixels=data)
trees = st.recursive(
    st.builds(Tree, st.none() | data, st.just([])),
    lambda inner: st.builds(Tree, st.none() | data, st.lists(inner, max_size=2)),
    max_leaves=4,
)
vines = st.builds(Vine, st.text(max_size=3), st.lists(st.builds(Vine, st.text(), st.just([]))))
values = st.recursive(
    built
    | texts
    | st.builds(Boxes, st.builds(Box, st.text(max_size=5)), st.builds(Box, data))
    | st.builds(Note, texts, st.lists(texts, max_size=2), st.dictionaries(st.text(), texts))
    | st.builds(Point, st.integers(0, 9), data)
    | st.builds(Garden, st.none() | trees, st.none() | vines, st.none() | st.just({"loud": True}))
    | st.builds(Lock, st.sampled_from(Secret))
    | st.sampled_from([Decimal("1.5"), UUID(int=5), Secret.KEY, Level.LOW])
    | st.binary(max_size=5).map(bytearray)
    | st.binary(max_size=5).map(lambda each: memoryview(each)),  # noqa: PLW0108 - its type is generic
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.builds(Box, inner)
        | st.builds(Row, st.text(max_size=3), inner)
        | st.builds(Wallet, st.builds(Money, inner))
        | st.builds(Money, inner)
    ),
    max_leaves=8,
)


def as_built(value: Any) -> Any:
    """What a client is to get of a value, bytes as bytes."""
    found = msgspec.to_builtins(value, builtin_types=BYTES, str_keys=True, enc_hook=enc_hook)
    return listed(found)


def listed(value: Any) -> Any:
    if isinstance(value, BYTES):
        return bytes(value)
    if isinstance(value, dict):
        return {key: listed(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [listed(each) for each in value]
    return value


def has_bytes(value: Any) -> bool:
    if isinstance(value, dict):
        return any(has_bytes(each) for each in value.values())
    if isinstance(value, list):
        return any(has_bytes(each) for each in value)
    return isinstance(value, bytes)


def decoded(frame: Any) -> Any:
    """The arguments of an event as a client reads them."""
    decoder = JsonDecoder()
    packet = decoder.add(frame.payload, 1)
    for each in frame.attachments:
        assert packet is None
        packet = decoder.add(each.payload)
    assert packet is not None
    arguments = cast(list[Any], packet.data)
    return [msgspec.json.decode(each) if isinstance(each, Raw) else each for each in arguments]


@given(built)
def test_what_is_taken_out_can_be_put_back(value: Any) -> None:
    attachments: list[bytes] = []
    bare = detach(value, attachments)
    assert not has_bytes(bare)
    # Across JSON, as it travels.
    assert attach(msgspec.json.decode(msgspec.json.encode(bare)), attachments) == value


@given(built)
def test_the_value_itself_stays_as_it_was(value: Any) -> None:
    before = msgspec.msgpack.encode(value)
    detach(value, [])
    assert msgspec.msgpack.encode(value) == before


@given(values)
def test_no_bytes_are_overlooked(value: Any) -> None:
    if has_bytes(as_built(value)):
        assert carries_bytes(value)


@pytest.mark.parametrize(
    "value",
    [
        Note(Picture("a")),
        Note(Text("a"), [Text("b"), Picture("c")]),
        Note(Text("a"), [], {"x": Picture("c")}),
        Boxes(Box("a"), Box(b"b")),
        Box(Box(Box(b"a"))),
        Garden(Tree(None, [Tree(b"x", [])])),
        Lock(Secret.KEY),
        Secret.KEY,
        Wallet(Money(b"x")),
        Wallet(Money(Wallet(Money({"a": [b"x"]})))),
        {"a": ({"b": [Point(1, b"x")]},)},
        frozenset({b"x"}),
        memoryview(b"x"),
    ],
)
def test_bytes_in_odd_places(value: Any) -> None:
    assert carries_bytes(value)
    (sent,) = decoded(SocketIOCodec(enc_hook=enc_hook).event("/", "e", value, None))
    assert sent == as_built(value)
    assert has_bytes(sent)


@pytest.mark.parametrize(
    "value",
    [
        None,
        1,
        "text",
        1.5,
        Decimal(1),
        Level.LOW,
        Secret.NAME,
        Text("a"),
        Note(Text("a"), [Text("b")], {"c": Text("d")}),
        [Text("a"), {"a": (1, "b", None)}],
        Row("a"),
        Box("a"),
        Boxes(Box("a"), Box("b")),  # type: ignore[arg-type]
        UNSET,
    ],
)
def test_what_has_none_goes_the_short_way(value: Any) -> None:
    assert not carries_bytes(value)


def test_types_that_hold_themselves_are_no_trap() -> None:
    garden = Garden(None, Vine("a", [Vine("b", [])]), {"inner": {"loud": True}})
    (sent,) = decoded(SocketIOCodec().event("/", "e", garden, None))
    assert sent == as_built(garden)


@given(values)
def test_clients_get_what_was_meant(value: Any) -> None:
    attachments: list[bytes] = []
    expected = as_built(value)
    detach(expected, attachments)
    if len(attachments) > 10:
        return
    codec = SocketIOCodec(enc_hook=enc_hook)
    (sent,) = decoded(codec.event("/", "e", [value], None))
    assert sent == [expected]
    answer = codec.answer("/", 1, (value,))
    assert len(answer.attachments) == len(attachments)


@pytest.mark.parametrize("number", [1, -1, None, "0", True, 0.5, 2**64, [], {}])
def test_a_placeholder_of_nothing(number: Any) -> None:
    with pytest.raises(AttachmentError, match="one of 1 attachments"):
        attach([{"_placeholder": True, "num": number}], [b"x"])


def test_a_placeholder_that_is_none_is_a_value() -> None:
    value = [{"_placeholder": False, "num": 0}, {"num": 0}, {"_placeholder": 1, "num": 0}]
    assert attach(value, [b"x"]) == value
