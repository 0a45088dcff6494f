"""Every backplane there is: whoever adds one adds it here, and the whole contract runs over it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from gatewright.backplane import Backplane, Memory

Factory = Callable[[], AbstractAsyncContextManager[Backplane]]


@asynccontextmanager
async def memory() -> AsyncGenerator[Backplane]:
    yield Memory()


FACTORIES: dict[str, Factory] = {"memory": memory}


@pytest.fixture(params=FACTORIES)
async def backplane(
    request: pytest.FixtureRequest, anyio_backend: str
) -> AsyncGenerator[Backplane]:
    """One that has not started."""
    async with FACTORIES[request.param]() as made:
        yield made
