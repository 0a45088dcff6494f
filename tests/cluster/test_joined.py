"""The backplane of these tests keeps the contract, and makes the troubles it says."""

import pytest

from gatewright.backplane.base import Batch, Break, Marker
from gatewright.errors import BackplaneError
from tests.backplane.lanes import Client, Lane, encoded, key
from tests.cluster.joined import Hub, Joined

pytestmark = pytest.mark.anyio


class Side:
    """A node without an application."""

    def __init__(self, backplane: Joined) -> None:
        self.backplane = backplane
        self.lane = Lane()
        self.mail: list[tuple[str, bytes]] = []
        self.peers: list[tuple[str, bool]] = []

    async def start(self, *namespaces: str) -> "Side":
        await self.backplane.start(
            self.lane,
            mail=lambda *letter: self.mail.append(letter),
            peers=lambda *news: self.peers.append(news),
        )
        for namespace in namespaces:
            await self.backplane.follow(namespace)
        return self


async def sides(hub: Hub, count: int = 2) -> list[Side]:
    return [await Side(hub.node(letter)).start("/a") for letter in "abc"[:count]]


async def test_every_node_that_follows_hears_the_lane() -> None:
    a, b, c = await sides(Hub(), 3)
    await c.backplane.unfollow("/a")
    await a.backplane.publish("/a", [encoded("one")])
    await b.backplane.mark("/a", "join", "~1", ["r"])
    assert a.lane.heard("/a") == b.lane.heard("/a") == [(1, "one")]
    assert isinstance(a.lane.passed[1], Marker)
    assert c.lane.passed == []
    first, second = a.lane.passed[0], b.lane.passed[0]
    assert isinstance(first, Batch)
    assert isinstance(second, Batch)
    assert first.entries[0].outgoing is not second.entries[0].outgoing


async def test_a_lane_lags_and_what_is_asked_waits_for_it() -> None:
    a, b = await sides(Hub())
    b.backplane.lane.lag = 3
    await a.backplane.publish("/a", [encoded("one")])
    assert b.lane.passed == []
    await b.backplane.open("/a", "~1", key("~1"), None)
    assert b.lane.heard("/a") == [(1, "one")]
    b.backplane.lane.hold()
    for text in ("two", "three"):
        await a.backplane.publish("/a", [encoded(text)])
    b.backplane.lane.let(1)
    assert b.lane.heard("/a") == [(1, "one"), (2, "two")]
    b.backplane.lane.let()
    assert len(await b.lane.first(3)) == 3


async def test_mail_goes_to_one_to_all_or_to_who_follows() -> None:
    a, b, c = await sides(Hub(), 3)
    await c.backplane.unfollow("/a")
    await a.backplane.send(b"all")
    await a.backplane.send(b"c", c.backplane.node)
    await a.backplane.send(b"nobody", "gone")
    await a.backplane.cast("/a", b"followers")
    for side in (a, b, c):
        await side.backplane.mail.arrived()
    name = a.backplane.node
    assert a.mail == []
    assert b.mail == [(name, b"all"), (name, b"followers")]
    assert c.mail == [(name, b"all"), (name, b"c")]


async def test_nodes_come_and_go() -> None:
    hub = Hub()
    a, b = await sides(hub)
    names = a.backplane.node, b.backplane.node
    assert a.peers == [(names[1], True)]
    assert b.peers == [(names[0], True)]
    hub.kill(b.backplane, noticed=False)
    assert list(a.backplane.nodes) == [names[1]]
    hub.notice(b.backplane)
    assert list(a.backplane.nodes) == []
    assert a.peers[1:] == [(names[1], False)]
    with pytest.raises(BackplaneError):
        await b.backplane.publish("/a", [encoded("one")])
    assert hub.nodes.keys() == {names[0]}


async def test_a_node_that_was_cut_off_hears_what_it_missed_or_that_it_has() -> None:
    hub = Hub()
    a, b = await sides(hub)
    hub.part(b.backplane)
    await a.backplane.publish("/a", [encoded("one")])
    hub.heal(b.backplane)
    assert b.lane.heard("/a") == [(1, "one")]
    hub.part(b.backplane, noticed=True)
    assert (a.peers[-1], b.peers[-1]) == ((b.backplane.node, False), (a.backplane.node, False))
    await a.backplane.publish("/a", [encoded("two")])
    hub.heal(b.backplane, lost=True)
    assert b.lane.passed[-1] == Break("/a")
    assert (a.peers[-1], b.peers[-1]) == ((b.backplane.node, True), (a.backplane.node, True))


async def test_a_session_is_who_had_it_last_and_its_grace_begins_with_the_nodes_death() -> None:
    now = [0.0]
    hub = Hub(clock=lambda: now[0])
    a, b = await sides(hub)
    client = await Client.open(a.backplane)
    client.backplane = b.backplane
    assert (await client.record()).node == a.backplane.node
    now[0] = 1000
    assert await b.backplane.expired() == []
    hub.kill(a.backplane)
    resumption = await client.resume()
    assert resumption.record.node == b.backplane.node
    assert await b.backplane.release("/a", client.id, resumption.record.generation)
    now[0] = 2000
    assert [record.id for record in await b.backplane.expired()] == [client.id]
    assert hub.owners == {}
