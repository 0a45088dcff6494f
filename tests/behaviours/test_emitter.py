from typing import Any

import pytest
from msgspec import Struct

from gatewright import Connection, Emitter, Event, Gatewright, Settings, gateway, on
from gatewright.errors import EmitError, NotStartedError
from tests.behaviours.rooms import Moved, Rooms, Said, silent
from tests.behaviours.support import running

pytestmark = pytest.mark.anyio


class Undeclared(Event, event="undeclared"):
    text: str


class Unnamed(Event):
    text: str


class Plain(Struct):
    text: str


class Louder(Said):
    pass


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
