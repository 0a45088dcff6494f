"""A client program of the chat: it says what it is told, answers polls and hears its room."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, assert_type

from gatewright import EventError
from gatewright.client import Client, Gap, Status, Stream, connect
from tests.typing.programs.chat import Poll, Said, Say

__all__ = ["robot"]


async def robot(url: str, *texts: str) -> list[str]:
    """Say some texts in the lobby; returns what was heard, and what was decided."""
    heard: list[str] = []
    chat = connect(url, auth=lambda: {"token": "…"}, timeout=5)

    @chat.on(Said)
    async def said(said: Said) -> None:
        heard.append(said.text)

    @chat.on("typing", dict[str, str])
    def typing(who: dict[str, str]) -> int:
        return len(who)

    @chat.on("left")
    def left(data: Any) -> None:
        heard.append(str(data))

    @chat.handle(Poll)
    async def poll(poll: Poll) -> bool:
        return poll.question != "work?"

    @chat.on_open
    async def enter(resumed: bool) -> None:  # noqa: FBT001
        if not resumed:
            await chat.call("join", "lobby")

    @chat.on_status
    def status(status: Status) -> None:
        assert status in {"open", "resuming", "closed"}

    @chat.on_gap
    async def gap(gap: Gap) -> None:
        heard.append(f"missed something in {gap.rooms}")

    assert_type(typing, Callable[[dict[str, str]], int])
    async with chat as same:
        assert_type(same, Client)
        rooms = assert_type(await chat.call("join", "lobby", list[str]), list[str])
        assert rooms
        for text in texts:
            number = assert_type(await chat.call("say", Say("lobby", text), int, timeout=5), int)
            assert number > 0
        await chat.emit("typing", "lobby", volatile=True)
        answer: object = await chat.call("poll", ["lobby", "lunch?"])
        heard.append(str(answer))
        with suppress(EventError):
            assert_type(await chat.call("nothing", reply=str | None), str | None)
        return heard


async def numbers(chat: Client) -> list[int]:
    found: list[int] = []
    stream = chat.stream("count", 3, int)
    assert_type(stream, Stream[int])
    with suppress(EventError):
        found.extend([assert_type(number, int) async for number in stream])
    async with chat.stream("names", item=str) as names:
        assert_type(await anext(names), str)
    return found
