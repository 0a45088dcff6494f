"""A server that was suspended takes its own sleep for nobody's silence."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests._support.raw import RawClient, masked
from tests._support.server import Launched, launch
from tests.transports.doors import DOORS, OURS, Door, until
from tests.transports.suspended import TIMEOUT

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs a system with SIGSTOP"),
]

PINGS = {"plain": b"", "gw.v1": b'{"op":"ping"', "socket.io": b"2"}
PONGS = {
    "plain": masked(b"", 0xA),
    "gw.v1": masked('{"op": "pong"}'),
    "socket.io": masked("3"),
}


class Peer:
    """A client that answers pings when it is told to."""

    def __init__(self, door: Door, client: RawClient) -> None:
        self.door = door
        self.client = client

    @classmethod
    @asynccontextmanager
    async def come(cls, url: str, door: Door) -> "AsyncGenerator[Peer]":
        async with RawClient.connect(
            url, door.path, subprotocol=door.subprotocol, buffer=None
        ) as client:
            if door.opening is not None:
                await client.send(door.opening)
            yield cls(door, client)

    async def asked(self) -> None:
        """Wait for a ping."""
        while True:
            opcode, payload = await self.client.receive()
            if (opcode == 0x9) == (self.door.name == "plain") and payload.startswith(
                PINGS[self.door.name]
            ):
                return

    async def answer(self) -> None:
        await self.client.send_bytes(PONGS[self.door.name])


@asynccontextmanager
async def suspended(server: Launched) -> AsyncGenerator[None]:
    """Stop the process for longer than it waits for an answer."""
    pid = server.process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        await until(lambda: _state(pid) == "T")
        yield
        slept = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(2 * TIMEOUT, slept.set_result, None)
        await slept
    finally:
        os.kill(pid, signal.SIGCONT)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_who_answered_while_the_server_slept_is_there(loop: str) -> None:
    command = [
        *(sys.executable, "-m", "uvicorn", "tests.transports.suspended:app"),
        *("--host", "127.0.0.1", "--port", "0", "--loop", loop, "--ws", OURS),
    ]
    with launch(command) as server:
        async with asyncio.timeout(30), AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(Peer.come(server.url, door)) for door in DOORS]
            for _ in range(3):
                for peer in peers:
                    await peer.asked()
                async with suspended(server):
                    for peer in peers:
                        await peer.answer()
            # Who was dropped would see an end of its pings; some may be older than that.
            for _ in range(8):
                for peer in peers:
                    await peer.asked()
                    await peer.answer()
            # Who is silent from here on is found all the same.
            for peer in peers:
                await peer.client.until_gone()
