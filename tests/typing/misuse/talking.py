# type: ignore
# ruff: noqa: T201, PGH003
"""What must not pass a type checker where the client is used.

As tests/typing/misuse/declaring.py.
"""

from typing import assert_type

from gatewright.client import Backoff, Client, Stream, connect
from tests.typing.programs.chat import Poll, Said, Say


async def opens() -> None:
    connect()  # error
    connect("ws://127.0.0.1/chat", format="yaml")  # error
    connect("ws://127.0.0.1/chat", reconnect=0.5)  # error
    connect("ws://127.0.0.1/chat", reconnect=Backoff(0.1, 5), auth=lambda: "token")
    connect("ws://127.0.0.1/chat").call("say")  # error


async def says(chat: Client) -> None:
    assert_type(await chat.call("say", Say("lobby", "hi"), int), int)
    assert_type(await chat.call("rooms", reply=list[str]), list[str])
    text: str = await chat.call("say", Say("lobby", "hi"), int)  # error
    await chat.call(5)  # error
    await chat.call("say", reply=5)  # error
    await chat.call("say", timeout="5")  # error
    await chat.emit("say", Say("lobby", "hi"), int)  # error
    chat.emit("say")  # error
    print(text)


async def streams(chat: Client) -> None:
    assert_type(chat.stream("count", 3, int), Stream[int])
    async for number in chat.stream("count", 3, int):
        name: str = number  # error
        print(name)
    for _ in chat.stream("count", 3, int):  # error
        pass


async def hears(chat: Client) -> None:
    @chat.on(Said)
    async def good(said: Said) -> None:
        print(said.text)

    @chat.on(Said)  # error
    async def other(poll: Poll) -> None:
        print(poll.question)

    @chat.on("said", Say)  # error
    def another(number: int) -> None:
        print(number)

    @chat.on(Say)  # error
    def none(say: Say) -> None:
        print(say)

    @chat.handle(Poll)  # error
    async def two(poll: Poll, more: int) -> bool:
        return bool(more)

    @chat.on_open  # error
    def opened(status: str) -> None:
        print(status)

    @chat.on_status
    async def changed(status: str) -> None:
        print(status)
