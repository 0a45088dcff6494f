"""What nodes ask and tell each other."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest
from msgspec import Raw, Struct

from gatewright.backplane.base import ignore
from gatewright.errors import BackplaneError, ErrorCode, EventError
from gatewright.remote import Parts, Remote
from gatewright.remote.post import TOGETHER
from tests._support.leaks import no_task_left
from tests.cluster.joined import Hub, Joined
from tests.sessions.chat import until

pytestmark = pytest.mark.anyio


class Add(Struct):
    a: int
    b: int


class Note(Struct):
    text: str


class Node:
    """A node that adds, and hears notes."""

    def __init__(self, backplane: Joined) -> None:
        self.backplane = backplane
        self.remote = Remote(backplane)
        self.heard: list[str] = []
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.remote.serve("add", Add, self.add)
        self.remote.hear("note", Note, lambda _, note: self.heard.append(note.text))
        self.trouble: BaseException | None = None

    @property
    def name(self) -> str:
        return self.remote.name

    async def add(self, sender: str, message: Add, part: Parts) -> int:
        self.asked += 1
        part(Note("begun"))
        await self.gate.wait()
        if self.trouble is not None:
            raise self.trouble
        return message.a + message.b


@asynccontextmanager
async def nodes(count: int, hub: Hub | None = None) -> AsyncGenerator[list[Node]]:
    hub = hub or Hub()
    made = [Node(hub.node(letter)) for letter in "abc"[:count]]
    async with no_task_left(), AsyncExitStack() as stack:
        for node in made:
            await node.backplane.start(ignore, mail=node.remote.mail, peers=node.remote.peers)
            stack.push_async_callback(node.backplane.stop)
            stack.push_async_callback(node.remote.stop)
        yield made
        await until(lambda: not any(len(node.remote) for node in made))


async def test_all_are_asked_and_answer() -> None:
    async with nodes(3) as (a, b, c):
        asked = await a.remote.ask("add", Add(1, 2), int, timeout=5)
        assert asked.answers == {b.name: 3, c.name: 3}
        assert (asked.errors, asked.missing) == ({}, [])
        asked = await b.remote.ask("add", Add(2, 2), int, timeout=5, nodes=[a.name])
        assert asked.answers == {a.name: 4}


async def test_nobody_is_asked_where_there_are_no_others() -> None:
    async with nodes(1) as (a,):
        asked = await a.remote.ask("add", Add(1, 2), int, timeout=5)
        assert (asked.answers, asked.errors, asked.missing) == ({}, {}, [])
        assert a.backplane.sent == []
        asked = await a.remote.ask("add", Add(1, 2), int, timeout=5, nodes=["gone-1"])
        assert asked.errors["gone-1"].code == ErrorCode.INTERRUPTED


async def test_parts_come_before_the_end() -> None:
    parts: list[str] = []

    def part(_: str, body: Raw) -> None:
        parts.append(msgspec.msgpack.decode(body, type=Note).text)

    async with nodes(2) as (a, _):
        asked = await a.remote.ask("add", Add(1, 2), int, timeout=5, part=part)
        assert list(asked.answers.values()) == [3]
        assert parts == ["begun"]


async def test_errors_travel_and_others_are_hidden(caplog: pytest.LogCaptureFixture) -> None:
    async with nodes(2) as (a, b):
        b.trouble = EventError("full", "no room", {"rooms": 3})
        [error] = (await a.remote.ask("add", Add(1, 2), int, timeout=5)).errors.values()
        assert (error.code, error.message, error.details) == ("full", "no room", {"rooms": 3})
        b.trouble = LookupError("of the application")
        [error] = (await a.remote.ask("add", Add(1, 2), int, timeout=5)).errors.values()
        assert (error.code, error.message) == (ErrorCode.INTERNAL, "internal error")
        assert "of the application" in caplog.text
        [error] = (await a.remote.ask("what", Add(1, 2), int, timeout=5)).errors.values()
        assert error.code == ErrorCode.UNKNOWN_EVENT
        b.trouble = None
        [error] = (await a.remote.ask("add", Add(1, 2), str, timeout=5)).errors.values()
        assert error.code == ErrorCode.INVALID


async def test_who_says_nothing_in_time_is_missing_and_need_not_go_on() -> None:
    async with nodes(3) as (a, b, c):
        b.gate.clear()
        asked = await a.remote.ask("add", Add(1, 2), int, timeout=0.02)
        assert (asked.answers, asked.missing) == ({c.name: 3}, [b.name])
        # Not before its answer is not waited for, and without its gate.
        await until(lambda: not len(b.remote))


async def test_a_node_that_dies_is_not_waited_for() -> None:
    hub = Hub()
    async with nodes(3, hub) as (a, b, c):
        b.gate.clear()
        asking = asyncio.create_task(a.remote.ask("add", Add(1, 2), int, timeout=60))
        await until(lambda: b.asked)
        hub.kill(b.backplane)
        asked = await asking
        assert asked.answers == {c.name: 3}
        assert asked.errors[b.name].code == ErrorCode.INTERRUPTED
        for task in b.remote._serving.values():
            task.cancel()


async def test_the_question_of_a_node_that_dies_is_not_answered_any_more() -> None:
    hub = Hub()
    async with nodes(2, hub) as (a, b):
        b.gate.clear()
        asking = asyncio.create_task(a.remote.ask("add", Add(1, 2), int, timeout=60))
        await until(lambda: b.asked)
        hub.kill(a.backplane)
        await until(lambda: not len(b.remote))
        a.remote.peers(b.name, False)
        assert (await asking).errors[b.name].code == ErrorCode.INTERRUPTED


async def test_a_question_that_cannot_be_sent_fails_at_once() -> None:
    hub = Hub()
    async with nodes(2, hub) as (a, b):
        hub.part(a.backplane)
        with pytest.raises(BackplaneError):
            await a.remote.ask("add", Add(1, 2), int, timeout=60)
        with pytest.raises(BackplaneError):
            await a.remote.ask("add", Add(1, 2), int, timeout=60, nodes=[b.name])
        hub.heal(a.backplane)
        assert (await a.remote.ask("add", Add(1, 2), int, timeout=60)).answers == {b.name: 3}


async def test_what_is_told_comes_in_its_order_and_together() -> None:
    async with nodes(3) as (a, b, c):
        for number in range(50):
            a.remote.tell("note", Note(str(number)), None if number < 25 else b.name)
        asked = await a.remote.ask("add", Add(1, 2), int, timeout=5, nodes=[b.name])
        assert asked.answers == {b.name: 3}
        assert b.heard == [str(number) for number in range(50)]
        assert c.heard == [str(number) for number in range(25)]
        assert len(a.backplane.sent) == 2


async def test_large_messages_travel_alone() -> None:
    async with nodes(2) as (a, b):
        for letter in "xyz":
            a.remote.tell("note", Note(letter * TOGETHER))
        await a.remote.ask("add", Add(1, 2), int, timeout=5)
        assert [text[0] for text in b.heard] == ["x", "y", "z"]
        assert len(a.backplane.sent) == 4


async def test_what_follows_a_namespace_is_told_by_a_cast() -> None:
    async with nodes(3) as (a, b, c):
        await b.backplane.follow("/a")
        await a.remote.cast("/a", "note", Note("hi"))
        await until(lambda: b.heard)
        assert (b.heard, c.heard) == (["hi"], [])


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        b"\x80",
        msgspec.msgpack.encode([[9, 1]]),
        msgspec.msgpack.encode([[1, "note", {"texts": 1}]]),
        msgspec.msgpack.encode([[1, "nobody", {}]]),
        msgspec.msgpack.encode([[3, 77, 1], [5, 77]]),
    ],
)
async def test_what_nobody_understands_is_dropped(message: bytes) -> None:
    async with nodes(2) as (a, b):
        await a.backplane.send(message)
        a.remote.tell("note", Note("after"))
        await until(lambda: b.heard)


async def test_a_question_that_nobody_understands_is_answered() -> None:
    async with nodes(2) as (a, _):
        [error] = (await a.remote.ask("add", Note("?"), int, timeout=5)).errors.values()
        assert error.code == ErrorCode.INTERNAL
