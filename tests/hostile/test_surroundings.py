"""Middleware, servers and loops around an application that do what they are allowed to do."""

import asyncio
import json

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from websockets.asyncio.client import connect

from gatewright import Connection, Emitter, Event, Gatewright, gateway, on, on_connect
from tests._support.server import serve

pytestmark = pytest.mark.anyio


class Said(Event, event="said"):
    text: str


@gateway("/chat", emits=[Said])
class Chat:
    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter

    @on_connect
    async def connected(self, connection: Connection) -> None:
        await connection.join("lobby")

    @on("say")
    async def say(self, text: str) -> int:
        return await self.emitter.to("lobby").emit(Said(text))

    @on("ping")
    async def ping(self) -> str:
        return "pong"


async def test_middleware_that_changes_a_message_changes_it_for_its_receiver_alone() -> None:
    def shouting(app: ASGIApp) -> ASGIApp:
        async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
            async def shout(message: Message) -> None:
                if message["type"] == "websocket.send":
                    message["text"] += "!"
                await send(message)

            await app(scope, receive, shout)

        return middleware

    async with (
        serve(shouting(Gatewright(gateways=[Chat]))) as url,
        connect(url.ws + "/chat") as ana,
        connect(url.ws + "/chat") as ben,
        connect(url.ws + "/chat") as cleo,
    ):
        for each in (ana, ben, cleo):
            await each.send('{"event":"ping","id":1}')
            assert await each.recv() == '{"id":1,"data":"pong"}!'
        await ana.send('{"event":"say","data":"hi"}')
        for each in (ana, ben, cleo):
            assert await each.recv() == '{"event":"said","data":{"text":"hi"}}!'


async def test_messages_may_carry_both_keys_one_of_them_none() -> None:
    # As Hypercorn and others send them.
    app = Gatewright(gateways=[Chat])
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    outgoing: asyncio.Queue[Message] = asyncio.Queue()
    scope = {
        "type": "websocket",
        "path": "/chat",
        "raw_path": b"/chat",
        "headers": [],
        "query_string": b"",
        "subprotocols": ["plain.msgpack"],
    }
    async with app.run():
        connection = asyncio.create_task(app(scope, incoming.get, outgoing.put))
        incoming.put_nowait({"type": "websocket.connect"})
        assert (await outgoing.get())["type"] == "websocket.accept"
        frame = b"\x82\xa5event\xa4ping\xa2id\x01"
        incoming.put_nowait({"type": "websocket.receive", "bytes": frame, "text": None})
        assert (await outgoing.get())["bytes"] == b"\x82\xa2id\x01\xa4data\xa4pong"
        incoming.put_nowait({"type": "websocket.receive", "text": "{}", "bytes": None})
        assert b"expected a binary frame" in (await outgoing.get())["bytes"]
        incoming.put_nowait({"type": "websocket.disconnect", "code": None, "reason": None})
        await connection


def test_an_application_runs_in_one_loop_after_another() -> None:
    app = Gatewright(gateways=[Chat])

    async def converse() -> object:
        async with serve(app) as url, connect(url.ws + "/chat") as ana:
            await ana.send('{"event":"say","data":"hi","id":1}')
            await ana.recv()
            return json.loads(await ana.recv())

    assert [asyncio.run(converse()) for _ in range(3)] == [{"id": 1, "data": 1}] * 3
