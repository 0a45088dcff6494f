import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from injector import Inject, Module, multiprovider, provider, singleton

from gatewright import (
    Connection,
    Context,
    Emitter,
    EventError,
    From,
    Handshake,
    Settings,
    app_scoped,
    connection_scoped,
    event_scoped,
    gateway,
    on,
    on_connect,
    on_disconnect,
    resource,
)
from gatewright.di import Level
from gatewright.testing import Refused
from tests.behaviours.support import ends, running

pytestmark = pytest.mark.anyio


class Log(list[str]):
    pass


class Database:
    def __init__(self, log: Log) -> None:
        self.log = log


class Visit:
    """Lives as long as a connection."""

    def __init__(self, handshake: Handshake) -> None:
        self.name = handshake.query.get("name", "nobody")
        self.events = 0


class Transaction:
    """Lives as long as an event."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.fail_at_commit = False


class Repository:
    """Unscoped: made for whoever asks, from what is there."""

    def __init__(self, transaction: Transaction, database: Database) -> None:
        self.transaction = transaction
        self.database = database


class Wiring(Module):
    def __init__(self) -> None:
        self.log_of_test = Log()

    @singleton
    @provider
    def log(self) -> Log:
        return self.log_of_test

    @app_scoped
    @resource
    async def database(self, log: Log) -> AsyncIterator[Database]:
        log.append("database opens")
        yield Database(log)
        log.append("database closes")

    @connection_scoped
    @resource
    async def visit(self, handshake: Handshake, log: Log) -> AsyncIterator[Visit]:
        visit = Visit(handshake)
        log.append(f"{visit.name} comes")
        try:
            yield visit
        finally:
            log.append(f"{visit.name} leaves")

    @event_scoped
    @resource
    async def transaction(self, visit: Visit, log: Log) -> AsyncIterator[Transaction]:
        transaction = Transaction(visit)
        log.append("begin")
        try:
            yield transaction
        except BaseException as error:
            log.append(f"rollback {type(error).__name__}")
            raise
        if transaction.fail_at_commit:
            log.append("commit fails")
            raise EventError("conflict", "somebody was faster")
        log.append("commit")

    def configure(self, binder: Any) -> None:
        binder.bind(Repository)


@gateway("/i")
class Injected:
    def __init__(self, database: Database, log: Log) -> None:
        self.database = database
        self.log = log

    @on("app only")
    async def app_only(self, text: str, database: Inject[Database]) -> bool:
        return database is self.database

    @on("visit")
    async def visit(self, visit: Inject[Visit]) -> list[object]:
        visit.events += 1
        return [visit.name, visit.events]

    @on("work")
    async def work(self, repository: Inject[Repository], outcome: str) -> bool:
        self.log.append("work")
        if outcome == "raise":
            raise LookupError
        if outcome == "conflict":
            repository.transaction.fail_at_commit = True
        if outcome == "hang":
            await asyncio.Event().wait()
        return repository.database is self.database

    @on("same")
    async def same(self, one: Inject[Transaction], two: Inject[Repository]) -> bool:
        return one is two.transaction

    @on("stream")
    async def stream(self, repository: Inject[Repository], to: int) -> AsyncIterator[int]:
        try:
            for number in range(to):
                self.log.append(f"item {number}")
                yield number
            if to == 9:
                raise LookupError
        finally:
            self.log.append("stream ends")


async def test_each_level_opens_when_first_needed_and_closes_in_its_time() -> None:
    wiring = Wiring()
    log = wiring.log_of_test
    async with running(Injected, modules=[wiring]) as app:
        assert log == ["database opens"]
        async with app.connect("/i", query={"name": "ana"}) as ana:
            assert await ana.call("app only", "x") is True
            assert log == ["database opens"]
            assert await ana.call("work", "fine") is True
        assert log == [
            "database opens",
            "ana comes",
            "begin",
            "work",
            "commit",
            "ana leaves",
        ]
    assert log[-1] == "database closes"


async def test_a_connections_things_are_its_own_and_last_over_its_events() -> None:
    async with (
        running(Injected, modules=[Wiring()]) as app,
        app.connect("/i", query={"name": "ana"}) as ana,
        app.connect("/i", query={"name": "ben"}) as ben,
    ):
        assert await ana.call("visit") == ["ana", 1]
        assert await ana.call("visit") == ["ana", 2]
        assert await ben.call("visit") == ["ben", 1]
        assert await ana.call("visit") == ["ana", 3]


async def test_an_events_things_are_one_per_event() -> None:
    wiring = Wiring()
    async with running(Injected, modules=[wiring]) as app, app.connect("/i") as ana:
        assert await ana.call("same") is True
        assert await ana.call("same") is True
    assert wiring.log_of_test.count("begin") == wiring.log_of_test.count("commit") == 2


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


async def test_a_handler_of_app_level_things_costs_no_container_call_per_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted: list[str] = []

    def counting(name: str) -> None:
        original = getattr(Level, name)

        def counts(self: Level, *args: Any, **kwargs: Any) -> Any:
            counted.append(name)
            return original(self, *args, **kwargs)

        monkeypatch.setattr(Level, name, counts)

    async with running(Injected, modules=[Wiring()]) as app, app.connect("/i") as ana:
        for name in ("aget", "get", "create", "build", "event", "_node", "_open_all", "__init__"):
            counting(name)
        for _ in range(5):
            await ana.call("app only", "x")
        assert counted == []
        await ana.call("visit")
        assert "aget" in counted


async def test_overrides_replace_bindings_for_a_test() -> None:
    class Fakes(Module):
        @connection_scoped
        @provider
        def visit(self, handshake: Handshake) -> Visit:
            visit = Visit(handshake)
            visit.name = "fake"
            return visit

    async with (
        running(Injected, modules=[Wiring()], overrides=[Fakes()]) as app,
        app.connect("/i", query={"name": "ana"}) as ana,
    ):
        assert await ana.call("visit") == ["fake", 1]


async def test_hooks_and_guards_share_the_connections_things() -> None:
    seen: list[Visit] = []

    async def guard(visit: Inject[Visit]) -> bool:
        seen.append(visit)
        return visit.name != "eve"

    @gateway("/h", guards=[guard])
    class Hooked:
        @on_connect
        async def connected(self, visit: Inject[Visit]) -> None:
            seen.append(visit)

        @on("hi")
        async def hi(self, visit: Inject[Visit]) -> None:
            seen.append(visit)

        @on_disconnect
        async def left(self, visit: Inject[Visit], transaction: Inject[Transaction]) -> None:
            seen.extend((visit, transaction.visit))

    wiring = Wiring()
    async with running(Hooked, modules=[wiring]) as app:
        async with app.connect("/h", query={"name": "ana"}) as ana:
            await ana.call("hi")
        assert len(seen) == 6
        assert len(set(map(id, seen))) == 1
        assert wiring.log_of_test == ["ana comes", "begin", "commit", "ana leaves"]
        seen.clear()
        wiring.log_of_test.clear()
        with pytest.raises(Refused):
            async with app.connect("/h", query={"name": "eve"}):
                pytest.fail("it must not open")
    # Refused, and nothing of it is left open.
    assert [entry for entry in wiring.log_of_test if "eve" in entry] == ["eve comes", "eve leaves"]


async def test_a_connection_scoped_class_may_take_its_connection_and_a_service_the_emitter() -> (
    None
):
    class Greeter:
        def __init__(self, connection: Connection, emitter: Emitter) -> None:
            self.connection = connection
            self.emitter = emitter

    class Tracer:
        def __init__(self, context: Context) -> None:
            self.context = context

    def bindings(binder: Any) -> None:
        binder.bind(Greeter, scope=connection_scoped)
        binder.bind(Tracer, scope=event_scoped)

    @gateway("/g")
    class Greets:
        @on("hi")
        async def hi(
            self, connection: Connection, greeter: Inject[Greeter], tracer: Inject[Tracer]
        ) -> list[object]:
            return [
                greeter.connection is connection,
                greeter.emitter.namespace,
                tracer.context.event,
            ]

    async with running(Greets, modules=[bindings]) as app, app.connect("/g") as ana:
        assert await ana.call("hi") == [True, None, "hi"]


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


async def test_several_bindings_of_a_list_are_all_injected() -> None:
    class Rules(Module):
        @multiprovider
        def one(self) -> list[str]:
            return ["one"]

        @multiprovider
        def two(self) -> list[str]:
            return ["two"]

    @gateway("/l")
    class Lists:
        def __init__(self, rules: list[str]) -> None:
            self.rules = rules

        @on("rules")
        async def of_it(self) -> list[str]:
            return self.rules

    async with running(Lists, modules=[Rules()]) as app, app.connect("/l") as ana:
        assert await ana.call("rules") == ["one", "two"]


async def test_concurrent_events_have_transactions_of_their_own() -> None:
    gate = asyncio.Event()
    seen: list[Transaction] = []

    @gateway("/c", concurrency=2)
    class Concurrent:
        @on("work")
        async def work(self, transaction: Inject[Transaction]) -> None:
            seen.append(transaction)
            await gate.wait()

    async with running(Concurrent, modules=[Wiring()]) as app, app.connect("/c") as ana:
        await ana.send({"event": "work", "id": 1})
        await ana.send({"event": "work", "id": 2})
        while len(seen) < 2:
            await asyncio.sleep(0)
        gate.set()
        await ana.receive()
        await ana.receive()
    assert seen[0] is not seen[1]
    assert seen[0].visit is seen[1].visit


def test_from_shows_what_it_extracts_with() -> None:
    def language(context: Context) -> str:
        return "sq"

    assert "language" in repr(From(language))
