"""Sessions that several nodes share: taken over anywhere, ended once, whoever dies."""

import asyncio

import pytest

from gatewright.backplane.base import EVERYONE, Bounds, Marker
from gatewright.errors import BackplaneError
from gatewright.types import Position
from tests._support.conditions import eventually
from tests.backplane.hub import Hub
from tests.backplane.lanes import Client, encoded, heard, key
from tests.backplane.shared.conftest import Begin, Time

pytestmark = pytest.mark.anyio


async def test_a_session_returns_on_another_node(begin: Begin) -> None:
    one, two = await begin(), await begin()
    ana = await Client.open(one, "lobby", "attic")
    ana.sees(await ana.say("seen", rooms=("lobby",)))
    await ana.say("missed", rooms=("lobby",))
    ana.backplane = two
    resumption = await ana.resume()
    assert (heard(resumption), resumption.gaps) == (["missed"], ())
    assert resumption.record.node == two.node
    assert resumption.record.generation == 2
    assert set(resumption.record.rooms) == {"lobby", "attic"}
    # The node that had it has no say any more.
    assert not await one.release("/a", ana.id, 1)
    assert not await one.end("/a", ana.id, 1)
    await one.settle("/a", ana.id, 1)
    assert await two.release("/a", ana.id, 2, taken=7)
    ana.backplane = one
    assert (await ana.resume()).record.taken == 7


async def test_a_node_that_was_not_there_reads_what_was_missed(begin: Begin) -> None:
    one = await begin()
    ana = await Client.open(one, "lobby")
    for index in range(20):
        await ana.say(index, rooms=("lobby",) if index % 2 else ("elsewhere",))
    two = await begin()
    for index in range(20, 30):
        await ana.say(index, rooms=("lobby",))
    ana.backplane = two
    expected = [*range(1, 20, 2), *range(20, 30)]
    assert await ana.missed() == expected
    assert await ana.missed() == expected


async def test_what_the_log_has_lost_is_a_gap_on_a_node_that_was_not_there(
    begin: Begin, hub: Hub
) -> None:
    one = await begin()
    ana = await Client.open(one, "lobby")
    for index in range(10):
        await ana.say(index, rooms=("lobby",))
    hub.trim("/a", 3)
    two = await begin()
    ana.backplane = two
    resumption = await ana.resume()
    assert resumption.entries == []
    assert {"lobby", EVERYONE} <= set(resumption.gaps)
    ana.sees(resumption.head.seq - 2)
    assert await ana.missed() == [8, 9]


async def test_of_two_that_take_it_over_at_once_the_later_one_has_it(begin: Begin) -> None:
    one, two = await begin(), await begin()
    ana = await Client.open(one, "lobby")
    await ana.say("missed", rooms=("lobby",))
    resumptions = await asyncio.gather(
        *(node.resume("/a", key(ana.id), ana.after) for node in (one, two, one, two))
    )
    generations = [each.record.generation for each in resumptions if each is not None]
    assert sorted(generations) == [2, 3, 4, 5]
    assert all(each is not None and heard(each) == ["missed"] for each in resumptions)


async def test_rooms_are_those_of_the_moment_whoever_changes_them(begin: Begin) -> None:
    one, two = await begin(), await begin()
    ana = await Client.open(one)

    async def wander() -> None:
        for index in range(30):
            await one.mark("/a", "join", ana.id, [str(index)])
            await two.publish("/a", [encoded(index, rooms=(str(index),))])
            await one.mark("/a", "leave", ana.id, [str(index)])

    async def come_back() -> list[object]:
        got: list[object] = []
        for _ in range(15):
            resumption = await two.resume("/a", key(ana.id), ana.after)
            assert resumption is not None
            assert not resumption.gaps
            got.extend(heard(resumption))
            ana.after = resumption.head
        return got

    _, got = await asyncio.gather(wander(), come_back())
    resumption = await two.resume("/a", key(ana.id), ana.after)
    assert resumption is not None
    assert [*got, *heard(resumption)] == list(range(30))
    assert resumption.record.rooms == ()


async def test_nothing_is_told_twice_by_the_replay_and_the_lane(begin: Begin) -> None:
    one, two = await begin(), await begin()
    ana = await Client.open(one, "lobby")
    published = asyncio.create_task(
        one.publish("/a", [encoded(index, rooms=("lobby",)) for index in range(50)])
    )
    resumption = await two.resume("/a", key(ana.id), ana.after)
    await published
    assert resumption is not None
    replayed = heard(resumption)
    await eventually(lambda: len(two.lane.heard("/a")) == 50)
    live = [data for seq, data in two.lane.heard("/a") if seq > resumption.head.seq]
    assert [*replayed, *live] == list(range(50))


async def test_a_node_that_lags_replays_when_it_has_caught_up(begin: Begin) -> None:
    one, two = await begin(), await begin()
    ana = await Client.open(two, "lobby")
    two.log.lose = lambda _: True
    await one.publish("/a", [encoded("missed", rooms=("lobby",))])
    assert await ana.missed() == ["missed"]


async def test_what_goes_while_it_is_read_is_a_gap_too(begin: Begin, hub: Hub) -> None:
    one = await begin()
    ana = await Client.open(one, "lobby")
    for index in range(10):
        await ana.say(index, rooms=("lobby",))
    two = await begin()
    pages = iter([False, True])

    def trim(_: str) -> None:
        if next(pages, False):
            hub.trim("/a", 3)

    two.log.reading = trim
    ana.backplane = two
    resumption = await ana.resume()
    assert resumption.entries == []
    assert {"lobby", EVERYONE} <= set(resumption.gaps)
    ana.sees(resumption.head.seq - 2)
    assert await ana.missed() == [8, 9]


async def test_after_everything_was_lost_it_is_unknown(begin: Begin, hub: Hub) -> None:
    one = await begin()
    ana = await Client.open(one, "lobby")
    hub.flush()
    assert await one.resume("/a", key(ana.id), ana.after) is None


async def test_in_another_epoch_everything_is_a_gap_and_its_rooms_stay(
    begin: Begin, hub: Hub
) -> None:
    one, two = await begin(), await begin()
    ana = await Client.open(one, "lobby", "attic", id="~ana-1", user="ana")
    await ana.leave("attic")
    ana.sees(await ana.say("seen", rooms=("lobby",)))
    # As after a failover: records are there, and the numbers may not be.
    hub.lane("/a").epoch = "other"
    ana.backplane = two
    resumption = await ana.resume()
    assert set(resumption.gaps) == {EVERYONE, ana.id, "ana", "lobby"}
    assert heard(resumption) == []
    assert resumption.head.epoch == "other"
    assert resumption.record.rooms == ("lobby",)
    ana.after = resumption.head
    await ana.say("later", rooms=("lobby",))
    assert await ana.missed() == ["later"]


async def test_what_it_joins_where_numbers_have_begun_anew_it_is_in(begin: Begin, hub: Hub) -> None:
    one, two = await begin(), await begin()
    ana = await Client.open(one, "lobby", "attic")
    for _ in range(10):
        await ana.say("lost")
    await ana.leave("attic")
    await ana.confirm(0)
    lane = hub.lane("/a")
    lane.epoch, lane.n, lane.seq, lane.since = "other", 0, 0, 0
    lane.messages.clear()
    lane.marks.clear()
    await ana.join("cellar")
    await ana.leave("lobby")
    ana.backplane = two
    assert (await ana.resume()).record.rooms == ("cellar",)
    await ana.join("lobby")
    record = await ana.record()
    assert set(record.rooms) == {"cellar", "lobby"}


async def test_without_a_position_another_epoch_is_a_gap_too(begin: Begin, hub: Hub) -> None:
    one, two = await begin(), await begin()
    ana = await Client.open(one, "lobby")
    await ana.say("missed", rooms=("lobby",))
    hub.lane("/a").epoch = "other"
    resumption = await two.resume("/a", key(ana.id), None)
    assert resumption is not None
    assert "lobby" in resumption.gaps


async def test_the_grace_of_a_dead_nodes_sessions_begins_when_it_is_known(
    begin: Begin, time: Time
) -> None:
    bounds = Bounds(grace=10.0)
    one, two, three = [await begin(bounds) for _ in range(3)]
    ana = await Client.open(one, "lobby")
    await eventually(lambda: len(two.nodes) == len(three.nodes) == 2)
    time.now += 11
    assert [*await two.expired(), *await three.expired()] == []
    one.log.down = True
    await eventually(lambda: len(two.nodes) == len(three.nodes) == 1)
    # Looked at, found without a node, and given its grace.
    time.now += 61
    assert [*await two.expired(), *await three.expired()] == []
    time.now += 9
    assert [*await two.expired(), *await three.expired()] == []
    assert await two.find("/a", key(ana.id)) is not None
    time.now += 2
    assert await two.find("/a", key(ana.id)) is None
    ended = await asyncio.gather(two.expired(), three.expired())
    assert [record.id for records in ended for record in records] == [ana.id]
    await eventually(lambda: isinstance(three.lane.passed[-1], Marker))
    marker = three.lane.passed[-1]
    assert isinstance(marker, Marker)
    assert (marker.action, marker.member, tuple(marker.rooms)) == ("leave", ana.id, ("lobby",))


async def test_who_returns_elsewhere_before_that_is_not_ended(begin: Begin, time: Time) -> None:
    bounds = Bounds(grace=10.0)
    one, two = await begin(bounds), await begin(bounds)
    ana = await Client.open(one, "lobby")
    one.log.down = True
    await eventually(lambda: not two.nodes)
    ana.backplane = two
    await ana.resume()
    for _ in range(5):
        time.now += 61
        assert await two.expired() == []


@pytest.mark.parametrize("failures", [1, 2, 3])
async def test_answers_that_are_lost_change_nothing(begin: Begin, failures: int) -> None:
    one, two = await begin(), await begin()
    ana = await Client.open(one)

    def lose() -> None:
        one.log.fail = two.log.fail = failures

    lose()
    await ana.join("lobby")
    lose()
    await one.save("/a", ana.id, b"state")
    lose()
    await ana.say("missed", rooms=("lobby",))
    lose()
    resumption = await two.resume("/a", key(ana.id), ana.after, renewed=key("new"))
    assert resumption is not None
    assert resumption.record.generation == 2
    assert resumption.record.state == b"state"
    assert resumption.record.keys == (key(ana.id), key("new"))
    assert heard(resumption) == ["missed"]
    lose()
    await two.settle("/a", ana.id, 2)
    assert await two.find("/a", key(ana.id)) is None
    lose()
    assert await two.release("/a", ana.id, 2)
    lose()
    assert await two.end("/a", ana.id, 2)
    assert await two.find("/a", key("new")) is None
    leaves = [
        each for each in two.lane.passed if isinstance(each, Marker) and each.action == "leave"
    ]
    assert len(leaves) == 1


async def test_nothing_hangs_while_the_engine_is_away(begin: Begin, hub: Hub) -> None:
    one = await begin()
    ana = await Client.open(one, "lobby")
    hub.down = True
    asked = (
        one.open("/a", "~bob", key("bob"), None),
        one.find("/a", key(ana.id)),
        one.resume("/a", key(ana.id), ana.after),
        one.release("/a", ana.id, 1),
        one.end("/a", ana.id, 1),
        one.save("/a", ana.id, b""),
        one.rename("/a", ana.id, "bob"),
        one.confirm("/a", ana.id, 1),
        one.position("/a"),
        one.mark("/a", "join", ana.id, ["attic"]),
        one.expired(),
        one.follow("/c"),
    )
    async with asyncio.timeout(10):
        done = await asyncio.gather(*asked, return_exceptions=True)
    assert [each for each in done if not isinstance(each, BackplaneError)] == []
    hub.down = False
    ana.after = Position(ana.opened.epoch, ana.opened.seq)
    assert (await ana.resume()).record.state == b""
