"""A client whose server is killed and started again."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from gatewright import EventError
from gatewright.client import Backoff, Client, connect
from tests._support.server import spawn
from tests.client.cable import Cable, cable
from tests.client.server import Said
from tests.sessions.chat import until

pytestmark = pytest.mark.anyio

SOON = Backoff(0.01, 0.1)


class Machine:
    """A server that is killed and started again, behind one address."""

    def __init__(self, line: Cable, env: dict[str, str]) -> None:
        self.line = line
        self._env = env
        self._running = ExitStack()

    async def start(self) -> None:
        spawned = spawn("tests.client.server:app", env=self._env)
        self.line.far = await asyncio.to_thread(self._running.enter_context, spawned)
        self.line.plug()

    async def kill(self) -> None:
        await asyncio.to_thread(self._running.close)
        self.line.unplug()


@asynccontextmanager
async def machine(file: Path | None) -> AsyncGenerator[Machine]:
    async with cable("") as line:  # type: ignore[arg-type]
        server = Machine(line, {"SESSIONS": str(file)} if file is not None else {})
        try:
            await server.start()
            yield server
        finally:
            await server.kill()


async def resuming(chat: Client) -> None:
    await until(lambda: chat.status == "resuming")


async def test_with_sessions_on_disk_nothing_is_lost_or_heard_twice(tmp_path: Path) -> None:
    async with machine(tmp_path / "sessions.db") as server:
        ana = connect(f"{server.line.url.ws}/chat", reconnect=SOON)
        ben = connect(f"{server.line.url.ws}/chat", reconnect=SOON, format="msgpack")
        heard: list[int] = []
        opens: list[bool] = []
        ana.on(Said)(lambda said: heard.append(said.n))
        ana.on_open(opens.append)
        async with ana, ben:
            await ana.call("join", "lobby")
            id = ana.id
            for turn in range(3):
                said = asyncio.create_task(say(ben, turn * 200))
                await until(lambda turn=turn: len(heard) > turn * 200 + 50)
                await server.kill()
                await resuming(ana)
                await server.start()
                assert await said == 200
            await until(lambda: len(set(heard)) == 600)
            # What is said to be idempotent may run again when its process was killed.
            assert [n for i, n in enumerate(heard) if n not in heard[:i]] == list(range(600))
            assert opens == [False, True, True, True]
            assert ana.id == id


async def say(chat: Client, first: int) -> int:
    """Say 200 numbers, each after the one before; returns how many were answered."""
    answers = [await chat.call("say", n, int) for n in range(first, first + 200)]
    assert answers == sorted(set(answers))
    return len(answers)


async def test_a_call_that_may_have_been_executed_says_so(tmp_path: Path) -> None:
    async with (
        machine(tmp_path / "sessions.db") as server,
        connect(f"{server.line.url.ws}/chat", reconnect=SOON) as chat,
    ):
        await chat.call("join", "lobby")
        # It leaves the client, and nobody hears of it any more.
        server.line.swallows = True
        call = asyncio.create_task(chat.call("once", 1, int))
        await asyncio.sleep(0)
        await server.kill()
        await resuming(chat)
        await chat.emit("say", 2)
        await server.start()
        with pytest.raises(EventError, match="reply_lost"):
            await call
        assert await chat.call("once", 3, int) > 0


async def test_without_them_the_session_is_a_new_one() -> None:
    async with machine(None) as server:
        chat = connect(f"{server.line.url.ws}/chat", reconnect=SOON)
        heard: list[int] = []
        chat.on(Said)(lambda said: heard.append(said.n))

        @chat.on_open
        async def enter(resumed: bool) -> None:  # noqa: FBT001
            assert not resumed
            await chat.call("join", "lobby")

        async with chat:
            id = chat.id
            await chat.emit("say", 1)
            await until(lambda: heard == [1])
            items = chat.stream("forever", item=int)
            assert await anext(items) == 1
            await server.kill()
            await resuming(chat)
            waiting = asyncio.create_task(chat.call("say", 2, int))
            await server.start()
            assert await waiting > 0
            await until(lambda: heard == [1, 2])
            assert chat.id != id
            with pytest.raises(EventError, match="interrupted"):
                async for _ in items:
                    pass
