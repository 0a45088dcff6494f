"""What every test shares: the backend, the hypothesis profiles, the search for leaked tasks."""

import os
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, settings
from playwright.async_api import Browser

from tests._support.browser import chromium
from tests._support.leaks import no_task_left
from tests._support.needs import CI

pytest_plugins = ["tests._support.workers"]

# No deadline: on a busy two-core machine it measures the machine, not the code.
settings.register_profile("dev", deadline=None, max_examples=50)
settings.register_profile(
    "ci",
    deadline=None,
    max_examples=200,
    derandomize=True,  # a red CI must be about the change, not about the day's luck
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if CI else "dev"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asyncio only, as the framework itself (docs/decisions.md)."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _every_test_ends_its_tasks(request: pytest.FixtureRequest) -> None:
    # Asked for by name, so that tests without a loop do not get one; first of all fixtures, so
    # that it looks after all others have been torn down.
    if "anyio_backend" in request.fixturenames:
        request.getfixturevalue("_leaked_tasks")


@pytest.fixture
async def _leaked_tasks() -> AsyncIterator[None]:
    async with no_task_left():
        yield


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A headless Chromium of the system (tests/_support/browser.py)."""
    async with chromium() as running:
        yield running
