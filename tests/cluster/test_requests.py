"""What nodes ask each other for the application."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from injector import Inject, Module, provider, singleton
from msgspec import Struct

from gatewright import (
    Context,
    EventError,
    Gatewright,
    NodeAnswers,
    Nodes,
    RequestTimeout,
    catch,
    gateway,
    on,
    on_request,
)
from gatewright.errors import NotStartedError, StartupError
from tests.cluster.conftest import Join
from tests.cluster.joined import Hub
from tests.sessions.chat import until

pytestmark = pytest.mark.anyio


class Stats(Struct):
    node: int
    factor: int = 1


class Number:
    def __init__(self, value: int) -> None:
        self.value = value


class Part:
    """An application, and what its gateway waits for."""

    def __init__(self, number: int, join: Any = None) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        part = self

        class Numbers(Module):
            @singleton
            @provider
            def number(self) -> Number:
                return Number(number)

        @gateway("/lab/{bench}")
        class Lab:
            def __init__(self, nodes: Nodes) -> None:
                self.nodes = nodes

            @on("ping")
            async def ping(self) -> None: ...

            @on_request("stats")
            async def stats(self, own: Inject[Number], factor: int = 1) -> Stats:
                await part.gate.wait()
                return Stats(own.value * factor, factor)

            @on_request("fails")
            async def fails(self, how: str) -> None:
                if how == "known":
                    raise EventError("full", "no room", {"left": 0})
                raise LookupError(how)

            @catch(LookupError)
            async def lost(self, error: LookupError, context: Context) -> EventError:
                if "caught" in str(error):
                    return EventError("lost", f"{context.event}: {error}")
                raise error

        self.app = Gatewright([Lab], modules=[Numbers], backplane=join() if join else None)

    @property
    def nodes(self) -> Nodes:
        return self.app.nodes


@asynccontextmanager
async def parts(join: Any, count: int = 2) -> AsyncGenerator[list[Part]]:
    made = [Part(number + 1, join) for number in range(count)]
    async with AsyncExitStack() as stack:
        for part in made:
            await stack.enter_async_context(part.app.run())
        for part in made:
            await until(lambda part=part: len(part.nodes.alive) == count)
        yield made


async def test_every_node_answers(join: Join) -> None:
    async with parts(join, 3) as (a, b, c):
        answers: NodeAnswers[Stats] = await a.nodes.request("stats", 10, reply=Stats)
        assert answers == {
            a.nodes.id: Stats(10, 10),
            b.nodes.id: Stats(20, 10),
            c.nodes.id: Stats(30, 10),
        }
        assert answers.errors == {}
        others = await a.nodes.request("stats", reply=Stats, own=False)
        assert others == {b.nodes.id: Stats(2), c.nodes.id: Stats(3)}
        one = await a.nodes.request("stats", 2, reply=Stats, node=b.nodes.id)
        assert one == Stats(4, 2)
        assert await a.nodes.request("stats", 2, reply=Stats, node=a.nodes.id) == Stats(2, 2)


async def test_one_node_alone_answers_itself() -> None:
    async with parts(None, 1) as (a,):
        assert a.nodes.id == ""
        assert a.nodes.alive == [""]
        assert await a.nodes.request("stats", 3, reply=Stats) == {"": Stats(3, 3)}
        assert await a.app.get(Nodes).request("stats", 3, reply=dict[str, int], own=False) == {}


async def test_errors_travel(join: Join) -> None:
    async with parts(join) as (a, b):
        answers = await a.nodes.request("fails", "known", reply=None)
        assert not answers
        for name in a.nodes.alive:
            error = answers.errors[name]
            assert (error.code, error.message, error.details) == ("full", "no room", {"left": 0})
        expected = {"caught": "lost", "else": "internal"}
        for how, code in expected.items():
            with pytest.raises(EventError, match=code):
                await a.nodes.request("fails", how, reply=None, node=b.nodes.id)
        for data, code in ((7, "invalid"), (None, "invalid")):
            with pytest.raises(EventError, match=code):
                await a.nodes.request("fails", data, reply=None, node=b.nodes.id)
        with pytest.raises(EventError, match="unknown_event"):
            await a.nodes.request("what", reply=None, node=b.nodes.id)
        with pytest.raises(EventError, match="interrupted"):
            await a.nodes.request("stats", reply=Stats, node="gone")
        wrong = await a.nodes.request("stats", 1, reply=str)
        assert {error.code for error in wrong.errors.values()} == {"invalid"}


async def test_who_is_late_is_named(hub: Hub) -> None:
    async with parts(hub.node, 3) as (a, b, c):
        b.gate.clear()
        with pytest.raises(RequestTimeout) as late:
            await a.nodes.request("stats", 1, reply=Stats, timeout=0.05)
        assert late.value.missing == [b.nodes.id]
        assert set(late.value.answers) == {a.nodes.id, c.nodes.id}
        a.gate.clear()
        with pytest.raises(RequestTimeout) as late:
            await a.nodes.request("stats", 1, reply=Stats, timeout=0.05, node=a.nodes.id)
        assert late.value.missing == [a.nodes.id]


async def test_who_dies_is_not_waited_for(hub: Hub) -> None:
    async with parts(hub.node) as (a, b):
        b.gate.clear()
        asking = asyncio.create_task(a.nodes.request("stats", 1, reply=Stats))
        name = b.nodes.id
        await asyncio.sleep(0)
        hub.kill(hub.nodes[name])
        answers = await asking
        assert list(answers) == [a.nodes.id]
        assert answers.errors[name].code == "interrupted"
        b.gate.set()


async def test_before_the_start_there_is_nobody_to_ask() -> None:
    part = Part(1)
    with pytest.raises(NotStartedError):
        await part.nodes.request("stats", reply=Stats)
    with pytest.raises(NotStartedError):
        _ = part.nodes.alive


def test_a_request_is_answered_once() -> None:
    @gateway("/a")
    class A:
        @on_request("stats")
        async def stats(self) -> int:
            return 1

    @gateway("/b")
    class B:
        @on_request("stats")
        async def stats(self) -> int:
            return 2

    with pytest.raises(StartupError, match=r"a second one for 'stats' besides A\.stats"):
        Gatewright([A, B])


def test_a_request_has_no_connection() -> None:
    from gatewright import Connection

    @gateway("/a")
    class A:
        @on_request("stats")
        async def stats(self, connection: Connection) -> int:
            return 1

    with pytest.raises(StartupError, match=r"A\.stats"):
        Gatewright([A])


def test_its_name_stands_in_brackets() -> None:
    with pytest.raises(StartupError, match="a request's name in brackets"):

        @on_request  # type: ignore[arg-type]
        async def stats(self: Any) -> int:
            return 1
