import asyncio

import pytest

from gatewright import (
    Connection,
    DisconnectReason,
    Emitter,
    Event,
    gateway,
    on,
    on_connect,
    on_disconnect,
    on_end,
)
from tests.behaviours.support import Welcome, running

pytestmark = pytest.mark.anyio


class Left(Event, event="left"):
    who: str


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
