"""What the memory backplane keeps, and what it forgets."""

import pytest

from gatewright.backplane import Memory
from gatewright.backplane.base import Batch, Bounds, Entry, Passing
from gatewright.backplane.history import History
from gatewright.backplane.stays import MOST_ENDED
from gatewright.errors import NotStartedError
from gatewright.protocol.outgoing import Outgoing
from tests.backplane.lanes import Client, encoded, started

pytestmark = pytest.mark.anyio

ENTRY = Entry(Outgoing("said", None))


async def limited(idle: int) -> tuple[Memory, list[Passing]]:
    memory, passed = Memory(idle=idle), list[Passing]()
    await memory.start(passed.append)
    return memory, passed


async def test_it_delivers_within_the_call_that_publishes() -> None:
    memory, passed = await limited(10)
    await memory.publish("/a", [ENTRY])
    assert len(passed) == 1
    await memory.mark("/a", "join", "ana", ["lobby"])
    assert len(passed) == 2


async def test_namespaces_without_members_are_forgotten_the_least_recently_used_first() -> None:
    memory, passed = await limited(2)
    for namespace in ("/a", "/b", "/a", "/c"):
        await memory.publish(namespace, [ENTRY])
    assert await memory.publish("/a", [ENTRY]) == 3
    assert await memory.publish("/b", [ENTRY]) == 1
    epochs = [each.epoch for each in passed if each.namespace == "/b" and isinstance(each, Batch)]
    assert len(set(epochs)) == 2


@pytest.mark.parametrize("idle", [0, 1])
async def test_a_namespace_with_a_member_is_kept(idle: int) -> None:
    memory, _ = await limited(idle)
    await memory.mark("/a", "join", "ana", ["lobby", "attic"])
    await memory.publish("/a", [ENTRY])
    for index in range(5):
        await memory.publish(f"/other/{index}", [ENTRY])
    await memory.mark("/a", "join", "ana", ["lobby"])
    await memory.mark("/a", "leave", "ana", ["lobby", "cellar"])
    assert await memory.publish("/a", [ENTRY]) == 2


async def test_what_nobody_is_in_any_more_may_be_forgotten() -> None:
    memory, _ = await limited(1)
    for action in ("join", "join", "leave"):
        await memory.mark("/a", action, "ana", ["lobby"])
    await memory.publish("/b", [ENTRY])
    await memory.publish("/c", [ENTRY])
    assert await memory.publish("/a", [ENTRY]) == 1
    assert len(memory._sequences._live) + len(memory._sequences._idle) == 1


async def test_what_is_refused_leaves_nothing_behind() -> None:
    memory = Memory()
    with pytest.raises(NotStartedError):
        await memory.publish("/a", [ENTRY])
    await memory.start(lambda _: None)
    assert not memory._sequences._idle
    await memory.publish("/a", [ENTRY])
    await memory.stop()
    await memory.start(lambda _: None)
    assert not memory._sequences._idle


def history(memory: Memory) -> History | None:
    return memory._sequences._sequence("/a").history


async def test_a_namespace_with_a_session_is_kept_also_while_it_is_away() -> None:
    memory, _ = await limited(1)
    ana = await Client.open(memory)
    assert await ana.say("one") == 1
    for index in range(5):
        await memory.publish(f"/other/{index}", [ENTRY])
    await memory.release("/a", ana.id, 1)
    for index in range(5):
        await memory.publish(f"/other/{index}", [ENTRY])
    assert await ana.say("two") == 2
    assert await ana.missed() == ["one", "two"]
    await memory.end("/a", ana.id, 2)
    for index in range(5):
        await memory.publish(f"/other/{index}", [ENTRY])
    assert await ana.say("three") == 1


async def test_joining_nothing_keeps_no_namespace() -> None:
    memory, _ = await limited(1)
    await memory.mark("/a", "join", "ana", [])
    assert not memory._sequences._live


async def test_nothing_is_kept_for_connections_without_a_session() -> None:
    async with started(memory := Memory()):
        await memory.mark("/a", "join", "plain", ["lobby"])
        await memory.publish("/a", [ENTRY])
        assert history(memory) is None


async def test_history_goes_with_the_last_session() -> None:
    async with started(memory := Memory()):
        ana = await Client.open(memory, "lobby")
        bob = await Client.open(memory, "lobby", id="~bob")
        await ana.say("said", rooms=("lobby",))
        await memory.end("/a", ana.id, 1)
        assert len(history(memory) or ()) == 1
        await memory.end("/a", bob.id, 1)
        assert history(memory) is None
        # Whoever comes then starts with nothing, and misses nothing.
        eve = await Client.open(memory, "lobby", id="~eve")
        assert await eve.missed() == []


async def test_what_is_too_old_goes_from_quiet_namespaces_too() -> None:
    now = [0.0]
    async with started(memory := Memory(clock=lambda: now[0]), Bounds(age=10.0)):
        ana = await Client.open(memory, "lobby")
        await ana.say("said", rooms=("lobby",))
        for passed, kept in ((5.0, 1), (10.0, 1), (10.5, 0)):
            now[0] = passed
            assert await memory.expired() == []
            assert len(history(memory) or ()) == kept


async def test_a_replayed_entry_is_the_one_that_was_delivered() -> None:
    async with started(memory := Memory()) as lane:
        ana = await Client.open(memory, "lobby")
        await ana.say("said", rooms=("lobby",))
        _, batch = lane.passed
        assert isinstance(batch, Batch)
        assert (await ana.resume()).entries[0][1] is batch.entries[0]


async def test_an_entry_in_many_rooms_is_kept_once_until_the_last_lets_it_go() -> None:
    async with started(memory := Memory(), Bounds(per_room=1)):
        ana = await Client.open(memory)
        kept = history(memory)
        assert kept is not None
        rooms = ("a", "b", "c")
        await ana.say("all", rooms=rooms)
        size = kept.size
        for room, count in (("a", 2), ("b", 3), ("c", 3)):
            await ana.say("one", rooms=(room,))
            assert len(kept) == count
        assert size < kept.size < 4 * size


async def test_rooms_that_nobody_can_ask_for_are_forgotten() -> None:
    async with started(memory := Memory(), Bounds(per_room=0)):
        ana = await Client.open(memory, "room-0")
        kept, seq = history(memory), 0
        assert kept is not None
        for index in range(3000):
            seq = await ana.say(index, rooms=(f"room-{index}",))
            if index % 100 == 0:
                assert "room-0" in (await ana.resume()).gaps
        assert len(kept._trimmed) == 3000
        await ana.confirm(seq - 1)
        for index in range(4000):
            await ana.say(index, rooms=(f"other-{index}",))
            await ana.confirm(seq + index)
        assert len(kept._trimmed) < 3100
        assert await ana.missed() == []


async def test_one_that_comes_and_goes_too_often_is_told_of_a_gap() -> None:
    async with started(memory := Memory()):
        ana = await Client.open(memory, "lobby", "attic")
        seq = await ana.say("missed", rooms=("lobby",))
        for _ in range(MOST_ENDED + 1):
            await ana.leave("attic")
            await ana.say("elsewhere", rooms=("cellar",), except_=("attic",))
            await ana.join("attic")
            await ana.say("attic", rooms=("attic",), except_=("cellar",))
        assert len((await ana.record()).stays) <= MOST_ENDED + 2
        ana.sees(seq - 1)
        resumption = await ana.resume()
        assert not resumption.entries
        assert {"lobby", "attic"} <= set(resumption.gaps)
        # The position of a client that is past all that is as good as any.
        ana.sees(resumption.head.seq)
        await ana.say("live", rooms=("lobby",))
        assert await ana.missed() == ["live"]


async def test_a_room_that_it_left_for_no_entry_costs_nothing() -> None:
    async with started(memory := Memory()):
        ana = await Client.open(memory, "lobby")
        await ana.say("said", rooms=("lobby",))
        for _ in range(10):
            await ana.leave("lobby")
            await ana.join("lobby")
        assert len((await ana.record()).stays) == 1
        assert await ana.missed() == ["said"]


async def test_stopping_forgets_sessions() -> None:
    memory = Memory(clock=lambda: 0.0)
    async with started(memory):
        ana = await Client.open(memory, "lobby")
        await memory.publish("/a", [encoded("said")])
        await memory.release("/a", ana.id, 1)
    async with started(memory, Bounds(grace=0.0)):
        assert await memory.expired() == []
