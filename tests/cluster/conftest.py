"""Every backplane that nodes can share: whoever adds one adds it here, and these tests run over it.

Tests that make trouble between nodes take `hub` instead.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from gatewright.backplane import Backplane
from tests.backplane.hub import Hub as EngineHub
from tests.backplane.hub import Hubbed
from tests.cluster.joined import Hub

Join = Callable[[], Backplane]
"""Makes the backplane of one more node."""


@asynccontextmanager
async def joined() -> AsyncGenerator[Join]:
    yield Hub().node


@asynccontextmanager
async def hubbed() -> AsyncGenerator[Join]:
    engine = EngineHub()
    yield lambda: Hubbed(engine)


FACTORIES: dict[str, Callable[[], AbstractAsyncContextManager[Join]]] = {
    "joined": joined,
    "hubbed": hubbed,
}


@pytest.fixture(params=FACTORIES)
async def join(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[Join]:
    async with FACTORIES[request.param]() as join:
        yield join


@pytest.fixture
def hub() -> Hub:
    return Hub()
