import asyncio

import pytest

from gatewright import (
    Connection,
    Context,
    EventError,
    Handshake,
    Settings,
    catch,
    gateway,
    on,
    on_connect,
    on_disconnect,
)
from tests.behaviours.support import Welcome, running, until

pytestmark = pytest.mark.anyio


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
        await until(lambda: session._lanes.over)
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
