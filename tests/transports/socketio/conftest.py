"""Fixtures of these tests."""

from collections.abc import AsyncGenerator

import pytest

from tests.transports.socketio.app import Running, running
from tests.transports.socketio.clients import TRANSPORTS, Client, Transport


@pytest.fixture(params=TRANSPORTS, ids=[each.name for each in TRANSPORTS])
def transport(request: pytest.FixtureRequest) -> Transport:
    found: Transport = request.param
    return found


@pytest.fixture(scope="module")
async def _served() -> AsyncGenerator[Running]:
    async with running() as started:
        yield started


@pytest.fixture
async def app(_served: Running) -> AsyncGenerator[Running]:
    """The application as it is by default, with nobody in it; one server for a file's tests."""
    _served.story.clear()
    yield _served
    await _served.clear()


@pytest.fixture
async def client(app: Running, transport: Transport) -> AsyncGenerator[Client]:
    """A session of that application, over one transport and the other."""
    async with transport.opened(app.url) as opened:
        yield opened
