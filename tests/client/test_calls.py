"""What a program says to the server, and what comes of it."""

import asyncio
import logging
import math
from typing import Any, Literal

import pytest
from msgspec import Struct

from gatewright import EventError, Settings
from gatewright.client import Client, connect
from tests.sessions.chat import Said, Witness, running, until

pytestmark = pytest.mark.anyio

Wire = Literal["json", "msgpack"]


class Pair(Struct):
    left: int
    right: bytes


@pytest.mark.parametrize("wire", ["json", "msgpack"])
async def test_calls_are_answered_in_the_type_that_is_asked_for(wire: Wire) -> None:
    async with running() as house, connect(f"{house.url.ws}/chat", format=wire) as chat:
        assert await chat.call("echo", "hi", str) == "hi"
        assert await chat.call("echo", Pair(1, b"\xff"), Pair) == Pair(1, b"\xff")
        assert await chat.call("echo", [1, 2], tuple[int, int]) == (1, 2)
        assert await chat.call("echo", {"a": None}) == {"a": None}
        assert await chat.call("rooms", reply=list[str]) == ["lobby"]
        assert await chat.call("join", "attic") is None
        with pytest.raises(EventError, match="invalid: Expected `int`, got `str`"):
            await chat.call("echo", "hi", int)
        with pytest.raises(EventError, match="unknown_event"):
            await chat.call("nothing")
        with pytest.raises(EventError) as caught:
            await chat.call("join", 7)
        assert caught.value.code == "invalid"
        assert caught.value.details == {"path": "$"}


async def test_what_cannot_be_encoded_is_the_callers_and_is_not_sent() -> None:
    async with running() as house, connect(f"{house.url.ws}/chat") as chat:
        with pytest.raises(TypeError, match="unsupported"):
            await chat.call("echo", object())
        with pytest.raises(TypeError, match="unsupported"):
            await chat.emit("work", object())
        with pytest.raises(TypeError, match="unsupported"):
            chat.stream("count", object())
        assert await chat.call("echo", 1, int) == 1


async def test_what_a_call_says_does_not_change_while_it_waits() -> None:
    async with running() as house, connect(f"{house.url.ws}/chat") as chat:
        said = [1]
        call = asyncio.create_task(chat.call("echo", said, list[int]))
        await asyncio.sleep(0)
        said.append(2)
        assert await call == [1]


async def test_a_call_that_takes_too_long_is_cancelled() -> None:
    async with running() as house, connect(f"{house.url.ws}/chat", call_timeout=30) as chat:
        with pytest.raises(EventError, match=r"timeout: no answer within 0.01 s"):
            await chat.call("slow", "once", timeout=0.01)
        await until(lambda: "slow: CancelledError" in house.witness.seen)
        assert await chat.call("echo", 1, int, timeout=math.inf) == 1


async def test_cancelling_a_call_cancels_the_handler() -> None:
    async with running() as house, connect(f"{house.url.ws}/chat") as chat:
        call = asyncio.create_task(chat.call("slow", "once"))
        await until(lambda: house.witness.done == ["once"])
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()
        await until(lambda: "slow: CancelledError" in house.witness.seen)
        assert await chat.call("echo", 1, int) == 1


async def test_a_message_that_is_too_large_is_refused_here() -> None:
    async with (
        running(settings=Settings(max_frame=1000)) as house,
        connect(f"{house.url.ws}/chat") as chat,
    ):
        with pytest.raises(EventError, match="too_large: expected a message of at most 1000 bytes"):
            await chat.call("echo", "x" * 1000)
        with pytest.raises(EventError, match="too_large: expected a message of at most 1000 bytes"):
            await chat.emit("echo", "x" * 1000, volatile=True)
        assert len(await chat.call("echo", "x" * 900, str)) == 900


async def test_more_calls_than_may_wait_take_their_turns() -> None:
    witness = Witness()
    async with (
        running(witness, settings=Settings(rate=None)) as house,
        connect(f"{house.url.ws}/chat", queue=1) as chat,
    ):
        calls = [chat.call("work", n, int) for n in range(1000)]
        assert await asyncio.gather(*calls) == list(range(1000))
        for n in range(1000, 2000):
            await chat.emit("work", n)
        await until(lambda: len(witness.done) == 2000)
        assert witness.done == list(range(2000))


async def test_the_error_of_an_emit_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as house, connect(f"{house.url.ws}/chat") as chat:
        await chat.emit("join", 7)
        await chat.emit("join", 7, volatile=True)
        await chat.call("echo")
        await until(lambda: len(warnings(caplog)) == 2)
    first, second = warnings(caplog)
    assert first == "the event 'join' failed: invalid: Expected `str`, got `int`"
    assert second.startswith('a message failed: {"code":"invalid"')


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


async def test_streams() -> None:
    async with running() as house, connect(f"{house.url.ws}/chat") as chat:
        assert [item async for item in chat.stream("count", 5, int)] == [0, 1, 2, 3, 4]
        assert [item async for item in chat.stream("count", 0, int)] == []
        assert [item async for item in chat.stream("echo", 0, int)] == []
        with pytest.raises(EventError, match="unknown_event"):
            await anext(chat.stream("nothing"))
        with pytest.raises(EventError, match="invalid"):
            await anext(chat.stream("count", 5, str))


async def leave_by_break(chat: Client) -> None:
    async for _ in chat.stream("forever", item=int):
        break


async def leave_by_block(chat: Client) -> None:
    async with chat.stream("forever", item=int) as items:
        assert await anext(items) == 1


async def leave_by_close(chat: Client) -> None:
    items = chat.stream("forever", item=int)
    assert await anext(items) == 1
    await items.aclose()
    assert [item async for item in items] == []


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_block, leave_by_close])
async def test_leaving_a_stream_cancels_it(leave: Any) -> None:
    async with running() as house, connect(f"{house.url.ws}/chat") as chat:
        await leave(chat)
        await until(lambda: "stream closed" in house.witness.seen)
        assert await chat.call("echo", 1, int) == 1


async def test_a_stream_goes_on_after_a_wait_that_was_given_up() -> None:
    async with running() as house, connect(f"{house.url.ws}/chat") as chat:
        items = chat.stream("slow then", item=int)
        del items  # never asked for: never called
        items = chat.stream("forever", item=int)
        assert await anext(items) == 1
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await anext(items)
        assert "stream closed" not in house.witness.seen
        await items.aclose()
        await until(lambda: "stream closed" in house.witness.seen)


async def test_a_client_that_was_not_opened_says_so() -> None:
    chat = connect("ws://127.0.0.1:1/chat")
    assert (chat.status, repr(chat)) == (
        "connecting",
        "<Client of ws://127.0.0.1:1/chat, connecting>",
    )
    for use in (chat.call("echo"), chat.emit("echo"), chat.emit("echo", volatile=True)):
        with pytest.raises(Exception, match="use it in `async with`"):
            await use
    with pytest.raises(Exception, match="use it in `async with`"):
        assert chat.id


async def test_events_to_the_client_that_emits() -> None:
    async with running() as house, connect(f"{house.url.ws}/chat") as chat:
        heard: list[Said] = []
        chat.on(Said)(heard.append)
        assert await chat.call("say", ["lobby", "hi"], int) == 1
        await until(lambda: heard == [Said("hi")])
