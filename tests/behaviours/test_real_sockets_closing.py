"""Over real sockets: how a connection ends, and who is told."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from websockets.exceptions import ConnectionClosed

from gatewright import Handshake, Identity
from tests.behaviours.chat import Door, Notes, chat
from tests.behaviours.support import until

pytestmark = pytest.mark.anyio


async def test_the_clients_code_and_reason_reach_the_disconnect_hook(door: Door) -> None:
    notes = Notes()
    async with door.serve(chat(notes)) as url:
        async with door.opened(f"{url.ws}/chat") as ana:
            await ana.socket.close(3001, "gone fishing")
        async with door.opened(f"{url.ws}/chat") as ana:
            await ana.socket.close()
        await until(lambda: len(notes.left) == 2)
    (_, first), (_, second) = notes.left
    assert (first.code, first.text) == (3001, "gone fishing")
    assert second.code == 1000


async def test_an_abrupt_drop_is_a_disconnect_like_any_other(door: Door) -> None:
    notes = Notes()
    app = chat(notes)
    async with door.serve(app) as url, door.opened(f"{url.ws}/chat") as ana:
        async with door.opened(f"{url.ws}/chat") as ben:
            await ben.call("join", "lobby")
            await ben.send({"event": "forever", "id": 1})
            await ben.receive()
            ben.abort()
            await until(lambda: notes.left)
        assert notes.streams_closed == 1
        assert notes.left[0][1].code in {1005, 1006}
        await until(lambda: len(app) == 1)
        assert await app.emitter.of("/chat").to("lobby").count() == 0
        assert await ana.call("push", "x") == "x"


async def test_disconnect_says_goodbye_after_what_was_emitted(door: Door) -> None:
    notes = Notes()
    async with door.serve(chat(notes)) as url:
        async with door.opened(f"{url.ws}/chat") as ana:
            await ana.send({"event": "leave", "data": "é" * 200})
            assert (await ana.receive())["data"] == {"text": "last words"}
            code, reason = await ana.closed()
        # 123 bytes are all that a close frame carries; no character is cut in half.
        assert (code, reason) == (4500, "é" * 61)
        await until(lambda: notes.left)
    assert notes.left[0][1].code == 4500


async def test_a_message_too_large_closes_with_1009(door: Door) -> None:
    async with door.serve(chat(Notes())) as url, door.opened(f"{url.ws}/chat") as ana:
        assert len(await ana.call("push", "x" * 60_000)) == 60_000
        await ana.send({"event": "push", "data": "x" * 70_000, "id": 9})
        assert (await ana.closed())[0] == 1009


async def test_a_message_far_too_large_closes_with_1009(door: Door) -> None:
    async with (
        door.serve(chat(Notes()), ws_max_size=100_000) as url,
        door.opened(f"{url.ws}/chat") as ana,
    ):
        # The server may close before the last byte has left.
        with suppress(ConnectionClosed):
            await ana.send({"event": "push", "data": "x" * 500_000, "id": 9})
        assert (await ana.closed())[0] == 1009


async def test_text_that_is_not_utf8_closes_with_1007(door: Door) -> None:
    notes = Notes()
    async with door.serve(chat(notes)) as url, door.opened(f"{url.ws}/chat") as ana:
        await ana.socket.send(b'{"event":"push","data":"\xff\xfe"}', text=True)
        if "wsproto" in door.name:
            # uvicorn's wsproto class drops the socket without a goodbye.
            with pytest.raises(ConnectionClosed):
                await ana.receive()
        else:
            assert (await ana.closed())[0] == 1007
        await until(lambda: notes.left)


async def test_an_identity_that_expires_closes_with_4004(door: Door) -> None:
    async def briefly(handshake: Handshake) -> Identity[None]:
        return Identity("ana", None, datetime.now(UTC) + timedelta(milliseconds=10))

    async with (
        door.serve(chat(Notes(), authenticate=briefly)) as url,
        door.opened(f"{url.ws}/chat") as ana,
    ):
        assert await ana.closed() == (4004, "the identity has expired")
