"""Streams: one that ends, one that a caller cancels, one that fails on its way."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated

from msgspec import Meta, Struct

from gatewright import EventError, Gatewright, gateway, on


class Progress(Struct):
    done: int
    of: int


class Closings:
    """Which streams have been closed; a test waits for them."""

    def __init__(self) -> None:
        self.streams: list[str] = []
        self.changed = asyncio.Event()

    def add(self, name: str) -> None:
        self.streams.append(name)
        self.changed.set()


closings = Closings()


@gateway("/count")
class CountGateway:
    @on("count")
    async def count(self, to: Annotated[int, Meta(ge=0)]) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    @on("forever")
    async def forever(self, step: int = 1) -> AsyncGenerator[int, None]:
        number = 0
        try:
            while True:
                yield number
                number += step
                await asyncio.sleep(0)
        finally:
            closings.add("forever")

    @on("analyse")
    async def analyse(self, steps: int, fails_at: int | None = None) -> AsyncIterator[Progress]:
        for step in range(steps):
            if step == fails_at:
                raise EventError("broken", f"step {step} failed")
            yield Progress(step + 1, steps)


app = Gatewright(gateways=[CountGateway])
