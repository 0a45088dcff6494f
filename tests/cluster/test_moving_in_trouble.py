"""Sessions that return elsewhere because their node is gone, or seems to be, or does not answer."""

import asyncio

import pytest

from gatewright import Settings, absences
from gatewright.moves import asking
from tests.cluster.joined import Hub
from tests.cluster.nodes import bye, cluster, empty, name_of, net
from tests.sessions.chat import House, until
from tests.sessions.client import Client, Resume

pytestmark = pytest.mark.anyio


async def left(house: House, *calls: tuple[str, object]) -> Resume:
    """A session of a node, whose client has begun these calls and gone."""
    async with Client.opened(house.url) as ana:
        for event, data in calls:
            await ana.start(event, data)
        await until(lambda: len(house.witness.done) == len(calls))
        ticket = ana.ticket
        ana.cut()
    return ticket


async def test_after_a_kill_nobody_knows_what_was_executed(hub: Hub) -> None:
    async with cluster(hub.node) as (a, b):
        ticket = await left(a, ("work", 1), ("again", 2))
        hub.kill(net(a))
        async with Client.opened(b.url, resume=ticket) as back:
            assert (back.hello["resumed"], back.hello["last"]) == (True, None)
            assert await back.fails("work", 1, id=1) == "reply_lost"
            assert await back.call("again", 2, id=2) == 2
            assert await back.call("work", 3) == 3
            assert b.witness.done == [2, 3]


async def test_a_node_that_is_dead_before_it_is_known_delays_one_return(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "SIGN", 0.3)
    async with cluster(hub.node) as (a, b):
        tickets = [await left(a) for _ in range(3)]
        hub.kill(net(a), noticed=False)
        asked = len(net(b).sent)
        for ticket in tickets:
            async with Client.opened(b.url, resume=ticket) as back:
                assert back.hello["resumed"]
                await bye(back)
        assert len([to for to, _ in net(b).sent[asked:] if to == name_of(a)]) <= 5
        await b.empty()


async def test_calls_that_ran_are_lost_with_their_node(hub: Hub) -> None:
    async with cluster(hub.node) as (a, b):
        ticket = await left(a, ("slow", "say"))
        async with Client.opened(b.url, resume=ticket) as back:
            await back.start("slow", "say", id=1)
            await back.op("ack")
            hub.kill(net(a))
            # At once: it has been asked for already.
            assert (await back.end(1))["error"]["code"] == "reply_lost"
            assert await back.call("work", "next") == "next"
            await bye(back)
        await b.empty()
        a.witness.gate.set()


async def test_those_that_may_be_executed_again_are(hub: Hub) -> None:
    async with cluster(hub.node, concurrency=2) as (a, b):
        ticket = await left(a, ("slow", "say"), ("patient", "again"))
        async with Client.opened(b.url, resume=ticket) as back:
            for id, event in ((1, "slow"), (2, "patient")):
                await back.start(event, "again", id=id)
                await back.op("ack")
            hub.kill(net(a))
            b.witness.gate.set()
            ends = [await back.receive() for _ in range(2)]
            by_id = {end["id"]: end for end in ends}
            assert by_id[1]["error"]["code"] == "reply_lost"
            assert by_id[2]["data"] == "again"
            assert b.witness.done == ["again"]
            await bye(back)
        a.witness.gate.set()


async def test_those_that_were_not_asked_for_again_are_lost_when_they_are(hub: Hub) -> None:
    async with cluster(hub.node) as (a, b):
        ticket = await left(a, ("slow", "say"))
        async with Client.opened(b.url, resume=ticket) as back:
            assert back.hello["last"] == 1
            hub.kill(net(a))
            assert await back.fails("slow", "say", id=1) == "reply_lost"
            assert b.witness.done == []
            back.cut()
        a.witness.gate.set()


async def test_calls_are_lost_with_the_node_that_they_were_followed_through(hub: Hub) -> None:
    async with cluster(hub.node, 3, settings=Settings(finish_timeout=0.1)) as (a, b, c):
        ticket = await left(a, ("slow", "say"))
        async with Client.opened(b.url, resume=ticket) as back:
            ticket = back.ticket
            back.cut()
        async with Client.opened(c.url, resume=ticket) as last:
            assert last.hello["last"] == 1
            await last.start("slow", "say", id=1)
            await last.op("ack")
            hub.kill(net(a))
            # B knows it, and C from B.
            assert (await last.end(1))["error"]["code"] == "reply_lost"
            await bye(last)
        await empty(c)
        a.witness.gate.set()


async def test_a_node_that_does_not_answer_is_passed_over_and_lets_go_by_the_lane(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "SIGN", 0.1)
    async with cluster(hub.node) as (a, b), Client.opened(a.url) as ana:
        await ana.call("work", "one")
        await ana.start("slow", "join attic")
        await until(lambda: len(a.witness.done) == 2)
        net(a).mail.hold()
        async with Client.opened(b.url, resume=ana.ticket) as back:
            assert (back.hello["resumed"], back.hello["last"]) == (True, None)
            assert (await ana.closed())[0] == 4009
            await until(lambda: len(a.app) == 0)
            assert not a.witness.connections[0].ended
            assert await back.fails("work", "one", id=1) == "reply_lost"
            net(a).mail.drop()
            net(a).mail.let()
            a.witness.gate.set()
            await until(lambda: a.witness.ended)
            assert await back.call("rooms", id=9) == ["attic", "lobby"]
            await bye(back)
        await empty(a, b)
        assert (a.witness.seen.count("end"), b.witness.seen.count("end")) == (0, 1)


async def test_a_node_that_is_slow_to_answer_is_not_waited_for_long(hub: Hub) -> None:
    settings = Settings(open_timeout=0.6, finish_timeout=30)
    async with cluster(hub.node, settings=settings) as (a, b), Client.opened(a.url) as ana:
        a.witness.disconnect_gate.clear()
        async with Client.opened(b.url, resume=ana.ticket) as back:
            assert (back.hello["resumed"], back.hello["last"]) == (True, None)
            a.witness.disconnect_gate.set()
            assert (await ana.closed())[0] == 4009
            assert await back.call("work", 1, id=5) == 1
            await bye(back)
        await empty(a, b)


async def test_a_node_that_was_taken_for_dead_lets_go_when_it_hears_again(hub: Hub) -> None:
    async with cluster(hub.node) as (a, b), Client.opened(a.url) as ana:
        await ana.call("work", "one")
        hub.part(net(a), noticed=True)
        async with Client.opened(b.url, resume=ana.ticket) as back:
            assert (back.hello["resumed"], back.hello["last"]) == (True, None)
            assert await back.call("work", "two", id=9) == "two"
            assert len(a.app) == 1
            hub.heal(net(a))
            assert (await ana.closed())[0] == 4009
            assert await back.call("rooms", id=10) == ["lobby"]
            assert await a.main.members() == [ana.id]
            await bye(back)
        await empty(a, b)


async def test_an_absence_of_which_nothing_is_heard_is_forgotten(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absences, "OVERDUE", 0.1)
    monkeypatch.setattr(asking, "SIGN", 0.05)
    async with cluster(hub.node, settings=Settings(grace=0.4)) as (a, b):
        ticket = await left(a)
        await until(lambda: not +net(a).follows)
        net(a).mail.hold()
        async with Client.opened(b.url, resume=ticket) as back:
            assert back.hello["resumed"]
            await until(lambda: not a.absences)
            assert a.witness.connections[0].ended
            assert "end" not in a.witness.seen
            net(a).mail.drop()
            net(a).mail.let()
            await bye(back)
        await empty(a, b)


async def test_two_who_return_at_once_are_one_in_the_end(hub: Hub) -> None:
    for steps in range(0, 60, 10):
        async with cluster(hub.node, 3) as (a, b, c):
            ticket = await left(a, ("work", 1))
            async with Client.connect(b.url) as one, Client.connect(c.url) as two:
                await one.ask(ticket)
                for _ in range(steps):
                    await asyncio.sleep(0)
                await two.ask(ticket)
                hellos = [await each.receive() for each in (one, two)]
                assert all(hello["op"] == "hello" for hello in hellos), steps
                resumed = [each["resumed"] for each in hellos]
                assert any(resumed)
                if all(resumed):
                    # One of them has been told that the other has come.
                    await until(lambda b=b, c=c: len(b.app) + len(c.app) == 1)
                stays = [h for h in (b, c) if await h.main.to(ticket["session"]).count()]
                assert stays
                house = b if len(b.app) else c
                client = one if len(b.app) else two
                client.hello = hellos[0 if client is one else 1]
                if all(resumed):
                    await client.send({"event": "work", "data": 1, "id": 1})
                    end = await client.end(1)
                    # Once, whatever is known of it.
                    assert end.get("data", 1) == 1, steps
                    assert house.witness.done == [], steps
                    assert a.witness.done == [1]


@pytest.mark.parametrize("how", ["cut", "bye", "disconnect"])
async def test_what_the_backplane_could_not_be_told_it_is_told_later(hub: Hub, how: str) -> None:
    async with cluster(hub.node, 1, settings=Settings(grace=0.2)) as (a,):
        async with Client.opened(a.url) as ana:
            if how == "disconnect":
                ana.cut()
                await a.gone()
            hub.part(net(a))
            if how == "cut":
                ana.cut()
            elif how == "bye":
                await bye(ana)
            else:
                a.witness.connections[0].shut()
        await until(lambda: len(a.app) == 0)
        if how != "cut":
            await until(lambda: "end" in a.witness.seen)
        assert len(hub.owners) == 1
        hub.heal(net(a))
        await until(lambda: not hub.owners)
        await a.empty()
        assert a.witness.seen.count("end") == 1
