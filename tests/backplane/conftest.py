"""Every backplane there is: whoever adds one adds it here, and the whole contract runs over it."""

import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from secrets import token_hex

import pytest

from gatewright.backplane import Backplane, Memory, SQLite
from gatewright.backplane.nats import Nats
from gatewright.backplane.redis import Redis
from tests._support import natses
from tests._support.redises import shared_cluster, shared_server
from tests.backplane.hub import Hub, Hubbed

Elapse = Callable[[float], Awaitable[None]]
"""Let seconds pass for a backplane; one whose clock cannot be moved sleeps."""

Made = tuple[Backplane, Elapse]
Factory = Callable[[], AbstractAsyncContextManager[Made]]


@asynccontextmanager
async def memory() -> AsyncGenerator[Made]:
    now = [1000.0]

    async def elapse(seconds: float) -> None:
        now[0] += seconds

    yield Memory(clock=lambda: now[0]), elapse


@asynccontextmanager
async def sqlite() -> AsyncGenerator[Made]:
    now = [1000.0]

    async def elapse(seconds: float) -> None:
        now[0] += seconds

    with tempfile.TemporaryDirectory() as folder:
        yield SQLite(Path(folder) / "kept.db", clock=lambda: now[0]), elapse


@asynccontextmanager
async def hub() -> AsyncGenerator[Made]:
    now = [1000.0]

    async def elapse(seconds: float) -> None:
        now[0] += seconds

    yield Hubbed(Hub(), clock=lambda: now[0]), elapse


@asynccontextmanager
async def redis() -> AsyncGenerator[Made]:
    now, elapse = _clock()
    yield Redis(shared_server().url, prefix=token_hex(4), clock=now), elapse


@asynccontextmanager
async def redis_cluster() -> AsyncGenerator[Made]:
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in shared_cluster())
    now, elapse = _clock()
    yield Redis(f"redis+cluster://{hosts}", prefix=token_hex(4), clock=now), elapse


@asynccontextmanager
async def nats() -> AsyncGenerator[Made]:
    now, elapse = _clock()
    yield Nats(natses.shared_server(), prefix=token_hex(4), clock=now), elapse


def _clock() -> tuple[Callable[[], float], Elapse]:
    """One of a backplane that has names which no other test has, on a server that all use."""
    now = [time.time()]

    async def elapse(seconds: float) -> None:
        now[0] += seconds

    return lambda: now[0], elapse


FACTORIES: dict[str, Factory] = {
    "memory": memory,
    "sqlite": sqlite,
    "hub": hub,
    "redis": redis,
    "redis-cluster": redis_cluster,
    "nats": nats,
}
DURABLE = ["sqlite", "hub", "redis", "redis-cluster", "nats"]
"""Those whose sessions outlive a stop, of which more is asked."""


@pytest.fixture(params=FACTORIES)
async def made(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[Made]:
    async with FACTORIES[request.param]() as made:
        yield made


@pytest.fixture
def backplane(made: Made) -> Backplane:
    """One that has not started."""
    return made[0]


@pytest.fixture
def elapse(made: Made) -> Elapse:
    return made[1]


@pytest.fixture(params=["sqlite"])
async def alone(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[Made]:
    """One whose sessions are this process's alone: it may judge them by other settings later."""
    async with FACTORIES[request.param]() as made:
        yield made


@pytest.fixture(params=DURABLE)
async def lasting(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[Made]:
    async with FACTORIES[request.param]() as made:
        yield made
