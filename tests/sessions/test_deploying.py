"""A process that is stopped, and the next one: no call is lost in between, and none runs twice."""

import asyncio
from pathlib import Path

import pytest

from gatewright import Connection, Gatewright, Settings, gateway, on
from gatewright.backplane import SQLite
from tests._support.server import serve
from tests.sessions.chat import until
from tests.sessions.client import Client

pytestmark = pytest.mark.anyio


class Work:
    """What was done, and what a slow call waits for."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.gate = asyncio.Event()


def application(work: Work, file: Path, settings: Settings | None = None) -> Gatewright:
    @gateway("/chat")
    class Chat:
        @on("slow")
        async def slow(self, what: str) -> str:
            work.begun.append(what)
            await work.gate.wait()
            return f"{what} done"

        @on("quick")
        async def quick(self, what: str) -> str:
            work.begun.append(what)
            return f"{what} done"

        @on("join")
        async def join(self, connection: Connection) -> None:
            await connection.join("lobby")

    return Gatewright([Chat], backplane=SQLite(file), settings=settings)


async def test_what_runs_is_answered_first_and_the_rest_left_to_the_next_process(
    tmp_path: Path,
) -> None:
    work, file = Work(), tmp_path / "sessions.db"
    app = application(work, file)
    async with serve(app) as url, Client.opened(url) as ana, Client.opened(url) as idle:
        await ana.start("slow", "one")
        await until(lambda: work.begun)
        draining = asyncio.create_task(app.drain())
        # Who has nothing under way need not wait for the others.
        assert (await idle.closed())[0] == 1012
        await ana.op("away")
        await ana.start("quick", "two")
        work.gate.set()
        assert (await ana.end(1))["data"] == "one done"
        assert (await ana.closed())[0] == 1012
        await draining
    assert work.begun == ["one"]

    async with serve(application(work, file)) as url, Client.connect(url) as back:
        hello = await back.open(ana.ticket)
        assert (hello["resumed"], hello["last"]) == (True, 1)
        assert await back.call("quick", "two", id=2) == "two done"
        # Its answer was had, so its client would not ask; nobody knows it any more.
        assert await back.fails("slow", "one", id=1) == "reply_lost"
    assert work.begun == ["one", "two"]


async def test_a_handler_that_hangs_does_not_keep_the_process(tmp_path: Path) -> None:
    work = Work()
    app = application(work, tmp_path / "sessions.db", Settings(finish_timeout=0.2))
    async with asyncio.timeout(20), serve(app) as url, Client.opened(url) as ana:
        await ana.start("slow", "one")
        await until(lambda: work.begun)
        await app.drain()
        assert (await ana.closed())[0] == 1012
