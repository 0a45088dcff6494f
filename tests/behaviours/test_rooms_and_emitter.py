import asyncio
from typing import Any

import pytest
from msgspec import Struct

from gatewright import (
    Connection,
    Emitter,
    Event,
    EventError,
    Gatewright,
    Handshake,
    Identity,
    Settings,
    authorize_room,
    gateway,
    on,
    on_connect,
)
from gatewright.errors import EmitError, NotStartedError
from tests.behaviours.support import ends, running

pytestmark = pytest.mark.anyio


class Said(Event, event="said"):
    text: str


class Moved(Event, event="moved"):
    x: int


class Undeclared(Event, event="undeclared"):
    text: str


class Unnamed(Event):
    text: str


class Plain(Struct):
    text: str


class Louder(Said):
    pass


async def by_name(handshake: Handshake) -> Identity[None] | None:
    name = handshake.query.get("name")
    return Identity(name, None) if name else None


@gateway("/r", emits=[Said, Moved])
class Rooms:
    @on("id")
    async def id(self, connection: Connection) -> str:
        return connection.id

    @on("join")
    async def join(self, connection: Connection, rooms: list[str]) -> list[str]:
        await connection.join(*rooms)
        return sorted(connection.rooms)

    @on("leave")
    async def leave(self, connection: Connection, rooms: list[str]) -> list[str]:
        await connection.leave(*rooms)
        return sorted(connection.rooms)

    @on("say")
    async def say(self, emitter: Emitter, rooms: list[str], text: str) -> int:
        return await emitter.to(*rooms).emit(Said(text))

    @on("others")
    async def others(self, connection: Connection, room: str) -> int:
        return await connection.to(room).emit(Said("others"))

    @on("drag")
    async def drag(self, emitter: Emitter, to: int, key: str | None) -> None:
        for x in range(to):
            await emitter.emit(Moved(x), volatile=True, key=key)

    @on("join and say")
    async def join_and_say(self, connection: Connection, emitter: Emitter, room: str) -> None:
        await connection.join(room)
        await emitter.to(room).emit(Said(room))


async def silent(*connections: Any) -> None:
    for connection in connections:
        await connection.call("id")
        assert connection.received() == []


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


async def test_targets_are_immutable() -> None:
    async with running(Rooms) as app, app.connect("/r") as ana:
        emitter = app.app.emitter.of("/r")
        emitter.to("lobby").except_("x")
        assert await emitter.count() == 1
        await ana.call("id")


async def test_the_emitter_joins_and_leaves_for_others() -> None:
    async with running(Rooms) as app, app.connect("/r") as ana, app.connect("/r") as ben:
        emitter = app.app.emitter.of("/r")
        assert await emitter.to(await ana.call("id")).join("lobby", "attic") == 1
        assert await ana.call("join", []) == ["attic", "lobby"]
        assert await emitter.join("all") == 2
        await emitter.to("lobby").leave("lobby")
        assert await ana.call("join", []) == ["all", "attic"]
        assert await ben.call("join", []) == ["all"]


async def test_the_emitter_disconnects() -> None:
    async with running(Rooms) as app, app.connect("/r") as ana, app.connect("/r") as ben:
        await ana.call("join", ["out"])
        emitter = app.app.emitter.of("/r")
        await emitter.to("out").emit(Said("last words"))
        await emitter.to("out").disconnect("closing time")
        assert await ana.wait_closed() == (4500, "closing time")
        assert await ana.expect(Said) == Said("last words")
        assert ben.closed is None


async def test_sequence_numbers_count_up_per_namespace() -> None:
    @gateway("/elsewhere", emits=[Said])
    class Elsewhere(Rooms):
        pass

    async with (
        running(Rooms, Elsewhere) as app,
        app.connect("/r") as ana,
        app.connect("/elsewhere") as eve,
    ):
        numbers = [await ana.call("say", ["x"], "hi") for _ in range(3)]
        numbers.append(await ana.call("others", "lobby"))
        assert numbers == [1, 2, 3, 4]
        assert await eve.call("say", ["x"], "hi") == 1
        assert await ana.call("say", ["x"], "hi") == 5


async def test_a_volatile_emit_has_no_number() -> None:
    async with running(Rooms) as app, app.connect("/r") as ana:
        emitter = app.app.emitter.of("/r")
        before = await emitter.emit(Said("one"))
        assert await emitter.emit(Moved(1), volatile=True) is None  # type: ignore[func-returns-value]
        assert await emitter.emit(Said("two")) == before + 1
        assert (await ana.expect(Moved)).x == 1


async def test_of_one_key_the_latest_volatile_event_arrives() -> None:
    async with running(Rooms) as app, app.connect("/r") as ana:
        await ana.call("drag", 5, "cursor")
        assert (await ana.expect(Moved)).x == 4
        await silent(ana)


async def test_without_a_key_all_volatile_events_arrive_where_there_is_room() -> None:
    async with running(Rooms) as app, app.connect("/r") as ana:
        await ana.call("drag", 5, None)
        assert [(await ana.expect(Moved)).x for _ in range(5)] == [0, 1, 2, 3, 4]


async def test_volatile_events_that_do_not_fit_are_lost_others_are_not() -> None:
    async with running(Rooms, settings=Settings(outbox=2000)) as app, app.connect("/r") as ana:
        await ana.call("drag", 200, None)
        await ana.call("join", ["lobby"])
        await ana.call("say", ["lobby"], "must arrive")
        assert await ana.expect(Said) == Said("must arrive")
        moves = [frame for frame in ana.received() if frame.get("event") == "moved"]
        assert 0 < len(moves) < 200
        assert ana.closed is None


async def test_emits_that_do_not_fit_close_the_connection_not_the_emitter() -> None:
    async with (
        running(Rooms, settings=Settings(outbox=2000)) as app,
        app.connect("/r") as ana,
        app.connect("/r") as ben,
    ):
        emitter = app.app.emitter.of("/r")
        await ben.call("join", ["lobby"])
        for _ in range(100):
            await emitter.except_("lobby").emit(Said("x" * 100))
        assert (await ana.wait_closed())[0] == 4002
        await silent(ben)


@pytest.mark.parametrize("event", [Undeclared("x"), Unnamed("x"), Plain("x"), Louder("x"), "x"])
async def test_emitting_what_is_unnamed_or_undeclared_raises_at_once(event: Any) -> None:
    async with running(Rooms) as app, app.connect("/r") as ana:
        emitter = app.app.emitter.of("/r")
        with pytest.raises(EmitError, match="expected"):
            await emitter.emit(event)
        with pytest.raises(EmitError, match="expected"):
            await emitter.emit(event, volatile=True)
        with pytest.raises(EmitError, match="expected"):
            await emitter.to("nobody here").call(event, int)
        await silent(ana)


async def test_what_cannot_be_encoded_fails_at_the_emitter_even_if_nobody_listens() -> None:
    class Odd(Event, event="odd"):
        what: Any

    @gateway("/odd", emits=[Odd])
    class Odds:
        @on("hi")
        async def hi(self) -> str:
            return "hi"

    async with running(Odds) as app:
        emitter = app.app.emitter.of("/odd")
        with pytest.raises(TypeError):
            await emitter.emit(Odd(object()))
        async with app.connect("/odd") as ana:
            with pytest.raises(TypeError):
                await emitter.emit(Odd(object()))
            assert await ana.call("hi") == "hi"


async def test_an_event_that_one_format_cannot_carry_is_not_sent_to_half_of_a_room() -> None:
    class Big(Event, event="big"):
        number: int

    @gateway("/big", emits=[Big])
    class Bigs:
        @on("hi")
        async def hi(self) -> str:
            return "hi"

    async with (
        running(Bigs) as app,
        app.connect("/big") as ana,
        app.connect("/big", codec="msgpack") as ben,
    ):
        emitter = app.app.emitter.of("/big")
        with pytest.raises(OverflowError):
            await emitter.emit(Big(2**70))
        with pytest.raises(OverflowError):
            await emitter.emit(Big(2**70), volatile=True)
        for each in (ana, ben):
            assert await each.call("hi") == "hi"
            assert each.received() == []


async def test_an_unbound_emitter_names_the_namespaces() -> None:
    async with running(Rooms) as app:
        with pytest.raises(EmitError, match=r"bind it first: .*/r"):
            await app.app.emitter.emit(Said("x"))
        with pytest.raises(EmitError, match=r"bind it first"):
            await app.app.emitter.to("lobby").count()


async def test_of_refuses_what_was_not_declared() -> None:
    async with running(Rooms) as app:
        with pytest.raises(EmitError, match="one of /r"):
            app.app.emitter.of("/nope")
        with pytest.raises(EmitError, match="path parameters none, got bench"):
            app.app.emitter.of("/r", bench=7)


async def test_an_emitter_of_an_application_that_does_not_run_raises() -> None:
    app = Gatewright([Rooms])
    with pytest.raises(NotStartedError):
        app.emitter.of("/r")
    with pytest.raises(NotStartedError):
        await app.emitter.emit(Said("x"))
    async with app.lifespan():
        bound = app.emitter.of("/r")
        assert await bound.emit(Said("x")) == 1
    with pytest.raises(NotStartedError):
        await app.emitter.emit(Said("x"))
    with pytest.raises(NotStartedError):
        await bound.emit(Said("x"))


async def test_of_fills_path_parameters_in() -> None:
    @gateway("/lab/{bench}/{shelf}", emits=[Said])
    class Lab:
        @on("namespace")
        async def namespace(self, connection: Connection, emitter: Emitter) -> list[str | None]:
            return [connection.namespace, emitter.namespace]

        @on("say")
        async def say(self, emitter: Emitter, bench: int) -> int:
            return await emitter.emit(Said(f"from {bench}"))

    async with (
        running(Lab) as app,
        app.connect("/lab/7/top") as ana,
        app.connect("/lab/8/top") as ben,
    ):
        assert await ana.call("namespace") == ["/lab/7/top", "/lab/7/top"]
        emitter = app.app.emitter.of("/lab/{bench}/{shelf}", bench=7, shelf="top")
        assert (emitter.namespace, await emitter.emit(Said("hi"))) == ("/lab/7/top", 1)
        assert await ana.expect(Said) == Said("hi")
        await ben.call("say")
        assert await ben.expect(Said) == Said("from 8")
        assert ana.received() == []
        with pytest.raises(EmitError, match="bench, shelf, got bench"):
            app.app.emitter.of("/lab/{bench}/{shelf}", bench=7)


async def test_no_path_parameter_names_another_namespace() -> None:
    @gateway("/lab/{bench}", emits=[Said])
    class Lab:
        @on("hi")
        async def hi(self) -> str:
            return "hi"

    async with running(Lab) as app, app.connect("/lab/a") as ana:
        emitter = app.app.emitter.of("/lab/{bench}", bench="../lab/a")
        assert emitter.namespace == "/lab/..%2Flab%2Fa"
        await emitter.emit(Said("x"))
        assert await ana.call("hi") == "hi"
        assert ana.received() == []


async def test_the_emitter_of_a_constructor_is_bound_to_the_gateways_namespace() -> None:
    @gateway("/bound", emits=[Said])
    class Bound:
        def __init__(self, emitter: Emitter) -> None:
            self.emitter = emitter

        @on("say")
        async def say(self, text: str) -> str | None:
            await self.emitter.emit(Said(text))
            return self.emitter.namespace

    async with running(Bound) as app, app.connect("/bound") as ana:
        assert await ana.call("say", "hi") == "/bound"
        assert await ana.expect(Said) == Said("hi")


class Doors:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def gateway(self) -> type:
        doors = self

        @gateway("/d", emits=[Said])
        class Guarded(Rooms):
            @authorize_room
            async def may_enter(self, connection: Connection, room: str) -> bool:
                doors.asked.append(room)
                if room == "broken":
                    raise LookupError
                if room == "paid":
                    raise EventError("payment_required")
                await asyncio.sleep(0)
                return not room.startswith("secret")

        return Guarded


async def test_authorize_room_is_asked_for_every_room_and_refuses() -> None:
    doors = Doors()
    async with running(doors.gateway()) as app, app.connect("/d") as ana:
        assert await ana.call("join", ["lobby"]) == ["lobby"]
        assert (await ends(ana, "join", ["secret"])).code == "forbidden"
        assert (await ends(ana, "join", ["paid"])).code == "payment_required"
        assert (await ends(ana, "join", ["broken"])).code == "internal"
        assert await ana.call("join", ["lobby"]) == ["lobby"]
    assert doors.asked == ["lobby", "secret", "paid", "broken"]


async def test_one_room_refused_is_none_joined() -> None:
    doors = Doors()
    async with running(doors.gateway()) as app, app.connect("/d") as ana:
        assert (await ends(ana, "join", ["lobby", "secret"])).code == "forbidden"
        assert await ana.call("join", []) == []


async def test_authorize_room_is_asked_when_the_emitter_joins_too() -> None:
    doors = Doors()
    async with running(doors.gateway()) as app, app.connect("/d") as ana:
        emitter = app.app.emitter.of("/d")
        assert await emitter.join("secret") == 0
        assert await emitter.join("lobby") == 1
        assert await ana.call("join", []) == ["lobby"]


async def test_authorize_room_of_all_gateways_of_a_namespace_has_to_pass() -> None:
    doors = Doors()

    @gateway("/d")
    class Second:
        @authorize_room
        async def lobby_only(self, connection: Connection, room: str) -> bool:
            return "lobby" in room

        @on_connect
        async def connected(self, connection: Connection) -> None:
            await connection.join("lobby")

    async with running(doors.gateway(), Second) as app, app.connect("/d") as ana:
        assert (await ends(ana, "join", ["attic"])).code == "forbidden"
        assert (await ends(ana, "join", ["secret lobby"])).code == "forbidden"
        assert await ana.call("join", ["second lobby"]) == ["lobby", "second lobby"]
