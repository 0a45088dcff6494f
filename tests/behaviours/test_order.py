import asyncio
from typing import Any

import pytest

from gatewright import Connection, Event, Settings, gateway, on, on_connect
from tests.behaviours.support import running, until

pytestmark = pytest.mark.anyio


class Ask(Event, event="ask"):
    what: str


class Slow:
    """Handlers that wait until the test lets them go on."""

    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.log: list[str] = []

    def gate(self, name: str) -> asyncio.Event:
        return self.gates.setdefault(name, asyncio.Event())

    def gateway(self, concurrency: int = 1) -> type:
        slow = self

        @gateway("/o", emits=[Ask], concurrency=concurrency)
        class Ordered:
            @on("work")
            async def work(self, name: str) -> str:
                slow.log.append(f"{name} starts")
                try:
                    await slow.gate(name).wait()
                finally:
                    slow.log.append(f"{name} ends")
                return name

            @on("stubborn")
            async def stubborn(self, name: str) -> str:
                slow.log.append(f"{name} starts")
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    slow.log.append(f"{name} swallows")
                return name

            @on("ask")
            async def ask(self, connection: Connection) -> Any:
                return await connection.call(Ask("now"), int)

        return Ordered


async def test_events_of_one_connection_run_one_after_another() -> None:
    slow = Slow()
    async with running(slow.gateway()) as app, app.connect("/o") as ana:
        for number, name in enumerate("abc"):
            await ana.send({"event": "work", "data": name, "id": number})
        slow.gate("c").set()
        slow.gate("b").set()
        await until(lambda: slow.log == ["a starts"])
        slow.gate("a").set()
        assert [(await ana.receive())["data"] for _ in range(3)] == ["a", "b", "c"]
    assert slow.log == ["a starts", "a ends", "b starts", "b ends", "c starts", "c ends"]


async def test_messages_and_calls_share_the_order() -> None:
    slow = Slow()
    for name in "ab":
        slow.gate(name).set()
    async with running(slow.gateway()) as app, app.connect("/o") as ana:
        await ana.emit("work", "a")
        assert await ana.call("work", "b") == "b"
    assert slow.log == ["a starts", "a ends", "b starts", "b ends"]


async def test_connections_do_not_wait_for_each_other() -> None:
    slow = Slow()
    slow.gate("quick").set()
    async with running(slow.gateway()) as app, app.connect("/o") as ana, app.connect("/o") as ben:
        await ana.send({"event": "work", "data": "slow", "id": 1})
        await until(lambda: slow.log == ["slow starts"])
        assert await ben.call("work", "quick") == "quick"
        slow.gate("slow").set()


async def test_concurrency_lets_as_many_run_at_a_time() -> None:
    slow = Slow()
    async with running(slow.gateway(concurrency=2)) as app, app.connect("/o") as ana:
        for number, name in enumerate("abc"):
            await ana.send({"event": "work", "data": name, "id": number})
        await until(lambda: len(slow.log) == 2)
        assert slow.log == ["a starts", "b starts"]
        slow.gate("b").set()
        assert await ana.receive() == {"id": 1, "data": "b"}
        await until(lambda: "c starts" in slow.log)
        slow.gate("c").set()
        assert await ana.receive() == {"id": 2, "data": "c"}
        slow.gate("a").set()
        assert await ana.receive() == {"id": 0, "data": "a"}


async def test_a_running_call_is_cancelled_and_the_lane_goes_on() -> None:
    slow = Slow()
    slow.gate("b").set()
    async with running(slow.gateway()) as app, app.connect("/o") as ana:
        await ana.send({"event": "work", "data": "a", "id": 1})
        await ana.send({"event": "work", "data": "b", "id": 2})
        await until(lambda: slow.log == ["a starts"])
        await ana.send({"op": "cancel", "id": 1})
        first = await ana.receive()
        assert (first["id"], first["error"]["code"]) == (1, "cancelled")
        assert await ana.receive() == {"id": 2, "data": "b"}
    assert slow.log == ["a starts", "a ends", "b starts", "b ends"]


async def test_a_queued_call_is_cancelled_without_ever_running() -> None:
    slow = Slow()
    async with running(slow.gateway()) as app, app.connect("/o") as ana:
        await ana.send({"event": "work", "data": "a", "id": 1})
        await ana.send({"event": "work", "data": "b", "id": 2})
        await ana.send({"op": "cancel", "id": 2})
        first = await ana.receive()
        assert (first["id"], first["error"]["code"]) == (2, "cancelled")
        slow.gate("a").set()
        assert await ana.receive() == {"id": 1, "data": "a"}
    assert slow.log == ["a starts", "a ends"]


async def test_a_second_cancel_changes_nothing() -> None:
    slow = Slow()
    slow.gate("b").set()
    async with running(slow.gateway()) as app, app.connect("/o") as ana:
        await ana.send({"event": "work", "data": "a", "id": 1})
        await until(lambda: slow.log)
        for _ in range(3):
            await ana.send({"op": "cancel", "id": 1})
        assert (await ana.receive())["error"]["code"] == "cancelled"
        assert await ana.call("work", "b") == "b"
        assert ana.received() == []


async def test_a_cancel_of_something_unknown_or_over_is_passed_over() -> None:
    slow = Slow()
    slow.gate("a").set()
    async with running(slow.gateway()) as app, app.connect("/o") as ana:
        await ana.send({"op": "cancel", "id": 99})
        await ana.send({"event": "work", "data": "a", "id": 1})
        await ana.receive()
        await ana.send({"op": "cancel", "id": 1})
        assert await ana.call("work", "a") == "a"
        assert ana.received() == []


async def test_a_handler_that_swallows_its_cancel_has_answered() -> None:
    slow = Slow()
    slow.gate("b").set()
    async with running(slow.gateway()) as app, app.connect("/o") as ana:
        await ana.send({"event": "stubborn", "data": "a", "id": 1})
        await until(lambda: slow.log)
        await ana.send({"op": "cancel", "id": 1})
        assert await ana.receive() == {"id": 1, "data": "a"}
        assert await ana.call("work", "b") == "b"
    assert slow.log == ["a starts", "a swallows", "b starts", "b ends"]


async def test_a_timeout_inside_a_handler_is_not_taken_for_a_cancel() -> None:
    @gateway("/t")
    class Timed:
        @on("wait")
        async def wait(self) -> str:
            try:
                async with asyncio.timeout(0.001):
                    await asyncio.Event().wait()
            except TimeoutError:
                return "in time"
            return "never"

    async with running(Timed) as app, app.connect("/t") as ana:
        assert await ana.call("wait") == "in time"
        assert await ana.call("wait") == "in time"


async def test_a_duplicate_id_while_running_gets_the_one_answer() -> None:
    slow = Slow()
    async with running(slow.gateway()) as app, app.connect("/o") as ana:
        await ana.send({"event": "work", "data": "a", "id": 1})
        await ana.send({"event": "work", "data": "b", "id": 1})
        slow.gate("a").set()
        slow.gate("b").set()
        assert await ana.receive() == {"id": 1, "data": "a"}
        assert await ana.call("work", "b") == "b"
        assert ana.received() == []
    assert slow.log == ["a starts", "a ends", "b starts", "b ends"]


async def test_the_reader_is_live_while_a_handler_waits_for_the_clients_answer() -> None:
    async with running(Slow().gateway()) as app, app.connect("/o") as ana:
        await ana.send({"event": "ask", "id": 1})
        await ana.answer(await ana.receive(lambda frame: frame.get("event") == "ask"), 42)
        assert await ana.receive() == {"id": 1, "data": 42}


async def test_a_full_inbox_pauses_reading_and_loses_nothing() -> None:
    slow = Slow()
    settings = Settings(inbox=2)
    async with running(slow.gateway(), settings=settings) as app, app.connect("/o") as ana:
        for number in range(10):
            slow.gate(str(number))
            await ana.send({"event": "work", "data": str(number), "id": number})
        await until(lambda: slow.log)
        for _ in range(50):
            await asyncio.sleep(0)
        assert ana._to_server.qsize() >= 6
        for number in range(10):
            slow.gate(str(number)).set()
        assert [(await ana.receive())["id"] for _ in range(10)] == list(range(10))


async def test_a_drop_is_seen_while_a_handler_runs_and_the_handler_is_finished() -> None:
    slow = Slow()
    left = asyncio.Event()

    async with running(slow.gateway()) as app:
        async with app.connect("/o") as ana:
            await ana.send({"event": "work", "data": "a", "id": 1})
            await ana.send({"event": "work", "data": "b", "id": 2})
            await until(lambda: slow.log == ["a starts"])
            (session,) = app.app._dispatcher._sessions  # type: ignore[union-attr]
            ana.drop()
            await until(lambda: session._lanes.over)
            slow.gate("a").set()
            slow.gate("b").set()
        left.set()
    # What the client had sent before it left is handled.
    assert slow.log == ["a starts", "a ends", "b starts", "b ends"]


async def test_a_handler_that_outlives_its_connection_is_cancelled_after_a_while() -> None:
    slow = Slow()
    settings = Settings(finish_timeout=0.01)
    async with running(slow.gateway(), settings=settings) as app:
        async with app.connect("/o") as ana:
            await ana.send({"event": "work", "data": "a", "id": 1})
            await until(lambda: slow.log == ["a starts"])
        assert slow.log == ["a starts", "a ends"]
        assert len(app.app) == 0


async def test_a_connect_hook_that_fails_lets_a_waiting_reader_go() -> None:
    gate = asyncio.Event()

    @gateway("/f")
    class Fails:
        @on_connect
        async def connected(self, connection: Connection) -> None:
            await gate.wait()
            raise LookupError

        @on("hi")
        async def hi(self) -> None:
            pytest.fail("it must not run")

    async with running(Fails, settings=Settings(inbox=2)) as app, app.connect("/f") as ana:
        for _ in range(5):
            await ana.emit("hi")
        await until(lambda: ana._to_server.qsize() == 2)
        gate.set()
        assert (await ana.wait_closed())[0] == 1011


async def test_what_one_event_leaves_behind_the_next_one_sees() -> None:
    @gateway("/n")
    class Numbers:
        def __init__(self) -> None:
            self.total = 0

        @on("add")
        async def add(self, number: int) -> int:
            before = self.total
            await asyncio.sleep(0)
            self.total = before + number
            return self.total

    async with running(Numbers) as app, app.connect("/n") as ana:
        for number in range(10):
            await ana.emit("add", number)
        assert await ana.call("add", 0) == 45


async def test_a_burst_of_calls_waits_for_its_turn() -> None:
    slow = Slow()
    settings = Settings(max_calls=3, inbox=5)
    async with running(slow.gateway(), settings=settings) as app, app.connect("/o") as ana:
        for number in range(300):
            await ana.send({"event": "work", "data": "a", "id": 100 + number})
        slow.gate("a").set()
        for number in range(300):
            assert await ana.receive() == {"id": 100 + number, "data": "a"}
