"""Streams of namespaces that nobody uses any more."""

from datetime import timedelta

import pytest

from gatewright.backplane.nats.jetstream import JetStream
from gatewright.backplane.nats.log import NatsLog
from gatewright.backplane.nats.sweeping import IDLE, sweep
from tests.backplane.logs.engines import node
from tests.backplane.logs.nats import NatsEngine

pytestmark = pytest.mark.anyio


async def test_what_is_empty_old_and_not_heard_is_taken_away(
    engine: NatsEngine, js: JetStream
) -> None:
    layout = engine.layout
    async with node(engine) as ana, node(engine) as ben:
        assert isinstance(ana.log, NatsLog)
        await ben.log.subscribe("/heard")
        await ana.append(b"kept", namespace="/full")
        old = await ana.log.head("/idle")
        connection = await ana.log._reach()
        assert await sweep(connection, js, layout, IDLE) == 0, "none of it is old"
        assert await sweep(connection, js, layout, timedelta(seconds=-5)) == 1
        left = {info.config.name for info in await js.streams(layout.lanes)}
        assert {layout.lane("/heard"), layout.lane("/full")} <= left
        assert layout.lane("/idle") not in left
        assert not ben.ears.casts, "who was asked whether it is in use tells nobody"
        # It begins anew for whoever comes.
        new = await ana.log.head("/idle")
        assert new.epoch != old.epoch
        await ben.append(b"x", namespace="/heard")
        await ben.ears.first(1, "/heard")
        assert not ben.ears.breaks


async def test_those_of_another_prefix_stay(engine: NatsEngine, js: JetStream) -> None:
    other = NatsEngine(engine.url)
    async with node(engine) as ana, node(other) as ben:
        assert isinstance(ana.log, NatsLog)
        await ben.log.head("/idle")
        await sweep(await ana.log._reach(), js, engine.layout, timedelta(seconds=-5))
        assert await js.info(other.layout.lane("/idle")) is not None
