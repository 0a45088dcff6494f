"""What a page is told of sockets, rooms and events."""

import asyncio
import json
import re
from typing import Any

import pytest
from websockets.asyncio.client import connect

from gatewright.inspector import feed
from tests.inspector.lab import lab, shown, watching
from tests.inspector.wire import Poller, Wire, wire

pytestmark = pytest.mark.anyio


async def test_who_is_there_already_is_listed_with_its_rooms() -> None:
    async with lab() as running, wire(running.url) as ana:
        id = await ana.join("/chat")
        async with watching(running) as page:
            (sockets,) = await page.heard("/admin", "all_sockets")
            (found,) = [each for each in sockets if each["nsp"] == "/chat"]
            assert found["id"] == id
            assert found["rooms"] == [id, "hall"]
            assert found["transport"] == "websocket"
            assert found["handshake"]["address"] == "127.0.0.1"
            assert found["handshake"]["query"] == {"EIO": "4", "transport": "websocket"}
            assert found["handshake"]["issued"] > 1_600_000_000_000


async def test_who_comes_and_goes_is_told() -> None:
    async with lab() as running, watching(running) as page, wire(running.url) as ana:
        id = await ana.join("/chat")
        socket = await shown(page, id)
        assert (socket["nsp"], socket["rooms"]) == ("/chat", [id, "hall"])
        await ana.leave("/chat")
        told = await page.heard("/admin", "socket_disconnected", "/chat", id)
        assert told[2] == "client namespace disconnect"
        # The page keeps a room until it is told that nobody is in it: that of the id as well.
        await page.heard("/admin", "room_left", "/chat", "hall", id)
        await page.heard("/admin", "room_left", "/chat", id, id)


async def test_connections_of_one_client_are_known_to_be_one_clients() -> None:
    async with (
        lab() as running,
        watching(running) as page,
        wire(running.url) as ana,
        wire(running.url) as ben,
    ):
        first = await shown(page, await ana.join("/chat"))
        second = await shown(page, await ana.join("/lab/7"))
        other = await shown(page, await ben.join("/lab/7"))
        assert second["nsp"] == "/lab/7"
        assert first["clientId"] == second["clientId"] != other["clientId"]


async def test_a_plain_websocket_of_the_same_namespace_is_a_socket_too() -> None:
    async with lab() as running, watching(running) as page:
        async with connect(f"{running.url.ws}/chat") as socket:
            found = await shown(page)
            id = found["id"]
            assert found["transport"] == "websocket"
            assert found["rooms"] == [id, "hall"]
            await socket.send(json.dumps({"event": "login", "data": {"name": "Ana"}, "id": 1}))
            received = await page.heard("/admin", "event_received", "/chat", id)
            assert received[2] == ["login", {"name": "Ana"}]
        await page.heard("/admin", "socket_disconnected", "/chat", id)


async def test_an_upgrade_changes_the_transport() -> None:
    async with lab() as running, watching(running) as page, Poller(running.url) as ana:
        id = await ana.join("/chat")
        assert (await shown(page, id))["transport"] == "polling"
        async with ana.upgraded():
            changed = {"id": id, "nsp": "/chat", "transport": "websocket"}
            await page.heard("/admin", "socket_updated", changed)


async def test_rooms_that_are_joined_and_left_are_told() -> None:
    async with lab() as running, watching(running) as page, wire(running.url) as ana:
        id = await ana.join("/chat")
        await ana.call("/chat", "join", "tea")
        await page.heard("/admin", "room_joined", "/chat", "tea", id)
        await ana.call("/chat", "leave", "tea")
        told = await page.heard("/admin", "room_left", "/chat", "tea", id)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told[3])


async def events_of(page: Wire, kind: str, id: str, count: int) -> list[Any]:
    """The first `count` events of one connection, each as name and arguments."""

    def found() -> list[Any]:
        return [event[3] for event in page.events["/admin"] if event[0] == kind and event[2] == id]

    await page.until(lambda: len(found()) >= count)
    return found()


async def test_every_event_that_comes_in_is_told_with_its_arguments() -> None:
    async with lab() as running, watching(running) as page, wire(running.url) as ana:
        id = await ana.join("/chat")
        await ana.call("/chat", "say", "hall", "hello")
        await ana.call("/chat", "move")
        await ana.call("/chat", "login", {"name": "x" * 21})
        await ana.call("/chat", "say", "nowhere", "y" * 70_000)
        assert await events_of(page, "event_received", id, 4) == [
            ["say", "hall", "hello"],
            ["move"],
            ["login", {"name": "x" * 21}],
            ["say", "<70011 bytes>"],
        ]


async def test_every_event_that_goes_out_is_told_for_each_who_gets_it() -> None:
    async with (
        lab() as running,
        watching(running) as page,
        wire(running.url) as ana,
        wire(running.url) as ben,
    ):
        one, other = await ana.join("/chat"), await ben.join("/chat")
        await ana.call("/chat", "say", "hall", "hello")
        await ana.call("/chat", "move")
        await ana.call("/chat", "count", 2)
        # Without an id the error is an event.
        await ana.emit("/chat", "fail")
        said = ["said", {"text": "hello", "password": "[redacted]"}]
        failed = {"status": "error", "code": "broken", "message": "as expected"}
        sent = await events_of(page, "event_sent", one, 5)
        assert sent[:4] == [said, ["moved", 1, 2], ["count", 0], ["count", 1]]
        assert sent[4][0] == "exception"
        assert failed.items() >= sent[4][1].items()
        assert await events_of(page, "event_sent", other, 2) == [said, ["moved", 1, 2]]


async def test_a_question_to_a_client_is_an_event_too() -> None:
    async with lab() as running, watching(running) as page, wire(running.url) as ana:
        id = await ana.join("/chat")
        asking = asyncio.create_task(ana.call("/chat", "ask", "well?"))
        ((name, shown_data),) = await events_of(page, "event_sent", id, 1)
        assert (name, shown_data["text"]) == ("said", "well?")
        await ana.leave("/chat")
        asking.cancel()
        await asyncio.wait([asking])


async def test_the_admins_own_events_are_not_told() -> None:
    async with lab() as running, watching(running) as page, watching(running) as other:
        await page.call("/admin", "join", "/admin", "club", None)
        await other.heard("/admin", "room_joined", "/admin", "club")
        assert "event_received" not in other.names("/admin")
        assert "event_sent" not in other.names("/admin")


async def test_a_flood_is_cut_and_the_rest_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "ROWS", 3)
    async with lab() as running, watching(running) as page, wire(running.url) as ana:
        id = await ana.join("/chat")
        for number in range(5):
            await ana.call("/chat", "say", "nowhere", str(number))
        cut = await page.heard("/admin", "event_sent", "/chat", "")
        assert cut[2] == ["(2 more events are not shown)"]
        assert len(await events_of(page, "event_received", id, 3)) == 3
        await ana.call("/chat", "say", "nowhere", "again")
        assert (await events_of(page, "event_received", id, 4))[3] == ["say", "nowhere", "again"]


async def test_a_refused_connection_was_never_there() -> None:
    async with lab() as running, watching(running) as page, wire(running.url) as ana:
        with pytest.raises(Exception, match="Invalid namespace"):
            await ana.join("/lab/none")
        with pytest.raises(Exception, match="as you wish"):
            await ana.join("/chat", {"stay": "out"})
        id = await ana.join("/chat")
        await shown(page, id)
        told = [
            event[1]["nsp"] for event in page.events["/admin"] if event[0] == "socket_connected"
        ]
        assert told == ["/admin", "/chat"]


async def test_figures_come_every_two_seconds() -> None:
    async with (
        lab() as running,
        Poller(running.url) as poller,
        connect(f"{running.url.ws}/chat"),
        watching(running) as page,
        wire(running.url) as ana,
    ):
        await poller.join("/chat")
        await ana.join("/lab/7")
        await ana.call("/lab/7", "hello")
        counted: dict[str, int] = {}

        def figures() -> dict[str, Any] | None:
            counted.clear()
            last: dict[str, Any] = {}
            for name, *arguments in page.events["/admin"]:
                if name == "server_stats":
                    last = arguments[0]
                    for each in last["aggregatedEvents"]:
                        counted[each["type"]] = counted.get(each["type"], 0) + each["count"]
            return last if "rawConnection" in counted else None

        last = await page.until(figures)
        assert last["clientsCount"] == 4
        assert last["pollingClientsCount"] == 1
        assert last["uptime"] > 0
        assert {each["name"]: each["socketsCount"] for each in last["namespaces"]} == {
            "/admin": 1,
            "/chat": 2,
            "/lab/7": 1,
        }
        # Who had connected before anybody watched is not among the counts.
        assert counted["rawConnection"] == 1
        assert counted["packetsIn"] >= 3
        assert counted["bytesIn"] >= len("40/lab/7,") + len('420/lab/7,["hello"]')
        assert counted["packetsOut"] >= 3
        assert counted["bytesOut"] > 100


async def test_the_end_of_a_clients_socket_is_counted() -> None:
    async with lab() as running, watching(running) as page:
        async with wire(running.url) as ana:
            await ana.join("/chat")

        def ends() -> list[Any]:
            return [
                each["subType"]
                for name, *arguments in page.events["/admin"]
                if name == "server_stats"
                for each in arguments[0]["aggregatedEvents"]
                if each["type"] == "rawDisconnection"
            ]

        assert await page.until(ends) == ["code 1001"]
