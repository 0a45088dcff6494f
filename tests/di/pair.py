"""Two resources of an event that log what happens to them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
from injector import Module

from gatewright.di import Container, event_scoped, resource

Step = Callable[[], Awaitable[object]]


class Outer:
    pass


class Inner:
    pass


async def nothing() -> None:
    pass


class Pair(Module):
    """Two resources of an event; what each does before and after its yield is told to it."""

    def __init__(
        self, *, opening: Step = nothing, closing: Step = nothing, last: Step = nothing
    ) -> None:
        self.log: list[str] = []
        self.opening = opening
        self.closing = closing
        self.last = last

    @event_scoped
    @resource
    async def outer(self) -> AsyncIterator[Outer]:
        self.log.append("outer+")
        try:
            yield Outer()
        finally:
            await self.last()
            self.log.append("outer-")

    @event_scoped
    @resource
    async def inner(self, outer: Outer) -> AsyncIterator[Inner]:
        self.log.append("inner?")
        await self.opening()
        self.log.append("inner+")
        try:
            yield Inner()
        finally:
            self.log.append("inner…")
            await self.closing()
            self.log.append("inner-")


async def handle(module: Pair, body: Step = nothing) -> None:
    async with Container([module]).connection().event() as event:
        await event.aget(Inner)
        module.log.append("body")
        await body()


async def blocked(task: asyncio.Task[None]) -> None:
    await anyio.wait_all_tasks_blocked()
    assert not task.done()


OPENED = ["outer+", "inner?", "inner+", "body"]


CLOSED = ["inner…", "inner-", "outer-"]
