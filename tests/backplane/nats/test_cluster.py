"""A cluster of three servers, of which one may fail."""

import asyncio
from collections.abc import Generator, Sequence
from functools import partial

import pytest

from gatewright.backplane.shared.log import Head
from tests._support.natses import NatsServer, cluster
from tests.backplane.logs.engines import Node, key, node
from tests.backplane.logs.nats import NatsEngine, jetstream
from tests.backplane.logs.test_failures import insist
from tests.backplane.nats.test_getting_in import refused

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def servers() -> Generator[Sequence[NatsServer]]:
    with cluster() as running:
        yield running


def engine_of(servers: Sequence[NatsServer], replicas: int = 3) -> NatsEngine:
    return NatsEngine(",".join(each.url for each in servers), replicas=replicas)


async def ready(servers: Sequence[NatsServer]) -> None:
    """Wait until the servers have found a leader."""
    async with asyncio.timeout(30):
        for each in servers:
            async with jetstream(each.url) as js:
                await insist(js.account)
                await insist(partial(js.info, "none"))


async def leader(servers: Sequence[NatsServer], stream: str) -> NatsServer:
    async with jetstream(servers[0].url) as js:
        info = await insist(partial(js.info, stream))
    assert info is not None
    assert info.cluster is not None
    return servers[int(str(info.cluster["leader"]).removeprefix("s"))]


async def test_a_cluster_wants_copies(servers: Sequence[NatsServer]) -> None:
    await ready(servers)
    await refused(
        engine_of(servers, replicas=1), "replicas of 3, or 5, in a cluster, got replicas=1"
    )


async def test_nothing_is_lost_with_one_server(servers: Sequence[NatsServer]) -> None:
    await ready(servers)
    engine = engine_of(servers)
    async with node(engine) as ana, node(engine) as ben:
        before = await ben.log.subscribe("/a")
        await ana.create("~1", key("one"))
        await ana.append(b"joined", 0, member="~1")
        lost = await leader(servers, engine.layout.lane("/a"))

        async def append(each: Node, number: int) -> Head:
            return await insist(
                lambda: each.log.append("/a", f"{each.name} {number}".encode(), 1, number)
            )

        appending = asyncio.gather(
            *(append(each, number) for each in (ana, ben) for number in range(100, 150))
        )
        lost.kill()
        heads = await appending
        try:
            assert {each.epoch for each in heads} == {before.epoch}
            messages = await insist(partial(ana.read, before.n))
            numbers = {each.n: each.body for each in messages}
            assert len(messages) == len({*numbers.values()}) == 101
            assert {each.n for each in heads} < numbers.keys()
            stored = await insist(lambda: ben.log.load("/a", "~1"))
            assert stored is not None
            assert [each.body for each in stored.marks] == [b"joined"]
            head = await insist(lambda: ben.log.subscribe("/a"))
            assert (head.epoch, head.n) == (before.epoch, max(each.n for each in heads))
        finally:
            lost.start()
