"""What every backplane promises its node (`gatewright.backplane.base`)."""

import asyncio

import pytest

from gatewright.backplane import Backplane
from gatewright.backplane.base import Batch, Break, Marker, Moved
from gatewright.errors import NotStartedError
from gatewright.types import Position
from tests.backplane.lanes import Lane, entry, started

pytestmark = pytest.mark.anyio


async def test_a_publication_returns_the_number_of_its_first_entry(backplane: Backplane) -> None:
    async with started(backplane) as lane:
        first = await backplane.publish("/a", [entry("one")])
        second = await backplane.publish("/a", [entry("two"), entry("three")])
        third = await backplane.publish("/a", [entry("four")])
        assert first < second < second + 1 < third
        await lane.first(3)
        numbers = [first, second, second + 1, third]
        assert lane.heard("/a") == list(zip(numbers, ["one", "two", "three", "four"], strict=True))


async def test_an_entry_arrives_as_it_was_published(backplane: Backplane) -> None:
    async with started(backplane) as lane:
        sent = entry([1, {"a": None}], rooms=("lobby",), users=("ana",), except_=("attic",))
        await backplane.publish("/a", [sent])
        (batch,) = await lane.first(1)
        assert isinstance(batch, Batch)
        (got,) = batch.entries
        assert (got.rooms, got.users, got.except_) == (("lobby",), ("ana",), ("attic",))
        assert (got.outgoing.event, got.outgoing.data) == ("said", [1, {"a": None}])


async def test_namespaces_count_for_themselves(backplane: Backplane) -> None:
    async with started(backplane) as lane:
        first = await backplane.publish("/a", [entry(1)])
        for _ in range(5):
            await backplane.publish("/b", [entry("elsewhere")])
        second = await backplane.publish("/a", [entry(2)])
        await lane.first(7)
        assert lane.heard("/a") == [(first, 1), (second, 2)]
        assert len(lane.heard("/b")) == 5


async def test_a_namespace_stays_in_its_epoch(backplane: Backplane) -> None:
    async with started(backplane) as lane:
        for _ in range(3):
            await backplane.publish("/a", [entry(1)])
        epochs = {each.epoch for each in await lane.first(3) if isinstance(each, Batch)}
        assert len(epochs) == 1
        assert all(epochs)


async def test_the_position_is_the_last_number_or_one_before_the_next(
    backplane: Backplane,
) -> None:
    async with started(backplane) as lane:
        before = await backplane.position("/a")
        first = await backplane.publish("/a", [entry(1), entry(2), entry(3)])
        assert before.seq < first
        (batch,) = await lane.first(1)
        assert isinstance(batch, Batch)
        assert await backplane.position("/a") == Position(batch.epoch, first + 2)
        await backplane.publish("/b", [entry(4)])
        await backplane.mark("/a", "join", "ana", ["lobby"])
        after = await backplane.position("/a")
        assert after.epoch == before.epoch
        assert first + 2 <= after.seq < await backplane.publish("/a", [entry(5)])


async def test_markers_stand_in_the_lane_where_they_were_put(backplane: Backplane) -> None:
    async with started(backplane) as lane:
        one = await backplane.publish("/a", [entry(1)])
        joined = await backplane.mark("/a", "join", "ana", ["lobby", "attic"])
        two = await backplane.publish("/a", [entry(2)])
        left = await backplane.mark("/a", "leave", "ana", ["attic"])
        assert one <= joined < two <= left
        kinds = [
            (each.action, each.member, sorted(each.rooms), each.seq)
            if isinstance(each, Marker)
            else each.first
            for each in await lane.first(4)
            if not isinstance(each, Break | Moved)
        ]
        assert kinds == [
            one,
            ("join", "ana", ["attic", "lobby"], joined),
            two,
            ("leave", "ana", ["attic"], left),
        ]


async def test_memberships_may_be_marked_again(backplane: Backplane) -> None:
    async with started(backplane) as lane:
        for action in ("join", "join", "leave", "leave"):
            await backplane.mark("/a", action, "ana", ["lobby"])
        actions = [each.action for each in await lane.first(4) if isinstance(each, Marker)]
        assert actions == ["join", "join", "leave", "leave"]


async def test_many_publish_at_once_and_everything_arrives_in_order(backplane: Backplane) -> None:
    async with started(backplane) as lane:

        async def publish(who: int) -> dict[int, object]:
            numbers: dict[int, object] = {}
            for index in range(20):
                number = await backplane.publish("/a", [entry([who, index])])
                numbers[number] = [who, index]
                await asyncio.sleep(0)
            return numbers

        told = await asyncio.gather(*(publish(who) for who in range(10)))
        # Several publications may travel as one batch: count entries.
        async with asyncio.timeout(10):
            while len(lane.heard("/a")) < 200:
                await lane.first(len(lane.passed) + 1)
        heard = lane.heard("/a")
        numbers = [number for number, _ in heard]
        assert numbers == sorted(set(numbers))
        assert dict(heard) == {number: data for each in told for number, data in each.items()}
        for who in range(10):
            assert [data for _, data in heard if data[0] == who] == [  # type: ignore[index]
                [who, index] for index in range(20)
            ]


async def test_one_that_has_not_started_takes_nothing(backplane: Backplane) -> None:
    with pytest.raises(NotStartedError):
        await backplane.publish("/a", [entry(1)])
    with pytest.raises(NotStartedError):
        await backplane.mark("/a", "join", "ana", ["lobby"])
    async with started(backplane) as lane:
        number = await backplane.publish("/a", [entry(2)])
        await lane.first(1)
        assert lane.heard("/a") == [(number, 2)]


async def test_one_that_has_stopped_takes_and_delivers_nothing(backplane: Backplane) -> None:
    async with started(backplane) as lane:
        await backplane.publish("/a", [entry(1)])
        await lane.first(1)
    with pytest.raises(NotStartedError):
        await backplane.publish("/a", [entry(2)])
    with pytest.raises(NotStartedError):
        await backplane.mark("/a", "leave", "ana", ["lobby"])
    assert len(lane.passed) == 1


async def test_it_serves_one_application_and_another_one_after_it(backplane: Backplane) -> None:
    async with started(backplane):
        with pytest.raises(NotStartedError, match="already"):
            await backplane.start(Lane())
    async with started(backplane) as lane:
        number = await backplane.publish("/a", [entry(1)])
        await lane.first(1)
        assert lane.heard("/a") == [(number, 1)]
