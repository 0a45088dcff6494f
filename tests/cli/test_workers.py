"""`gatewright run --workers`: several processes, or the reason why not."""

import asyncio
import os
import re
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gatewright.backplane.urls import BACKPLANE
from tests._support.backplanes import BACKPLANES, new_backplane
from tests.behaviours.wire import Wire, opened
from tests.cli.programs import run, serving
from tests.drain.programs import GOODBYE, Program
from tests.transports.socketio.clients import Socket

pytestmark = pytest.mark.anyio

STARTED = "Application startup complete"
SLOW = """
import pathlib, time
print("loading", flush=True)
while not pathlib.Path(__file__).with_name("go").exists():
    time.sleep(0.01)
from tests.cli.app import app
"""


@pytest.fixture
def redis() -> str:
    return new_backplane("redis")


def workers(server: Program) -> list[int]:
    return [int(pid) for pid in re.findall(r"started in (\d+)", server.output)]


def nothing_left(server: Program) -> None:
    for pid in workers(server):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def everywhere(server: Program, stack: AsyncExitStack) -> list[Wire]:
    """Clients, at least one of them in each worker; the kernel spreads them as it likes."""
    clients: list[Wire] = []
    async with asyncio.timeout(20):
        seen: set[int] = set()
        while len(seen) < 2:
            client = await stack.enter_async_context(opened(f"{server.url.ws}/chat"))
            clients.append(client)
            seen.add(await client.call("who"))
    return clients


@pytest.mark.parametrize("name", BACKPLANES)
async def test_they_are_one_world(name: str) -> None:
    async with (
        serving("inside", "--workers", "2", "--backplane", new_backplane(name)) as server,
        AsyncExitStack() as stack,
    ):
        await server.says(STARTED, 2)
        clients = await everywhere(server, stack)
        await clients[0].send({"event": "say", "data": "hi"})
        for client in clients:
            assert await client.receive() == {"event": "said", "data": {"text": "hi"}}


@pytest.mark.parametrize("group", [False, True], ids=["SIGTERM", "Ctrl+C"])
async def test_every_worker_sends_its_own_away(redis: str, *, group: bool) -> None:
    async with (
        serving("app", "--workers", "2", "--backplane", redis) as server,
        AsyncExitStack() as stack,
    ):
        await server.says(STARTED, 2)
        clients = await everywhere(server, stack)
        if group:
            # A terminal sends it to all of them.
            os.killpg(server.launched.process.pid, signal.SIGINT)
        else:
            server.signal()
        for client in clients:
            assert await client.closed() == GOODBYE
        assert await server.ended() == 0
        assert server.output.count("left 1012") == len(clients)
        assert len(workers(server)) == 2
        nothing_left(server)
        server.untroubled()


async def test_a_worker_that_dies_is_replaced(redis: str) -> None:
    async with serving("app", "--workers", "2", "--backplane", redis) as server:
        await server.says(STARTED, 2)
        async with opened(f"{server.url.ws}/chat") as client:
            await client.send({"event": "die"})
            assert (await client.closed())[0] == 1006
        await server.says(STARTED, 3)
        server.signal()
        assert await server.ended() == 0
        nothing_left(server)


async def test_a_signal_while_the_first_one_starts_is_the_end(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    options = ("--app-dir", str(tmp_path), "--workers", "2")
    async with serving("slow:app", *options) as server:
        await server.says("loading")
        server.signal()
        await server.says("Received SIGTERM")
        (tmp_path / "go").touch()
        assert await server.ended() == 0
        assert server.output.count("loading") == 1


WORLD = "each worker would be a world of its own"


@pytest.mark.parametrize(
    ("target", "options", "reason"),
    [
        ("app", [], f"expected one that 3 workers can share, got memory:, with which {WORLD}"),
        ("inside", [], f"got memory:, with which {WORLD}"),
        ("filed", [], f"got sqlite:///sessions.db, with which {WORLD}"),
        ("no", [], "expected 'no' in the module 'tests.cli.app'"),
        ("broken", [], "RuntimeError: the database is not there"),
    ],
)
def test_what_keeps_one_from_starting_is_said_once_and_is_a_failure(
    target: str, options: list[str], reason: str
) -> None:
    command = ["run", f"tests.cli.app:{target}", "--workers", "3", "--port", "0", *options]
    ended = run(*command)
    assert ended.code == 3
    assert ended.errors.count(reason) == 1, ended.errors
    assert ("Traceback" in ended.errors) is (target == "broken")
    assert ended.output == ""


async def test_what_keeps_a_later_one_from_starting_is_a_failure_as_well(
    tmp_path: Path, redis: str
) -> None:
    file = tmp_path / "changing.py"
    file.write_text("from tests.cli.app import app\n")
    options = ("--app-dir", str(tmp_path), "--workers", "2", "--backplane", redis)
    async with serving("changing:app", *options) as server:
        await server.says(STARTED, 2)
        file.write_text("raise RuntimeError('changed for the worse')\n")
        async with opened(f"{server.url.ws}/chat") as client:
            await client.send({"event": "die"})
            await client.closed()
        assert await server.ended() == 3
        assert server.output.count("RuntimeError: changed for the worse") == 1
        nothing_left(server)


async def test_polls_of_socketio_which_would_go_astray_are_refused_with_what_to_do(
    redis: str,
) -> None:
    async with serving("app", "--workers", "2", "--backplane", redis) as server:
        await server.says(STARTED, 2)
        for _ in range(3):
            reply = await server.ask("/socket.io/?EIO=4&transport=polling")
            assert (reply.status, reply.json["code"]) == (400, 0)
            assert 'transports: ["websocket"]' in reply.json["message"]
        socket = await Socket.open(server.url)
        await socket.join("/chat")
        await server.says("a Socket.IO client was refused: long-polling does not work here")


async def test_how_many_may_stand_in_the_environment(redis: str) -> None:
    async with serving("app", env={"WEB_CONCURRENCY": "2", BACKPLANE: redis}) as server:
        await server.says(STARTED, 2)
    ended = run("run", "tests.cli.app:app", env={"GATEWRIGHT_WORKERS": "4"})
    assert (ended.code, "4 workers" in ended.errors) == (3, True)
