"""A server that is frozen, killed and started again is the same address all the time."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.chaos.app import Effects
from tests.chaos.processes import Server, server
from tests.chaos.test_proxy import hangs

pytestmark = pytest.mark.anyio


async def call(socket: ClientConnection, event: str, *data: Any) -> Any:
    given = data[0] if len(data) == 1 else data
    await socket.send(json.dumps({"event": event, "data": given, "id": 1}))
    return json.loads(await socket.recv())


def at(running: Server) -> str:
    return f"{running.url.ws}/chaos"


async def test_killed_and_started_again_it_listens_where_it_did(tmp_path: Path) -> None:
    effects = tmp_path / "effects"
    async with server("--effects", str(effects)) as running:
        pid = running.pid
        async with connect(at(running)) as socket:
            assert await call(socket, "effect", "first") == {"id": 1, "data": 1}
            await running.restart()
            with pytest.raises(ConnectionClosed):
                await socket.recv()
        assert (running.pid != pid, running.starts) == (True, 2)
        async with connect(at(running)) as socket:
            assert await call(socket, "effect", "second") == {"id": 1, "data": 1}
    # What was done before the kill stays counted.
    assert Effects.read(effects) == {"first": 1, "second": 1}
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await connect(at(running))


async def test_a_frozen_server_accepts_and_says_nothing() -> None:
    async with server() as running, connect(at(running)) as socket:
        running.freeze()
        await socket.send('{"event": "publish", "data": ["room", "me", "hello"], "id": 1}')
        assert await hangs(socket.recv())
        running.thaw()
        assert json.loads(await socket.recv()) == {"id": 1, "data": 1}
        running.freeze()
        await running.kill()
        await socket.wait_closed()


async def test_terminated_it_says_goodbye() -> None:
    async with server() as running:
        async with connect(at(running)) as socket:
            ended = await running.terminate()
            await socket.wait_closed()
            assert socket.close_code == 1012
        assert ended in {0, -15}  # uvicorn raises the signal again once it has stopped
        await running.start()
        async with connect(at(running)) as socket:
            assert await call(socket, "join", ["here"]) == {"id": 1, "data": ["here"]}


async def test_a_program_that_does_not_start_tells_why() -> None:
    with pytest.raises(RuntimeError, match="unrecognized arguments: --nonsense"):
        async with server("--nonsense"):
            pytest.fail("the block must not run")


async def test_it_tells_what_it_holds() -> None:
    async with server() as running, httpx2.AsyncClient() as http:
        before = (await http.get(f"{running.url}/figures")).json()
        async with connect(at(running)) as socket:
            await call(socket, "join", ["one", "two"])
            held = (await http.get(f"{running.url}/figures")).json()
        assert (held["connections"], held["rooms"], held["pid"]) == (1, 2, running.pid)
        assert held["tasks"] > before["tasks"]
        assert running.rss > 10 * 2**20
