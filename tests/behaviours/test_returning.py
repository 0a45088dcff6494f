"""Connections that come back: what they missed, who they are, and what the hooks are told."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import Struct
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

from gatewright import (
    Connection,
    EventError,
    Gatewright,
    Handshake,
    Identity,
    Settings,
    State,
    authorize_room,
    gateway,
    on,
    on_resume,
)
from gatewright.transports.socketio import SocketIO
from tests._support.leaks import no_task_left
from tests._support.server import serve
from tests.behaviours.returning import Client, Refused, Said, Witness, chat
from tests.behaviours.support import until

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def running(
    *gateways: type, settings: Settings | None = None, **options: Any
) -> AsyncGenerator[tuple[Gatewright, str]]:
    app = Gatewright(
        gateways=list(gateways),
        socketio=SocketIO(recovery=True),
        settings=settings or Settings(),
        **options,
    )
    async with no_task_left(), serve(app) as url:
        yield app, url


async def gone(app: Gatewright) -> None:
    """Wait until nobody is connected."""
    await until(lambda: len(app) == 0)


async def test_what_was_missed_arrives_in_order_and_once() -> None:
    witness = Witness()
    async with running(chat(witness)) as (app, url):
        main = app.emitter.of("/")
        async with Client.connect(url) as ana:
            await ana.call("say", "lobby", "one")
            ana.cut()
        await gone(app)
        await main.to("lobby").emit(Said("two"))
        await main.to(ana.id).emit(Said("three"))
        await main.emit(Said("four"))
        await main.to("attic").emit(Said("not for ana"))
        await main.to("lobby").except_(ana.id).emit(Said("nor this"))
        async with Client.connect(url, ana.ticket) as back:
            assert (back.recovered, back.id) == (True, ana.id)
            assert await back.hear(3) == ["two", "three", "four"]
            await back.call("say", "lobby", "five")
            assert await back.hear(4) == ["two", "three", "four", "five"]
    assert witness.seen == ["connect", "disconnect", "resume", "disconnect", "end"]


async def test_rooms_and_state_are_back() -> None:
    witness = Witness()
    async with running(chat(witness)) as (app, url):
        async with Client.connect(url) as ana:
            await ana.call("join", "attic")
            await ana.call("leave", "lobby")
            await ana.call("count", 7)
            ana.cut()
        await gone(app)
        async with Client.connect(url, ana.ticket) as back:
            assert await back.call("say", "attic", "hello") is not None
            assert await app.emitter.of("/").to("attic").members() == [ana.id]
            assert await app.emitter.of("/").to("lobby").members() == []
        assert (witness.states, witness.rooms[0]) == ([7], ["attic"])


async def test_a_resumable_loss_says_so_and_the_end_waits_for_the_grace() -> None:
    witness = Witness()
    async with running(chat(witness), settings=Settings(grace=0.2)) as (app, url):
        async with Client.connect(url) as ana:
            ana.cut()
        await gone(app)
        assert [reason.resumable for reason in witness.reasons] == [True]
        await until(lambda: witness.seen[-1] == "end")
        assert witness.rooms == [["lobby"]]
        async with Client.connect(url, ana.ticket) as back:
            assert not back.recovered
            assert back.id != ana.id


async def test_leaving_for_good_ends_at_once() -> None:
    witness = Witness()
    async with running(chat(witness)) as (app, url):
        async with Client.connect(url) as ana:
            await ana.socket.send("41")
            await gone(app)
        async with Client.connect(url) as ben:
            await ben.socket.send('42["quit"]')
            await gone(app)
        assert [reason.resumable for reason in witness.reasons] == [False, False]
        assert witness.seen == ["connect", "disconnect", "end"] * 2
        for left in (ana, ben):
            async with Client.connect(url, left.ticket) as back:
                assert not back.recovered


async def test_who_returns_before_the_loss_was_noticed_takes_over() -> None:
    witness = Witness()
    async with running(chat(witness)) as (app, url), Client.connect(url) as ana:
        await ana.call("say", "lobby", "one")
        async with Client.connect(url, ana.ticket) as back:
            assert (back.recovered, back.id) == (True, ana.id)
            await ana.socket.wait_closed()
            await app.emitter.of("/").to("lobby").emit(Said("two"))
            assert await back.hear(1) == ["two"]
            assert len(app) == 1
        assert witness.seen[:3] == ["connect", "disconnect", "resume"]


async def test_of_many_who_return_at_once_one_stays() -> None:
    witness = Witness()
    async with running(chat(witness)) as (app, url):
        async with Client.connect(url) as ana:
            ana.cut()
        await gone(app)
        async with asyncio.TaskGroup() as group:
            tries = [group.create_task(_return(url, ana.ticket)) for _ in range(5)]
        ids = [each.result() for each in tries]
        assert set(ids) - {None} == {ana.id}
        await gone(app)
        assert witness.seen == ["connect", "disconnect", *["resume", "disconnect"] * 5]
        async with Client.connect(url, ana.ticket) as back:
            assert back.recovered


async def _return(url: str, ticket: dict[str, str]) -> str | None:
    """Return and leave at once; None if another one has taken over before we heard anything."""
    try:
        async with Client.connect(url, ticket) as back:
            assert back.recovered
            back.cut()
            return back.id
    except ConnectionClosedOK:
        return None


async def test_a_secret_alone_goes_on_from_what_was_confirmed() -> None:
    async with running(chat(Witness())) as (app, url):
        async with Client.connect(url) as ana:
            ana.cut()
        await gone(app)
        await app.emitter.of("/").to("lobby").emit(Said("one"))
        for offset in ({}, {"offset": "ana"}, {"offset": "x-1-y"}):
            ticket = {"pid": ana.ticket["pid"], **offset}
            async with Client.connect(url, ticket) as back:
                assert await back.hear(1) == ["one"]
                back.cut()
            await gone(app)


@pytest.mark.parametrize("offset", ["elsewhere-1", "{epoch}-999"])
async def test_a_position_that_cannot_be_begins_anew(offset: str) -> None:
    witness = Witness()
    async with running(chat(witness)) as (app, url):
        async with Client.connect(url) as ana:
            await ana.call("say", "lobby", "one")
            ana.cut()
        await gone(app)
        epoch = ana.ticket["offset"].rpartition("-")[0]
        ticket = {"pid": ana.ticket["pid"], "offset": offset.format(epoch=epoch)}
        async with Client.connect(url, ticket) as back:
            assert not back.recovered
            assert back.id != ana.id
        assert witness.seen[:4] == ["connect", "disconnect", "end", "connect"]


async def test_more_than_is_kept_begins_anew() -> None:
    witness = Witness()
    async with running(chat(witness), settings=Settings(history=3)) as (app, url):
        async with Client.connect(url) as ana:
            await ana.call("say", "lobby", "one")
            ana.cut()
        await gone(app)
        for number in range(4):
            await app.emitter.of("/").to("lobby").emit(Said(str(number)))
        async with Client.connect(url, ana.ticket) as back:
            assert not back.recovered
            await app.emitter.of("/").to("lobby").emit(Said("now"))
            assert await back.hear(1) == ["now"]


async def test_a_room_that_was_closed_to_it_meanwhile_is_not_replayed() -> None:
    witness = Witness()
    closed: set[str] = set()

    class Guarded(chat(witness)):  # type: ignore[misc]
        @authorize_room
        async def may_join(self, connection: Connection, room: str) -> bool:
            return room not in closed

    gateway("/", emits=[Said])(Guarded)
    async with running(Guarded) as (app, url):
        async with Client.connect(url) as ana:
            await ana.call("join", "attic")
            ana.cut()
        await gone(app)
        main = app.emitter.of("/")
        await main.to("attic").emit(Said("secret"))
        await main.to("lobby").emit(Said("open"))
        closed.add("attic")
        async with Client.connect(url, ana.ticket) as back:
            assert back.recovered
            assert await back.hear(1) == ["open"]
            assert await main.to("attic").members() == []
        assert witness.rooms[0] == ["lobby"]


async def test_a_hook_of_the_rooms_that_fails_or_hangs_costs_the_room_or_a_second_try() -> None:
    trouble: list[str] = []

    class Guarded(chat(Witness())):  # type: ignore[misc]
        @authorize_room
        async def may_join(self, connection: Connection, room: str) -> bool:
            if "hang" in trouble:
                await asyncio.Event().wait()
            if "raise" in trouble:
                raise LookupError(room)
            return True

    gateway("/", emits=[Said])(Guarded)
    async with running(Guarded, settings=Settings(open_timeout=0.2)) as (app, url):
        async with Client.connect(url) as ana:
            ana.cut()
        await gone(app)
        trouble.append("hang")
        with pytest.raises(ConnectionClosed):
            async with Client.connect(url, ana.ticket):
                pass
        trouble[:] = ["raise"]
        async with Client.connect(url, ana.ticket) as back:
            assert back.recovered
            assert await app.emitter.of("/").to("lobby").members() == []


async def test_state_travels_by_the_applications_hooks() -> None:
    class Money:
        def __init__(self, amount: int) -> None:
            self.amount = amount

    class Purse(Struct):
        money: Money | None = None

    seen: list[int] = []

    @gateway("/", emits=[Said])
    class Shop:
        @on("earn")
        async def earn(self, connection: Connection, amount: int) -> None:
            await connection.save(Purse(Money(amount)))

        @on_resume
        async def resumed(self, purse: State[Purse]) -> None:
            assert purse.money is not None
            seen.append(purse.money.amount)

    def decode(kind: type, value: Any) -> Any:
        if value == 13:
            raise ValueError("no such coin")
        return kind(value)

    options: dict[str, Any] = {"enc_hook": lambda money: money.amount, "dec_hook": decode}
    async with running(Shop, **options) as (app, url):
        for amount, recovered in ((7, True), (13, False)):
            async with Client.connect(url) as ana:
                await ana.call("earn", amount)
                ana.cut()
            await gone(app)
            async with Client.connect(url, ana.ticket) as back:
                assert back.recovered is recovered
    assert seen == [7]


async def test_a_session_is_its_users_own() -> None:
    async def authenticate(handshake: Handshake) -> Identity[str] | None:
        name = (handshake.auth or {}).get("name")
        if name == "eve":
            raise EventError("forbidden", "not you")
        return Identity(name, name) if name else None

    async with running(chat(Witness()), authenticate=authenticate) as (app, url):
        async with Client.connect(url, name="ana") as ana:
            ana.cut()
        await gone(app)
        for other in ({}, {"name": "ben"}):
            async with Client.connect(url, ana.ticket, **other) as thief:
                assert not thief.recovered
        with pytest.raises(Refused, match="not you"):
            async with Client.connect(url, ana.ticket, name="eve"):
                pass
        async with Client.connect(url, ana.ticket, name="ana") as back:
            assert back.recovered


async def test_a_resume_hook_may_refuse() -> None:
    witness = Witness()

    class Strict(chat(witness)):  # type: ignore[misc]
        @on_resume
        async def resumed(self) -> None:
            raise EventError("forbidden", "once is enough")

    gateway("/", emits=[Said])(Strict)
    async with running(Strict) as (app, url):
        async with Client.connect(url) as ana:
            ana.cut()
        await gone(app)
        with pytest.raises(Refused, match="once is enough"):
            async with Client.connect(url, ana.ticket):
                pass
        async with Client.connect(url, ana.ticket) as back:
            assert not back.recovered


async def test_a_server_that_stops_ends_those_who_are_away() -> None:
    witness = Witness()
    async with running(chat(witness)) as (app, url):
        async with Client.connect(url) as ana:
            ana.cut()
        await gone(app)
        async with Client.connect(url):
            pass
    assert witness.seen.count("end") == 2


async def test_nothing_is_kept_of_who_does_not_return() -> None:
    async with running(chat(Witness()), settings=Settings(grace=0.2)) as (app, url):
        for _ in range(10):
            async with Client.connect(url) as ana:
                await ana.call("say", "lobby", "hello")
                ana.cut()
        await gone(app)
        assert app._dispatcher is not None
        absences = app._dispatcher._absences
        await until(lambda: not len(absences))
        assert not absences._here
        assert not absences._taking
        assert app.emitter._node is not None
        assert not app.emitter._node.namespaces._away
