from collections.abc import AsyncIterator

import pytest
from injector import Inject, Module, provider, singleton

from gatewright import EventError, Settings, app_scoped, event_scoped, gateway, on, resource
from tests.behaviours.injected import Database, Injected, Log, Wiring
from tests.behaviours.support import ends, running

pytestmark = pytest.mark.anyio


async def test_the_commit_comes_before_the_answer() -> None:
    wiring = Wiring()
    async with running(Injected, modules=[wiring]) as app, app.connect("/i") as ana:
        await ana.call("work", "fine")
        assert wiring.log_of_test[-1] == "commit"


async def test_a_commit_that_fails_is_the_callers_error() -> None:
    wiring = Wiring()
    async with running(Injected, modules=[wiring]) as app, app.connect("/i") as ana:
        error = await ends(ana, "work", "conflict")
        assert (error.code, error.message) == ("conflict", "somebody was faster")
        assert wiring.log_of_test[-1] == "commit fails"
        await ana.emit("work", "conflict")
        assert (await ana.expect("exception"))["code"] == "conflict"


async def test_a_handler_that_raises_rolls_back() -> None:
    wiring = Wiring()
    async with running(Injected, modules=[wiring]) as app, app.connect("/i") as ana:
        assert (await ends(ana, "work", "raise")).code == "internal"
        assert wiring.log_of_test[-1] == "rollback LookupError"
        assert await ana.call("work", "fine") is True


async def test_a_cancel_rolls_back_before_the_call_ends() -> None:
    wiring = Wiring()
    async with running(Injected, modules=[wiring]) as app, app.connect("/i") as ana:
        await ana.send({"event": "work", "data": "hang", "id": 1})
        assert (await ends(ana, "nope")).code == "unknown_event"
        await ana.send({"op": "cancel", "id": 1})
        assert (await ana.receive())["error"]["code"] == "cancelled"
        assert wiring.log_of_test[-1] == "rollback CancelledError"


async def test_invalid_data_opens_and_rolls_back_nothing_it_should_not() -> None:
    wiring = Wiring()
    async with running(Injected, modules=[wiring]) as app, app.connect("/i") as ana:
        assert (await ends(ana, "work", 3)).code == "invalid"
        assert "commit" not in wiring.log_of_test


async def test_a_stream_holds_its_resources_until_its_end() -> None:
    wiring = Wiring()
    log = wiring.log_of_test
    async with running(Injected, modules=[wiring]) as app, app.connect("/i") as ana:
        assert [item async for item in ana.stream("stream", 2)] == [0, 1]
        assert log[-5:] == ["begin", "item 0", "item 1", "stream ends", "commit"]


async def test_a_stream_that_is_cancelled_rolls_back_after_it_is_closed() -> None:
    wiring = Wiring()
    log = wiring.log_of_test
    settings = Settings(outbox=400)
    async with (
        running(Injected, modules=[wiring], settings=settings) as app,
        app.connect("/i") as ana,
    ):
        await ana.send({"event": "stream", "data": 10**6, "id": 1})
        await ana.receive()
        await ana.send({"op": "cancel", "id": 1})
        await ana.receive(lambda frame: "error" in frame)
        assert log[-2:] == ["stream ends", "rollback CancelledError"]


async def test_a_stream_that_raises_rolls_back() -> None:
    wiring = Wiring()
    async with running(Injected, modules=[wiring]) as app, app.connect("/i") as ana:
        with pytest.raises(EventError, match="internal"):
            async for _ in ana.stream("stream", 9):
                pass
        assert wiring.log_of_test[-2:] == ["stream ends", "rollback LookupError"]


async def test_a_resource_that_fails_to_open_is_the_callers_error_and_is_tried_again() -> None:
    attempts: list[int] = []

    class Flaky:
        pass

    class Flakes(Module):
        @event_scoped
        @resource
        async def flaky(self) -> AsyncIterator[Flaky]:
            attempts.append(1)
            if len(attempts) == 1:
                raise EventError("unavailable")
            yield Flaky()

    @gateway("/f")
    class Uses:
        @on("use")
        async def use(self, flaky: Inject[Flaky]) -> str:
            return "used"

    async with running(Uses, modules=[Flakes()]) as app, app.connect("/f") as ana:
        assert (await ends(ana, "use")).code == "unavailable"
        assert await ana.call("use") == "used"


async def test_an_application_resource_that_fails_keeps_the_application_from_starting() -> None:
    class Broken(Module):
        @app_scoped
        @resource
        async def database(self) -> AsyncIterator[Database]:
            raise ConnectionError("no database")
            yield  # type: ignore[unreachable]

        @singleton
        @provider
        def log(self) -> Log:
            return Log()

    @gateway("/b")
    class NeedsIt:
        def __init__(self, database: Database) -> None:
            self.database = database

        @on("hi")
        async def hi(self) -> None: ...

    with pytest.raises(ConnectionError, match="no database"):
        async with running(NeedsIt, modules=[Broken()]):
            pytest.fail("it must not start")
