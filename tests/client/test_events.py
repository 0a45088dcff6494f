"""What a program hears from the server, and how it answers."""

import asyncio
import logging
from typing import Any

import pytest
from msgspec import Struct

from gatewright import Event, EventError, Settings
from gatewright.client import connect
from tests.sessions.chat import Ask, Said, running, until

pytestmark = pytest.mark.anyio


class Unnamed(Event):
    text: str


class Text(Struct):
    text: str


async def test_functions_run_in_the_order_of_events_one_after_another() -> None:
    async with running() as house, connect(f"{house.url.ws}/chat") as chat:
        heard: list[Any] = []
        gate = asyncio.Event()

        @chat.on(Said)
        async def slow(said: Said) -> None:
            await gate.wait()
            heard.append(said)

        @chat.on("said", Text)
        def fast(text: Text) -> None:
            heard.append(text)

        @chat.on("said")
        def bare(data: Any) -> None:
            heard.append(data)

        await house.say("lobby", "one", "two")
        # A function that waits holds up others, not the connection.
        assert await chat.call("echo", 1, int) == 1
        assert heard == []
        gate.set()
        await until(lambda: len(heard) == 6)
        assert heard[:3] == [Said("one"), Text("one"), {"text": "one"}]
        assert heard[3] == Said("two")
        chat.off(slow)
        chat.off(fast)
        await house.say("lobby", "three")
        await until(lambda: len(heard) == 7)
        assert heard[6] == {"text": "three"}


async def test_functions_that_are_registered_before_the_block_miss_nothing() -> None:
    async with running() as house:
        chat = connect(f"{house.url.ws}/chat")
        statuses: list[Any] = []
        chat.on_status(statuses.append)
        chat.on_open(statuses.append)
        async with chat:
            await until(lambda: len(statuses) == 2)
        assert statuses[:2] == ["open", False]
        assert chat.status == "closed"


async def test_what_a_function_raises_is_logged_and_the_next_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running() as house, connect(f"{house.url.ws}/chat") as chat:
        heard: list[Said] = []

        @chat.on("said", int)
        def other(number: int) -> None:
            raise AssertionError("it is no number")

        @chat.on(Said)
        def bad(said: Said) -> None:
            raise LookupError("of the program")

        chat.on(Said)(heard.append)
        await house.say("lobby", "one")
        await until(lambda: heard == [Said("one")])
        messages = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
        assert messages[0].startswith("the event 'said' is not what its function takes: Expected")
        assert messages[1].startswith("a function of the client failed: <function")


async def test_a_function_may_call() -> None:
    async with running() as house, connect(f"{house.url.ws}/chat") as chat:
        answers: list[str] = []

        @chat.on(Said)
        async def echo(said: Said) -> None:
            answers.append(await chat.call("echo", said.text, str))

        await house.say("lobby", *[str(n) for n in range(50)])
        await until(lambda: len(answers) == 50)
        assert answers == [str(n) for n in range(50)]


async def test_calls_of_the_server_are_answered() -> None:
    async with running() as house, connect(f"{house.url.ws}/chat") as chat:

        @chat.handle(Ask)
        async def answer(ask: Ask) -> str:
            if ask.what == "nothing":
                raise EventError("none", "not here", {"asked": ask.what})
            if ask.what == "odd details":
                raise EventError("none", "not here", object())
            if ask.what == "trouble":
                raise LookupError("a secret")
            if ask.what == "odd":
                return object()  # type: ignore[return-value]
            return ask.what.upper()

        assert await chat.call("ask", ["loud", 5], str) == "LOUD"
        for what, code in {
            "nothing": "none",
            "odd details": "internal",
            "trouble": "internal",
            "odd": "internal",
        }.items():
            with pytest.raises(EventError) as caught:
                await chat.call("ask", [what, 5])
            assert caught.value.code == code
            assert "secret" not in str(caught.value)


async def test_calls_of_the_server_that_nobody_can_answer() -> None:
    async with running() as house, connect(f"{house.url.ws}/chat") as chat:
        with pytest.raises(EventError, match="unknown_event: no handler for the event 'ask'"):
            await chat.call("ask", ["x", 5])

        @chat.handle("ask", int)
        def answer(number: int) -> int:
            return number

        with pytest.raises(EventError, match="invalid: Expected `int`, got `object`"):
            await chat.call("ask", ["x", 5])
        with pytest.raises(ValueError, match="expected one function that answers 'ask'"):
            chat.handle("ask")(answer)


async def test_an_answer_that_is_too_large_is_an_error_of_the_call() -> None:
    async with (
        running(settings=Settings(max_frame=1000)) as house,
        connect(f"{house.url.ws}/chat") as chat,
    ):

        @chat.handle(Ask)
        def answer(ask: Ask) -> str:
            return "x" * int(ask.what)

        with pytest.raises(EventError, match="too_large: expected a message of at most 1000 bytes"):
            await chat.call("ask", ["1000", 5])
        assert len(await chat.call("ask", ["900", 5], str)) == 900


async def test_a_call_of_the_server_may_take_long_and_call_back() -> None:
    async with running() as house, connect(f"{house.url.ws}/chat") as chat:
        gate = asyncio.Event()

        @chat.handle(Ask)
        async def answer(ask: Ask) -> str:
            await gate.wait()
            return ask.what

        first = asyncio.create_task(chat.call("ask", ["one", 60], str))
        await asyncio.sleep(0)
        gate.set()
        assert await first == "one"


async def test_an_event_without_a_name_is_refused_when_it_is_registered() -> None:
    chat = connect("ws://127.0.0.1:1/chat")
    with pytest.raises(ValueError, match=r'declare it as: class Unnamed\(Event, event="…"\)'):
        chat.on(Unnamed)
    with pytest.raises(ValueError, match="declare it as"):
        chat.handle(Unnamed)
