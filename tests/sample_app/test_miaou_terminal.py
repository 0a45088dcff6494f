"""Miaou over Socket.IO: two terminals in one room, and what a secret alone is good for."""

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from sample_app.app import build
from tests._support.server import ROOT, Url, serve
from tests.interop.python import PATIENCE, socketio

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def terminal(url: Url, *arguments: str) -> AsyncGenerator[Process]:
    command = [sys.executable, "-m", "sample_app.miaou.terminal", "--url", url, *arguments]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=STDOUT
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def says(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        return (await process.stdout.readline()).decode().strip()


def type_in(process: Process, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n".encode())


async def end_of_input(process: Process) -> int:
    assert process.stdin is not None
    process.stdin.close()
    async with asyncio.timeout(PATIENCE):
        return await process.wait()


async def test_two_terminals_talk(path: Path) -> None:
    async with serve(build(path)) as url, terminal(url, "Ana", "Balcony") as ana:
        assert await says(ana) == "Balcony: Ana"
        async with terminal(url, "Ben", "balcony") as ben:
            assert await says(ben) == "Balcony: Ana, Ben"
            assert await says(ana) == "* Ben is here"
            type_in(ben, "hello, Ana")
            assert await says(ana) == "Ben: hello, Ana"
            type_in(ana, "hello yourself")
            assert await says(ben) == "Ana: hello yourself"
            async with terminal(url, "ben") as other:
                assert "“ben” is here already" in await says(other)
                assert await end_of_input(other) == 1
            assert await end_of_input(ben) == 0
        # Who has said goodbye does not keep the nickname.
        async with terminal(url, "Ben", "Balcony") as ben:
            assert await says(ben) == "Balcony: Ana, Ben"
        assert await end_of_input(ana) == 0


# What is answered while this client leaves, its polling leaves to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*Connection.__del__:pytest.PytestUnraisableExceptionWarning")
async def test_a_secret_alone_lets_nobody_speak(path: Path) -> None:
    mine, name = "s" * 16, {"nickname": "Ana"}
    say = {"to": {"kind": "room", "id": 1}, "text": "it is me", "key": "k" * 16}
    async with serve(build(path)) as url:
        for auth in (None, {"secret": mine}):
            async with socketio.AsyncSimpleClient() as first:
                # Over a WebSocket this client forgets to say goodbye, and may return.
                await first.connect(url, namespace="/miaou", auth=auth, transports=["polling"])
                answer = await ask(first, "say", say)
                assert answer["code"] == "unregistered"
                answer = await ask(first, "register", {**name, "secret": mine})
                assert answer["me"]["nickname"] == "Ana"
                assert (await ask(first, "register", {**name, "secret": mine}))["code"] == (
                    "registered"
                )
        async with socketio.AsyncSimpleClient() as thief:
            await thief.connect(url, namespace="/miaou")
            async with asyncio.timeout(PATIENCE):
                # Until the server has seen that Ana is gone.
                while "code" in await ask(thief, "register", {**name, "secret": "t" * 16}):
                    pass
            async with socketio.AsyncSimpleClient() as first:
                await first.connect(url, namespace="/miaou", auth={"secret": mine})
                assert (await ask(first, "say", say))["code"] == "unregistered"
                assert (await ask(first, "register", {**name, "secret": mine}))["code"] == "taken"


async def ask(client: Any, event: str, data: Any) -> Any:
    return await client.call(event, data, timeout=PATIENCE)
