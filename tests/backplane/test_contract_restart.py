"""What a durable backplane promises over a restart: nobody notices, save by the time it took."""

import pytest

from gatewright.backplane.base import EVERYONE, Batch, Bounds, Marker
from gatewright.protocol.codecs import JsonCodec
from gatewright.types import Position
from tests.backplane.conftest import Made
from tests.backplane.lanes import Client, entry, heard, key, started

pytestmark = pytest.mark.anyio


async def test_numbers_go_on_in_the_same_epoch(lasting: Made) -> None:
    backplane, _ = lasting
    assert backplane.durable
    async with started(backplane):
        await Client.open(backplane)
        for namespace in ("/a", "/nobody"):
            await backplane.publish(namespace, [entry(1), entry(2)])
        before = {each: await backplane.position(each) for each in ("/a", "/nobody", "/quiet")}
    for _ in range(2):
        async with started(backplane):
            for namespace, position in before.items():
                assert await backplane.position(namespace) == position
    async with started(backplane) as lane:
        first = await backplane.publish("/a", [entry(3)])
        assert first > before["/a"].seq
        (batch,) = await lane.first(1)
        assert isinstance(batch, Batch)
        assert batch.epoch == before["/a"].epoch


async def test_a_session_is_what_it_was(lasting: Made) -> None:
    backplane, _ = lasting
    async with started(backplane):
        ana = await Client.open(backplane, "lobby", "attic", "cellar")
        await ana.say(1)
        await ana.leave("attic")
        await backplane.rename("/a", ana.id, "eve")
        await backplane.save("/a", ana.id, b"\x00state")
        last = await ana.say(2)
        await ana.confirm(last - 1)
        await backplane.resume("/a", key(ana.id), None, ["cellar"], renewed=key("second"))
        before = await ana.record()
    async with started(backplane):
        assert await ana.record() == before
        assert await backplane.find("/a", key("second")) == before
        await backplane.settle("/a", ana.id, before.generation)
        assert not await backplane.release("/a", ana.id, 1)
    async with started(backplane):
        assert await backplane.find("/a", key(ana.id)) is None
        after = await backplane.find("/a", key("second"))
        assert after is not None
        assert after.keys == (key("second"),)


async def test_it_gets_what_it_missed_before_and_after(lasting: Made) -> None:
    backplane, _ = lasting
    async with started(backplane):
        ana = await Client.open(backplane, "lobby", "left", "out")
        await ana.say("seen", rooms=("lobby",))
        ana.sees(await ana.say("seen too"))
        await ana.say("lobby", rooms=("lobby", "x"))
        await ana.say("user", users=("ana",))
        await ana.say("owed", rooms=("left",))
        await ana.leave("left")
        await ana.say("not owed", rooms=("left",))
        await ana.say("excluded", except_=("out",))
        await ana.leave("out")
        await ana.say(["own", b"bytes"], rooms=(ana.id,))
        assert await backplane.release("/a", ana.id, 1)
    async with started(backplane):
        await ana.say("later")
        expected = ["lobby", "user", "owed", ["own", b"bytes"], "later"]
        assert await ana.missed() == expected
    async with started(backplane):
        assert await ana.missed() == expected
        record = await ana.record()
        assert (set(record.rooms), record.generation) == ({"lobby"}, 3)
        ana.after = None
        assert await ana.missed() == ["seen", "seen too", *expected]


async def test_entries_are_framed_as_they_were(lasting: Made) -> None:
    backplane, _ = lasting
    async with started(backplane):
        ana = await Client.open(backplane)
        await ana.say({"a": [1, None]}, rooms=(ana.id,), users=("u",), except_=("attic",))
        ((_, before),) = (await ana.resume()).entries
    async with started(backplane):
        ((_, after),) = (await ana.resume()).entries
    assert (after.rooms, after.users, after.except_) == ((ana.id,), ("u",), ("attic",))
    assert after.outgoing.size == before.outgoing.size
    assert after.outgoing.namespace == "/a"
    for each in (before, after):
        frame = each.outgoing.prepare(JsonCodec())
        assert frame.payload == '{"event":"said","data":{"a":[1,null]}}'


async def test_whoever_was_here_has_a_whole_grace_and_others_what_was_left_of_it(
    lasting: Made,
) -> None:
    backplane, elapse = lasting
    bounds = Bounds(grace=10.0)
    async with started(backplane, bounds):
        here = await Client.open(backplane, "lobby", id="~here")
        away = await Client.open(backplane, "lobby", id="~away")
        long = await Client.open(backplane, "lobby", id="~long")
        assert await backplane.release("/a", long.id, 1)
        await elapse(6)
        assert await backplane.release("/a", away.id, 1)
    await elapse(5)
    async with started(backplane, bounds) as lane:
        assert await backplane.find("/a", key(long.id)) is None
        assert [record.id for record in await backplane.expired()] == [long.id]
        (marker,) = await lane.first(1)
        assert isinstance(marker, Marker)
        assert (marker.action, marker.member, list(marker.rooms)) == ("leave", long.id, ["lobby"])
        await elapse(5)
        assert [record.id for record in await backplane.expired()] == [away.id]
        assert (await here.record()).rooms == ("lobby",)
        await elapse(4)
    async with started(backplane, bounds):
        # Its grace began with the first of the restarts.
        await elapse(1)
        assert [record.id for record in await backplane.expired()] == [here.id]
    async with started(backplane, bounds):
        assert await backplane.expired() == []


async def test_one_that_came_back_is_here_again(lasting: Made) -> None:
    backplane, elapse = lasting
    async with started(backplane, Bounds(grace=10.0)):
        ana = await Client.open(backplane)
    async with started(backplane, Bounds(grace=10.0)):
        await ana.resume()
        await elapse(11)
        assert await backplane.expired() == []


async def test_a_shorter_grace_holds_for_all(alone: Made) -> None:
    backplane, elapse = alone
    async with started(backplane, Bounds(grace=1000.0)):
        ana = await Client.open(backplane)
        await backplane.release("/a", ana.id, 1)
    async with started(backplane, Bounds(grace=10.0)):
        await elapse(11)
        assert len(await backplane.expired()) == 1


@pytest.mark.parametrize("whom", ["room", "user", "own id", EVERYONE])
async def test_a_gap_is_still_one(lasting: Made, whom: str) -> None:
    backplane, _ = lasting
    async with started(backplane, Bounds(per_room=2)):
        ana = await Client.open(backplane, "lobby", "attic")
        receivers: dict[str, tuple[str, ...]] = {}
        if whom != EVERYONE:
            names = {"room": "lobby", "user": "ana", "own id": ana.id}
            receivers = {"users" if whom == "user" else "rooms": (names[whom],)}
        first = await ana.say("gone", **receivers)
        for index in range(2):
            await ana.say(index, **receivers)
        await ana.say("kept", rooms=("attic",))
    for _ in range(2):
        async with started(backplane, Bounds(per_room=2)):
            resumption = await ana.resume()
            assert heard(resumption) == ["kept"]
            assert len(resumption.gaps) == 1
    async with started(backplane):
        ana.sees(first)
        assert await ana.missed() == [0, 1, "kept"]


async def test_what_one_room_has_lost_stays_lost_there_though_another_has_it(
    alone: Made,
) -> None:
    backplane, _ = alone
    async with started(backplane, Bounds(per_room=2)):
        ana = await Client.open(backplane, "lobby", "attic")
        await ana.say("both", rooms=("lobby", "attic"))
        for index in range(2):
            await ana.say(index, rooms=("lobby",))
    async with started(backplane):
        resumption = await ana.resume()
        assert (heard(resumption), resumption.gaps) == (["both"], ("lobby",))
        await ana.leave("attic")
        await ana.confirm(resumption.head.seq)
        assert await ana.missed() == []


async def test_narrower_bounds_make_gaps_of_what_is_over_them(alone: Made) -> None:
    backplane, _ = alone
    async with started(backplane):
        ana = await Client.open(backplane, "lobby")
        for index in range(5):
            await ana.say(index, rooms=("lobby",))
    async with started(backplane, Bounds(per_room=2)):
        assert (await ana.resume()).gaps == ("lobby",)
    async with started(backplane):
        assert (await ana.resume()).gaps == ("lobby",)


async def test_what_is_too_old_is_gone_however_long_it_was_down(lasting: Made) -> None:
    backplane, elapse = lasting
    bounds = Bounds(age=10.0, grace=1000.0)
    async with started(backplane, bounds):
        ana = await Client.open(backplane, "lobby", "attic")
        await ana.say("old", rooms=("lobby",))
        await elapse(6)
        await ana.say("young", rooms=("attic",))
    await elapse(6)
    async with started(backplane, bounds):
        resumption = await ana.resume()
        assert (heard(resumption), resumption.gaps) == (["young"], ("lobby",))


async def test_who_comes_and_goes_too_often_has_a_gap_after_it_too(lasting: Made) -> None:
    backplane, _ = lasting
    async with started(backplane):
        ana = await Client.open(backplane, "lobby")
        first = await ana.say("missed", rooms=("lobby",))
        # More stays than are kept (gatewright.backplane.stays.MOST_ENDED).
        for _ in range(520):
            await ana.join("attic")
            await ana.say("attic", rooms=("attic",))
            await ana.leave("attic")
            await ana.say("elsewhere", rooms=("cellar",))
    async with started(backplane):
        ana.sees(first - 1)
        resumption = await ana.resume()
        assert not resumption.entries
        assert "lobby" in resumption.gaps


async def test_memberships_without_a_session_end_with_the_process(lasting: Made) -> None:
    backplane, _ = lasting
    async with started(backplane):
        await backplane.mark("/a", "join", "~plain", ["lobby"])
    async with started(backplane):
        opened = await backplane.open("/a", "~plain", key("~plain"), None)
        record = await backplane.find("/a", key("~plain"))
        assert record is not None
        assert record.rooms == ()
        assert opened == await backplane.position("/a")


async def test_what_has_ended_stays_ended_and_leaves_no_history(lasting: Made) -> None:
    backplane, _ = lasting
    async with started(backplane, Bounds(per_room=1)):
        ana = await Client.open(backplane, "lobby")
        for index in range(3):
            await ana.say(index, rooms=("lobby",))
        assert await backplane.end("/a", ana.id, 1)
    async with started(backplane):
        assert await backplane.find("/a", key(ana.id)) is None
        eve = await Client.open(backplane, "lobby", id="~eve")
        assert await eve.missed() == []
        eve.after = Position(eve.opened.epoch, 0)
        assert await eve.missed() == []
