import pytest

from gatewright import Handshake, Identity, gateway
from tests.behaviours.rooms import Rooms, Said, silent
from tests.behaviours.support import running

pytestmark = pytest.mark.anyio


async def by_name(handshake: Handshake) -> Identity[None] | None:
    name = handshake.query.get("name")
    return Identity(name, None) if name else None


async def test_an_emit_to_a_room_reaches_its_members_only() -> None:
    async with (
        running(Rooms) as app,
        app.connect("/r") as ana,
        app.connect("/r") as ben,
        app.connect("/r") as eve,
    ):
        await ana.call("join", ["lobby"])
        await ben.call("join", ["lobby"])
        await eve.call("say", ["lobby"], "hi")
        assert await ana.expect(Said) == await ben.expect(Said) == Said("hi")
        await silent(ana, ben, eve)


async def test_after_join_the_next_emit_arrives() -> None:
    async with running(Rooms) as app, app.connect("/r") as ana:
        await ana.call("join and say", "lobby")
        assert await ana.expect(Said) == Said("lobby")


async def test_after_leave_nothing_arrives() -> None:
    async with running(Rooms) as app, app.connect("/r") as ana:
        assert await ana.call("join", ["lobby", "attic"]) == ["attic", "lobby"]
        assert await ana.call("leave", ["lobby", "never joined"]) == ["attic"]
        await ana.call("say", ["lobby"], "hi")
        await silent(ana)


async def test_joining_twice_is_joining_once() -> None:
    async with running(Rooms) as app, app.connect("/r") as ana:
        await ana.call("join", ["lobby", "lobby"])
        assert await ana.call("join", ["lobby"]) == ["lobby"]
        await ana.call("say", ["lobby"], "hi")
        await ana.expect(Said)
        assert await ana.call("leave", ["lobby"]) == []
        await ana.call("say", ["lobby"], "hi")
        await silent(ana)


async def test_an_emit_to_several_rooms_reaches_a_member_of_all_of_them_once() -> None:
    async with running(Rooms) as app, app.connect("/r") as ana:
        await ana.call("join", ["a", "b", "c"])
        await ana.call("say", ["a", "b", "c"], "hi")
        await ana.expect(Said)
        await silent(ana)


async def test_a_connections_id_is_a_room() -> None:
    async with running(Rooms) as app, app.connect("/r") as ana, app.connect("/r") as ben:
        await ben.call("say", [await ana.call("id")], "psst")
        assert await ana.expect(Said) == Said("psst")
        await silent(ana, ben)


async def test_connection_to_leaves_the_sender_out() -> None:
    async with running(Rooms) as app, app.connect("/r") as ana, app.connect("/r") as ben:
        await ana.call("join", ["lobby"])
        await ben.call("join", ["lobby"])
        await ana.call("others", "lobby")
        await ben.expect(Said)
        await silent(ana, ben)


async def test_except_leaves_the_members_of_rooms_out() -> None:
    async with running(Rooms) as app, app.connect("/r") as ana, app.connect("/r") as ben:
        emitter = app.app.emitter.of("/r")
        await ana.call("join", ["lobby", "muted"])
        await ben.call("join", ["lobby"])
        await emitter.to("lobby").except_("muted").emit(Said("a"))
        await emitter.except_("muted").emit(Said("b"))
        await emitter.except_(await ben.call("id")).emit(Said("c"))
        assert [(await ben.expect(Said)).text for _ in range(2)] == ["a", "b"]
        assert await ana.expect(Said) == Said("c")
        await silent(ana, ben)


async def test_an_emit_without_a_target_reaches_everyone_of_the_namespace() -> None:
    @gateway("/elsewhere", emits=[Said])
    class Elsewhere(Rooms):
        pass

    async with (
        running(Rooms, Elsewhere) as app,
        app.connect("/r") as ana,
        app.connect("/r") as ben,
        app.connect("/elsewhere") as eve,
    ):
        await app.app.emitter.of("/r").emit(Said("all"))
        assert await ana.expect(Said) == await ben.expect(Said)
        await silent(eve)


async def test_rooms_of_two_namespaces_are_two_rooms() -> None:
    @gateway("/elsewhere", emits=[Said])
    class Elsewhere(Rooms):
        pass

    async with (
        running(Rooms, Elsewhere) as app,
        app.connect("/r") as ana,
        app.connect("/elsewhere") as eve,
    ):
        await ana.call("join", ["lobby"])
        await eve.call("join", ["lobby"])
        await ana.call("say", ["lobby"], "here")
        await ana.expect(Said)
        await silent(ana, eve)


async def test_to_nobody_reaches_nobody() -> None:
    async with running(Rooms) as app, app.connect("/r") as ana:
        emitter = app.app.emitter.of("/r")
        assert await emitter.to().emit(Said("x")) == 1
        assert await emitter.to("empty").emit(Said("x")) == 2
        assert await emitter.to_user("nobody").emit(Said("x")) == 3
        await silent(ana)


async def test_rooms_and_users_add_up_and_each_connection_counts_once() -> None:
    async with (
        running(Rooms, authenticate=by_name) as app,
        app.connect("/r", query={"name": "ana"}) as ana,
        app.connect("/r", query={"name": "ben"}) as ben,
        app.connect("/r") as eve,
    ):
        emitter = app.app.emitter.of("/r")
        await ana.call("join", ["lobby"])
        await eve.call("join", ["lobby"])
        target = emitter.to("lobby").to_user("ana", "ben")
        assert await target.count() == 3
        assert await emitter.to("lobby").to_user("ana").count() == 2
        await target.emit(Said("hi"))
        for each in (ana, ben, eve):
            await each.expect(Said)
        await silent(ana, ben, eve)


async def test_members_are_the_ids_that_an_emit_would_reach() -> None:
    async with running(Rooms) as app, app.connect("/r") as ana, app.connect("/r") as ben:
        emitter = app.app.emitter.of("/r")
        await ana.call("join", ["lobby"])
        ids = [await ana.call("id"), await ben.call("id")]
        assert await emitter.to("lobby").members() == ids[:1]
        assert sorted(await emitter.members()) == sorted(ids)
        assert (await emitter.count(), await emitter.to("lobby").count()) == (2, 1)
        assert await emitter.to("empty").count() == 0
