"""Every engine there is: whoever adds one adds it here, and all tests of the folder run over it."""

from collections.abc import AsyncGenerator

import pytest

from tests.backplane.logs.engines import Engine, Factory
from tests.backplane.logs.nats import nats, nats_alone
from tests.backplane.logs.redises import redis_alone, redis_clustered, redis_shared

FACTORIES: dict[str, Factory] = {
    "redis": redis_shared,
    "redis-cluster": redis_clustered,
    "nats": nats,
}
"""Fast ones: on servers that tests share, with names that no other test has."""

ALONE: dict[str, Factory] = {"redis": redis_alone, "nats": nats_alone}
"""With servers of their own, which a test may freeze and kill."""


@pytest.fixture(params=FACTORIES)
async def engine(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[Engine]:
    async with FACTORIES[request.param]() as engine:
        yield engine


@pytest.fixture(params=ALONE)
async def alone(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[Engine]:
    async with ALONE[request.param]() as engine:
        yield engine
