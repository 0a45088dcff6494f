"""Who lives, as each node sees it."""

import pytest

from gatewright.backplane.shared import peers
from tests._support.conditions import eventually
from tests.backplane.hub import Hub
from tests.backplane.shared.conftest import Begin

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def slow(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody speaks without being asked, and nobody dies of silence."""
    monkeypatch.setattr(peers, "SAY_EVERY", 60.0)
    monkeypatch.setattr(peers, "DEAD_AFTER", 60.0)


async def test_the_first_answer_tells_a_node_that_comes_who_else_lives(
    begin: Begin, hub: Hub
) -> None:
    ana, ben = await begin(), await begin()
    await eventually(lambda: {*ana.nodes} == {ben.node} and {*ben.nodes} == {ana.node})
    hub.logs[ben.node].down = True  # busy: it will answer, but not now
    cam = await begin()
    await eventually(lambda: cam.nodes)
    assert {*cam.nodes} == {ana.node, ben.node}
    assert sorted(cam.peers) == sorted([(ana.node, True), (ben.node, True)])


async def test_who_has_been_silent_for_long_is_not_young_again_for_others(
    begin: Begin, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, ben = await begin(), await begin()
    await eventually(lambda: ana.nodes and ben.nodes)
    hub.logs[ben.node].down = True
    running = ana._running
    running.peers._heard[ben.node] -= 59.9
    cam = await begin()
    await eventually(lambda: (ben.node, True) in cam.peers)
    # From now on it is a tenth of a second, not a minute; the next look finds it.
    await eventually(lambda: (ben.node, False) in cam.peers)
    assert {*cam.nodes} == {ana.node}


async def test_a_node_that_says_goodbye_is_not_known_to_who_comes_later(begin: Begin) -> None:
    ana, ben = await begin(), await begin()
    await eventually(lambda: ana.nodes)
    await ben.stop()
    await eventually(lambda: not ana.nodes)
    cam = await begin()
    await eventually(lambda: cam.nodes)
    assert {*cam.nodes} == {ana.node}
