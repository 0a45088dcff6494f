"""What these tests share."""

from collections.abc import Iterator

import pytest

from tests.interop.doors import OURS, Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server for all of them; nobody ends it."""
    with Server() as running:
        yield running


@pytest.fixture(scope="session")
def fast_server() -> Iterator[Server]:
    """The same with our own way to read and write WebSockets."""
    with Server(ws=OURS) as running:
        yield running


@pytest.fixture
def frail_server() -> Iterator[Server]:
    """A server that a test may kill."""
    with Server() as running:
        yield running
