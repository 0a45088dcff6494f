"""What every backplane promises a session that returns: all it was entitled to, and nothing else.

The numbered counterexamples are those of the recovery model that one node can meet.
"""

import asyncio

import pytest

from gatewright.backplane import Backplane
from gatewright.backplane.base import EVERYONE, Marker
from gatewright.types import Position
from tests.backplane.lanes import Client, encoded, heard, key, started

pytestmark = pytest.mark.anyio


async def test_a_session_that_returns_gets_what_it_missed_in_order(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane, "lobby", "attic")
        ana.sees(await ana.say("seen", rooms=("lobby",)))
        first = await ana.say("a", rooms=("attic",))
        await ana.say("foreign", rooms=("cellar",))
        last = await ana.say("b", rooms=("lobby",))
        resumption = await ana.resume()
        assert [(seq, each.outgoing.data) for seq, each in resumption.entries] == [
            (first, "a"),
            (last, "b"),
        ]
        assert resumption.gaps == ()
        assert resumption.head == await backplane.position("/a")
        assert resumption.record == await ana.record()


async def test_one_that_missed_nothing_gets_nothing(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane, "lobby")
        assert await ana.missed() == []
        ana.sees(await ana.say(1, rooms=("lobby",)))
        assert await ana.missed() == []


async def test_every_way_to_be_a_receiver_counts(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane, "lobby")
        await Client.open(backplane, id="~bob-1", user="bob")
        await ana.say("everyone")
        await ana.say("room", rooms=("lobby", "cellar"))
        await ana.say("own id", rooms=(ana.id,))
        await ana.say("user", users=("bob", "ana"))
        await ana.say("room or user", rooms=("cellar",), users=("ana",))
        for foreign in ({"rooms": ("~bob-1", "ana")}, {"users": ("bob", "lobby")}):
            await ana.say("foreign", **foreign)
        for nobody in ({"rooms": ()}, {"users": ()}, {"rooms": (), "users": ()}):
            await ana.say("nobody", **nobody)
        assert await ana.missed() == ["everyone", "room", "own id", "user", "room or user"]


async def test_its_own_id_is_a_room_that_it_is_always_in(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane)
        await ana.join(ana.id)
        await ana.say("one", rooms=(ana.id,))
        await ana.leave(ana.id)
        await ana.say("two", rooms=(ana.id,))
        await ana.say("excluded", except_=(ana.id,))
        assert await ana.missed(ana.id) == ["one", "two"]


async def test_an_entry_to_several_of_its_rooms_comes_once(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane, "lobby", "attic")
        await ana.say("both", rooms=("lobby", "attic", "lobby"), users=("ana", "ana"))
        assert await ana.missed() == ["both"]


async def test_entries_come_back_as_they_were_published(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane, "lobby")
        sent = encoded({"a": [1, None]}, rooms=("lobby", "x"), users=("u",), except_=("attic",))
        await backplane.publish("/a", [sent])
        ((_, got),) = (await ana.resume()).entries
        assert (got.rooms, got.users, got.except_) == (sent.rooms, sent.users, sent.except_)
        assert (got.outgoing.event, got.outgoing.data) == ("said", {"a": [1, None]})


async def test_the_same_position_may_be_asked_for_again(backplane: Backplane) -> None:
    # Counterexample 10: a cut in the middle of a replay.
    async with started(backplane):
        ana = await Client.open(backplane, "lobby")
        seqs = [await ana.say(data, rooms=("lobby",)) for data in (1, 2, 3)]
        assert await ana.missed() == [1, 2, 3]
        assert await ana.missed() == [1, 2, 3]
        ana.sees(seqs[1])
        assert await ana.missed() == [3]


async def test_what_was_confirmed_never_comes_again(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane, "lobby")
        await ana.say("confirmed", rooms=("lobby",))
        await ana.confirm(await ana.say("foreign", rooms=("cellar",)))
        await ana.say("missed", rooms=("lobby",))
        for after in (ana.opened, None):
            ana.after = after
            assert await ana.missed() == ["missed"]


async def test_without_a_position_it_starts_from_what_it_confirmed(backplane: Backplane) -> None:
    async with started(backplane):
        await backplane.publish("/a", [encoded("before it opened")])
        ana = await Client.open(backplane, "lobby")
        ana.after = None
        await ana.say(1)
        assert await ana.missed() == [1]


async def test_nothing_comes_from_before_it_opened(backplane: Backplane) -> None:
    async with started(backplane):
        await Client.open(backplane, id="~bob-1")
        await backplane.mark("/a", "join", "~ana-1", ["lobby"])
        await backplane.publish("/a", [encoded("before"), encoded("before", rooms=("lobby",))])
        ana = await Client.open(backplane)
        ana.sees(0)
        await ana.say("since", rooms=("lobby",))
        assert await ana.missed() == ["since"]


@pytest.mark.parametrize("how", ["another epoch", "beyond the head"])
async def test_a_position_that_cannot_be_makes_everything_a_gap(
    backplane: Backplane, how: str
) -> None:
    # Counterexample 9: a bare number of another life of the sequence must not be taken for ours.
    async with started(backplane):
        ana = await Client.open(backplane, "lobby", "attic")
        last = await ana.say("lost", rooms=("lobby",))
        await ana.leave("attic")
        strange = {
            "another epoch": Position("other", last - 1),
            "beyond the head": Position(ana.opened.epoch, last + 1_000_000),
        }
        ana.after = strange[how]
        resumption = await ana.resume()
        assert list(resumption.entries) == []
        assert set(resumption.gaps) == {"lobby", "attic", EVERYONE, ana.id, "ana"}
        assert last <= resumption.head.seq < await ana.say("next")
        ana.after = resumption.head
        assert await ana.missed() == ["next"]


async def test_a_later_join_replays_nothing_from_before_it(backplane: Backplane) -> None:
    # Counterexample 6.
    async with started(backplane):
        ana = await Client.open(backplane)
        await ana.say("before", rooms=("lobby",))
        await ana.join("lobby")
        await ana.say("after", rooms=("lobby",))
        assert await ana.missed() == ["after"]


async def test_what_came_before_it_left_is_still_owed(backplane: Backplane) -> None:
    # Counterexample 7: also for rooms that it left while it was away.
    async with started(backplane):
        ana = await Client.open(backplane, "lobby")
        await ana.say("owed", rooms=("lobby",))
        await backplane.release("/a", ana.id, 1)
        await ana.leave("lobby")
        await ana.say("left", rooms=("lobby",))
        await ana.join("lobby")
        await ana.say("back", rooms=("lobby",))
        assert await ana.missed() == ["owed", "back"]


async def test_exclusion_is_judged_where_the_entry_stands(backplane: Backplane) -> None:
    # Counterexample 8, and the other way round.
    async with started(backplane):
        ana = await Client.open(backplane, "lobby", "attic")
        await ana.say("excluded", rooms=("lobby",), except_=("attic",))
        await ana.leave("attic")
        await ana.say("included", rooms=("lobby",), except_=("attic",))
        await ana.join("attic")
        await ana.say("excluded", except_=("cellar", "attic"))
        await ana.say("excluded", users=("ana",), except_=(ana.id,))
        await ana.say("included", except_=("ana", "cellar"))
        await ana.leave("attic")
        assert await ana.missed() == ["included", "included"]


async def test_a_user_gets_what_was_for_the_name_it_had(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane)
        await ana.say("foreign", users=("bob",))
        await ana.say("for ana", users=("ana",))
        await backplane.rename("/a", ana.id, "bob")
        await ana.say("foreign", users=("ana",))
        await ana.say("for bob", users=("bob",))
        await backplane.rename("/a", ana.id, None)
        await ana.say("foreign", users=("ana", "bob"))
        assert await ana.missed() == ["for ana", "for bob"]


async def test_a_revoked_room_is_left_and_never_replayed(backplane: Backplane) -> None:
    async with started(backplane) as lane:
        ana = await Client.open(backplane, "secret", "lobby")
        await ana.say("secret", rooms=("secret",))
        await ana.say("both", rooms=("secret", "lobby"))
        resumption = await ana.resume("secret", "cellar")
        assert (heard(resumption), resumption.gaps) == (["both"], ())
        assert resumption.record.rooms == ("lobby",)
        (*_, marker) = await lane.first(4)
        assert isinstance(marker, Marker)
        assert (marker.action, marker.member) == ("leave", ana.id)
        assert list(marker.rooms) == ["secret"]
        # It is told of its room's end by the first resume; a second one must not undo that.
        assert await ana.missed() == ["both"]
        await ana.say("after", rooms=("secret",))
        await ana.join("secret")
        await ana.say("again", rooms=("secret",))
        assert await ana.missed() == ["both", "again"]


async def test_joining_a_revoked_room_at_once_brings_nothing_back(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane, "secret")
        await ana.say("secret", rooms=("secret",))
        await ana.resume("secret")
        await ana.join("secret")
        assert await ana.missed() == []


async def test_a_stay_that_ended_can_be_revoked_as_well(backplane: Backplane) -> None:
    async with started(backplane) as lane:
        ana = await Client.open(backplane, "secret")
        await ana.say("secret", rooms=("secret",))
        await ana.leave("secret")
        assert await ana.missed("secret") == []
        assert await ana.missed() == []
        await ana.say("next")
        assert len(await lane.first(4)) == 4  # it had left already: no second marker


async def test_what_excluded_a_revoked_room_is_still_kept_from_its_member(
    backplane: Backplane,
) -> None:
    async with started(backplane):
        ana = await Client.open(backplane, "secret", "lobby")
        seq = await ana.say("excluded", rooms=("lobby",), except_=("secret",))
        assert await ana.missed("secret") == []
        assert await ana.missed() == []
        (secret,) = (each for each in (await ana.record()).stays if each.room == "secret")
        assert secret.revoked
        assert secret.until is not None
        assert secret.since < seq <= secret.until


async def test_a_revoked_room_is_no_gap(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane, "secret")
        await ana.say("secret", rooms=("secret",))
        ana.after = Position("other", 1)
        assert "secret" not in (await ana.resume("secret")).gaps


async def test_every_session_has_its_own_place(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane, "lobby")
        await ana.say(1, rooms=("lobby",))
        bob = await Client.open(backplane, "lobby", id="~bob-1", user="bob")
        seq = await ana.say(2, rooms=("lobby",))
        eve = await Client.open(backplane, "lobby", id="~eve-1", user="ana")
        await ana.say(3, rooms=("lobby",), users=("ana",))
        assert (await ana.missed(), await bob.missed(), await eve.missed()) == (
            [1, 2, 3],
            [2, 3],
            [3],
        )
        await backplane.end("/a", ana.id, 2)
        bob.sees(seq)
        assert await bob.missed() == [3]


async def test_a_resume_among_publications_splits_them_at_its_head(backplane: Backplane) -> None:
    # Counterexample 3: what the replay lacks must come by the lane afterwards, and nothing twice.
    async with started(backplane) as lane:
        ana = await Client.open(backplane, "lobby", "attic")
        resumptions = []

        async def publish(room: str) -> None:
            for index in range(30):
                await ana.say((room, index), rooms=(room,))
                await asyncio.sleep(0)

        async def resume() -> None:
            for _ in range(10):
                resumptions.append(await ana.resume())
                await asyncio.sleep(0)

        await asyncio.gather(publish("lobby"), resume(), publish("attic"))
        async with asyncio.timeout(10):
            while len(everything := lane.heard("/a")) < 60:
                await lane.first(len(lane.passed) + 1)
        assert len(resumptions) == 10
        for each in resumptions:
            replayed = [(seq, entry.outgoing.data) for seq, entry in each.entries]
            assert replayed == [item for item in everything if item[0] <= each.head.seq]


async def test_a_resume_changes_nothing_for_an_unknown_key(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane, "lobby")
        assert await backplane.resume("/a", key("~nobody"), None, ("lobby",)) is None
        assert (await ana.record()).generation == 1
        assert (await ana.record()).rooms == ("lobby",)
