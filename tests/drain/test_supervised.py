"""Servers whose worker is stopped by a supervisor: `--reload`, `--workers`."""

import os
import re
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.behaviours.wire import opened
from tests.drain.programs import GOODBYE, OURS, STOCK, Program, begin, program

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("ways", [STOCK, OURS], ids=" ".join)
async def test_a_reload_sends_everybody_away_and_lets_them_come_back(
    ways: tuple[str, ...], tmp_path: Path
) -> None:
    watched = tmp_path / "watched.py"
    watched.touch()
    reloading = ("--reload", "--reload-dir", str(tmp_path))
    async with program("alone", *ways, *reloading) as server:
        await server.says("Application startup complete")
        async with opened(f"{server.url.ws}/chat") as plain:
            watched.write_text("changed = True\n")
            assert await plain.closed() == GOODBYE
        await server.says("Application startup complete", 2)
        server.in_order("/chat stopped", "stock closed", "/chat started")
        async with opened(f"{server.url.ws}/chat") as plain:
            server.signal()
            assert await plain.closed() == GOODBYE
        assert await server.ended() == 0
        assert server.output.count("stock closed") == 2
        await nothing_left(server)


async def test_every_worker_sends_its_own_away() -> None:
    async with program("alone", "--workers", "2") as server, AsyncExitStack() as stack:
        await server.says("Application startup complete", 2)
        # The kernel spreads them over the two as it likes.
        clients = [
            await stack.enter_async_context(opened(f"{server.url.ws}/chat")) for _ in range(40)
        ]
        await server.says("/chat came", 40)
        server.signal()
        for client in clients:
            assert await client.closed() == GOODBYE
        assert await server.ended() == 0
        for told, count in {"left 1012": 40, "ended": 40, "stopped": 2, "stock closed": 2}.items():
            assert server.output.count(told) == count, told
        server.untroubled()
        await nothing_left(server)


async def nothing_left(server: Program) -> None:
    """None of the processes that told of themselves runs any more."""
    workers = {int(pid) for pid in re.findall(r"started in (\d+)", server.output)}
    assert len(workers) == 2
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_ctrl_c_for_a_group_of_processes_is_one_end() -> None:
    async with program("alone", "--workers", "2") as server:
        await server.says("Application startup complete", 2)
        async with opened(f"{server.url.ws}/chat") as plain:
            # A terminal sends it to all of them, and the supervisor stops its workers besides.
            os.killpg(server.launched.process.pid, signal.SIGINT)
            assert await plain.closed() == GOODBYE
        assert await server.ended() == 0
        server.in_order("/chat left 1012", "/chat ended", "/chat stopped", "stock closed")
        await nothing_left(server)


async def test_a_stop_for_all_processes_of_a_service_is_one_end() -> None:
    async with program("alone", "--workers", "2", finish=2) as server:
        await server.says("Application startup complete", 2)
        async with opened(f"{server.url.ws}/chat") as plain:
            await begin(plain, "hold", server, "holding")
            # systemd sends it to all of them, and the supervisor stops its workers besides.
            os.killpg(server.launched.process.pid, signal.SIGTERM)
            assert await plain.closed() == GOODBYE
        assert await server.ended() == 0
        server.in_order("Terminated child", "/chat left 1012", "Shutting down", "stock closed")
        await nothing_left(server)
