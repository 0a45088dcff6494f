"""Clients of `gw.v1` when the server stops: told when to come back, and let in again then."""

import json
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.behaviours.wire import Wire, opened
from tests.drain.programs import GOODBYE, OURS, STOCK, program

pytestmark = pytest.mark.anyio

REASON = GOODBYE[1]
WINDOW = 10.0
"""`Settings.drain`."""


@asynccontextmanager
async def session(
    url: Any, resume: dict[str, Any] | None = None
) -> AsyncGenerator[tuple[Wire, dict[str, Any]]]:
    """An open session, and its `hello`."""
    async with opened(f"{url.ws}/chat", subprotocols=["gw.v1.json"]) as wire:
        frame: dict[str, Any] = {"op": "open"}
        if resume is not None:
            frame["resume"] = resume
        await wire.send(frame)
        hello = await wire.receive()
        assert hello["op"] == "hello"
        yield wire, hello


async def last_words(wire: Wire) -> list[dict[str, Any]]:
    """What comes until the server closes for a restart, without pings."""
    frames: list[dict[str, Any]] = []
    try:
        while True:
            frames.append(json.loads(await wire.socket.recv()))
    except ConnectionClosed:
        pass
    assert (wire.socket.close_code, wire.socket.close_reason) == GOODBYE
    return [frame for frame in frames if frame.get("op") != "ping"]


@pytest.mark.parametrize("ways", [STOCK, OURS, ("--ws", "wsproto")], ids=" ".join)
async def test_each_client_is_told_its_own_time(ways: tuple[str, ...]) -> None:
    async with program("alone", *ways) as server, AsyncExitStack() as stack:
        wires = [(await stack.enter_async_context(session(server.url)))[0] for _ in range(50)]
        server.signal()
        delays: list[float] = []
        for wire in wires:
            (away,) = await last_words(wire)
            assert away == {"op": "away", "after": away["after"], "reason": REASON}
            delays.append(away["after"])
        assert delays != sorted(delays)
        first = WINDOW / 4
        slot = (WINDOW - first) / 50
        for place, delay in enumerate(sorted(delays)):
            assert place - 0.001 <= (delay - first) / slot <= place + 1.001
        assert await server.ended() == -signal.SIGTERM
        server.in_order("/chat left 1012", "/chat ended", "Shutting down", "stock closed")
        server.untroubled()


@pytest.mark.parametrize("ways", [STOCK, OURS], ids=" ".join)
async def test_a_socket_that_has_not_said_what_it_wants_is_closed(ways: tuple[str, ...]) -> None:
    async with (
        program("alone", *ways) as server,
        opened(f"{server.url.ws}/chat", subprotocols=["gw.v1.json"]) as silent,
    ):
        await server.says("[accepted]")
        server.signal()
        assert await last_words(silent) == []
        # Far sooner than it would have had to say it.
        assert await server.ended() == -signal.SIGTERM
        server.untroubled()


@pytest.mark.parametrize("query", ["late", "hesitant"])
async def test_who_is_just_opening_is_sent_away_without_a_hello(query: str) -> None:
    async with program("inside") as server:
        url = f"{server.url.ws}/chat?{query}"
        async with opened(url, subprotocols=["gw.v1.json"]) as wire:
            await wire.send({"op": "open"})
            await server.says({"late": "authenticating", "hesitant": "hesitating"}[query])
            server.signal()
            assert await last_words(wire) == []
            await server.open_gate()
        assert await server.ended() == -signal.SIGTERM
        server.in_order("Shutting down", "/chat stopped", "stock closed")
        server.untroubled()


async def test_the_next_process_goes_on_with_the_sessions_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "sessions.db"
    async with program("alone", file=file) as server:
        async with session(server.url) as (wire, hello):
            server.signal()
            (away,) = await last_words(wire)
        assert away["op"] == "away"
        assert await server.ended() == -signal.SIGTERM
        # Its client may return: it has left, and has not ended.
        server.in_order("/chat left 1012", "Shutting down", "/chat stopped", "stock closed")
        assert "/chat ended" not in server.output
        server.untroubled()
    known = {name: hello[name] for name in ("session", "token", "epoch", "seq")}
    async with (
        program("alone", file=file) as server,
        session(server.url, {**known, "sent": 0}) as (wire, again),
    ):
        assert (again["resumed"], again["session"]) == (True, hello["session"])
        assert await wire.call("ready") is True
