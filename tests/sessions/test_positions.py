"""Which frames carry a `seq`, and how they rise."""

import pytest

from gatewright import Settings
from tests.behaviours.chat import Door
from tests.sessions.chat import Said, running
from tests.sessions.client import Client, Format

pytestmark = pytest.mark.anyio


async def test_messages_of_the_sequence_have_a_seq_and_nothing_else_has(
    door: Door, wire: Format
) -> None:
    async with (
        running(door=door) as house,
        Client.opened(house.url, wire=wire, compression=door.compression) as ana,
    ):
        assert await ana.call("say", ["lobby", "one"]) == 1
        (said,) = [frame for frame in ana.passed if "event" in frame]
        assert said == {"event": "said", "data": {"text": "one"}, "seq": 1}
        await ana.call("type", "volatile")
        await ana.start("count", 2)
        await ana.end(3)
        await ana.send({"event": "nope"})
        assert await ana.fails("nope") == "unknown_event"
        await ana.start("ask", "name")
        asked = await ana.event("ask")
        assert set(asked) == {"event", "data", "id"}
        assert isinstance(asked["id"], str)
        await ana.send({"id": asked["id"], "data": "ana"})
        await ana.end(5)
        assert await ana.call("say", ["lobby", "two"]) == 2
        others = [frame for frame in ana.passed if frame.get("data") != {"text": "two"}]
        assert [frame["seq"] for frame in others if "seq" in frame] == [1]
        volatile = {"event": "said", "data": {"text": "volatile"}}
        assert volatile in ana.passed


async def test_what_is_for_others_leaves_holes() -> None:
    async with running() as house, Client.opened(house.url) as ana:
        for number in range(1, 7):
            await house.say("lobby" if number % 2 else "attic", str(number))
        assert await ana.hear(3) == ["1", "3", "5"]
        assert ana.seq == 5


async def test_a_new_session_begins_where_the_sequence_is(wire: Format) -> None:
    async with running() as house, Client.opened(house.url, wire=wire) as ana:
        await house.say("lobby", "one", "two")
        await ana.hear(2)
        async with Client.opened(house.url, wire=wire) as ben:
            assert (ben.epoch, ben.seq) == (ana.epoch, 2)
            await house.say("lobby", "three")
            assert await ben.hear(1) == ["three"]
            assert ben.seq == 3


async def test_namespaces_have_sequences_of_their_own() -> None:
    async with (
        running() as house,
        Client.opened(house.url, "/room/1") as one,
        Client.opened(house.url, "/room/2") as two,
    ):
        assert one.epoch != two.epoch
        for number in (1, 2, 2):
            emitter = house.app.emitter.of("/room/{number}", number=number)
            assert await emitter.emit(Said(str(number))) > 0
        await two.hear(2)
        await one.hear(1)
        assert (one.seq, two.seq) == (1, 2)
        assert one.said == ["1"]


async def test_a_ping_moves_the_position_over_what_was_for_others() -> None:
    settings = Settings(ping_interval=0.05, ping_timeout=5)
    async with running(settings=settings) as house, Client.opened(house.url) as ana:
        await house.say("attic", *map(str, range(10)))
        ping = await ana.until(lambda frame: frame.get("op") == "ping" and frame["seq"])
        assert ping == {"op": "ping", "seq": 10}
