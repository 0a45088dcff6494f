import asyncio
from typing import Any

import pytest
from injector import Inject, Module, multiprovider, provider

from gatewright import (
    Connection,
    Context,
    Emitter,
    From,
    Handshake,
    connection_scoped,
    event_scoped,
    gateway,
    on,
    on_connect,
    on_disconnect,
)
from gatewright.di import Level
from gatewright.testing import Refused
from tests.behaviours.injected import Injected, Transaction, Visit, Wiring
from tests.behaviours.support import running

pytestmark = pytest.mark.anyio


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
