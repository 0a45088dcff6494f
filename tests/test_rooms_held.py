"""Members that enter while others emit: what is held for them, and what their format must carry."""

import pytest

from gatewright.backplane.base import Batch, Entry, Marker
from gatewright.flusher import Flusher
from gatewright.protocol.outgoing import Outgoing
from gatewright.protocol.sessions.codecs import SessionJsonCodec, SessionMsgpackCodec
from gatewright.rooms import Namespaces
from gatewright.types import Position
from tests._support.members import JSON, MSGPACK, Listener

pytestmark = pytest.mark.anyio

V1 = SessionJsonCodec()


def batch(first: int, *entries: Entry, epoch: str = "e") -> Batch:
    return Batch("/chat", epoch, first, entries)


def said(data: object, *rooms: str, **more: tuple[str, ...]) -> Entry:
    return Entry(Outgoing("said", data), rooms=rooms or None, **more)


async def numbers(listener: Listener) -> list[tuple[int | None, object]]:
    listener.outbox.flush()
    return [(frame.get("seq"), frame["data"]) for frame in listener.frames]


async def test_what_is_held_follows_the_floor_by_the_rooms_at_each_number() -> None:
    node = Namespaces()
    flusher = Flusher(10)
    ana = Listener("~ana", flusher, codec=V1, user="ana")
    with node.holding("/chat") as held:
        node.lane(batch(1, said("before", "lobby")))
        node.lane(Marker("/chat", 1, "join", "~ana", ["lobby"]))
        node.lane(batch(2, said("below the floor", "lobby")))
        node.lane(batch(3, said("lobby", "lobby"), said("attic", "attic")))
        node.lane(Marker("/chat", 4, "join", "~ana", ["attic"]))
        node.lane(Marker("/chat", 4, "join", "~ben", ["cellar"]))
        node.lane(Batch("/other", "o", 1, [said("elsewhere")]))
        node.lane(batch(5, said("attic", "attic"), said("cellar", "cellar")))
        node.lane(Marker("/chat", 6, "leave", "~ana", ["lobby"]))
        node.lane(batch(7, said("lobby", "lobby"), said("not me", "attic", except_=("~ana",))))
        node.lane(batch(9, said("own", "~ana"), Entry(Outgoing("said", "user"), users=("ana",))))
        node.lane(batch(11, said("everyone")))
        node.lane(batch(12, said("other epoch"), epoch="f"))
        namespace = node.enter("/chat", ana)
        node.catch_up(ana, namespace, held, Position("e", 2))
    assert await numbers(ana) == [
        (3, "lobby"),
        (5, "attic"),
        (9, "own"),
        (10, "user"),
        (11, "everyone"),
    ]
    assert ana.joined == {"attic"}
    assert node._held == {}


async def test_several_may_be_about_to_enter() -> None:
    node = Namespaces()
    flusher = Flusher(10)
    with node.holding("/chat") as first:
        node.lane(batch(1, said("one")))
        with node.holding("/chat") as second:
            node.lane(batch(2, said("two")))
        node.lane(batch(3, said("three")))
    assert [each.first for each in first if isinstance(each, Batch)] == [1, 2, 3]
    assert [each.first for each in second if isinstance(each, Batch)] == [2]
    assert node._held == {}
    ana = Listener("~ana", flusher, codec=SessionMsgpackCodec())
    node.catch_up(ana, node.enter("/chat", ana), first, Position("e", 1))
    assert await numbers(ana) == [(2, "two"), (3, "three")]


BIG = 2**70
"""JSON can carry it, MessagePack cannot."""


async def test_a_format_that_cannot_carry_an_event_costs_its_own_members_only() -> None:
    node = Namespaces()
    flusher = Flusher(10)
    members = [
        Listener(str(number), flusher, codec=codec)
        for number, codec in enumerate([JSON, JSON, MSGPACK, JSON, MSGPACK, JSON])
    ]
    for member in members:
        node.enter("/chat", member)
    node.lane(batch(1, said(BIG), said("next")))
    for member in members:
        member.outbox.flush()
        if member.codec is JSON:
            assert member.received == [BIG, "next"]
            assert not member.outbox.closing
        else:
            # It must not miss it without knowing.
            assert member.received == []
            assert member.outbox.goodbye is not None
            assert member.outbox.goodbye[0] == 1011
        await member.outbox.aclose()


async def test_so_does_one_that_was_held() -> None:
    node = Namespaces()
    ana = Listener("~ana", Flusher(10), codec=MSGPACK)
    with node.holding("/chat") as held:
        node.lane(batch(1, said(BIG), said("next")))
        node.catch_up(ana, node.enter("/chat", ana), held, Position("e", 0))
    assert ana.outbox.goodbye is not None
    await ana.outbox.aclose()


def test_formats_of_those_who_are_away_are_counted() -> None:
    node = Namespaces()
    flusher = Flusher(10)
    node.away("/chat", Listener("a", flusher))
    node.away("/chat", Listener("b", flusher))
    node.away("/chat", Listener("b", flusher, codec=MSGPACK))
    assert set(node.codecs("/chat")) == {JSON, MSGPACK}
    node.returned("/chat", "a")
    node.returned("/chat", "a")
    assert set(node.codecs("/chat")) == {MSGPACK}
    node.returned("/chat", "b")
    assert set(node.codecs("/chat")) == set()
    assert node._away == {}
