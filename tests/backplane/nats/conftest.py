"""Engines over servers of NATS, their own or shared."""

from collections.abc import AsyncGenerator

import pytest

from gatewright.backplane.nats.jetstream import JetStream
from tests._support.natses import shared_server
from tests.backplane.logs.nats import NatsEngine, jetstream


@pytest.fixture
def engine() -> NatsEngine:
    """Names of its own on the server that tests share."""
    return NatsEngine(shared_server())


@pytest.fixture
async def js(engine: NatsEngine, anyio_backend: str) -> AsyncGenerator[JetStream]:
    """What somebody else does to the streams."""
    async with jetstream(engine.url) as js:
        yield js
