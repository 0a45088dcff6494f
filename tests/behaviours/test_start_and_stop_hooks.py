import asyncio

import pytest

from gatewright import (
    Connection,
    DisconnectReason,
    Emitter,
    gateway,
    on_connect,
    on_disconnect,
    on_start,
    on_stop,
)
from tests.behaviours.support import Welcome, running

pytestmark = pytest.mark.anyio


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
