"""Streams wait for their socket, whatever the size of their items."""

from collections.abc import AsyncIterator

import pytest

from gatewright import Settings, gateway, on
from gatewright.testing import Unexpected
from tests.behaviours.support import running

pytestmark = pytest.mark.anyio


@gateway("/stream")
class Streams:
    @on("items")
    async def items(self, *, sizes: list[int]) -> AsyncIterator[str]:
        for size in sizes:
            yield "x" * size


async def test_items_larger_than_half_of_the_outbox_wait_for_more_than_half() -> None:
    settings = Settings(outbox=1000)
    async with running(Streams, settings=settings) as client, client.connect("/stream") as ana:
        sizes = [400, 700, 10, 900, 900, 400]
        got = [len(item) async for item in ana.stream("items", sizes, item=str)]
        assert got == sizes


async def test_an_item_larger_than_the_outbox_closes_the_connection() -> None:
    settings = Settings(outbox=1000)
    async with running(Streams, settings=settings) as client, client.connect("/stream") as ana:
        with pytest.raises(Unexpected, match="4002"):
            _ = [item async for item in ana.stream("items", [1000], item=str)]
        code, reason = await ana.wait_closed()
        assert code == 4002
        assert "an outbox holds 1000" in reason
