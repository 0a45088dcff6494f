"""The emitter for programs without an event loop, over real backplanes."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gatewright.backplane import Memory, connect
from gatewright.emitting import BlockingEmitter, emitting_sync
from gatewright.errors import CallTimeout, EmitError, NotStartedError, StartupError
from tests._support.backplanes import BACKPLANES, new_backplane
from tests._support.server import ROOT, Url, serve
from tests.behaviours.wire import opened
from tests.emitting.chat import Asked, Chat, Other, Said, make

pytestmark = pytest.mark.anyio


@pytest.fixture(params=BACKPLANES)
def shared(request: pytest.FixtureRequest) -> str:
    return new_backplane(request.param)


@pytest.fixture
async def server(shared: str) -> AsyncGenerator[Url]:
    async with serve(make(connect(shared))) as url:
        yield url


async def heard(client: Any, event: str) -> Any:
    while (frame := await client.receive()).get("event") != event:
        pass
    return frame


async def test_it_does_what_a_target_does(server: Url, shared: str) -> None:
    def script() -> list[Any]:
        with emitting_sync(connect(shared)) as emitter:
            chat = emitter.of("/chat")
            assert chat.namespace == "/chat"
            number = chat.to("lobby").emit(Said("cron", "good morning"))
            assert chat.to_user("ana").except_("office").emit(Said("cron", "Ana")) > number
            chat.emit(Said("cron", "now"), volatile=True)
            assert chat.to("lobby").count() == 1
            (id,) = chat.members()
            assert chat.to(id).join("office") == 1
            assert chat.to("office").count() == 1
            chat.leave("office")
            assert chat.to("office").count() == 0
            answers = chat.call(Asked("ready?"), str)
            chat.disconnect("good night")
            return answers

    async with opened(f"{server.ws}/chat?name=ana") as ana:
        await ana.call("id")
        working = asyncio.create_task(asyncio.to_thread(script))
        texts = [(await heard(ana, "said"))["data"]["text"] for _ in range(3)]
        assert texts == ["good morning", "Ana", "now"]
        asked = await heard(ana, "asked")
        await ana.send({"id": asked["id"], "data": "yes"})
        assert await working == ["yes"]
        assert await ana.closed() == (4500, "good night")


async def test_it_raises_what_the_other_one_raises(server: Url, shared: str) -> None:
    def script() -> None:
        with emitting_sync(connect(shared), gateways=[Chat]) as emitter:
            with pytest.raises(EmitError, match="declared events"):
                emitter.of("/chat").emit(Other())
            with pytest.raises(EmitError, match="declared namespace"):
                emitter.of("/lobby")
            with pytest.raises(CallTimeout) as caught:
                emitter.of("/chat").call(Asked("ready?"), str, timeout=0.05)
            assert len(caught.value.missing) == 1

    async with opened(f"{server.ws}/chat") as silent:
        await silent.call("id")
        await asyncio.to_thread(script)


async def test_several_threads_share_one(server: Url, shared: str) -> None:
    def script() -> list[int]:
        with emitting_sync(connect(shared)) as emitter, ThreadPoolExecutor(8) as threads:
            chat = emitter.of("/chat")
            return list(threads.map(lambda n: chat.emit(Said("cron", str(n))), range(80)))

    async with opened(f"{server.ws}/chat") as client:
        await client.call("id")
        numbers = await asyncio.to_thread(script)
        assert len(set(numbers)) == 80
        texts = {(await heard(client, "said"))["data"]["text"] for _ in range(80)}
        assert texts == {str(n) for n in range(80)}


async def test_it_is_over_with_its_block_and_leaves_no_thread(server: Url, shared: str) -> None:
    def script() -> BlockingEmitter:
        with emitting_sync(connect(shared)) as emitter:
            assert any(each.name == "gatewright: emitting" for each in threading.enumerate())
            chat = emitter.of("/chat")
            with pytest.raises(ZeroDivisionError), emitting_sync(connect(shared)):
                _ = 1 / 0
        return chat

    chat = await asyncio.to_thread(script)
    assert not any(each.name == "gatewright: emitting" for each in threading.enumerate())
    with pytest.raises(NotStartedError, match="an emitter that is open"):
        chat.emit(Other())


def test_one_that_cannot_open_says_why_and_leaves_no_thread() -> None:
    with (
        pytest.raises(StartupError, match="with which nobody else would hear it"),
        emitting_sync(Memory()),
    ):
        pytest.fail("it must not open")
    assert not any(each.name == "gatewright: emitting" for each in threading.enumerate())


FORKED = """
import os, sys
from gatewright.backplane import connect
from gatewright.emitting import emitting_sync
from gatewright.errors import NotStartedError
from tests.emitting.chat import Other

with emitting_sync(connect(sys.argv[1])) as emitter:
    chat = emitter.of("/chat")
    child = os.fork()
    if child == 0:
        try:
            chat.emit(Other())
        except NotStartedError as error:
            print(error, flush=True)
            sys.exit(7)
        sys.exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    print("number", chat.emit(Other()))
"""

FORGOTTEN = """
import sys
from gatewright.backplane import connect
from gatewright.emitting import emitting_sync
from tests.emitting.chat import Other

opened = emitting_sync(connect(sys.argv[1]))
print("number", opened.__enter__().of("/chat").emit(Other()))
"""


@pytest.mark.parametrize(
    ("program", "said"),
    [(FORKED, "opened before a fork; open it in the process"), (FORGOTTEN, "number")],
    ids=["forked", "never closed"],
)
async def test_no_program_hangs(program: str, said: str, server: Url, shared: str) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, shared]
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )

    done = await asyncio.to_thread(run)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    assert "number" in done.stdout
