"""The client in a browser, and what happens to pages."""

import asyncio
from typing import Any

import pytest

from tests.client_js.conftest import PATIENCE, Server, Visit, Visitor

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


async def listening(visitor: Visitor, room: str) -> None:
    """In a room, also after a new session, and with everything that is said there in `said`."""
    await visitor.page.evaluate(
        """async (room) => {
            window.said = [];
            chat.on("said", ({ text }) => said.push(text));
            chat.onStatus(({ status, resumed }) => {
                if (status === "open" && !resumed) chat.emit("join", room);
            });
            await chat.call("join", room);
        }""",
        room,
    )


async def say(visitor: Visitor, text: str, room: str = "lobby") -> None:
    """As a page does it that does not wait."""
    await visitor.page.evaluate("(data) => chat.emit('say', data)", {"room": room, "text": text})


async def told(visitor: Visitor, question: str, identity: str) -> None:
    """Wait until the server says yes."""
    async with asyncio.timeout(PATIENCE / 1000):
        while not await visitor.call(question, identity):
            await asyncio.sleep(0.02)


def statuses(log: list[dict[str, Any]]) -> list[str]:
    return [change["status"] for change in log]


async def test_what_happens_while_one_is_offline_is_there_afterwards(
    server: Server, visit: Visit
) -> None:
    async with visit(server) as ana, visit(server) as ben:
        for visitor in (ana, ben):
            await visitor.connect("/chat")
            await listening(visitor, "lobby")
        await ben.page.context.set_offline(True)
        await ben.until("chat.status === 'resuming'")
        lost = (await ben.log())[1]
        # At once, with the truth about it and about what comes.
        assert lost["reason"] == "offline"
        assert lost["retryAt"] > lost["at"]
        await ana.call("say", {"room": "lobby", "text": "one"})
        await say(ben, "two")
        await say(ben, "three")
        assert await ben.page.evaluate("chat.pending") == 2
        await ben.page.context.set_offline(False)
        await ben.until("said.length === 3")
        assert await ben.page.evaluate("said") == ["one", "two", "three"]
        await ana.until("said.length === 3")
        assert await ana.page.evaluate("said") == ["one", "two", "three"]
        log = await ben.log()
        assert log[-1]["resumed"]
        # It did not wait for the time that it had been told to wait for at the most.
        assert log[-1]["at"] < lost["retryAt"]


async def test_a_server_that_is_killed_and_starts_again(server: Server, visit: Visit) -> None:
    async with visit(server) as ana, visit(server) as ben:
        for visitor in (ana, ben):
            await visitor.connect("/chat", minDelay=50, maxDelay=500)
            await listening(visitor, "lobby")
        await asyncio.to_thread(server.kill)
        await ana.until("chat.status === 'resuming'")
        await ben.until("chat.status === 'resuming'")
        numbers = [f"{n}" for n in range(20)]
        for number in numbers:
            await say(ana, number)
        await asyncio.to_thread(server.start)
        await ana.until("said.length === 20")
        assert await ana.page.evaluate("said") == numbers
        assert (await ana.log())[-1]["resumed"] is False
        await ben.until("chat.status === 'open'")
        await say(ben, "the end")
        await ana.until("said.length === 21")


async def test_a_page_that_is_left_takes_its_session_with_it(server: Server, visit: Visit) -> None:
    async with visit(server) as ana, visit(server) as ben:
        await ana.connect("/chat")
        await ben.connect("/chat")
        identity = await ben.page.evaluate("chat.id")
        await ben.page.goto("about:blank")
        # In less than a session's grace, which is two minutes.
        await told(ana, "is ended", identity)


async def test_a_duplicated_tab_has_a_session_of_its_own(server: Server, visit: Visit) -> None:
    async with visit(server) as ana:
        await ana.connect("/chat")
        assert await ana.page.evaluate("Object.keys(sessionStorage).length") == 0
        assert await ana.page.evaluate("Object.keys(localStorage).length") == 0
        identity = await ana.page.evaluate("chat.id")
        copy = Visitor(await ana.page.context.new_page())
        await copy.page.goto(ana.page.url)
        await copy.until("'open_chat' in window")
        await copy.connect("/chat")
        assert await copy.page.evaluate("chat.id") != identity
        assert statuses(await ana.log()) == ["open"]


async def test_a_page_that_is_shown_again_asks_whether_it_is_still_connected(
    server: Server, visit: Visit
) -> None:
    async with visit(server) as ana:
        frames: list[str | bytes] = []

        def sent(frame: str | bytes) -> None:
            frames.append(frame)

        ana.page.on("websocket", lambda socket: socket.on("framesent", sent))
        await ana.connect("/chat")
        for event in (
            "window.dispatchEvent(new Event('online'))",
            "document.dispatchEvent(new Event('visibilitychange'))",
            "document.dispatchEvent(new Event('resume'))",
            "window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))",
        ):
            frames.clear()
            await ana.page.evaluate(event)
            await ana.call("effect", 1)
            assert frames[0] == '{"op":"ping"}', event
        assert statuses(await ana.log()) == ["open"]
