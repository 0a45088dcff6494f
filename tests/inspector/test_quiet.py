"""What is collected and sent, and when nothing is."""

import pytest
from websockets.asyncio.client import connect

from gatewright import Settings
from gatewright.inspector import Admin
from tests.inspector.lab import HASH, LOGIN, lab, watching
from tests.inspector.wire import wire

pytestmark = pytest.mark.anyio

PRODUCTION = Admin(username="admin", password_hash=HASH, mode="production", server_id="blue")


async def test_nobody_watches_unless_a_page_does() -> None:
    async with lab() as running, wire(running.url) as ana:
        await ana.join("/chat")
        assert not running.observers
        async with watching(running), watching(running) as page:
            assert len(running.observers) == 2
            await page.leave("/admin")
            await ana.call("/chat", "say", "hall", "hello")
            assert len(running.observers) == 2
        # The hook of the last page has run when its socket is gone.
        async with wire(running.url) as ben:
            await ben.join("/chat")
            await ben.until(lambda: not running.observers)


async def test_in_production_there_are_figures_and_nothing_else() -> None:
    async with (
        lab(PRODUCTION) as running,
        wire(running.url) as page,
        wire(running.url) as ana,
        connect(f"{running.url.ws}/chat"),
    ):
        await page.join("/admin", LOGIN)
        (config,) = await page.heard("/admin", "config")
        assert "ALL_EVENTS" not in config["supportedFeatures"]
        assert "AGGREGATED_EVENTS" in config["supportedFeatures"]
        await ana.join("/chat")
        await ana.call("/chat", "say", "hall", "hello")
        await ana.call("/chat", "join", "tea")
        # Two of them: what would have been told is told by then.
        await page.until(lambda: page.names("/admin").count("server_stats") == 2)
        assert set(page.names("/admin")) == {"session", "config", "server_stats"}
        stats = page.events["/admin"][-1][1]
        assert stats["serverId"] == "blue"
        assert stats["clientsCount"] == 3
        counted = {each["type"] for each in stats["aggregatedEvents"]}
        assert counted >= {"packetsIn", "packetsOut", "bytesIn", "bytesOut"}


async def test_in_production_commands_still_work() -> None:
    async with lab(PRODUCTION) as running, wire(running.url) as page, wire(running.url) as ana:
        await page.join("/admin", LOGIN)
        await ana.join("/chat")
        await page.call("/admin", "_disconnect", "/chat", False, "hall")
        await ana.until(lambda: "/chat" in ana.left)


async def test_another_namespace() -> None:
    elsewhere = Admin(username="admin", password_hash=HASH, namespace="/ops")
    async with lab(elsewhere) as running, wire(running.url) as page:
        await page.join("/ops", LOGIN)
        await page.heard("/ops", "all_sockets")


async def test_of_more_sockets_than_a_page_can_be_told_of_the_rest_is_counted() -> None:
    # At most half of what a connection's outbox holds is told at once.
    settings = Settings(outbox=16_000)
    async with lab(settings=settings) as running, wire(running.url) as ana:
        for bench in range(30):
            await ana.join(f"/lab/{bench}")
        async with watching(running) as page:
            (sockets,) = await page.heard("/admin", "all_sockets")
            assert 5 < len(sockets) < 30
            note = await page.heard("/admin", "event_sent", "/admin")
            # The page itself is one of them.
            assert note[2] == [f"({31 - len(sockets)} more sockets are not listed)"]
            # Who is not listed can be reached all the same.
            await page.call("/admin", "_disconnect", "/lab/29", False, None)
            await ana.until(lambda: "/lab/29" in ana.left)
