"""A server that stops: whoever is here or away has its end, and nothing is left."""

import asyncio

import pytest
from websockets.exceptions import InvalidStatus

from gatewright import Settings
from tests._support.leaks import no_task_left
from tests.behaviours.chat import Door
from tests.sessions.chat import Witness, running, until
from tests.sessions.client import Client

pytestmark = pytest.mark.anyio


async def test_those_who_are_here_are_closed_with_1012_and_end(door: Door) -> None:
    witness = Witness()
    async with no_task_left():
        async with running(witness, door=door) as house:
            client = Client.opened(house.url, compression=door.compression)
            ana = await client.__aenter__()
        assert (await ana.closed())[0] == 1012
        await client.__aexit__(None, None, None)
    assert witness.seen == ["connect", "disconnect", "end"]


async def test_those_who_are_away_end() -> None:
    witness = Witness()
    async with running(witness) as house:
        for _ in range(3):
            async with Client.opened(house.url) as ana:
                await ana.call("join", "attic")
                ana.cut()
        await house.gone()
        assert "end" not in witness.seen
    assert witness.seen.count("end") == 3
    assert witness.rooms == [["attic", "lobby"]] * 3


async def test_handlers_that_outlive_their_sockets_end_with_the_server() -> None:
    witness = Witness()
    async with running(witness, settings=Settings(finish_timeout=0.1)) as house:
        for _ in range(3):
            async with Client.opened(house.url) as ana:
                await ana.start("slow", "one")
                await until(lambda: witness.done)
                ana.cut()
            await house.gone()
    assert witness.seen.count("slow: CancelledError") == 3
    assert witness.seen.count("close thing") == 3
    assert witness.seen.count("end") == 3


async def test_last_hooks_that_hang_cost_one_limit_together() -> None:
    witness = Witness()
    witness.end_gate.clear()
    async with asyncio.timeout(8):
        async with running(witness, settings=Settings(finish_timeout=0.5)) as house:
            for _ in range(20):
                async with Client.opened(house.url) as ana:
                    ana.cut()
            await house.gone()


async def test_those_who_open_are_not_let_in() -> None:
    async with running() as house:
        house.dispatcher.stopping = True
        with pytest.raises(InvalidStatus, match="503"):
            async with Client.connect(house.url):
                pass
        house.dispatcher.stopping = False
