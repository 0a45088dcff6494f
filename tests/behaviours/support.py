"""What these tests share: an application around gateways, a greeting, and events to wait for."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gatewright import Event, EventError, Gatewright
from gatewright.testing import TestClient, TestConnection

__all__ = ["Welcome", "ends", "running", "until"]


class Welcome(Event, event="welcome"):
    text: str


def running(*gateways: type, overrides: Sequence[Any] = (), **options: Any) -> TestClient:
    """A test client of an application of these gateways; `options` are `Gatewright`'s."""
    return TestClient(Gatewright(gateways=list(gateways), **options), overrides=overrides)


async def ends(connection: TestConnection, event: str, *data: Any) -> EventError:
    """Call an event that must end with an error, and return the error."""
    with pytest.raises(EventError) as caught:
        await connection.call(event, *data)
    return caught.value


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, letting everything else run meanwhile."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)
