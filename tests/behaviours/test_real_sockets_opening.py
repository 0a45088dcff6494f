"""Over real sockets: who is let in, and what is agreed upon."""

import asyncio
import logging

import pytest

from gatewright import Settings
from gatewright.testing import Refused
from tests._support.server import serve
from tests.behaviours.chat import Door, Notes, chat
from tests.behaviours.support import until
from tests.behaviours.wire import opened

pytestmark = pytest.mark.anyio


async def test_a_guard_refuses_before_accept_with_403_and_its_text(door: Door) -> None:
    app = chat(Notes())
    async with door.serve(app) as url:
        with pytest.raises(Refused) as refused:
            async with door.opened(f"{url.ws}/chat?guard=no"):
                pytest.fail("it must not open")
        assert (refused.value.status, refused.value.text) == (403, "forbidden: members only")
        assert len(app) == 0


async def test_a_foreign_origin_is_refused_the_own_one_and_none_are_not(door: Door) -> None:
    async with door.serve(chat(Notes())) as url:
        for origin in ("http://evil.example", "null", f"{url}.evil.example", "http://127.0.0.1:1"):
            with pytest.raises(Refused) as refused:
                async with door.opened(f"{url.ws}/chat", origin=origin):
                    pytest.fail("it must not open")
            assert refused.value.status == 403
        for own in (None, str(url), str(url).upper().replace("HTTP", "http")):
            async with door.opened(f"{url.ws}/chat", origin=own) as ana:
                assert await ana.call("push", "x") == "x"


async def test_origins_may_be_widened() -> None:
    settings = Settings(origins=("https://app.example",))
    async with serve(chat(Notes(), settings=settings)) as url:
        async with opened(f"{url.ws}/chat", origin="https://app.example") as ana:
            assert await ana.call("push", "x") == "x"
        with pytest.raises(Refused):
            async with opened(f"{url.ws}/chat", origin="http://app.example"):
                pytest.fail("it must not open")
    async with (
        serve(chat(Notes(), settings=Settings(origins=("*",)))) as url,
        opened(f"{url.ws}/chat", origin="https://evil.example") as ana,
    ):
        assert await ana.call("push", "x") == "x"


async def test_cookies_come_with_an_origin_or_not_at_all(door: Door) -> None:
    async with door.serve(chat(Notes())) as url:
        headers = {"Cookie": "session=ana; theme=dark"}
        async with door.opened(f"{url.ws}/chat", origin=str(url), headers=headers) as ana:
            assert await ana.call("cookies") == {"session": "ana", "theme": "dark"}
        with pytest.raises(Refused, match="cookies without an Origin") as refused:
            async with door.opened(f"{url.ws}/chat", headers=headers):
                pytest.fail("it must not open")
        assert refused.value.status == 403


async def test_sub_protocols_are_negotiated(door: Door) -> None:
    async with door.serve(chat(Notes())) as url:
        wanted = ["graphql", "plain.msgpack"]
        async with door.opened(f"{url.ws}/chat", subprotocols=wanted) as ana:
            assert ana.socket.subprotocol == "plain.msgpack"
            assert await ana.call("push", "x") == "x"
            await ana.send({"event": "nothing", "id": 1})
            assert isinstance(await ana.socket.recv(), bytes)
        async with door.opened(f"{url.ws}/chat") as ana:
            assert ana.socket.subprotocol is None
        with pytest.raises(Refused) as refused:
            async with door.opened(f"{url.ws}/chat", subprotocols=["graphql"]):
                pytest.fail("it must not open")
        assert refused.value.status == 400


async def test_a_client_that_leaves_while_it_is_let_in_leaves_nothing_behind(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    notes = Notes()
    app = chat(notes)
    async with door.serve(app) as url:
        host, port = str(url).removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"GET /chat?guard=slow HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        dispatcher = app._dispatcher
        assert dispatcher is not None
        await until(lambda: len(dispatcher._tasks) == 1)
        writer.transport.abort()
        for _ in range(20):
            await asyncio.sleep(0)
        notes.gate.set()
        await until(lambda: not dispatcher._tasks)
        assert len(app) == 0
        async with door.opened(f"{url.ws}/chat") as ana:
            assert await ana.call("push", "x") == "x"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
