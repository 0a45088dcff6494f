"""Pings and pongs: signs of life, and what they confirm."""

import pytest

from gatewright import Settings
from tests.behaviours.chat import Door
from tests.sessions.chat import Witness, running, until
from tests.sessions.client import Client, Format

pytestmark = pytest.mark.anyio

QUICK = Settings(ping_interval=0.05, ping_timeout=30)


async def test_the_server_pings_with_its_position(door: Door, wire: Format) -> None:
    async with (
        running(door=door, settings=QUICK) as house,
        Client.opened(house.url, wire=wire, compression=door.compression) as ana,
    ):
        await ana.op("ping")
        await house.say("attic", "one", "two")
        assert await ana.until(lambda f: f.get("op") == "ping" and f["seq"]) == {
            "op": "ping",
            "seq": 2,
        }


async def test_a_client_may_ping_too(door: Door, wire: Format) -> None:
    async with (
        running(door=door) as house,
        Client.opened(house.url, wire=wire, compression=door.compression) as ana,
    ):
        for _ in range(3):
            await ana.send({"op": "ping", "more": 1})
            assert await ana.receive() == {"op": "pong"}


async def test_who_is_silent_is_dropped_and_may_return(door: Door) -> None:
    settings = Settings(ping_interval=0.05, ping_timeout=0.1)
    async with running(door=door, settings=settings) as house:
        async with Client.opened(house.url, compression=door.compression) as ana:
            await house.gone()
            assert (await ana.closed())[0] == 1006
        assert house.witness.reasons[0].resumable
        await house.say("lobby", "one")
        async with Client.opened(
            house.url, resume=ana.ticket, compression=door.compression
        ) as back:
            assert await back.hear(1) == ["one"]


@pytest.mark.parametrize(
    "frame", [{"op": "pong"}, {"op": "ping"}, {"event": "nope"}, "no frame", {"op": "nope"}]
)
async def test_whatever_comes_is_a_sign_of_life(frame: object) -> None:
    settings = Settings(ping_interval=0.05, ping_timeout=0.5)
    async with running(settings=settings) as house, Client.opened(house.url) as ana:
        for _ in range(20):
            await ana.op("ping")
            await ana.send(frame)
        assert len(house.app) == 1


async def test_hooks_slower_than_a_heartbeat_cost_nobody() -> None:
    witness = Witness()
    settings = Settings(ping_interval=0.03, ping_timeout=0.03)
    async with (
        running(witness, settings=settings) as house,
        Client.opened(house.url) as ben,
        Client.connect(house.url) as ana,
    ):
        witness.connect_gate.clear()
        await ana.ask()
        await until(lambda: len(witness.connections) == 2)
        # Longer than who has been greeted may be silent.
        for _ in range(8):
            await ben.op("ping")
            await ben.send({"op": "pong"})
        witness.connect_gate.set()
        assert (await ana.receive())["op"] == "hello"


async def test_a_pong_confirms_what_was_sent_before_its_ping() -> None:
    async with running(settings=QUICK) as house, Client.opened(house.url) as ana:
        first = ana.ticket
        await house.say("lobby", "one")
        await ana.hear(1)
        ping = await ana.until(lambda f: f.get("op") == "ping" and f["seq"] == 1)
        for _ in range(4):
            await ana.send({"op": "pong"})
            await ana.op("ping")
        await ana.quiet()
        await house.say("lobby", "two")
        await ana.hear(2)
        ana.cut()
        await house.gone()
        # It says that it has got nothing; the server knows better.
        async with Client.opened(house.url, resume=first) as back:
            assert ping["seq"] == 1
            assert await back.hear(1) == ["two"]


async def test_a_late_pong_confirms_its_own_ping_only() -> None:
    async with running(settings=QUICK) as house, Client.opened(house.url) as ana:
        first = ana.ticket
        await ana.op("ping")
        await house.say("lobby", "one")
        await ana.until(lambda f: f.get("op") == "ping" and f["seq"] == 1)
        # The answer to the first ping, which knew nothing of it.
        await ana.send({"op": "pong"})
        await ana.quiet()
        ana.cut()
        await house.gone()
        async with Client.opened(house.url, resume=first) as back:
            assert await back.hear(1) == ["one"]


async def test_pongs_that_nobody_asked_for_do_no_harm() -> None:
    async with running() as house:
        async with Client.opened(house.url) as ana:
            for _ in range(50):
                await ana.send({"op": "pong", "seq": 99})
            await house.say("lobby", "one")
            assert await ana.quiet() == [{"event": "said", "data": {"text": "one"}, "seq": 1}]
            first = ana.ticket
            ana.cut()
        async with Client.opened(house.url, resume=first) as back:
            assert back.hello["resumed"]


async def test_while_the_server_does_not_read_silence_says_nothing() -> None:
    witness = Witness()
    settings = Settings(ping_interval=0.03, ping_timeout=0.03, inbox=1)
    async with running(witness, settings=settings) as house, Client.opened(house.url) as ana:
        await ana.start("slow", "one")
        for number in range(5):
            await ana.send({"event": "work", "data": number})
        await until(lambda: witness.done)
        for _ in range(5):
            await ana.op("ping")
        witness.gate.set()
        await ana.end(1)
        await ana.send({"op": "ping"})
        await ana.op("pong")
        assert len(house.app) == 1
