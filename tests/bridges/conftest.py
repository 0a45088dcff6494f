"""What these tests share."""

from collections.abc import Iterator

import pytest

from tests._support.redises import RedisServer, redis_server


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """A Redis for all of them; nobody stops it."""
    with redis_server() as server:
        yield server


@pytest.fixture
def frail_redis() -> Iterator[RedisServer]:
    """One that a test may stop."""
    with redis_server() as server:
        yield server
