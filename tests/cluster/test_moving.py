"""Sessions that return to another node than the one that had them."""

import asyncio
from typing import Any

import pytest

from gatewright import Settings
from tests.cluster.conftest import Join
from tests.cluster.joined import Hub
from tests.cluster.nodes import bye, cluster, empty, net
from tests.sessions.chat import House, Said, until
from tests.sessions.client import Client, Format

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["json", "msgpack"])
def wire(request: pytest.FixtureRequest) -> Format:
    found: Format = request.param
    return found


async def test_a_session_goes_on_at_another_node(join: Join, wire: Format) -> None:
    auth = {"user": "ana"}
    async with cluster(join) as (a, b):
        async with Client.opened(a.url, wire=wire, auth=auth) as ana:
            await ana.call("join", "attic")
            await ana.call("save", 7)
            await b.say("attic", "heard")
            await ana.hear(1)
            ana.cut()
        await a.gone()
        await b.say("attic", "missed")
        async with Client.opened(b.url, resume=ana.ticket, wire=wire, auth=auth) as back:
            assert (back.hello["resumed"], back.id, back.hello["last"]) == (True, ana.id, 2)
            assert await back.hear(1) == ["missed"]
            assert await back.call("state") == 7
            assert await back.call("rooms") == ["attic", "lobby"]
            await a.say("attic", "live")
            assert await back.hear(2) == ["missed", "live"]
            assert await a.main.to_user("ana").members() == [ana.id]
            assert not a.remains().get("away")
            await bye(back)
        await empty(a, b)
        assert a.witness.seen.count("disconnect") == 1
        assert "end" not in a.witness.seen
        assert b.witness.seen[-3:] == ["resume", "disconnect", "end"]


async def test_the_former_socket_is_closed_with_4009(join: Join, wire: Format) -> None:
    async with cluster(join) as (a, b), Client.opened(a.url, wire=wire) as ana:
        async with Client.opened(b.url, resume=ana.ticket, wire=wire) as back:
            assert (await ana.closed())[0] == 4009
            assert back.hello["resumed"]
            assert a.witness.reasons[0].code == 4009
            assert a.witness.reasons[0].resumable
            assert (len(a.app), len(b.app)) == (0, 1)
            assert await b.main.to(ana.id).members() == [ana.id]
            await bye(back)
        await empty(a, b)


async def test_it_moves_as_often_as_it_likes(join: Join) -> None:
    async with cluster(join, 3) as houses:
        async with Client.opened(houses[0].url) as ana:
            ticket = ana.ticket
            ana.cut()
        told = 0
        for number in range(9):
            await houses[(number + 2) % 3].say("lobby", str(number))
            house = houses[number % 3]
            async with Client.opened(house.url, resume=ticket) as back:
                assert back.hello["resumed"]
                assert back.hello["last"] == told
                assert await back.hear(1) == [str(number)]
                assert await back.call("work", number) == number
                told, ticket = back.sent, back.ticket
                if number % 2:
                    back.cut()
        await bye_by(houses[1], ticket)
        await empty(*houses)
        assert sorted(n for house in houses for n in house.witness.done) == list(range(9))


async def bye_by(house: House, ticket: Any) -> None:
    async with Client.opened(house.url, resume=ticket) as last:
        assert last.hello["resumed"]
        await bye(last)


async def test_what_it_was_answered_is_not_executed_again(join: Join, wire: Format) -> None:
    async with cluster(join) as (a, b):
        async with Client.opened(a.url, wire=wire) as ana:
            await ana.call("work", "one")
            await ana.call("work", "x" * 60_000 if wire == "msgpack" else "two")
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket, wire=wire) as back:
            assert back.hello["last"] == 2
            assert await back.call("work", "one", id=1) == "one"
            assert len(await back.call("work", "two", id=2)) >= 3
            assert await back.call("work", "three") == "three"
            assert b.witness.done == ["three"]
            await bye(back)
        await empty(a, b)


async def test_ends_in_another_format_are_lost(join: Join) -> None:
    async with cluster(join) as (a, b):
        async with Client.opened(a.url) as ana:
            await ana.call("work", "one")
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket, wire="msgpack") as back:
            assert await back.fails("work", "one", id=1) == "reply_lost"
            assert await back.call("again", "two", id=2) == "two"


async def test_many_ends_go_over_in_parts(join: Join) -> None:
    async with cluster(join) as (a, b):
        async with Client.opened(a.url) as ana:
            for _ in range(12):
                await ana.call("big", 30_000)
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket) as back:
            for id in range(1, 13):
                assert len(await back.call("big", 1, id=id)) == 30_000
            await bye(back)
        await empty(a, b)


async def test_a_call_that_still_runs_is_answered_where_its_client_is(
    join: Join, wire: Format
) -> None:
    async with cluster(join) as (a, b):
        async with Client.opened(a.url, wire=wire) as ana:
            id = await ana.start("slow", "say")
            await until(lambda: a.witness.done)
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket, wire=wire) as back:
            assert back.hello["last"] == id
            again = await back.start("slow", "say", id=id)
            assert (await back.op("ack"))["id"] == id
            # Events are handled one after the other, wherever.
            await back.start("work", "next")
            assert await back.quiet() == []
            assert b.witness.done == []
            a.witness.gate.set()
            assert (await back.end(again))["data"] == "did say"
            assert (await back.end(again + 1))["data"] == "next"
            assert (a.witness.ended, b.witness.done) == (["say"], ["next"])
            await bye(back)
        await empty(a, b)


async def test_a_call_ends_while_its_client_is_on_the_way(join: Join) -> None:
    async with cluster(join, settings=Settings(finish_timeout=0.1)) as (a, b):
        async with Client.opened(a.url) as ana:
            id = await ana.start("slow", "say")
            await until(lambda: a.witness.done)
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket) as back:
            back.cut()
        await b.gone()
        a.witness.gate.set()
        await until(lambda: a.witness.ended)
        async with Client.opened(b.url, resume=back.ticket) as again:
            assert (await again.end(await again.start("slow", "say", id=id)))["data"] == "did say"
            await bye(again)
        await empty(a, b)


@pytest.mark.parametrize("way", ["bc", "ba", "bab", "bca", "bcabca"])
async def test_an_end_follows_its_client_over_many_nodes(join: Join, way: str) -> None:
    async with cluster(join, 3) as houses:
        by_name = dict(zip("abc", houses, strict=True))
        a = houses[0]
        async with Client.opened(a.url) as ana:
            id = await ana.start("slow", "say")
            await until(lambda: a.witness.done)
            ticket = ana.ticket
            ana.cut()
        for letter in way[:-1]:
            async with Client.opened(by_name[letter].url, resume=ticket) as back:
                assert (back.hello["resumed"], back.hello["last"]) == (True, id)
                ticket = back.ticket
                back.cut()
        async with Client.opened(by_name[way[-1]].url, resume=ticket) as last:
            assert (last.hello["resumed"], last.hello["last"]) == (True, id)
            await last.start("slow", "say", id=id)
            await last.op("ack")
            a.witness.gate.set()
            assert (await last.end(id))["data"] == "did say"
            assert await last.call("work", "after") == "after"
            await bye(last)
        await empty(*houses)
        assert a.witness.ended == ["say"]


async def test_errors_of_calls_that_still_run_follow_as_well(join: Join) -> None:
    async with cluster(join) as (a, b):
        async with Client.opened(a.url) as ana:
            id = await ana.start("slow", "join ~no")
            await until(lambda: a.witness.done)
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket) as back:
            a.witness.gate.set()
            end = await back.end(id)
            assert end["error"]["code"] == "invalid"


async def test_a_call_that_still_runs_can_be_cancelled(join: Join) -> None:
    async with cluster(join, 3) as (a, b, c):
        async with Client.opened(a.url) as ana:
            id = await ana.start("slow", "say")
            await until(lambda: a.witness.done)
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket) as back:
            back.cut()
        async with Client.opened(c.url, resume=back.ticket) as last:
            await last.send({"op": "cancel", "id": id})
            assert (await last.end(id))["error"]["code"] == "cancelled"
            await bye(last)
        await empty(a, b, c)
        assert "slow: CancelledError" in a.witness.seen


async def test_what_still_runs_ends_with_its_session(join: Join) -> None:
    async with cluster(join, settings=Settings(finish_timeout=0.1)) as (a, b):
        async with Client.opened(a.url) as ana:
            await ana.start("slow", "say")
            await until(lambda: a.witness.done)
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket) as back:
            await bye(back)
        await empty(a, b)
        assert "slow: CancelledError" in a.witness.seen


@pytest.mark.parametrize(
    ("what", "then"),
    [
        ("join attic", ["attic", "lobby"]),
        ("leave lobby", []),
        ("save 5", ["lobby"]),
        ("emit hi", ["lobby"]),
    ],
)
async def test_a_handler_that_still_runs_acts_where_its_session_is(
    join: Join, what: str, then: list[str]
) -> None:
    async with cluster(join) as (a, b):
        async with Client.opened(a.url) as ana:
            id = await ana.start("slow", what)
            await until(lambda: a.witness.done)
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket) as back:
            a.witness.gate.set()
            assert (await back.end(id))["data"] == f"did {what}"
            assert await back.call("rooms") == then
            assert await back.call("state") == (5 if "save" in what else 0)
            if "emit" in what:
                assert back.said == ["hi"]
            back.cut()
        await b.gone()
        # And so it is in the record.
        async with Client.opened(a.url, resume=back.ticket) as again:
            assert await again.call("rooms") == then
            assert await again.call("state") == (5 if "save" in what else 0)
            await bye(again)
        await empty(a, b)


async def test_a_handler_that_still_runs_may_end_it(join: Join) -> None:
    async with cluster(join) as (a, b):
        async with Client.opened(a.url) as ana:
            await ana.start("slow", "disconnect enough")
            await until(lambda: a.witness.done)
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket) as back:
            a.witness.gate.set()
            assert await back.closed() == (4500, "enough")
        await empty(a, b)
        assert (a.witness.seen.count("end"), b.witness.seen.count("end")) == (0, 1)


async def test_a_handler_that_still_runs_does_not_join_who_has_ended(join: Join) -> None:
    async with cluster(join, settings=Settings(finish_timeout=0.5)) as (a, b):
        async with Client.opened(a.url) as ana:
            await ana.start("slow", "join attic")
            await until(lambda: a.witness.done)
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket) as back:
            await back.send({"op": "bye"})
            await until(lambda: a.witness.connections[0].ended)
            a.witness.gate.set()
            await back.closed()
        await empty(a, b)
        assert await b.main.to("attic").members() == []


async def test_who_is_away_somewhere_ends_once(join: Join) -> None:
    async with cluster(join, settings=Settings(grace=0.3)) as (a, b):
        async with Client.opened(a.url) as ana:
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket) as back:
            back.cut()
        await empty(a, b)
        ended = [house.witness.seen.count("end") for house in (a, b)]
        assert sum(ended) == 1


async def test_somebody_else_gets_nothing_of_it(join: Join) -> None:
    async with cluster(join) as (a, b), Client.opened(a.url, auth={"user": "ana"}) as ana:
        async with Client.opened(b.url, resume=ana.ticket, auth={"user": "eve"}) as eve:
            assert not eve.hello["resumed"]
        assert await ana.call("who") == "ana"


async def test_its_rooms_are_authorized_where_it_returns(join: Join) -> None:
    async with cluster(join) as (a, b):
        async with Client.opened(a.url) as ana:
            await ana.call("join", "attic")
            ana.cut()
        await a.gone()
        b.witness.closed_rooms.add("attic")
        await a.say("attic", "secret")
        async with Client.opened(b.url, resume=ana.ticket) as back:
            assert await back.call("rooms") == ["lobby"]
            assert back.said == []
            assert await a.main.to("attic").count() == 0


async def test_a_lagging_lane_makes_no_difference(hub: Hub) -> None:
    async with cluster(hub.node) as (a, b), Client.opened(b.url) as zoe:
        net(a).lane.lag, net(b).lane.lag = 7, 19
        async with Client.opened(a.url) as ana:
            ticket = ana.ticket
        told: list[str] = []
        for number in range(6):
            saying = asyncio.create_task(b.say("lobby", *f"{number}abc"))
            async with Client.opened((b, a)[number % 2].url, resume=ticket) as back:
                assert back.hello["resumed"]
                await saying
                await back.hear(4)
                told += back.said
                ticket = back.ticket
        assert told == await zoe.hear(24)
        # What a ping says was written, to whomever.
        (connection,) = [each for each in b.witness.connections if each.id == zoe.id]
        assert connection.position is not None
        assert connection.position.seq == zoe.seq


async def test_the_emit_of_a_handler_that_still_runs_arrives_once(hub: Hub) -> None:
    async with cluster(hub.node) as (a, b):
        async with Client.opened(a.url) as ana:
            await ana.start("slow", "emit once")
            await until(lambda: a.witness.done)
            ana.cut()
        async with Client.opened(b.url, resume=ana.ticket) as back:
            a.witness.gate.set()
            await back.hear(1)
            await b.main.to("lobby").emit(Said("last"))
            assert await back.hear(2) == ["once", "last"]
