"""Events that went through a file: every wire format must frame them as if nothing had happened."""

import enum
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Struct, UnsetType

from gatewright import Event
from gatewright.protocol.codecs import Codec, JsonCodec, MsgpackCodec
from gatewright.protocol.outgoing import Outgoing
from gatewright.protocol.sessions.codecs import SessionJsonCodec, SessionMsgpackCodec
from gatewright.protocol.socketio.codec import SocketIOCodec
from gatewright.protocol.socketio.msgpack import SocketIOMsgpackCodec
from gatewright.protocol.stored import dump, load
from gatewright.types import Frame, Position

POSITION = Position("epoch", 7)


class Colour(enum.Enum):
    RED = "red"
    MOMENT = datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2)))


class Level(enum.IntEnum):
    HIGH = 3


class Place(Struct, rename="camel"):
    postal_code: int
    lines: tuple[str, ...] = ()
    until: date | UnsetType = UNSET


class Point(Struct, array_like=True):
    x: Any
    y: Any


class Tagged(Struct, tag="tagged"):
    inner: Any


class Money:
    """What only the application's own hook can encode."""

    def __init__(self, cents: Any) -> None:
        self.cents = cents

    def __repr__(self) -> str:
        return f"Money({self.cents!r})"


def enc_hook(value: Any) -> Any:
    if isinstance(value, Money):
        return {"cents": value.cents, "raw": b"\x00"}
    raise NotImplementedError(f"no hook for {type(value).__name__}")


class Said(Event, event="said"):
    data: Any
    more: Any = None


class Moved(Event, event="moved", array_like=True):
    x: Any
    y: Any = UNSET


class Marked(Event, event="marked", array_like=True, tag=True):
    x: Any
    y: Any = 1


def codecs() -> list[Codec]:
    made: list[Callable[..., Codec]] = [
        JsonCodec,
        MsgpackCodec,
        SessionJsonCodec,
        SessionMsgpackCodec,
        SocketIOCodec,
        SocketIOMsgpackCodec,
        lambda *hooks: SocketIOCodec(*hooks, offsets=True),
        lambda *hooks: SocketIOMsgpackCodec(*hooks, offsets=True),
    ]
    return [make(None, enc_hook) for make in made]


CODECS = codecs()


def framed(outgoing: Outgoing, codec: Codec) -> Frame | type[Exception]:
    outgoing.position = POSITION
    try:
        return outgoing.frame(codec)
    except Exception as error:
        return type(error)


def messages(frame: Frame) -> list[Any]:
    """What a client decodes: the head of the packet, and its attachments."""
    decoded: Any = msgspec.msgpack.decode(frame.data) if frame.binary else frame.payload
    return [decoded, *(each.data for each in frame.attachments)]


def check(event: Event, namespace: str = "/a") -> None:
    name = type(event).__event__
    assert name is not None
    before = Outgoing(name, event, namespace=namespace)
    stored = before.store(enc_hook)
    after = Outgoing.restore(stored, 10, namespace)
    for codec in CODECS:
        was, is_now = framed(before, codec), framed(after, codec)
        if isinstance(was, Frame):
            assert isinstance(is_now, Frame), codec.name
            assert is_now.binary == was.binary
            # repr, because a NaN is not equal to itself.
            assert repr(messages(is_now)) == repr(messages(was)), codec.name
    # What was loaded can be stored once more.
    again = load(dump(*load(stored)))
    assert repr(again) == repr(load(stored))
    assert type(again[1]) is type(load(stored)[1])


def view(data: bytes) -> "memoryview[int]":
    return memoryview(data)


offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(timezones=st.none() | st.just(UTC) | offsets)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.floats(),
    st.text(),
    st.binary(),
    st.binary().map(bytearray),
    st.binary().map(view),
    st.dates(),
    st.times() | st.times(timezones=offsets),
    st.timedeltas(),
    moments,
    st.decimals(),
    st.uuids(),
    st.sampled_from(Colour),
    st.sampled_from(Level),
    st.builds(Place, st.integers(0, 99), st.lists(st.text()).map(tuple), st.dates()),
)
keys = (
    st.text()
    | st.integers(-(2**63), 2**64 - 1)
    | st.uuids()
    | st.dates()
    | st.decimals(allow_nan=False)
    | st.binary()
    | st.floats(allow_nan=False)
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.frozensets(st.integers() | st.text(), max_size=4),
        st.builds(Point, inner, inner),
        st.builds(Tagged, inner),
        st.builds(Money, inner),
    )


values = st.recursive(leaves, containers, max_leaves=12)


@given(st.builds(Said, values, values))
def test_an_event_of_one_argument(event: Said) -> None:
    check(event)


@given(st.builds(Moved, values, values | st.just(UNSET)))
def test_an_event_of_several_arguments(event: Moved) -> None:
    check(event)


@given(st.builds(Marked, values))
def test_an_event_of_several_arguments_with_a_tag_before_them(event: Marked) -> None:
    check(event)


@pytest.mark.parametrize(
    "value",
    [
        2**64,
        -(2**63) - 1,
        10**100,
        datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=2))),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2))),
        datetime(2026, 1, 2),  # noqa: DTZ001 - without a zone is one of the cases
        time(1, tzinfo=UTC),
        timedelta(days=-1, microseconds=1),
        Decimal("NaN"),
        UUID(int=0),
        Colour.MOMENT,
        Level.HIGH,
        {1: {2**63: b"\x00"}},
        {datetime(2026, 1, 2, tzinfo=UTC): 1},
        Money([datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=-3))), b"raw"]),
        [Point(Point(1, b"2"), None)],
        float("inf"),
        pytest.param(memoryview(b"view"), id="memoryview(b'view')"),
    ],
    ids=repr,
)
def test_values_that_formats_write_differently(value: Any) -> None:
    check(Said(value))
    check(Moved(value, [value]))


def test_what_cannot_be_kept_fails_before_it_is_sent() -> None:
    for value in (object(), "\ud800", {2**70: 1}, Said(object()), msgspec.Raw(b"1")):
        with pytest.raises((TypeError, ValueError, NotImplementedError, OverflowError)):
            Outgoing("said", Said(value)).store()


def test_it_is_stored_once_and_costs_what_it_cost() -> None:
    outgoing = Outgoing("said", Said("x" * 100))
    outgoing.prepare(JsonCodec())
    stored = outgoing.store()
    outgoing.data = Said("changed")
    assert outgoing.store() is stored
    restored = Outgoing.restore(stored, outgoing.size, "/a")
    assert restored.size == outgoing.size > 100
    restored.prepare(MsgpackCodec())
    assert restored.size == MsgpackCodec().event("/a", "said", restored.data, None).size
