"""Several nodes over one hub, with the patience of a test."""

from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from gatewright.backplane.base import DEFAULT_BOUNDS, Bounds
from gatewright.backplane.shared import following, peers, publishing, records, running
from tests.backplane.hub import Hub, Hubbed
from tests.backplane.lanes import FOLLOWED, Lane


class Node(Hubbed):
    """A backplane that has started, and what has passed by it."""

    def __init__(self, hub: Hub, clock: Callable[[], float]) -> None:
        super().__init__(hub, clock=clock)
        self.lane = Lane()
        self.mail: list[tuple[str, bytes]] = []
        self.peers: list[tuple[str, bool]] = []

    async def begin(self, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        await self.start(
            self.lane,
            bounds,
            mail=lambda sender, message: self.mail.append((sender, message)),
            peers=lambda node, alive: self.peers.append((node, alive)),
        )
        for namespace in FOLLOWED:
            await self.follow(namespace)


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PATIENCE", 0.2)
    monkeypatch.setattr(following, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(publishing, "PATIENCE", 0.2)
    monkeypatch.setattr(publishing, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(records, "PATIENCE", 0.2)
    monkeypatch.setattr(records, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(running, "COMPARE_EVERY", 0.05)
    monkeypatch.setattr(peers, "SAY_EVERY", 0.05)
    monkeypatch.setattr(peers, "DEAD_AFTER", 0.4)
    monkeypatch.setattr(peers, "LOOK_EVERY", 0.05)


Begin = Callable[..., Awaitable[Node]]


@pytest.fixture
async def begin(hub: Hub, time: Time, anyio_backend: str) -> AsyncGenerator[Begin]:
    """Start another node."""
    nodes: list[Node] = []

    async def begin(bounds: Bounds = DEFAULT_BOUNDS) -> Node:
        node = Node(hub, time)
        nodes.append(node)
        await node.begin(bounds)
        return node

    yield begin
    for node in nodes:
        await node.stop()
