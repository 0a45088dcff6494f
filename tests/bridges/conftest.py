"""What these tests share."""

from collections.abc import Iterator

import pytest

from tests.bridges.redis_server import RedisServer, running


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """A Redis for all of them; nobody stops it."""
    with running() as server:
        yield server


@pytest.fixture
def frail_redis() -> Iterator[RedisServer]:
    """One that a test may stop."""
    with running() as server:
        yield server
