"""What the kernel tells is so."""

import asyncio
import socket

import pytest

from tests.chaos.kernel import send_queues, since_data
from tests.chaos.ports import listen

pytestmark = pytest.mark.anyio


async def test_the_time_since_data_came_goes_on_until_more_comes() -> None:
    with listen(0) as listener, socket.create_connection(listener.getsockname()) as client:
        loop = asyncio.get_running_loop()
        server, _ = await loop.sock_accept(listener)
        with server:
            client.send(b"unread")
            async with asyncio.timeout(5):
                while since_data(server) < 0.1:
                    await asyncio.sleep(0.01)
                client.send(b"more")
                while since_data(server) > 0.05:
                    await asyncio.sleep(0.01)
            assert await loop.sock_recv(server, 100) == b"unreadmore"


async def test_what_a_peer_does_not_read_is_in_the_queue() -> None:
    with listen(0) as listener, socket.create_connection(listener.getsockname()) as client:
        port, peer = listener.getsockname()[1], client.getsockname()[1]
        server, _ = await asyncio.get_running_loop().sock_accept(listener)
        with server:
            assert send_queues(port) == {peer: 0}
            server.setblocking(False)
            sent = 0
            try:
                while True:
                    sent += server.send(b"x" * 100_000)
            except BlockingIOError:
                pass
            assert 0 < send_queues(port)[peer] <= sent
        assert send_queues(port) == {}
