"""The lane of several nodes: every message once, in order, or a break that says otherwise."""

import asyncio

import msgspec
import pytest

from gatewright.backplane.base import Batch, Break, Marker
from gatewright.backplane.shared.log import Unreachable
from gatewright.errors import BackplaneError
from tests._support.conditions import eventually
from tests.backplane.hub import Hub
from tests.backplane.lanes import Lane, entry
from tests.backplane.shared.conftest import Begin

pytestmark = pytest.mark.anyio


def breaks(lane: Lane) -> int:
    return sum(isinstance(each, Break) for each in lane.passed)


async def test_all_nodes_hear_the_same_in_the_same_order(begin: Begin) -> None:
    nodes = [await begin() for _ in range(3)]

    async def talk(who: int) -> None:
        for index in range(20):
            await nodes[who].publish("/a", [entry([who, index])])
            await nodes[who].mark("/a", "join", f"~{who}", [str(index)])

    await asyncio.gather(*(talk(who) for who in range(3)))
    await eventually(lambda: [len(node.lane.heard("/a")) for node in nodes] == [60] * 3)
    assert nodes[0].lane.heard("/a") == nodes[1].lane.heard("/a") == nodes[2].lane.heard("/a")
    markers = [
        [
            (each.seq, each.member, each.rooms)
            for each in node.lane.passed
            if isinstance(each, Marker)
        ]
        for node in nodes
    ]
    assert markers[0] == markers[1] == markers[2]
    assert len(markers[0]) == 60


async def test_what_gets_lost_on_the_way_is_read_before_anything_else_passes(begin: Begin) -> None:
    one, two = await begin(), await begin()
    lost = iter([False, True, True, False, True, False])
    two.log.lose = lambda _: next(lost, False)
    for index in range(8):
        await one.publish("/a", [entry(index)])
    await eventually(lambda: len(two.lane.heard("/a")) == 8)
    assert two.lane.heard("/a") == one.lane.heard("/a")
    assert breaks(two.lane) == 0


async def test_a_lost_tail_is_noticed(begin: Begin) -> None:
    one, two = await begin(), await begin()
    two.log.lose = lambda _: True
    await one.publish("/a", [entry("tail")])
    await eventually(lambda: two.lane.heard("/a") == one.lane.heard("/a"))


async def test_after_a_break_of_the_connection_nothing_is_missing(begin: Begin) -> None:
    one, two = await begin(), await begin()
    for index in range(20):
        if index % 3 == 0:
            two.log.break_()
        await one.publish("/a", [entry(index)])
        await one.mark("/a", "join", "~ana", [str(index)])
    await eventually(lambda: len(two.lane.heard("/a")) == 20)
    assert two.lane.heard("/a") == one.lane.heard("/a")
    assert breaks(two.lane) == 0


async def test_who_cannot_catch_up_in_time_breaks_once_and_goes_on_in_order(begin: Begin) -> None:
    one, two = await begin(), await begin()
    await one.publish("/a", [entry(0)])
    await eventually(lambda: len(two.lane.heard("/a")) == 1)
    two.log.down = True
    two.log.break_()
    await one.publish("/a", [entry(1)])
    await eventually(lambda: breaks(two.lane) == 2)
    assert {each.namespace for each in two.lane.passed if isinstance(each, Break)} == {"/a", "/b"}
    two.log.down = False
    await one.publish("/a", [entry(2)])
    await eventually(lambda: len(two.lane.heard("/a")) == 3)
    assert two.lane.heard("/a") == one.lane.heard("/a")
    assert breaks(two.lane) == 2


async def test_what_the_log_does_not_keep_any_more_is_a_break(begin: Begin, hub: Hub) -> None:
    one, two = await begin(), await begin()
    two.log.lose = lambda _: True
    for index in range(5):
        await one.publish("/a", [entry(index)])
        hub.trim("/a", 2)
    two.log.lose = lambda _: False
    await eventually(lambda: breaks(two.lane) == 1)
    await one.publish("/a", [entry("later")])
    await eventually(lambda: bool(two.lane.heard("/a")) and two.lane.heard("/a")[-1][1] == "later")
    heard = two.lane.heard("/a")
    assert heard == one.lane.heard("/a")[-len(heard) :]


async def test_another_epoch_is_a_break(begin: Begin, hub: Hub) -> None:
    one, two = await begin(), await begin()
    before = await one.position("/a")
    await one.publish("/a", [entry(1)])
    hub.flush()
    await one.publish("/a", [entry(2)])
    await eventually(lambda: breaks(one.lane) >= 1 and breaks(two.lane) >= 1)
    assert (await one.position("/a")).epoch != before.epoch
    await one.publish("/a", [entry(3)])
    await eventually(lambda: two.lane.heard("/a")[-1][1] == 3)


async def test_an_answer_that_is_lost_publishes_nothing_twice(begin: Begin) -> None:
    one = await begin()
    one.log.fail = 1
    first = await one.publish("/a", [entry(1)])
    one.log.fail = 2
    await one.mark("/a", "join", "~ana", ["lobby"])
    second = await one.publish("/a", [entry(2)])
    await eventually(lambda: len(one.lane.heard("/a")) == 2)
    assert one.lane.heard("/a") == [(first, 1), (second, 2)]
    assert sum(isinstance(each, Marker) for each in one.lane.passed) == 1


async def test_what_cannot_be_published_is_told_and_the_next_is_not_held_up(
    begin: Begin, hub: Hub
) -> None:
    one = await begin()
    hub.down = True
    results = await asyncio.gather(
        *(one.publish("/a", [entry(index)]) for index in range(3)), return_exceptions=True
    )
    assert all(isinstance(each, BackplaneError) for each in results)
    assert all("may or may not have been published" in str(each) for each in results)
    hub.down = False
    number = await one.publish("/a", [entry("up")])
    await eventually(lambda: (number, "up") in one.lane.heard("/a"))


async def test_a_lane_that_cannot_be_heard_is_not_followed(begin: Begin, hub: Hub) -> None:
    one = await begin()
    hub.down = True
    with pytest.raises(Unreachable):
        await one.follow("/c")
    hub.down = False
    await one.follow("/c")
    await one.publish("/c", [entry(1)])
    assert [data for _, data in one.lane.heard("/c")] == [1]


async def test_many_may_wait_for_the_same_lane_and_one_may_give_up(begin: Begin) -> None:
    one = await begin()
    waiting = [asyncio.create_task(one.follow("/c")) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in done] == [asyncio.CancelledError, *[type(None)] * 4]
    await one.publish("/c", [entry(1)])
    assert [data for _, data in one.lane.heard("/c")] == [1]


async def test_who_gives_up_an_emit_takes_nothing_back_from_the_others(begin: Begin) -> None:
    one = await begin()
    asked = [asyncio.create_task(one.publish("/a", [entry(index)])) for index in range(5)]
    await asyncio.sleep(0)
    asked[2].cancel()
    done = await asyncio.gather(*asked, return_exceptions=True)
    numbers = [each for each in done if isinstance(each, int)]
    assert len(set(numbers)) == 4
    await eventually(lambda: {0, 1, 3, 4} <= {data for _, data in one.lane.heard("/a")})


async def test_emits_of_one_moment_travel_together(begin: Begin, hub: Hub) -> None:
    one = await begin()
    await asyncio.gather(*(one.publish("/a", [entry(index)]) for index in range(250)))
    assert hub.lane("/a").n <= 4
    assert max(len(each.entries) for each in one.lane.passed if isinstance(each, Batch)) == 100
    assert [data for _, data in one.lane.heard("/a")] == list(range(250))


async def test_a_message_that_says_nothing_is_passed_over(
    begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    one = await begin()
    await one.log.append("/a", b"\xc1", 1, 10**9)
    await one.log.append("/a", msgspec.msgpack.encode(["x", 1]), 0, 10**9 + 1)
    await one.log.send(b"garbage")
    await one.log.cast("/a", b"garbage")
    two = await begin()
    number = await two.publish("/a", [entry(1)])
    await eventually(lambda: (number, 1) in one.lane.heard("/a"))
    assert "says nothing" in caplog.text


async def test_a_lane_that_nobody_needs_is_let_go_after_a_while(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewright.backplane.shared.running.LINGER", 0.0)
    one = await begin()
    await one.follow("/a")
    await one.unfollow("/a")
    await one.publish("/a", [entry(1)])
    await one.unfollow("/a")
    await eventually(lambda: "/a" not in one.log._lanes)
    await one.publish("/a", [entry(2)])
    await one.follow("/a")
    await one.publish("/a", [entry(3)])
    assert [data for _, data in one.lane.heard("/a")] == [1, 3]


# Nodes


async def test_nodes_know_each_other_and_who_has_gone(begin: Begin) -> None:
    one, two = await begin(), await begin()
    await eventually(lambda: list(one.nodes) == [two.node] and list(two.nodes) == [one.node])
    assert one.node != two.node
    await two.stop()
    await eventually(lambda: not one.nodes)
    assert one.peers == [(two.node, True), (two.node, False)]


async def test_one_that_is_silent_is_dead_until_it_is_heard_again(begin: Begin) -> None:
    one, two = await begin(), await begin()
    await eventually(lambda: bool(one.nodes))
    two.log.down = True
    await eventually(lambda: not one.nodes and not two.nodes)
    two.log.down = False
    await eventually(lambda: list(one.nodes) == [two.node] and list(two.nodes) == [one.node])
    assert one.peers == [(two.node, True), (two.node, False), (two.node, True)]


async def test_mail_reaches_one_or_all_others_in_order(begin: Begin) -> None:
    one, two, three = [await begin() for _ in range(3)]
    await eventually(lambda: len(one.nodes) == 2)
    for index in range(5):
        await one.send(b"all %d" % index)
        await one.send(b"two %d" % index, two.node)
        await one.cast("/a", b"cast %d" % index)
    await three.unfollow("/a")
    await eventually(lambda: len(two.mail) == 15 and len(three.mail) == 10)
    assert {sender for sender, _ in two.mail} == {one.node}
    for kind in (b"all", b"two", b"cast"):
        told = [message for _, message in two.mail if message.startswith(kind)]
        assert told == [b"%s %d" % (kind, index) for index in range(5)]
    assert one.mail == []


async def test_all_ends_with_the_node(begin: Begin) -> None:
    before = len(asyncio.all_tasks())
    one = await begin()
    one.log.break_()
    await one.stop()
    await eventually(lambda: len(asyncio.all_tasks()) == before)
