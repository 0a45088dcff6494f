"""The test client itself: what it waits for, what it says when that does not come."""

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

import pytest
from injector import Binder, Module
from msgspec import Struct

from gatewright import (
    Connection,
    Emitter,
    Event,
    EventError,
    Gatewright,
    Handshake,
    Identity,
    gateway,
    on,
)
from gatewright.testing import Refused, TestClient, Unexpected

pytestmark = pytest.mark.anyio


class Said(Event, event="said"):
    text: str


class Asked(Event, event="asked"):
    question: str


class File(Struct):
    name: str
    content: bytes


class Clock:
    def now(self) -> str:
        return "the real time"


class Clocks(Module):
    def configure(self, binder: Binder) -> None:
        binder.bind(Clock, to=Clock)


class StoppedClock(Clock):
    def now(self) -> str:
        return "noon"


class StoppedClocks(Module):
    def configure(self, binder: Binder) -> None:
        binder.bind(Clock, to=StoppedClock)


@gateway("/echo/{room}", emits=[Said, Asked])
class Echo:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    @on("now")
    async def now(self) -> str:
        return self.clock.now()

    @on("file")
    async def file(self, file: File) -> File:
        return file

    @on("add")
    async def add(self, left: int, right: int = 10) -> int:
        return left + right

    @on("say")
    async def say(self, emitter: Emitter, text: str) -> None:
        await emitter.emit(Said(text))

    @on("ask")
    async def ask(self, connection: Connection, question: str) -> str:
        return await connection.call(Asked(question), str)

    @on("letters")
    async def letters(self, text: str) -> AsyncIterator[str]:
        for letter in text:
            yield letter
            await asyncio.sleep(0)

    @on("fail")
    async def fail(self) -> None:
        raise EventError("sorry", "not today", {"until": "noon"})

    @on("leave")
    async def leave(self, connection: Connection) -> None:
        await connection.disconnect("as you wish")

    @on("seen")
    async def seen(self, handshake: Handshake) -> dict[str, str]:
        return {
            "namespace": handshake.namespace,
            "room": handshake.path["room"],
            "query": handshake.query["q"],
            "header": handshake.headers["x-test"],
            "cookie": handshake.cookies["session"],
        }


def make() -> Gatewright:
    return Gatewright(gateways=[Echo], modules=[Clocks()])


async def test_a_binding_is_replaced_for_one_client_only() -> None:
    app = make()
    stopped = TestClient(app, overrides=[StoppedClocks()])
    async with stopped as client, client.connect("/echo/a") as c:
        assert await c.call("now", reply=str) == "noon"
    async with TestClient(app) as client, client.connect("/echo/a") as c:
        assert await c.call("now", reply=str) == "the real time"


@pytest.mark.parametrize("codec", ["json", "msgpack"])
async def test_answers_are_decoded_as_the_type_that_was_asked_for(codec: str) -> None:
    async with TestClient(make()) as client, client.connect("/echo/a", codec=codec) as c:  # type: ignore[arg-type]
        sent = File("cat.png", b"\x00\xff")
        assert await c.call("file", sent, reply=File) == sent
        assert await c.call("add", 1, 2, reply=int) == 3
        assert [letter async for letter in c.stream("letters", "abc", item=str)] == ["a", "b", "c"]
        await c.emit("say", "hi")
        assert await c.expect(Said) == Said("hi")


async def test_an_error_is_raised_as_the_handler_raised_it() -> None:
    async with TestClient(make()) as client, client.connect("/echo/a") as c:
        with pytest.raises(EventError) as caught:
            await c.call("fail")
    error = caught.value
    assert (error.code, error.message, error.details) == ("sorry", "not today", {"until": "noon"})


async def test_a_timeout_lists_what_did_arrive() -> None:
    async with TestClient(make(), timeout=0.05) as client, client.connect("/echo/a") as c:
        await c.call("say", "hello", timeout=5)
        with pytest.raises(Unexpected) as caught:
            await c.expect(Asked)
    assert str(caught.value) == (
        "expected the event 'asked' within 0.05 s; what did arrive:\n"
        "  {'event': 'said', 'data': {'text': 'hello'}}"
    )


async def test_a_timeout_says_when_nothing_arrived() -> None:
    async with TestClient(make()) as client, client.connect("/echo/a") as c:
        with pytest.raises(Unexpected, match=r"'x' within 0.01 s; nothing else arrived$"):
            await c.expect("x", timeout=0.01)


async def test_events_that_nobody_asked_for_stay_in_order() -> None:
    async with TestClient(make()) as client, client.connect("/echo/a") as c:
        for text in ("one", "two"):
            await c.call("say", text)
        assert len(c.received()) == 2
        assert await c.expect("said") == {"text": "one"}
        assert await c.expect(Said) == Said("two")
        assert c.received() == []


async def test_a_call_of_the_server_is_answered() -> None:
    async with TestClient(make()) as client, client.connect("/echo/a") as c:
        await c.send({"event": "ask", "data": "who?", "id": 99})
        frame = await c.receive(lambda frame: frame.get("event") == "asked")
        await c.answer(frame, "me")
        answer = await c.receive(lambda frame: "event" not in frame)
        assert answer == {"id": 99, "data": "me"}


async def test_the_server_s_goodbye_is_seen() -> None:
    async with TestClient(make()) as client, client.connect("/echo/a") as c:
        await c.emit("leave")
        assert await c.wait_closed() == (4500, "as you wish")
        with pytest.raises(Unexpected, match="the connection was closed: 4500 as you wish"):
            await c.expect(Said)


async def test_a_refused_handshake_has_status_and_text() -> None:
    async with TestClient(make()) as client:
        with pytest.raises(Refused) as caught:
            async with client.connect("/nowhere"):
                pass
    assert (caught.value.status, caught.value.text) == (404, "Not Found")


async def test_the_handshake_is_what_the_test_says() -> None:
    async with (
        TestClient(make()) as client,
        client.connect(
            "/echo/blue", query={"q": "1"}, headers={"X-Test": "yes"}, cookies={"session": "s"}
        ) as c,
    ):
        assert await c.call("seen", reply=dict[str, str]) == {
            "namespace": "/echo/blue",
            "room": "blue",
            "query": "1",
            "header": "yes",
            "cookie": "s",
        }


async def test_leaving_a_stream_cancels_it() -> None:
    async with TestClient(make()) as client, client.connect("/echo/a") as c:
        stream = c.stream("letters", "x" * 10_000, item=str)
        assert await anext(stream) == "x"
        await stream.aclose()
        end = await c.receive(lambda frame: "item" not in frame)
        assert end["error"]["code"] == "cancelled"
        # One argument stands for an array of one: the second has a default.
        assert await c.call("add", 1, reply=int) == 11


class Moved(Event, event="moved"):
    square: str


@gateway("/game", emits=[Moved])
class Game:
    @on("join")
    async def join(self, connection: Connection) -> None:
        await connection.join("board")

    @on("move")
    async def move(self, emitter: Emitter, square: str) -> int:
        return await emitter.to("board").emit(Moved(square))


@pytest.mark.parametrize("codec", ["json", "msgpack"])
async def test_a_session_is_lost_and_resumed(codec: Literal["json", "msgpack"]) -> None:
    async with TestClient(Gatewright([Game])) as client:
        async with client.connect("/game", session=True, codec=codec) as ana:
            assert not ana.resumed
            await ana.call("join")
            await ana.call("move", "e4")
            assert await ana.expect(Moved) == Moved("e4")
        async with client.connect("/game") as ben:
            await ben.call("move", "e5")
        async with client.connect("/game", resume=ana, codec=codec) as back:
            assert back.resumed
            assert back.id == ana.id
            assert await back.expect(Moved) == Moved("e5")
            assert await back.call("move", "d4", reply=int) == 3
            await back.bye()
            assert back.closed == (1000, "bye")
        async with client.connect("/game", resume=back, codec=codec) as anew:
            assert not anew.resumed


async def test_a_plain_connection_has_nothing_to_resume() -> None:
    async with TestClient(Gatewright([Game])) as client, client.connect("/game") as ana:
        assert not ana.resumed
        with pytest.raises(TypeError, match=r"a session, got a plain one; .* session=True"):
            async with client.connect("/game", resume=ana):
                pass
        with pytest.raises(TypeError, match="session=True"):
            _ = ana.id


async def test_a_session_that_is_refused_says_why() -> None:
    async def authenticate(handshake: Handshake) -> Identity[str]:
        if handshake.auth != "sesame":
            raise EventError("unauthenticated", "not you")
        return Identity("ana", "ana")

    async with TestClient(Gatewright([Game], authenticate=authenticate)) as client:
        with pytest.raises(Refused, match="closed with 4501: not you"):
            async with client.connect("/game", session=True, auth="door"):
                pass
        async with client.connect("/game", session=True, auth="sesame") as ana:
            assert await ana.call("join") is None
