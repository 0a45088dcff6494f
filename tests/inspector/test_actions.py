"""What a page may do, and what others see of it."""

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gatewright.inspector import Admin
from gatewright.transports.socketio import SocketIO
from tests.inspector.lab import HASH, LOGIN, lab, shown, watching
from tests.inspector.wire import wire

pytestmark = pytest.mark.anyio


async def test_making_one_connection_join_a_room() -> None:
    async with (
        lab() as running,
        watching(running) as page,
        wire(running.url) as ana,
        wire(running.url) as ben,
    ):
        id = await ana.join("/chat")
        await ben.join("/chat")
        assert await page.call("/admin", "join", "/chat", "tea", id) == 1
        await page.heard("/admin", "room_joined", "/chat", "tea", id)
        await ben.call("/chat", "say", "tea", "for one")
        await ana.heard("/chat", "said", {"text": "for one", "password": "hunter2"})
        assert "said" not in ben.names("/chat")


async def test_making_a_room_join_another_and_leave_it_again() -> None:
    async with (
        lab() as running,
        watching(running) as page,
        wire(running.url) as ana,
        wire(running.url) as ben,
    ):
        one, other = await ana.join("/chat"), await ben.join("/chat")
        assert await page.call("/admin", "join", "/chat", "tea", "hall") == 2
        assert set(await running.app.emitter.of("/chat").to("tea").members()) == {one, other}
        await page.call("/admin", "leave", "/chat", "tea", one)
        assert await running.app.emitter.of("/chat").to("tea").members() == [other]
        await page.call("/admin", "leave", "/chat", "tea", None)
        assert await running.app.emitter.of("/chat").to("tea").members() == []
        await page.heard("/admin", "room_left", "/chat", "tea", other)


async def test_rooms_that_the_gateway_refuses_stay_closed_to_pages_too() -> None:
    async with lab() as running, watching(running) as page, wire(running.url) as ana:
        id = await ana.join("/chat")
        assert await page.call("/admin", "join", "/chat", "vault", id) == 0
        assert await running.app.emitter.of("/chat").to("vault").members() == []


@pytest.mark.parametrize(
    ("arguments", "plain"),
    [
        ([], []),
        (["one"], "one"),
        ([[1, 2]], [1, 2]),
        ([1, {"two": [3]}, None], [1, {"two": [3]}, None]),
    ],
)
async def test_emitting_any_event_with_any_arguments(arguments: list[Any], plain: Any) -> None:
    async with lab() as running, watching(running) as page, wire(running.url) as ana:
        await ana.join("/chat")
        async with connect(f"{running.url.ws}/chat") as socket:
            await page.until(lambda: page.names("/admin").count("socket_connected") == 3)
            sequence = await page.call("/admin", "emit", "/chat", "hall", "news", *arguments)
            assert sequence > 0
            assert await ana.heard("/chat", "news") == arguments
            assert json.loads(await socket.recv()) == {"event": "news", "data": plain}


async def test_emitting_to_one_room_or_one_connection() -> None:
    async with (
        lab() as running,
        watching(running) as page,
        wire(running.url) as ana,
        wire(running.url) as ben,
    ):
        id = await ana.join("/chat")
        await ben.join("/chat")
        await page.call("/admin", "emit", "/chat", id, "psst", 1)
        await page.call("/admin", "emit", "/chat", None, "all", 2)
        assert await ana.heard("/chat", "all") == [2]
        assert await ben.heard("/chat", "all") == [2]
        assert ana.names("/chat") == ["psst", "all"]
        assert ben.names("/chat") == ["all"]
        await page.heard("/admin", "event_sent", "/chat", id, ["psst", 1])


async def test_disconnecting_one_connection_runs_its_hooks() -> None:
    async with lab() as running, watching(running) as page, wire(running.url) as ana:
        id = await ana.join("/chat")
        await ana.join("/lab/7")
        await page.call("/admin", "_disconnect", "/chat", False, id)
        await ana.until(lambda: "/chat" in ana.left)
        await page.heard("/admin", "socket_disconnected", "/chat", id)
        assert running.gone == [(id, frozenset({"hall"}), "disconnected by an administrator")]
        assert ana.left == {"/chat"}
        assert await ana.call("/lab/7", "hello") == 7


async def test_disconnecting_a_room() -> None:
    async with (
        lab() as running,
        watching(running) as page,
        wire(running.url) as ana,
        connect(f"{running.url.ws}/chat") as ben,
    ):
        await ana.join("/chat")
        await page.until(lambda: page.names("/admin").count("socket_connected") == 3)
        await page.call("/admin", "_disconnect", "/chat", None, "hall")
        await ana.until(lambda: "/chat" in ana.left)
        with pytest.raises(ConnectionClosed) as closed:
            await ben.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4500


async def test_closing_a_client_ends_all_its_namespaces() -> None:
    async with (
        lab() as running,
        watching(running) as page,
        wire(running.url) as ana,
        wire(running.url) as ben,
    ):
        id = await ana.join("/chat")
        await ana.join("/lab/7")
        await ben.join("/chat")
        await page.call("/admin", "_disconnect", "/chat", True, id)
        await ana.until(lambda: ana.closed)
        # Told so, a client stays away instead of connecting anew.
        assert ana.left == {"/chat", "/lab/7"}
        assert not ben.closed
        assert not ben.left


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["join", "/nowhere", "tea"], "expected a namespace that has connections"),
        (["emit", "/chat", None, "connect"], "the protocols use themselves"),
        (["emit", "/chat", 7, "news"], "expected a namespace, a room or null"),
        (["emit", "/chat", None, "news", *range(33)], "at most 32 arguments"),
        (["join", "/chat"], "length 2"),
    ],
)
async def test_commands_that_make_no_sense_are_refused(command: list[Any], words: str) -> None:
    async with lab() as running, watching(running) as page, wire(running.url) as ana:
        await ana.join("/chat")
        error = await page.call("/admin", *command)
        assert error["code"] == "invalid"
        assert words in error["message"]


async def test_commands_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with lab() as running, watching(running) as page, wire(running.url) as ana:
        id = await ana.join("/chat")
        await page.call("/admin", "join", "/chat", "tea", id)
        assert f"makes '{id}' of '/chat' join 'tea'" in caplog.text


READ_ONLY = Admin(username="admin", password_hash=HASH, read_only=True)


@pytest.mark.parametrize("command", ["join", "leave", "emit", "_disconnect"])
async def test_a_read_only_admin_has_no_commands(command: str) -> None:
    async with lab(READ_ONLY) as running, watching(running) as page, wire(running.url) as ana:
        id = await ana.join("/chat")
        (config,) = await page.heard("/admin", "config")
        assert config["supportedFeatures"] == ["AGGREGATED_EVENTS", "ALL_EVENTS"]
        error = await page.call("/admin", command, "/chat", "tea", id)
        assert error["code"] == "unknown_event"
        assert await running.app.emitter.of("/chat").to("hall").members() == [id]
        assert not ana.left


async def test_a_page_that_was_cut_off_is_told_everything_anew() -> None:
    async with lab(socketio=SocketIO(recovery=True)) as running, wire(running.url) as ana:
        id = await ana.join("/chat")
        async with wire(running.url) as page:
            await page.join("/admin", LOGIN)
            (session, *_), opened = await page.heard("/admin", "session"), page.opened["/admin"]
        async with wire(running.url) as again:
            back = {"sessionId": session, "pid": opened["pid"], "offset": ""}
            await again.join("/admin", back)
            (sockets, *_) = await again.heard("/admin", "all_sockets")
            assert id in {each["id"] for each in sockets}
            await ana.call("/chat", "join", "tea")
            await again.heard("/admin", "room_joined", "/chat", "tea", id)


async def test_two_pages_see_the_same() -> None:
    async with (
        lab() as running,
        watching(running) as page,
        watching(running) as other,
        wire(running.url) as ana,
    ):
        id = await ana.join("/chat")
        assert (await shown(page, id)) == (await shown(other, id))
