"""What cannot be replayed is told as a gap, before the replay of everything else."""

import pytest

from gatewright import Settings
from tests.sessions.chat import House, Said, Witness, running
from tests.sessions.client import Client, Format, Resume

pytestmark = pytest.mark.anyio


async def cut_off(house: House, *rooms: str, user: str | None = None) -> Resume:
    """A session that is away, having read everything so far."""
    auth = None if user is None else {"user": user}
    async with Client.opened(house.url, auth=auth) as ana:
        for room in rooms:
            await ana.call("join", room)
        await ana.call("say", ["lobby", "hello"])
        ticket = ana.ticket
        ana.cut()
    await house.gone()
    return ticket


async def test_a_gap_names_the_room_and_comes_before_the_replay(wire: Format) -> None:
    witness = Witness()
    async with running(witness, settings=Settings(history=3)) as house:
        ticket = await cut_off(house, "attic")
        await house.say("lobby", *map(str, range(5)))
        await house.say("attic", "a", "b")
        head = ticket["seq"] + 7
        async with Client.opened(house.url, resume=ticket, wire=wire) as back:
            assert back.hello["resumed"]
            assert back.hello["seq"] == ticket["seq"]
            gap = await back.receive()
            epoch = ticket["epoch"]
            assert gap == {"op": "gap", "rooms": ["lobby"], "epoch": epoch, "seq": head}
            # It moves nothing: what is replayed is above the position.
            assert back.seq == ticket["seq"]
            assert await back.hear(2) == ["a", "b"]
            await house.say("lobby", "live")
            assert await back.hear(3) == ["a", "b", "live"]
        (told,) = witness.gaps
        assert told is not None
        assert (told.rooms, told.seq) == (("lobby",), head)


async def test_gaps_of_the_user_of_its_own_and_of_everyone() -> None:
    async with running(settings=Settings(history=2)) as house:
        ticket = await cut_off(house, user="ana")
        for number in range(4):
            await house.main.emit(Said(f"everyone {number}"))
            await house.main.to_user("ana").emit(Said(f"user {number}"))
            await house.say(ticket["session"], f"own {number}")
        async with Client.opened(house.url, resume=ticket, auth={"user": "ana"}) as back:
            gap = await back.op("gap")
            assert sorted(gap["rooms"]) == sorted(["*", "ana", ticket["session"]])
            assert back.passed == []
            assert [f for f in await back.quiet() if "event" in f] == []


@pytest.mark.parametrize("wrong", [{"epoch": "elsewhere"}, {"seq": 10**6}])
async def test_a_position_that_cannot_be_is_a_gap_of_everything(
    wrong: Resume, wire: Format
) -> None:
    async with running() as house:
        ticket = await cut_off(house, "attic", user="ana")
        await house.say("lobby", "lost")
        asked = {**ticket, **wrong}
        auth = {"user": "ana"}
        async with Client.opened(house.url, resume=asked, auth=auth, wire=wire) as back:
            assert back.hello["resumed"]
            assert (back.hello["epoch"], back.hello["seq"]) == (asked["epoch"], asked["seq"])
            gap = await back.op("gap")
            assert set(gap["rooms"]) == {"*", "ana", "lobby", "attic", ticket["session"]}
            assert (back.epoch, back.seq) == (ticket["epoch"], ticket["seq"] + 1)
            await house.say("lobby", "live")
            assert await back.hear(1) == ["live"]
            assert await back.call("rooms") == ["attic", "lobby"]


async def test_more_than_fits_in_a_replay_is_a_gap_of_the_largest_rooms() -> None:
    async with running(settings=Settings(replay=5)) as house:
        ticket = await cut_off(house, "attic", "cellar")
        await house.say("lobby", *map(str, range(10)))
        await house.say("attic", "a", "b")
        await house.say("cellar", "c", "d", "e")
        async with Client.opened(house.url, resume=ticket) as back:
            assert (await back.op("gap"))["rooms"] == ["lobby"]
            assert await back.hear(5) == ["a", "b", "c", "d", "e"]


async def test_who_is_cut_off_in_a_replay_has_been_told_of_the_gap_and_misses_nothing() -> None:
    async with running(settings=Settings(history=3)) as house:
        ticket = await cut_off(house, "attic")
        await house.say("lobby", *map(str, range(5)))
        await house.say("attic", "a", "b", "c")
        async with Client.opened(house.url, resume=ticket) as back:
            await back.op("gap")
            assert await back.hear(1) == ["a"]
            again = back.ticket
            back.cut()
        async with Client.opened(house.url, resume=again) as third:
            assert await third.hear(2) == ["b", "c"]
            assert [f for f in third.passed if f.get("op") == "gap"] == []


async def test_no_gap_where_nothing_is_missing() -> None:
    async with running(settings=Settings(history=3)) as house:
        ticket = await cut_off(house, "attic")
        await house.say("lobby", "1", "2", "3")
        async with Client.opened(house.url, resume=ticket) as back:
            assert await back.hear(3) == ["1", "2", "3"]
            assert [f for f in back.passed if f.get("op") == "gap"] == []
