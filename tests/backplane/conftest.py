"""Every backplane there is: whoever adds one adds it here, and the whole contract runs over it."""

import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from gatewright.backplane import Backplane, Memory, SQLite
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


FACTORIES: dict[str, Factory] = {"memory": memory, "sqlite": sqlite, "hub": hub}
DURABLE = ["sqlite", "hub"]
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
