"""A client whose socket is lost: what it says, what it hears, and what it is told."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from gatewright import EventError, Gap, Settings
from gatewright.client import Backoff, Client, connect
from tests.client.cable import cable
from tests.sessions.chat import Ask, Said, Witness, running, until

pytestmark = pytest.mark.anyio

SOON = Backoff(0.001, 0.01)


class Heard:
    """What a client has heard."""

    def __init__(self, chat: Client) -> None:
        self.texts: list[str] = []
        self.statuses: list[str] = []
        self.opens: list[bool] = []
        self.gaps: list[Gap] = []
        chat.on(Said)(lambda said: self.texts.append(said.text))
        chat.on_status(self.statuses.append)
        chat.on_open(self.opens.append)
        chat.on_gap(self.gaps.append)


async def test_what_was_said_meanwhile_is_heard_in_order_and_once() -> None:
    async with running() as house, cable(house.url) as line:
        chat = connect(f"{line.url.ws}/chat", reconnect=SOON)
        heard = Heard(chat)
        async with chat:
            id = chat.id
            await house.say("lobby", "one")
            await until(lambda: heard.texts == ["one"])
            line.unplug()
            await house.gone()
            assert chat.status == "resuming"
            await house.say("lobby", "two", "three")
            line.plug()
            await until(lambda: heard.texts == ["one", "two", "three"])
            assert chat.id == id
            await until(lambda: heard.opens == [False, True])
        assert heard.statuses[:3] == ["open", "resuming", "open"]
        assert heard.gaps == []
        assert house.witness.seen == ["connect", "disconnect", "resume", "disconnect", "end"]


async def test_calls_over_many_cuts_are_executed_once() -> None:
    async with (
        running(settings=Settings(rate=None)) as house,
        cable(house.url) as line,
        connect(f"{line.url.ws}/chat", reconnect=SOON) as chat,
    ):
        cutting = asyncio.create_task(cut_often(line.cut))
        total = 0
        while line.opened <= 12:
            calls = [chat.call("work", n, int) for n in range(total, total + 100)]
            assert await asyncio.gather(*calls) == list(range(total, total + 100))
            total += 100
        cutting.cancel()
        await asyncio.wait([cutting])
        assert sorted(house.witness.done) == list(range(total))


async def cut_often(cut: Callable[[], None]) -> None:
    for turns in itertools.cycle([3, 17, 40, 90]):
        for _ in range(turns):
            await asyncio.sleep(0.001)
        cut()


async def test_calls_and_emits_wait_for_the_connection() -> None:
    async with (
        running() as house,
        cable(house.url) as line,
        connect(f"{line.url.ws}/chat", reconnect=SOON, queue=3) as chat,
    ):
        line.unplug()
        await until(lambda: chat.status == "resuming")
        await chat.emit("work", 1)
        await chat.emit("work", "lost", volatile=True)
        two, three = (asyncio.create_task(chat.call("work", n, int)) for n in (2, 3))
        await asyncio.sleep(0)
        with pytest.raises(EventError, match="too_many: 3 calls wait"):
            await chat.emit("work", 4)
        two.cancel()
        await asyncio.wait([two])
        await chat.emit("work", 4)
        line.plug()
        assert await three == 3
        await until(lambda: house.witness.done == [1, 3, 4])


async def test_a_call_that_runs_while_the_socket_is_lost_is_answered_on_the_next() -> None:
    async with (
        running() as house,
        cable(house.url) as line,
        connect(f"{line.url.ws}/chat", reconnect=SOON) as chat,
    ):
        call = asyncio.create_task(chat.call("slow", "once", str))
        await until(lambda: house.witness.done == ["once"])
        line.unplug()
        await until(lambda: chat.status == "resuming")
        house.witness.gate.set()
        await until(lambda: house.witness.ended == ["once"])
        line.plug()
        assert await call == "did once"
        assert house.witness.done == ["once"]


async def test_a_call_that_was_given_up_meanwhile_is_cancelled_on_return() -> None:
    async with (
        running() as house,
        cable(house.url) as line,
        connect(f"{line.url.ws}/chat", reconnect=SOON) as chat,
    ):
        call = asyncio.create_task(chat.call("slow", "once", str))
        await until(lambda: house.witness.done == ["once"])
        line.unplug()
        await until(lambda: chat.status == "resuming")
        call.cancel()
        await asyncio.wait([call])
        line.plug()
        await until(lambda: "slow: CancelledError" in house.witness.seen)
        assert await chat.call("echo", 1, int) == 1


async def test_streams_are_interrupted_and_can_be_called_again() -> None:
    async with (
        running() as house,
        cable(house.url) as line,
        connect(f"{line.url.ws}/chat", reconnect=SOON) as chat,
    ):
        items = chat.stream("forever", item=int)
        assert await anext(items) == 1
        line.cut()
        with pytest.raises(EventError, match="interrupted"):
            await anext(items)
        assert [item async for item in chat.stream("count", 3, int)] == [0, 1, 2]
        await until(lambda: "stream closed" in house.witness.seen)


async def test_a_call_of_the_server_is_run_once_over_a_cut() -> None:
    async with (
        running() as house,
        cable(house.url) as line,
        connect(f"{line.url.ws}/chat", reconnect=SOON) as chat,
    ):
        asked: list[str] = []
        gate = asyncio.Event()

        @chat.handle(Ask)
        async def answer(ask: Ask) -> str:
            asked.append(ask.what)
            await gate.wait()
            return ask.what.upper()

        call = asyncio.create_task(chat.call("ask", ["sure?", 60], str))
        await until(lambda: asked == ["sure?"])
        line.unplug()
        await until(lambda: chat.status == "resuming")
        gate.set()
        line.plug()
        assert await call == "SURE?"
        assert asked == ["sure?"]


@pytest.mark.parametrize("side", ["both", "server"])
async def test_a_silent_drop_is_found(side: str) -> None:
    settings = Settings(ping_interval=0.2, ping_timeout=0.2)
    async with running(settings=settings) as house, cable(house.url) as line:
        chat = connect(f"{line.url.ws}/chat", reconnect=SOON)
        heard = Heard(chat)
        async with chat:
            line.swallows = True
            await until(lambda: "resuming" in heard.statuses)
            await house.say("lobby", "hi")
            line.plug()
            await until(lambda: heard.texts == ["hi"])
            assert chat.status == "open"


async def test_a_gap_is_told() -> None:
    async with running(settings=Settings(history=2)) as house, cable(house.url) as line:
        chat = connect(f"{line.url.ws}/chat", reconnect=SOON)
        heard = Heard(chat)
        async with chat:
            line.unplug()
            await house.gone()
            await house.say("lobby", "one", "two", "three")
            line.plug()
            await until(lambda: [gap.rooms for gap in heard.gaps] == [("lobby",)])
            await house.say("lobby", "four")
            await until(lambda: heard.texts == ["four"])


async def test_a_gap_that_nobody_asks_about_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        running(settings=Settings(history=1)) as house,
        cable(house.url) as line,
        connect(f"{line.url.ws}/chat", reconnect=SOON),
    ):
        line.unplug()
        await house.gone()
        await house.say("lobby", "one", "two")
        line.plug()
        await until(lambda: "messages may be lost, in lobby" in caplog.messages)


async def test_a_new_session_enters_its_rooms_before_what_waits_is_sent() -> None:
    witness = Witness()
    async with (
        running(witness, settings=Settings(grace=0.01, finish_timeout=0.01)) as house,
        cable(house.url) as line,
        connect(f"{line.url.ws}/chat", reconnect=SOON) as chat,
    ):
        opens: list[bool] = []

        @chat.on_open
        async def enter(resumed: bool) -> None:  # noqa: FBT001
            if not resumed:
                await chat.call("work", "enter")
            opens.append(resumed)

        await until(lambda: opens == [False])
        id = chat.id
        running_one = asyncio.create_task(chat.call("slow", "lost"))
        await until(lambda: "lost" in witness.done)
        line.unplug()
        await chat_is(chat, "resuming")
        await chat.emit("work", "said meanwhile")
        await until(lambda: "end" in witness.seen)
        line.plug()
        with pytest.raises(EventError, match="reply_lost"):
            await running_one
        await until(lambda: witness.done == ["enter", "lost", "enter", "said meanwhile"])
        assert opens == [False, False]
        assert chat.id != id


async def test_what_fails_on_entering_holds_nothing_up(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as house:
        chat = connect(f"{house.url.ws}/chat")

        @chat.on_open
        async def enter(resumed: bool) -> None:  # noqa: FBT001
            raise LookupError("of the program")

        async with chat:
            assert await chat.call("echo", 1, int) == 1
            assert "a function of the client failed" in caplog.text


async def chat_is(chat: Client, status: Any) -> None:
    await until(lambda: chat.status == status)


async def test_a_server_that_goes_away_is_left_when_it_says() -> None:
    async with running() as house:
        chat = connect(f"{house.url.ws}/chat", reconnect=SOON)
        heard = Heard(chat)
        async with chat:
            (connection,) = house.witness.connections
            connection.outbox.away(0.05, "restart")
            await until(lambda: heard.opens == [False, True])
            assert [reason.code for reason in house.witness.reasons] == [1001]
