"""What every backplane promises of session records: who has one, and until when."""

import asyncio

import pytest

from gatewright.backplane import Backplane
from gatewright.backplane.base import Bounds, Marker, Record, Stay
from gatewright.errors import NotStartedError
from gatewright.types import Position
from tests.backplane.conftest import Elapse
from tests.backplane.lanes import Client, Lane, entry, key, started

pytestmark = pytest.mark.anyio

GRACE = Bounds(grace=0.3)


def markers(lane: Lane) -> list[tuple[str, str, list[str]]]:
    return [
        (each.action, each.member, sorted(each.rooms))
        for each in lane.passed
        if isinstance(each, Marker)
    ]


async def test_a_session_opens_where_the_sequence_stands(backplane: Backplane) -> None:
    async with started(backplane):
        await backplane.publish("/a", [entry(1), entry(2)])
        opened = await backplane.open("/a", "~ana-1", key("~ana-1"), "ana")
        assert opened == await backplane.position("/a")
        assert await backplane.find("/a", key("~ana-1")) == Record(
            id="~ana-1",
            namespace="/a",
            user="ana",
            generation=1,
            epoch=opened.epoch,
            start=opened.seq,
            confirmed=opened.seq,
            users=(Stay("ana", opened.seq),),
            keys=(key("~ana-1"),),
            node=backplane.node or None,
        )


async def test_only_its_key_finds_a_session_and_only_in_its_namespace(backplane: Backplane) -> None:
    async with started(backplane):
        await Client.open(backplane)
        assert await backplane.find("/a", key("~ana-1")) is not None
        assert await backplane.find("/a", key("~ana-2")) is None
        assert await backplane.find("/b", key("~ana-1")) is None
        assert await backplane.resume("/a", key("~ana-2"), None) is None
        assert await backplane.resume("/b", key("~ana-1"), None) is None


async def test_an_id_and_a_key_belong_to_one_session(backplane: Backplane) -> None:
    async with started(backplane):
        await Client.open(backplane)
        for id, its_key in (("~ana-1", key("other")), ("~other", key("~ana-1"))):
            with pytest.raises(ValueError, match="expected a new id and a new key"):
                await backplane.open("/a", id, its_key, None)
        await backplane.open("/b", "~ana-1", key("~ana-1"), None)
        assert (await backplane.find("/a", key("~ana-1"))) != (
            await backplane.find("/b", key("~ana-1"))
        )


async def test_a_record_follows_the_markers_of_its_member(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane, "lobby", "attic")
        other = await Client.open(backplane, "lobby", id="~bob-1", user=None)
        seq = await ana.say(1)
        await ana.leave("attic", "cellar")
        record = await ana.record()
        following = await ana.say(2)
        assert record.rooms == ("lobby",)
        attic, lobby = sorted(record.stays, key=lambda stay: stay.room)
        assert (attic.room, lobby.room) == ("attic", "lobby")
        assert ana.opened.seq <= lobby.since == attic.since < seq
        assert lobby.until is None
        assert attic.until in range(seq, following)
        assert (await other.record()).rooms == ("lobby",)
        assert (await other.record()).user is None


async def test_rooms_that_were_joined_before_it_opened_are_its_rooms(backplane: Backplane) -> None:
    async with started(backplane):
        await backplane.mark("/a", "join", "~ana-1", ["lobby"])
        await backplane.publish("/a", [entry(1)])
        ana = await Client.open(backplane)
        assert (await ana.record()).stays == (Stay("lobby", ana.opened.seq),)


async def test_state_is_replaced(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane)
        for state in (b"one", b"\x00\xff"):
            await backplane.save("/a", ana.id, state)
            assert (await ana.record()).state == state
        assert (await ana.resume()).record.state == b"\x00\xff"


async def test_confirming_goes_forward_only_and_no_further_than_the_head(
    backplane: Backplane,
) -> None:
    async with started(backplane):
        ana = await Client.open(backplane)
        first = await ana.say(1)
        last = await ana.say(2)
        for seq, confirmed in ((first, first), (first - 1, first), (last + 50, last), (0, last)):
            await ana.confirm(seq)
            assert (await ana.record()).confirmed == confirmed
        assert (await ana.record()).start == ana.opened.seq


async def test_ended_stays_are_kept_until_they_are_confirmed(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane, "lobby")
        await ana.say(1, rooms=("lobby",))
        last = await ana.say(2, rooms=("lobby",))
        await ana.leave("lobby")
        left = (await backplane.position("/a")).seq
        await ana.confirm(last - 1)
        (stay,) = (await ana.record()).stays
        assert stay.room == "lobby"
        assert stay.until in range(last, left + 1)
        await ana.confirm(left)
        assert (await ana.record()).stays == ()
        await ana.join("lobby")
        await ana.leave("lobby")
        await ana.confirm((await backplane.position("/a")).seq)
        assert (await ana.record()).stays == ()


async def test_a_session_may_go_by_another_name(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane)
        last = await ana.say(1)
        await backplane.rename("/a", ana.id, "bob")
        record = await ana.record()
        assert record.user == "bob"
        following = await ana.say(2)
        ana_, bob = record.users
        assert (ana_.room, ana_.since) == ("ana", ana.opened.seq)
        assert ana_.until == bob.since
        assert bob in (Stay("bob", seq) for seq in range(last, following))
        await backplane.rename("/a", ana.id, None)
        assert (await ana.record()).user is None


async def test_each_resume_fences_whoever_had_the_session(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane)
        assert (await ana.resume()).record.generation == 2
        assert (await ana.resume()).record.generation == 3
        for old in (1, 2):
            assert not await backplane.release("/a", ana.id, old)
            assert not await backplane.end("/a", ana.id, old)
        assert (await ana.record()).generation == 3
        assert await backplane.release("/a", ana.id, 3)
        assert await backplane.end("/a", ana.id, 3)
        assert await backplane.find("/a", key(ana.id)) is None


async def test_of_many_who_take_a_session_over_at_once_one_has_it(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane)
        resumed = await asyncio.gather(*(ana.resume() for _ in range(20)))
        generations = [each.record.generation for each in resumed]
        assert sorted(generations) == list(range(2, 22))
        for generation in range(1, 21):
            assert not await backplane.release("/a", ana.id, generation)
        assert await backplane.end("/a", ana.id, 21)


async def test_an_ended_session_leaves_its_rooms_and_is_gone(backplane: Backplane) -> None:
    async with started(backplane) as lane:
        ana = await Client.open(backplane, "lobby", "attic")
        await ana.leave("attic")
        assert await backplane.end("/a", ana.id, 1)
        await lane.first(3)
        assert markers(lane)[2:] == [("leave", ana.id, ["lobby"])]
        assert await backplane.find("/a", key(ana.id)) is None
        assert await backplane.resume("/a", key(ana.id), None) is None
        assert not await backplane.end("/a", ana.id, 1)
        assert not await backplane.release("/a", ana.id, 1)


async def test_one_without_rooms_ends_in_silence(backplane: Backplane) -> None:
    async with started(backplane) as lane:
        ana = await Client.open(backplane)
        assert await backplane.end("/a", ana.id, 1)
        await backplane.publish("/a", [entry("next")])
        assert len(await lane.first(1)) == 1
        assert markers(lane) == []


async def test_what_is_asked_for_a_session_that_has_ended_does_nothing(
    backplane: Backplane,
) -> None:
    async with started(backplane):
        ana = await Client.open(backplane)
        await backplane.end("/a", ana.id, 1)
        await backplane.save("/a", ana.id, b"late")
        await ana.confirm(1)
        await backplane.rename("/a", ana.id, "late")
        assert await backplane.find("/a", key(ana.id)) is None
        again = await Client.open(backplane, "lobby")
        record = await again.record()
        assert (record.state, record.user, record.rooms) == (b"", "ana", ("lobby",))


async def test_a_session_may_return_within_its_grace(backplane: Backplane, elapse: Elapse) -> None:
    async with started(backplane, Bounds(grace=5.0)) as lane:
        ana = await Client.open(backplane, "lobby")
        assert await backplane.release("/a", ana.id, 1)
        await elapse(0.1)
        assert await backplane.expired() == []
        assert (await ana.record()).rooms == ("lobby",)
        assert (await ana.resume()).record.rooms == ("lobby",)
        assert markers(lane) == [("join", ana.id, ["lobby"])]


async def test_one_that_is_here_never_expires(backplane: Backplane, elapse: Elapse) -> None:
    async with started(backplane, GRACE):
        here = await Client.open(backplane, id="~here")
        back = await Client.open(backplane, id="~back")
        gone = await Client.open(backplane, id="~gone")
        await backplane.release("/a", back.id, 1)
        await back.resume()
        await backplane.release("/a", gone.id, 1)
        await elapse(0.4)
        assert [record.id for record in await backplane.expired()] == [gone.id]
        assert (await here.record()).generation == 1
        assert (await back.record()).generation == 2


async def test_after_its_grace_a_session_is_unknown_even_before_it_was_claimed(
    backplane: Backplane, elapse: Elapse
) -> None:
    async with started(backplane, GRACE):
        ana = await Client.open(backplane)
        await backplane.release("/a", ana.id, 1)
        await elapse(0.4)
        assert await backplane.find("/a", key(ana.id)) is None
        assert await backplane.resume("/a", key(ana.id), ana.after) is None
        assert [record.id for record in await backplane.expired()] == [ana.id]


async def test_an_expired_session_is_handed_out_once_and_has_left_its_rooms(
    backplane: Backplane, elapse: Elapse
) -> None:
    async with started(backplane, GRACE) as lane:
        ana = await Client.open(backplane, "lobby", "attic")
        bob = await Client.open(backplane, "lobby", id="~bob-1")
        await backplane.save("/a", ana.id, b"state")
        await backplane.release("/a", ana.id, 1)
        await elapse(0.4)
        claims = await asyncio.gather(*(backplane.expired() for _ in range(5)))
        (claimed,) = [record for claim in claims for record in claim]
        assert (claimed.id, claimed.namespace, claimed.user) == (ana.id, "/a", "ana")
        assert (set(claimed.rooms), claimed.state) == ({"lobby", "attic"}, b"state")
        await lane.first(3)
        assert markers(lane)[2:] == [("leave", ana.id, ["attic", "lobby"])]
        assert await backplane.expired() == []
        assert (await bob.record()).rooms == ("lobby",)


async def test_losing_the_socket_twice_does_not_lengthen_the_grace(
    backplane: Backplane, elapse: Elapse
) -> None:
    async with started(backplane, Bounds(grace=0.6)):
        ana = await Client.open(backplane)
        for _ in range(3):
            assert await backplane.release("/a", ana.id, 1)
            await elapse(0.3)
        assert [record.id for record in await backplane.expired()] == [ana.id]


async def test_markers_reach_a_session_that_is_away(backplane: Backplane) -> None:
    async with started(backplane) as lane:
        ana = await Client.open(backplane, "lobby")
        await backplane.release("/a", ana.id, 1)
        await ana.join("attic")
        await ana.leave("lobby")
        assert (await ana.record()).rooms == ("attic",)
        assert len(await lane.first(3)) == 3


async def test_one_that_has_not_started_knows_no_sessions(backplane: Backplane) -> None:
    calls = (
        lambda: backplane.position("/a"),
        lambda: backplane.open("/a", "~ana", key("ana"), None),
        lambda: backplane.rename("/a", "~ana", None),
        lambda: backplane.save("/a", "~ana", b""),
        lambda: backplane.confirm("/a", "~ana", 1),
        lambda: backplane.find("/a", key("ana")),
        lambda: backplane.resume("/a", key("ana"), Position("e", 1)),
        lambda: backplane.settle("/a", "~ana", 1),
        lambda: backplane.release("/a", "~ana", 1),
        lambda: backplane.end("/a", "~ana", 1),
        backplane.expired,
    )
    for call in calls:
        with pytest.raises(NotStartedError):
            await call()
    async with started(backplane):
        await Client.open(backplane)
    for call in calls:
        with pytest.raises(NotStartedError):
            await call()


async def test_only_durable_sessions_survive_a_stop(backplane: Backplane) -> None:
    async with started(backplane):
        ana = await Client.open(backplane)
    async with started(backplane):
        found = await backplane.find("/a", key(ana.id))
        assert (found is not None) == backplane.durable


async def test_the_calls_that_were_taken_are_told_to_whoever_resumes_next(
    backplane: Backplane,
) -> None:
    async with started(backplane):
        ana = await Client.open(backplane)
        assert (await ana.record()).taken is None
        assert await backplane.release("/a", ana.id, 1, taken=7)
        assert (await ana.record()).taken == 7
        resumption = await backplane.resume("/a", key(ana.id), None)
        assert resumption is not None
        assert resumption.record.taken == 7
        # From here on more may be taken, and a process that is killed tells nobody.
        assert (await ana.record()).taken is None
