"""What does not wait for a drain: a second signal, and peers that take nothing."""

import json
import signal

import pytest

from tests._support.raw import RawClient
from tests.behaviours.wire import opened
from tests.drain.programs import GOODBYE, OURS, STOCK, begin, program

pytestmark = pytest.mark.anyio


async def test_a_second_signal_is_the_servers_at_once() -> None:
    async with program("inside", finish=1) as server:
        async with opened(f"{server.url.ws}/chat") as plain:
            await begin(plain, "hold", server, "holding")
            server.signal()
            await server.unready()
            assert "Shutting down" not in server.output
            server.signal()
            await server.says("Shutting down")
            assert "/chat left" not in server.output
            # Its call would have been answered first; now it is uvicorn that closes.
            assert await plain.closed() == (1012, "")
        assert await server.ended() == -signal.SIGTERM
        # It has its time, and is cancelled then: uvicorn waits for it as it always did.
        server.in_order(
            "Shutting down", "handlers were still running", "/chat left", "stock closed"
        )
        assert "/chat handled" not in server.output


async def test_ctrl_c_twice_forces_the_end() -> None:
    async with program("inside", finish=600) as server:
        async with opened(f"{server.url.ws}/chat") as plain:
            await begin(plain, "hold", server, "holding")
            server.signal(signal.SIGINT)
            await server.unready()
            server.signal(signal.SIGINT)
            # Far sooner than the handler's time is over.
            assert await server.ended() == 0
        assert "/chat handled" not in server.output


async def test_a_supervisor_that_stops_its_worker_after_ctrl_c_cuts_nothing_short() -> None:
    async with program("inside") as server:
        async with opened(f"{server.url.ws}/chat") as plain:
            await begin(plain, "hold", server, "holding")
            server.signal(signal.SIGINT)
            await server.unready()
            server.signal(signal.SIGTERM)
            await server.goes_on()
            await server.open_gate()
        assert await server.ended() == -signal.SIGTERM
        server.in_order("/chat handled", "/chat left", "Shutting down", "stock closed")
        server.untroubled()


@pytest.mark.parametrize("ways", [STOCK, OURS], ids=" ".join)
async def test_a_socket_that_takes_nothing_does_not_keep_the_server(ways: tuple[str, ...]) -> None:
    async with program("inside", *ways, finish=0.5) as server:
        async with (
            RawClient.connect(server.url, "/chat") as stalled,
            opened(f"{server.url.ws}/chat") as plain,
        ):
            await stalled.send(json.dumps({"event": "flood", "data": 10_000, "id": 1}))
            await server.says("full")
            server.signal()
            assert await plain.closed() == GOODBYE
            # Dropped: its goodbye can never be written.
            await stalled.until_reset()
            assert await server.ended() == -signal.SIGTERM
        server.in_order("/chat left", "/chat ended", "Shutting down", "stock closed")
        assert server.output.count("/chat ended") == 2


async def test_a_handler_that_does_not_end_is_cancelled_in_its_time() -> None:
    async with program("inside", finish=0.5) as server:
        async with opened(f"{server.url.ws}/chat") as plain:
            await begin(plain, "hold", server, "holding")
            server.signal()
            assert await plain.closed() == GOODBYE
            assert await server.ended() == -signal.SIGTERM
        server.in_order(
            "1 handlers were still running", "/chat left", "/chat ended", "Shutting down"
        )
