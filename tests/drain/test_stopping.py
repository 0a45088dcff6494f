"""A server that gets a signal: first its connections end, then it does."""

import asyncio
import signal

import pytest

from gatewright.testing import Refused
from tests.behaviours.wire import opened
from tests.drain.programs import ENDS, GOODBYE, OURS, STOCK, WAYS, Program, begin, program
from tests.transports.socketio.clients import Poller, Socket

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("number", ENDS, ids=lambda number: number.name)
@pytest.mark.parametrize("ways", WAYS, ids=" ".join)
@pytest.mark.parametrize("target", ["alone", "inside"])
async def test_connections_end_before_the_server_begins_to(
    target: str, ways: tuple[str, ...], number: signal.Signals
) -> None:
    async with program(target, *ways) as server:
        async with opened(f"{server.url.ws}/chat") as plain:
            socket = await Socket.open(server.url, "/chat.io/")
            await socket.join("/chat")
            poller = await Poller.open(server.url, "/chat.io/")
            await poller.join("/chat")
            await server.says("/chat came", 3)
            polling = asyncio.create_task(poller.poll())
            # A handler that is at work when the signal comes, and goes on until it has.
            await begin(plain, "wait", server, "/chat waiting")
            server.signal(number)
            assert await plain.closed() == GOODBYE
            assert await socket.closed() == 1012
            reply = await polling
            assert (reply.status, reply.text) == (200, "1")
        assert await server.ended() == ENDS[number]
        server.in_order(
            "/chat handled",
            "/chat left 1012",
            "/chat ended",
            "Shutting down",
            "/chat stopped",
            "stock closed",
            "Finished server process",
        )
        for told in ("left 1012", "ended"):
            assert server.output.count(told) == 3
        # Nothing was left for uvicorn to wait for.
        assert "Waiting for connections" not in server.output
        assert "Waiting for background" not in server.output
        server.untroubled()


async def refused(server: Program) -> None:
    """Nobody is let in, whatever the door."""
    with pytest.raises(Refused) as caught:
        async with opened(f"{server.url.ws}/chat"):
            pytest.fail("it must not open")
    assert (caught.value.status, caught.value.text) == (503, "The server stops; connect again.")
    for transport in ("polling", "websocket"):
        reply = await server.ask(
            f"/chat.io/?EIO=4&transport={transport}", headers=UPGRADE if transport[0] == "w" else {}
        )
        assert reply.status == 503


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize("ways", [STOCK, OURS], ids=" ".join)
async def test_while_it_drains_only_what_is_not_ours_goes_on(ways: tuple[str, ...]) -> None:
    async with program("inside", *ways) as server:
        assert (await server.ask("/ready")).status == 200
        async with opened(f"{server.url.ws}/chat") as plain:
            assert await plain.call("ready") is True
            await begin(plain, "hold", server, "holding")
            server.signal()
            await server.unready()
            await refused(server)
            assert (await server.ask("/apples")).text == "3"
            # A call is being answered, and the server waits for that.
            await server.goes_on()
            await server.open_gate()
            assert await plain.receive() == {"id": 1, "data": 3}
            assert await plain.closed() == GOODBYE
        assert await server.ended() == -signal.SIGTERM
        server.in_order("/chat handled", "/chat left", "Shutting down", "stock closed")
        server.untroubled()


async def test_who_is_between_two_polls_gets_what_is_left_and_the_goodbye() -> None:
    async with program("inside") as server:
        poller = await Poller.open(server.url, "/chat.io/")
        await poller.join("/chat")
        await poller.send('42/chat,7["ready"]')
        server.signal()
        await server.says("/chat left 1012")
        assert (await poller.poll()).text == "43/chat,7[true]\x1e1"
        assert await server.ended() == -signal.SIGTERM
        server.untroubled()


async def test_who_does_not_poll_any_more_does_not_keep_the_server() -> None:
    async with program("alone") as server:
        poller = await Poller.open(server.url, "/chat.io/")
        await poller.join("/chat")
        server.signal()
        assert await server.ended() == -signal.SIGTERM
        server.in_order("/chat left 1012", "/chat ended", "Shutting down", "stock closed")
        server.untroubled()


@pytest.mark.parametrize("ways", [STOCK, OURS], ids=" ".join)
async def test_who_is_just_opening_is_refused_or_sent_away(ways: tuple[str, ...]) -> None:
    async with program("inside", *ways) as server:

        async def late() -> Refused:
            with pytest.raises(Refused) as caught:
                async with opened(f"{server.url.ws}/chat?late"):
                    pytest.fail("it must not open")
            return caught.value

        opening = asyncio.create_task(late())
        await server.says("authenticating")
        socket = await Socket.open(server.url, "/chat.io/?late")
        await socket.send("40/chat,")
        await server.says("authenticating", 2)
        async with opened(f"{server.url.ws}/chat?hesitant") as hesitant:
            await server.says("hesitating")
            server.signal()
            await server.unready()
            assert await socket.closed() == 1012
            await server.open_gate()
            assert await hesitant.closed() == GOODBYE
        assert (await opening).status == 503
        assert await server.ended() == -signal.SIGTERM
        server.in_order("Shutting down", "/chat stopped", "stock closed")
        server.untroubled()


async def test_both_applications_of_a_process_drain_at_once() -> None:
    async with program("nested") as server:
        async with (
            opened(f"{server.url.ws}/chat") as here,
            opened(f"{server.url.ws}/other") as there,
        ):
            await begin(here, "hold", server, "holding")
            await begin(there, "wait", server, "/other waiting")
            server.signal()
            assert await there.closed() == GOODBYE
            await server.says("/other ended")
            # One has drained: the server waits for the other.
            await server.goes_on()
            await server.open_gate()
            assert await here.receive() == {"id": 1, "data": 3}
            assert await here.closed() == GOODBYE
        assert await server.ended() == -signal.SIGTERM
        server.in_order(
            "/other ended",
            "/chat ended",
            "Shutting down",
            "/other stopped",
            "/chat stopped",
            "outer end",
        )
        server.untroubled()
