import asyncio

import pytest

from gatewright import (
    Connection,
    Context,
    DisconnectReason,
    Emitter,
    Event,
    EventError,
    Handshake,
    Settings,
    catch,
    gateway,
    on,
    on_connect,
    on_disconnect,
    on_end,
    on_start,
    on_stop,
)
from tests.behaviours.support import running, until

pytestmark = pytest.mark.anyio


class Welcome(Event, event="welcome"):
    text: str


class Left(Event, event="left"):
    who: str


async def test_the_connect_hook_finishes_before_any_event_runs() -> None:
    gate, log = asyncio.Event(), []

    @gateway("/h")
    class Hooked:
        @on_connect
        async def connected(self, connection: Connection) -> None:
            log.append("connect starts")
            await gate.wait()
            log.append("connect ends")

        @on("hi")
        async def hi(self) -> None:
            log.append("hi")

    async with running(Hooked) as app, app.connect("/h") as ana:
        await ana.send({"event": "hi", "id": 1})
        await until(lambda: not ana._to_server.qsize() and log)
        for _ in range(20):
            await asyncio.sleep(0)
        assert log == ["connect starts"]
        gate.set()
        assert await ana.receive() == {"id": 1, "data": None}
    assert log == ["connect starts", "connect ends", "hi"]


async def test_what_a_connect_hook_emits_arrives_first() -> None:
    @gateway("/h", emits=[Welcome])
    class Hooked:
        @on_connect
        async def connected(self, connection: Connection) -> None:
            await connection.emit(Welcome("hello"))

        @on("hi")
        async def hi(self) -> None: ...

    async with running(Hooked) as app, app.connect("/h") as ana:
        await ana.send({"event": "hi", "id": 1})
        assert await ana.receive() == {"event": "welcome", "data": {"text": "hello"}}
        assert await ana.receive() == {"id": 1, "data": None}


async def test_a_connect_hook_may_refuse_the_connection() -> None:
    ran: list[str] = []

    @gateway("/h")
    class Hooked:
        @on_connect
        async def connected(self, handshake: Handshake) -> None:
            raise EventError(handshake.query["code"], "not today")

        @on("hi")
        async def hi(self) -> None:
            ran.append("hi")

        @on_disconnect
        async def left(self, connection: Connection) -> None:
            ran.append("left")

    async with running(Hooked) as app:
        for code, close in (("full", 4503), ("forbidden", 4503), ("unauthenticated", 4501)):
            async with app.connect("/h", query={"code": code}) as ana:
                await ana.emit("hi")
                assert await ana.wait_closed() == (close, "not today")
    assert ran == []


async def test_a_connect_hook_that_disconnects_has_refused_the_connection() -> None:
    gate, ran = asyncio.Event(), []

    @gateway("/h")
    class Hooked:
        @on_connect
        async def connected(self, connection: Connection) -> None:
            await gate.wait()
            await connection.disconnect("banned")

        @on("hi")
        async def hi(self) -> None:
            ran.append("hi")

    async with running(Hooked) as app, app.connect("/h") as ana:
        await ana.emit("hi")
        await until(lambda: not ana._to_server.qsize())
        gate.set()
        assert await ana.wait_closed() == (4500, "banned")
    assert ran == []


async def test_what_was_sent_before_a_drop_is_handled_even_if_the_hook_was_slow() -> None:
    gate, ran = asyncio.Event(), []

    @gateway("/h")
    class Hooked:
        @on_connect
        async def connected(self, connection: Connection) -> None:
            await gate.wait()

        @on("hi")
        async def hi(self) -> None:
            ran.append("hi")

    async with running(Hooked) as app, app.connect("/h") as ana:
        await ana.emit("hi")
        (session,) = app.app._dispatcher._sessions  # type: ignore[union-attr]
        ana.drop()
        await until(lambda: session._over)
        gate.set()
        await until(lambda: len(app.app) == 0)
    assert ran == ["hi"]


@pytest.mark.parametrize("error", [LookupError("secret"), TimeoutError(), asyncio.CancelledError()])
async def test_a_connect_hook_that_breaks_closes_only_that_connection(
    error: BaseException,
) -> None:
    @gateway("/h")
    class Hooked:
        @on_connect
        async def connected(self, handshake: Handshake) -> None:
            if "break" in handshake.query:
                raise error

        @on("hi")
        async def hi(self) -> str:
            return "hi"

    async with running(Hooked) as app, app.connect("/h") as ana:
        async with app.connect("/h", query={"break": ""}) as ben:
            assert await ben.wait_closed() == (1011, "internal error")
        assert await ana.call("hi") == "hi"
        assert len(app.app) == 1


async def test_error_handlers_answer_for_connect_hooks() -> None:
    @gateway("/h")
    class Hooked:
        @catch(LookupError)
        async def lost(self, error: LookupError, context: Context) -> EventError:
            assert context.event is None
            return EventError("no_seat", "all taken")

        @on_connect
        async def connected(self, connection: Connection) -> None:
            raise KeyError

    async with running(Hooked) as app, app.connect("/h") as ana:
        assert await ana.wait_closed() == (4503, "all taken")


async def test_connect_hooks_have_a_time_limit() -> None:
    @gateway("/h")
    class Hooked:
        @on_connect
        async def connected(self, connection: Connection) -> None:
            await asyncio.Event().wait()

    settings = Settings(open_timeout=0.01)
    async with running(Hooked, settings=settings) as app, app.connect("/h") as ana:
        assert (await ana.wait_closed())[0] == 4005


async def test_the_disconnect_hook_gets_code_and_reason() -> None:
    reasons: list[DisconnectReason] = []

    @gateway("/h")
    class Hooked:
        @on("leave")
        async def leave(self, connection: Connection) -> None:
            await connection.disconnect("bye")

        @on_disconnect
        async def left(self, connection: Connection, reason: DisconnectReason) -> None:
            reasons.append(reason)

    async with running(Hooked) as app:
        async with app.connect("/h") as ana:
            ana.drop(1001)
        async with app.connect("/h") as ana:
            await ana.emit("leave")
            assert await ana.wait_closed() == (4500, "bye")
    assert [reason.code for reason in reasons] == [1001, 4500]
    assert not any(reason.resumable for reason in reasons)


async def test_rooms_are_still_readable_in_the_disconnect_hook_and_left_after_it() -> None:
    seen: list[object] = []

    @gateway("/h", emits=[Left])
    class Hooked:
        @on("join")
        async def join(self, connection: Connection, room: str) -> None:
            await connection.join(room)

        @on_disconnect
        async def left(self, connection: Connection, emitter: Emitter) -> None:
            seen.append(sorted(connection.rooms))
            for room in connection.rooms:
                await connection.to(room).emit(Left(room))

        @on_end
        async def ended(self, connection: Connection) -> None:
            seen.append(len(connection.rooms))

    async with running(Hooked) as app, app.connect("/h") as ben:
        await ben.call("join", "lobby")
        async with app.connect("/h") as ana:
            await ana.call("join", "lobby")
            await ana.call("join", "attic")
        assert await ben.expect(Left) == Left("lobby")
        assert await app.app.emitter.of("/h").to("lobby", "attic").count() == 1
    assert seen[:2] == [["attic", "lobby"], 2]


async def test_the_end_runs_once_after_the_disconnect() -> None:
    log: list[str] = []

    @gateway("/h")
    class Hooked:
        @on_end
        async def ended(self, connection: Connection) -> None:
            log.append("end")

        @on_disconnect
        async def left(self, connection: Connection) -> None:
            log.append("disconnect")

    async with running(Hooked) as app, app.connect("/h"):
        pass
    assert log == ["disconnect", "end"]


@pytest.mark.parametrize("error", [LookupError(), asyncio.CancelledError()])
async def test_a_disconnect_hook_that_breaks_keeps_no_other_hook_from_running(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[str] = []

    @gateway("/h")
    class First:
        @on_disconnect
        async def left(self, connection: Connection) -> None:
            log.append("first")

    @gateway("/h")
    class Second:
        @on_disconnect
        async def left(self, connection: Connection) -> None:
            raise error

        @on_end
        async def ended(self, connection: Connection) -> None:
            log.append("end")

    async with running(First, Second) as app:
        async with app.connect("/h"):
            pass
        assert len(app.app) == 0
        assert await app.app.emitter.of("/h").count() == 0
    assert log == ["first", "end"]
    assert "Second.left failed" in caplog.text


async def test_two_gateways_of_one_namespace_connect_in_order_and_disconnect_reversed() -> None:
    log: list[str] = []

    def named(name: str) -> type:
        @gateway("/h")
        class Named:
            @on_start
            async def started(self) -> None:
                log.append(f"{name} start")

            @on_connect
            async def connected(self, connection: Connection) -> None:
                log.append(f"{name} connect")

            @on_disconnect
            async def left(self, connection: Connection) -> None:
                log.append(f"{name} disconnect")

            @on_stop
            async def stopped(self) -> None:
                log.append(f"{name} stop")

        return Named

    async with running(named("one"), named("two")) as app, app.connect("/h"):
        pass
    assert log == [
        "one start",
        "two start",
        "one connect",
        "two connect",
        "two disconnect",
        "one disconnect",
        "two stop",
        "one stop",
    ]


async def test_only_gateways_that_connected_are_told_of_the_disconnect() -> None:
    log: list[str] = []

    def named(name: str, *, breaks: bool) -> type:
        @gateway("/h")
        class Named:
            @on_connect
            async def connected(self, connection: Connection) -> None:
                if breaks:
                    raise LookupError
                log.append(f"{name} connect")

            @on_disconnect
            async def left(self, connection: Connection) -> None:
                log.append(f"{name} disconnect")

        return Named

    gateways = [named("one", breaks=False), named("two", breaks=True), named("three", breaks=False)]
    async with running(*gateways) as app, app.connect("/h") as ana:
        await ana.wait_closed()
    assert log == ["one connect", "one disconnect"]


async def test_shutdown_closes_connections_and_awaits_their_hooks() -> None:
    log: list[object] = []

    @gateway("/h")
    class Hooked:
        @on_disconnect
        async def left(self, connection: Connection, reason: DisconnectReason) -> None:
            for _ in range(20):
                await asyncio.sleep(0)
            log.append(reason.code)

        @on_stop
        async def stopped(self) -> None:
            log.append("stop")

    client = running(Hooked)
    async with client, client.connect("/h") as ana:
        await client.__aexit__(None, None, None)
        assert await ana.wait_closed() == (1012, "the server stops")
    assert log == [1012, "stop"]


async def test_an_application_whose_start_hook_fails_does_not_start() -> None:
    log: list[str] = []

    def named(name: str, *, breaks: bool) -> type:
        @gateway(f"/{name}")
        class Named:
            @on_start
            async def started(self) -> None:
                if breaks:
                    raise LookupError(name)
                log.append(f"{name} start")

            @on_stop
            async def stopped(self) -> None:
                log.append(f"{name} stop")

        return Named

    gateways = [named("one", breaks=False), named("two", breaks=True), named("three", breaks=False)]
    client = running(*gateways)
    with pytest.raises(LookupError, match="two"):
        async with client:
            pytest.fail("it must not start")
    assert not client.app.running
    # What started is stopped; what never started is not.
    assert log == ["one start", "one stop"]


async def test_a_stop_hook_that_breaks_keeps_no_other_from_running(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log: list[str] = []

    @gateway("/one")
    class One:
        @on_stop
        async def stopped(self) -> None:
            log.append("one")

    @gateway("/two")
    class Two:
        @on_stop
        async def stopped(self) -> None:
            raise LookupError

    async with running(One, Two):
        pass
    assert log == ["one"]
    assert "Two.stopped failed" in caplog.text


async def test_start_and_stop_hooks_may_emit() -> None:
    counts: list[int] = []

    @gateway("/h", emits=[Welcome])
    class Hooked:
        def __init__(self, emitter: Emitter) -> None:
            self.emitter = emitter

        @on_start
        async def started(self, emitter: Emitter) -> None:
            counts.append(await self.emitter.emit(Welcome("nobody is here yet")))
            counts.append(await emitter.emit(Welcome("the same one")))

        @on_stop
        async def stopped(self) -> None:
            counts.append(await self.emitter.emit(Welcome("nobody is here any more")))

    async with running(Hooked):
        pass
    assert counts == [1, 2, 3]


async def test_an_event_that_waits_is_not_run_after_a_refusal() -> None:
    ran: list[str] = []

    @gateway("/h")
    class Hooked:
        @on("leave")
        async def leave(self, connection: Connection) -> None:
            await connection.disconnect("enough")

        @on("hi")
        async def hi(self) -> None:
            ran.append("hi")

    async with running(Hooked) as app, app.connect("/h") as ana:
        await ana.emit("leave")
        await ana.wait_closed()
        await ana.emit("hi")
    assert ran == []


async def test_nothing_is_left_after_many_connections() -> None:
    @gateway("/h", emits=[Welcome])
    class Hooked:
        @on_connect
        async def connected(self, connection: Connection) -> None:
            await connection.join("lobby")

    async with running(Hooked) as app:
        for _ in range(20):
            async with app.connect("/h"):
                pass
        dispatcher = app.app._dispatcher
        assert dispatcher is not None
        assert len(app.app) == len(dispatcher.node.namespaces) == len(dispatcher._tasks) == 0
