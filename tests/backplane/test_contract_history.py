"""What every backplane promises of its bounds: what they cut off is named as a gap, never lost."""

import pytest

from gatewright.backplane import Backplane
from gatewright.backplane.base import EVERYONE, Bounds
from tests.backplane.conftest import Elapse
from tests.backplane.lanes import Client, heard, started

pytestmark = pytest.mark.anyio

KIB = 1024


async def test_a_room_over_its_limit_is_a_gap_for_whoever_needs_what_is_gone(
    backplane: Backplane,
) -> None:
    async with started(backplane, Bounds(per_room=3)):
        ana = await Client.open(backplane, "lobby", "attic")
        seqs = [await ana.say(index, rooms=("lobby",)) for index in range(5)]
        await ana.say("attic", rooms=("attic",))
        # It lacks entry 1, of five, and three are kept: R8's `prev` of the first is above it.
        ana.sees(seqs[0])
        resumption = await ana.resume()
        assert (heard(resumption), resumption.gaps) == (["attic"], ("lobby",))
        # Whoever has exactly what is gone has no gap.
        ana.sees(seqs[1])
        assert await ana.missed() == [2, 3, 4, "attic"]


async def test_a_room_that_was_trimmed_before_the_join_is_no_gap(backplane: Backplane) -> None:
    async with started(backplane, Bounds(per_room=2)):
        ana = await Client.open(backplane)
        for index in range(5):
            await ana.say(index, rooms=("lobby",))
        await ana.join("lobby")
        await ana.say("mine", rooms=("lobby",))
        assert await ana.missed() == ["mine"]


@pytest.mark.parametrize("whom", ["everyone", "own id", "user", "ended stay"])
async def test_every_stream_has_its_limit_and_its_gap(backplane: Backplane, whom: str) -> None:
    async with started(backplane, Bounds(per_room=2)):
        ana = await Client.open(backplane, "attic", "lobby")
        target, name = {
            "everyone": ({}, EVERYONE),
            "own id": ({"rooms": (ana.id,)}, ana.id),
            "user": ({"users": ("ana",)}, "ana"),
            "ended stay": ({"rooms": ("attic",)}, "attic"),
        }[whom]
        for index in range(3):
            await ana.say(index, **target)
        await ana.leave("attic")
        await ana.say("kept", rooms=("lobby",))
        resumption = await ana.resume()
        assert (heard(resumption), resumption.gaps) == (["kept"], (name,))


async def test_what_is_gone_from_one_room_may_come_by_another(backplane: Backplane) -> None:
    async with started(backplane, Bounds(per_room=2)):
        ana = await Client.open(backplane, "lobby", "attic")
        await ana.say("both", rooms=("lobby", "attic"))
        for index in range(2):
            await ana.say(index, rooms=("lobby",))
        resumption = await ana.resume()
        assert (heard(resumption), resumption.gaps) == (["both"], ("lobby",))


async def test_the_bytes_of_a_room_are_limited(backplane: Backplane) -> None:
    async with started(backplane, Bounds(per_room_bytes=40 * KIB)):
        ana = await Client.open(backplane, "lobby")
        seqs = [await ana.say("x" * 10 * KIB, rooms=("lobby",)) for _ in range(8)]
        assert (await ana.resume()).gaps == ("lobby",)
        ana.sees(seqs[-2])
        assert len(await ana.missed()) == 1


async def test_an_entry_that_is_too_large_to_be_kept_is_a_gap(backplane: Backplane) -> None:
    async with started(backplane, Bounds(per_room_bytes=20 * KIB)):
        ana = await Client.open(backplane, "lobby", "attic")
        seq = await ana.say("x" * 40 * KIB, rooms=("lobby", "attic"))
        assert set((await ana.resume()).gaps) == {"lobby", "attic"}
        ana.sees(seq)
        assert await ana.missed() == []


async def test_the_bytes_of_a_namespace_are_limited_and_the_oldest_go_first(
    backplane: Backplane,
) -> None:
    async with started(backplane, Bounds(namespace_bytes=100 * KIB)):
        ana = await Client.open(backplane, "first", "last")
        other = await backplane.open("/b", "~ana-1", b"key", None)
        await ana.say("x" * 10 * KIB, rooms=("first",))
        for _ in range(12):
            await ana.say("x" * 10 * KIB, rooms=("elsewhere",))
        await ana.say("kept", rooms=("last",))
        resumption = await ana.resume()
        assert (heard(resumption), resumption.gaps) == (["kept"], ("first",))
        elsewhere = await backplane.resume("/b", b"key", other)
        assert elsewhere is not None
        assert elsewhere.gaps == ()


@pytest.mark.parametrize("quiet", [True, False])
async def test_what_is_too_old_is_gone_whether_or_not_anything_came_after_it(
    backplane: Backplane, elapse: Elapse, *, quiet: bool
) -> None:
    async with started(backplane, Bounds(age=0.5)):
        ana = await Client.open(backplane, "lobby", "attic")
        seq = await ana.say("old", rooms=("lobby",))
        await elapse(0.6)
        if not quiet:
            await ana.say("new", rooms=("attic",))
        resumption = await ana.resume()
        assert resumption.gaps == ("lobby",)
        assert heard(resumption) == ([] if quiet else ["new"])
        ana.sees(seq)
        assert (await ana.resume()).gaps == ()


async def test_over_the_limit_of_a_replay_the_largest_rooms_become_gaps(
    backplane: Backplane,
) -> None:
    async with started(backplane, Bounds(replay=5)):
        ana = await Client.open(backplane, "small", "middle", "large")
        for room, count in (("large", 4), ("small", 2), ("middle", 3)):
            for index in range(count):
                await ana.say((room, index), rooms=(room,))
        resumption = await ana.resume()
        assert resumption.gaps == ("large",)
        assert heard(resumption) == [("small", 0), ("small", 1)] + [
            ("middle", index) for index in range(3)
        ]
        await ana.say(("middle", 3), rooms=("middle",))
        assert set((await ana.resume()).gaps) == {"large", "middle"}


async def test_an_entry_in_several_rooms_counts_once_for_the_limit(backplane: Backplane) -> None:
    async with started(backplane, Bounds(replay=3)):
        ana = await Client.open(backplane, "lobby", "attic")
        for index in range(3):
            await ana.say(index, rooms=("lobby", "attic"))
        assert await ana.missed() == [0, 1, 2]


async def test_what_is_excluded_does_not_count_for_the_limit(backplane: Backplane) -> None:
    async with started(backplane, Bounds(replay=1)):
        ana = await Client.open(backplane, "lobby")
        for _ in range(3):
            await ana.say("mine", rooms=("lobby",), except_=(ana.id,))
        await ana.say("theirs", rooms=("lobby",))
        assert await ana.missed() == ["theirs"]


async def test_the_bytes_of_a_replay_are_limited(backplane: Backplane) -> None:
    async with started(backplane, Bounds(replay_bytes=30 * KIB)):
        ana = await Client.open(backplane, "many", "large")
        for index in range(5):
            await ana.say(index, rooms=("many",))
        for _ in range(2):
            await ana.say("x" * 20 * KIB, rooms=("large",))
        resumption = await ana.resume()
        assert (heard(resumption), resumption.gaps) == ([0, 1, 2, 3, 4], ("large",))


async def test_a_gap_is_one_until_the_client_is_past_it(backplane: Backplane) -> None:
    # R6: only entries and pings move the client's number, so it may well ask again.
    async with started(backplane, Bounds(per_room=1)):
        ana = await Client.open(backplane, "lobby")
        await ana.say(1, rooms=("lobby",))
        last = await ana.say(2, rooms=("lobby",))
        for _ in range(2):
            assert (await ana.resume()).gaps == ("lobby",)
        await ana.confirm(last)
        assert await ana.missed() == []
