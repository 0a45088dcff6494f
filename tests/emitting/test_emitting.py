"""Emitting from a node without connections to those of others."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gatewright.backplane import Memory, SQLite
from gatewright.backplane.urls import BACKPLANE
from gatewright.emitter import Emitter, Named
from gatewright.emitting import emitting, opening
from gatewright.errors import CallTimeout, EmitError, NotStartedError, StartupError
from gatewright.testing import TestClient, TestConnection
from tests.backplane.hub import Hub, Hubbed
from tests.emitting.chat import Asked, Chat, Lab, Moved, Other, Said, make

pytestmark = pytest.mark.anyio


class World:
    """Two servers with a client each, and an emitter that serves nobody."""

    def __init__(self, emitter: Emitter, clients: list[TestClient]) -> None:
        self.emitter = emitter
        self.chat = emitter.of("/chat")
        self.clients = clients


@pytest.fixture
def hub() -> Hub:
    return Hub()


@asynccontextmanager
async def world(hub: Hub, **options: Any) -> AsyncGenerator[World]:
    async with (
        TestClient(make(Hubbed(hub))) as first,
        TestClient(make(Hubbed(hub))) as second,
        emitting(Hubbed(hub), **options) as emitter,
    ):
        yield World(emitter, [first, second])


@asynccontextmanager
async def two(world: World) -> AsyncGenerator[tuple[TestConnection, TestConnection]]:
    first, second = world.clients
    async with (
        first.connect("/chat", query={"name": "ana"}) as ana,
        second.connect("/chat", query={"name": "ben"}) as ben,
    ):
        await ana.call("id")
        await ben.call("id")
        yield ana, ben


async def test_clients_of_all_nodes_hear_it_and_it_has_a_number(hub: Hub) -> None:
    async with world(hub) as here, two(here) as (ana, ben):
        said = Said("cron", "good morning")
        number = await here.chat.to("lobby").emit(said)
        assert await ana.expect(Said) == await ben.expect(Said) == said
        assert await here.chat.emit(Said("cron", "again")) == number + 1


async def test_users_ids_and_exceptions(hub: Hub) -> None:
    async with world(hub) as here, two(here) as (ana, ben):
        await here.chat.to_user("ben").emit(Said("cron", "to Ben"))
        await here.chat.to(await ana.call("id")).emit(Said("cron", "to Ana"))
        await here.chat.except_(await ana.call("id")).emit(Said("cron", "not to Ana"))
        await here.chat.emit(Said("cron", "to all"))
        assert [(await ana.expect(Said)).text for _ in range(2)] == ["to Ana", "to all"]
        texts = [(await ben.expect(Said)).text for _ in range(3)]
        assert texts == ["to Ben", "not to Ana", "to all"]


async def test_volatile(hub: Hub) -> None:
    async with world(hub) as here, two(here) as (ana, ben):
        await here.chat.emit(Said("cron", "now"), volatile=True, key="clock")
        assert (await ana.expect(Said)).text == (await ben.expect(Said)).text == "now"


async def test_a_call_has_the_answers_of_all(hub: Hub) -> None:
    async with world(hub) as here, two(here) as (ana, ben):

        async def answer(client: TestConnection, data: Any) -> None:
            await client.answer(
                await client.receive(lambda frame: frame.get("event") == "asked"), data
            )

        calling = asyncio.create_task(here.chat.call(Asked("ready?"), str, timeout=10))
        await answer(ana, "yes")
        await answer(ben, "no")
        assert sorted(await calling) == ["no", "yes"]
        with pytest.raises(CallTimeout) as caught:
            await here.chat.to_user("ana").call(Asked("really?"), str, timeout=0.05)
        assert caught.value.missing == [await ana.call("id")]


async def test_who_is_there_and_who_shall_be(hub: Hub) -> None:
    async with world(hub) as here, two(here) as (ana, ben):
        ids = sorted([await ana.call("id"), await ben.call("id")])
        assert sorted(await here.chat.members()) == ids
        assert await here.chat.to("lobby").count() == 2
        assert await here.chat.to_user("ben").join("office") == 1
        assert await here.chat.join("staff") == 0
        assert await ben.call("rooms") == ["lobby", "office"]
        await here.chat.leave("lobby")
        assert await ana.call("rooms") == []
        await here.chat.disconnect("the shop is closed")
        for client in (ana, ben):
            assert await client.wait_closed() == (4500, "the shop is closed")


async def test_namespaces_with_parameters(hub: Hub) -> None:
    async with world(hub) as here, here.clients[0].connect("/lab/a%20b") as ana:
        assert await ana.call("bench") == "a b"
        for target in (
            here.emitter.of("/lab/{bench}", bench="a b"),
            here.emitter.of("/lab/a%20b"),
        ):
            assert target.namespace == "/lab/a%20b"
            await target.emit(Moved(7))
            assert await ana.expect(Moved) == Moved(7)


async def test_what_no_gateway_is_at_hand_for_is_emitted_as_it_is(hub: Hub) -> None:
    async with world(hub) as here, two(here) as (ana, _):
        await here.chat.emit(Other())
        await here.chat.emit(Named("anything", [1, {"a": None}]))
        assert await ana.expect("other") == {}
        assert await ana.expect("anything") == [1, {"a": None}]


async def test_with_gateways_names_and_events_are_checked(hub: Hub) -> None:
    async with world(hub, gateways=[Chat, Lab]) as here:
        await here.chat.emit(Said("cron", "hi"))
        await here.chat.emit(Named("said", {"author": "cron", "text": "hi"}))
        for event in (Other(), Moved(1), Named("moved", {"to": 1})):
            with pytest.raises(EmitError, match=r"/chat: expected one of its declared events"):
                await here.chat.emit(event)
        with pytest.raises(EmitError, match="expected a declared namespace, one of /chat, /lab"):
            here.emitter.of("/lobby")
        with pytest.raises(EmitError, match="expected path parameters bench, got none"):
            here.emitter.of("/lab/{bench}")


@pytest.mark.parametrize(
    ("namespace", "message"),
    [
        ("chat", "expected a namespace, a path such as '/chat'"),
        ("/lab/{bench", "expected a namespace, a path"),
        ("/chat?a=1", "expected a namespace, a path"),
        ("/lab/a b", "as in a URL, such as '/lab/a%20b'"),
        ("/lab/{bench}", "expected path parameters bench, got none"),
    ],
)
async def test_what_can_be_no_namespace_is_refused(
    namespace: str, message: str, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "ACQUAINTANCE", 0)
    async with emitting(Hubbed(hub)) as emitter:
        with pytest.raises(EmitError, match=message):
            emitter.of(namespace)
        with pytest.raises(EmitError, match=r"bind it first: emitter.of\(namespace\)$"):
            await emitter.emit(Other())
        for name in ("", "exception", "presence:state", "connect"):
            with pytest.raises(EmitError, match="expected an event name"):
                await emitter.of("/chat").emit(Named(name))


async def test_where_nobody_serves_it_begins_after_a_while(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "ACQUAINTANCE", 0.01)
    async with emitting(Hubbed(hub)) as emitter:
        assert await emitter.of("/chat").emit(Said("cron", "is anybody there?")) == 1
        assert await emitter.of("/chat").count() == 0


async def test_others_are_asked_at_once_by_whoever_has_just_come(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(hub) as here, two(here):
        monkeypatch.setattr(opening, "ACQUAINTANCE", 3600)
        async with emitting(Hubbed(hub)) as emitter:
            assert await emitter.of("/chat").count() == 2


@pytest.mark.parametrize("backplane", [None, Memory(), SQLite("chat.db")])
async def test_one_that_nobody_shares_is_refused(
    backplane: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(BACKPLANE, raising=False)
    with pytest.raises(StartupError, match="with which nobody else would hear it"):
        async with emitting(backplane):
            pytest.fail("it must not open")


async def test_it_is_over_with_its_block(hub: Hub) -> None:
    async with world(hub) as here:
        emitter, chat = here.emitter, here.chat
    with pytest.raises(NotStartedError):
        emitter.of("/chat")
    for use in (lambda: chat.emit(Other()), chat.count, chat.members):
        with pytest.raises(NotStartedError, match="got one that has been closed"):
            await use()
