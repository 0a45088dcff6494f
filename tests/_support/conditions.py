"""Waiting for what nothing announces but itself."""

import asyncio
from collections.abc import Callable

__all__ = ["eventually"]


async def eventually(condition: Callable[[], object], timeout: float = 10.0) -> None:
    """Return when it holds; `AssertionError` if it still does not after so many seconds."""
    loop = asyncio.get_running_loop()
    limit = loop.time() + timeout
    while not condition():
        assert loop.time() < limit, f"after {timeout} s this does not hold yet: {condition}"
        await asyncio.sleep(0.005)
