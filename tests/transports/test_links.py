import asyncio
from collections.abc import Callable
from typing import cast

import pytest
import uvloop

from gatewright.transports.links import drop


class Peer(asyncio.Protocol):
    """Either end of a connection."""

    def __init__(self) -> None:
        self.made: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are no asyncio.Transport.
        self.made.set_result(cast(asyncio.Transport, transport))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


Loops = Callable[[], asyncio.AbstractEventLoop]


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_socket_that_is_closed_already_can_be_dropped(new_loop: Loops) -> None:
    async def program() -> None:
        loop = asyncio.get_running_loop()
        ours = Peer()
        server = await loop.create_server(lambda: ours, "127.0.0.1", 0)
        async with server:
            host, port = server.sockets[0].getsockname()
            _, theirs = await loop.create_connection(Peer, host, port)
            transport = await ours.made
            # Asked for once, as for the progress of a socket, it is what uvloop hands out for ever.
            assert transport.get_extra_info("socket").fileno() >= 0
            transport.close()
            await ours.lost.wait()
            drop(transport)
            await theirs.lost.wait()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(program())
