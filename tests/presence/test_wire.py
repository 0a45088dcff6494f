# ruff: noqa: SIM117 - nodes are one thing, and their clients another
"""Presence as clients get it, over one node and over several."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from gatewright import (
    Connection,
    Gatewright,
    Handshake,
    Identity,
    Presence,
    Settings,
    gateway,
    on,
)
from gatewright.backplane import Backplane, Memory, SQLite
from gatewright.errors import EmitError, NotStartedError, StartupError
from gatewright.presence import Person
from gatewright.testing import TestClient
from gatewright.testing.connection import TestConnection
from tests._support.conditions import eventually
from tests.cluster.joined import Hub

pytestmark = pytest.mark.anyio

QUICK = Settings(presence_linger=0.2, presence_pause=0.01)


class Card(Struct):
    name: str
    colour: str = "grey"


async def authenticate(handshake: Handshake) -> Identity[None] | None:
    name = handshake.query.get("user")
    return Identity(name, None) if name is not None else None


@gateway("/lab/{bench}")
class Lab:
    @on("join")
    async def join(self, connection: Connection, room: str) -> None:
        await connection.join(room)

    @on("leave")
    async def leave(self, connection: Connection, room: str) -> None:
        await connection.leave(room)

    @on("track")
    async def track(self, connection: Connection, meta: Any) -> None:
        await connection.track(meta)

    @on("card")
    async def card(self, connection: Connection, name: str) -> None:
        await connection.track(Card(name))

    @on("watch")
    async def watch(self, connection: Connection) -> None:
        await connection.watch()

    @on("untrack")
    async def untrack(self, connection: Connection) -> None:
        await connection.untrack()

    @on("who")
    async def who(self, presence: Presence, room: str) -> list[Person]:
        return presence.of(room)

    @on("out")
    async def out(self, connection: Connection) -> None:
        await connection.disconnect("enough")


def lab(backplane: Backplane | None = None, settings: Settings = QUICK) -> Gatewright:
    return Gatewright([Lab], authenticate=authenticate, backplane=backplane, settings=settings)


@asynccontextmanager
async def clients(count: int, settings: Settings = QUICK) -> AsyncGenerator[list[TestClient]]:
    """So many nodes."""
    hub = Hub()
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(TestClient(lab(hub.node(f"n{number}"), settings)))
            for number in range(count)
        ]


Come = Callable[..., Any]


async def enter(connection: TestConnection, meta: object = None, room: str = "A") -> Any:
    """Join a room and be tracked; returns the list that it is told."""
    await connection.call("join", room)
    await connection.call("track", meta)
    return (await connection.expect("presence:state"))["people"]


def here(name: str, *metas: Any) -> dict[str, Any]:
    return {"id": name, "meta": list(metas)}


@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("codec", ["json", "msgpack"])
@pytest.mark.parametrize("session", [True, False])
async def test_who_comes_changes_and_goes(nodes: int, codec: Any, *, session: bool) -> None:
    async with clients(nodes) as found:
        one, two = found[0], found[-1]
        options: dict[str, Any] = {"codec": codec, "session": session}
        async with one.connect("/lab/7", query={"user": "ana"}, **options) as ana:
            assert await enter(ana, {"at": 1}) == [here("ana", {"at": 1})]
            async with two.connect("/lab/7", query={"user": "bob"}, **options) as bob:
                assert await enter(bob, "x") == [here("ana", {"at": 1}), here("bob", "x")]
                joined = {"room": "A", "joined": [here("bob", "x")], "left": [], "changed": []}
                assert await ana.expect("presence:diff") == joined
                await bob.call("track", "y")
                diff = await ana.expect("presence:diff")
                assert diff["changed"] == [here("bob", "y")]
                assert (await bob.expect("presence:diff"))["changed"] == [here("bob", "y")]
                await bob.call("untrack")
                assert (await ana.expect("presence:diff"))["left"] == [here("bob", "y")]
                await ana.call("track", "not for bob")
                await ana.expect("presence:diff")
                assert await bob.call("who", "A") == [here("ana", "not for bob")]
                assert not bob.received()


async def test_rooms_are_joined_and_left_later() -> None:
    async with (
        clients(2) as (one, two),
        one.connect("/lab/7", query={"user": "ana"}) as ana,
        two.connect("/lab/7", query={"user": "bob"}) as bob,
    ):
        await ana.call("card", "Ana")
        await enter(bob)
        await ana.call("join", "A")
        state = await ana.expect("presence:state")
        card = {"name": "Ana", "colour": "grey"}
        assert state["people"] == [here("ana", card), here("bob", None)]
        assert (await bob.expect("presence:diff"))["joined"] == [here("ana", card)]
        await ana.call("leave", "A")
        assert (await bob.expect("presence:diff"))["left"] == [here("ana", card)]
        assert one.app.presence.at("/lab/{bench}", bench=7).count("A") == 1


async def test_who_only_watches_is_not_listed() -> None:
    async with clients(2) as (one, two):
        async with one.connect("/lab/7") as eye, two.connect("/lab/7") as ana:
            await eye.call("join", "A")
            await eye.call("watch")
            assert (await eye.expect("presence:state"))["people"] == []
            assert len(await enter(ana)) == 1
            assert len((await eye.expect("presence:diff"))["joined"]) == 1


@pytest.mark.parametrize("elsewhere", [True, False])
async def test_who_returns_has_not_been_away(*, elsewhere: bool) -> None:
    async with clients(2, Settings(presence_pause=0.01)) as (one, two):
        async with two.connect("/lab/7", query={"user": "bob"}) as bob:
            await enter(bob)
            query = {"user": "ana"}
            async with one.connect("/lab/7", session=True, query=query) as ana:
                await enter(ana, "x")
                await bob.expect("presence:diff")
            back = two if elsewhere else one
            async with back.connect("/lab/7", resume=ana, query=query) as again:
                people = (await again.expect("presence:state"))["people"]
                assert people == [here("bob", None), here("ana", "x")]
                # Its meta is its session's: it is the same person to whoever comes later.
                await again.call("track", "y")
                diff = await bob.expect("presence:diff")
                assert diff == {
                    "room": "A",
                    "joined": [],
                    "left": [],
                    "changed": [here("ana", "y")],
                }
                await again.bye()
                assert (await bob.expect("presence:diff"))["left"] == [here("ana", "y")]
                assert not bob.received()


@pytest.mark.parametrize("elsewhere", [True, False])
async def test_who_is_back_before_its_node_knows(*, elsewhere: bool) -> None:
    async with clients(2, Settings(presence_pause=0.01)) as (one, two):
        async with two.connect("/lab/7", query={"user": "bob"}) as bob:
            await enter(bob)
            query = {"user": "ana"}
            async with one.connect("/lab/7", session=True, query=query) as ana:
                await enter(ana, "x")
                await bob.expect("presence:diff")
                back = two if elsewhere else one
                async with back.connect("/lab/7", resume=ana, query=query) as again:
                    await again.expect("presence:state")
                    await ana.wait_closed()
                    await again.call("track", "y")
                    diff = await bob.expect("presence:diff")
                    assert (diff["joined"], diff["left"]) == ([], [])
                    assert diff["changed"] == [here("ana", "y")]
                    await again.bye()
                diff = await bob.expect("presence:diff")
                assert diff["left"] == [here("ana", "y")]
            assert not bob.received()
            assert await bob.call("who", "A") == [here("bob", None)]


async def test_who_does_not_return_has_left_after_the_linger() -> None:
    async with clients(1) as (one,), one.connect("/lab/7") as bob:
        await enter(bob)
        async with one.connect("/lab/7", session=True, query={"user": "ana"}) as ana:
            await enter(ana)
            await bob.expect("presence:diff")
        assert len(await bob.call("who", "A")) == 2
        assert (await bob.expect("presence:diff"))["left"] == [here("ana", None)]
        # And is back when it is.
        async with one.connect("/lab/7", resume=ana, query={"user": "ana"}) as ana:
            await ana.expect("presence:state")
            assert (await bob.expect("presence:diff"))["joined"] == [here("ana", None)]


async def test_an_end_is_told_at_once() -> None:
    async with clients(1, Settings(presence_linger=3600)) as (one,):
        async with one.connect("/lab/7") as bob:
            await enter(bob)
            async with one.connect("/lab/7", session=True, query={"user": "ana"}) as ana:
                await enter(ana)
                await ana.emit("out")
                await ana.wait_closed()
            await bob.expect("presence:diff")
            assert (await bob.expect("presence:diff"))["left"] == [here("ana", None)]


async def test_a_killed_node_takes_its_people_along() -> None:
    hub = Hub()
    first, second = hub.node("one"), hub.node("two")
    async with TestClient(lab(first)) as one, TestClient(lab(second)) as two:
        async with (
            one.connect("/lab/7", query={"user": "ana"}) as ana,
            two.connect("/lab/7", query={"user": "bob"}) as bob,
        ):
            await enter(bob)
            await enter(ana)
            await bob.expect("presence:diff")
            hub.part(first, noticed=True)
            assert (await bob.expect("presence:diff"))["left"] == [here("ana", None)]
            assert (await ana.expect("presence:diff"))["left"] == [here("bob", None)]
            hub.heal(first)
            assert (await bob.expect("presence:diff"))["joined"] == [here("ana", None)]
            assert (await ana.expect("presence:diff"))["joined"] == [here("bob", None)]


async def test_a_restart_forgets_nobody_who_returns(tmp_path: Path) -> None:
    file = tmp_path / "sessions.db"
    query = {"user": "ana"}
    async with TestClient(lab(SQLite(file))) as client:
        async with client.connect("/lab/7", session=True, query=query) as ana:
            await enter(ana, "x")
    async with TestClient(lab(SQLite(file))) as client:
        async with client.connect("/lab/7", resume=ana, query=query) as ana:
            assert (await ana.expect("presence:state"))["people"] == [here("ana", "x")]


async def test_metas_are_small() -> None:
    async with clients(1) as (one,), one.connect("/lab/7") as ana:
        with pytest.raises(Exception, match="internal"):
            await ana.call("track", "x" * 5000)
        await ana.call("join", "A")
        assert await ana.call("who", "A") == []


async def test_a_list_that_is_too_long_is_refused_and_not_cut() -> None:
    settings = Settings(outbox=4096, presence_pause=0.01)
    async with clients(1, settings) as (one,), AsyncExitStack() as stack:
        for number in range(3):
            guest = await stack.enter_async_context(one.connect("/lab/7"))
            await guest.call("join", "A")
            await guest.call("track", f"{number}" * 900)
        eye = await stack.enter_async_context(one.connect("/lab/7"))
        await eye.call("join", "A")
        await eye.call("watch")
        error = await eye.expect("exception")
        assert (error["code"], error["event"]) == ("too_large", "presence:state")
        assert error["details"] == {"room": "A", "count": 3}
        assert await eye.call("who", "A")


async def test_a_typed_list() -> None:
    app = lab()
    with pytest.raises(NotStartedError):
        app.presence.of("A")
    async with TestClient(app) as client, client.connect("/lab/7", query={"user": "ana"}) as ana:
        await ana.call("join", "A")
        await ana.call("card", "Ana")
        presence = app.presence.at("/lab/{bench}", bench=7)
        assert presence.of("A", Card) == [Person("ana", [Card("Ana")])]
        assert presence.namespace == "/lab/7"
        with pytest.raises(EmitError, match="bind it first"):
            app.presence.of("A")
        with pytest.raises(EmitError, match="declared namespace"):
            app.presence.at("/nowhere")


def test_presence_of_what_has_no_one_namespace_is_refused() -> None:
    @gateway("/lab/{bench}")
    class Bench:
        def __init__(self, presence: Presence) -> None: ...

        @on("ping")
        async def ping(self) -> None: ...

    with pytest.raises(StartupError, match="to bind presence to"):
        Gatewright([Bench])


async def test_presence_in_a_constructor_is_bound() -> None:
    @gateway("/chat")
    class Chat:
        def __init__(self, presence: Presence) -> None:
            self.presence = presence

        @on("enter")
        async def enter(self, connection: Connection) -> int:
            await connection.join("A")
            await connection.track()
            return self.presence.count("A")

    async with TestClient(Gatewright([Chat], backplane=Memory())) as client:
        async with client.connect("/chat") as ana:
            assert await ana.call("enter") == 1


async def test_nothing_is_left() -> None:
    app = lab()
    async with TestClient(app) as client:
        async with client.connect("/lab/7", session=True) as ana:
            await enter(ana)
        assert app._dispatcher is not None
        tracker = app._dispatcher.node.presence
        await eventually(lambda: not (len(tracker) or tracker._locals or len(tracker._audiences)))
