"""What happens to a connection whose handlers do what no handler should."""

import asyncio

import pytest

from gatewright import (
    Connection,
    Context,
    Event,
    EventError,
    Settings,
    catch,
    gateway,
    on,
    on_connect,
    on_disconnect,
)
from tests.behaviours.support import ends, running, until

pytestmark = pytest.mark.anyio


class Abrupt(BaseException):
    """What no `except Exception` sees, as pytest's and trio's own."""


async def settle() -> None:
    """Let everything that is ready happen."""
    for _ in range(10):
        await asyncio.sleep(0)


class Asked(Event, event="asked"):
    pass


@pytest.mark.parametrize("error", [StopAsyncIteration, StopIteration])
async def test_an_error_that_python_itself_uses_is_an_error_like_any_other(
    error: type[Exception],
) -> None:
    @gateway("/x")
    class Gateway:
        @on("raise")
        async def abrupt(self) -> None:
            raise error

        @on("ping")
        async def ping(self) -> str:
            return "pong"

    async with running(Gateway) as client, client.connect("/x") as ana:
        assert (await ends(ana, "raise")).code == "internal"
        assert await ana.call("ping") == "pong"


@pytest.mark.parametrize("error", [Abrupt, GeneratorExit])
async def test_a_handler_that_raises_what_is_no_exception_closes_its_connection(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    @gateway("/x")
    class Gateway:
        @on("raise")
        async def abrupt(self) -> None:
            raise error

        @on("ping")
        async def ping(self) -> str:
            return "pong"

    async with running(Gateway) as client, client.connect("/x") as bob:
        async with client.connect("/x") as ana:
            assert (await ends(ana, "raise")).code == "internal"
            assert (await ana.wait_closed())[0] == 1011
        assert await bob.call("ping") == "pong"
    assert error.__name__ in caplog.text


async def test_a_handler_that_cancels_its_own_task_closes_its_connection() -> None:
    @gateway("/x")
    class Gateway:
        @on("cancel")
        async def cancel(self) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

    async with running(Gateway) as client, client.connect("/x") as ana:
        assert (await ends(ana, "cancel")).code == "interrupted"
        assert (await ana.wait_closed())[0] == 1011


async def test_a_connect_hook_that_cancels_its_own_task_closes_the_connection() -> None:
    @gateway("/x")
    class Gateway:
        @on_connect
        async def connect(self) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

        @on("ping")
        async def ping(self) -> str:
            return "pong"

    async with running(Gateway) as client, client.connect("/x") as ana:
        assert (await ana.wait_closed())[0] == 1011


async def test_an_error_handler_that_awaits_something_cancelled_still_ends_the_call() -> None:
    @gateway("/x")
    class Gateway:
        @on("fail")
        async def fail(self) -> None:
            raise KeyError

        @catch(Exception)
        async def caught(self, error: Exception, context: Context) -> EventError:
            gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            gone.cancel()
            await gone
            return EventError("never")

        @on("ping")
        async def ping(self) -> str:
            return "pong"

    async with running(Gateway) as client, client.connect("/x") as ana:
        assert (await ends(ana, "fail")).code == "internal"
        assert await ana.call("ping") == "pong"


@pytest.mark.parametrize(
    "message", [ValueError("an error as message"), "\ud800", b"\xff", object()]
)
async def test_an_error_whose_message_cannot_be_encoded_still_ends_the_call(
    message: object,
) -> None:
    @gateway("/x")
    class Gateway:
        @on("fail")
        async def fail(self) -> None:
            raise EventError("odd", message)  # type: ignore[arg-type]

        @on("ping")
        async def ping(self) -> str:
            return "pong"

    async with running(Gateway) as client, client.connect("/x") as ana:
        assert (await ends(ana, "fail")).code == "odd"
        assert await ana.call("ping") == "pong"


async def test_debug_tells_of_an_error_with_a_lone_surrogate() -> None:
    @gateway("/x")
    class Gateway:
        @on("fail")
        async def fail(self) -> None:
            raise FileNotFoundError("caf\udce9.txt")  # as os.listdir names such a file

        @on("ping")
        async def ping(self) -> str:
            return "pong"

    async with running(Gateway, debug=True) as client, client.connect("/x") as ana:
        assert (await ends(ana, "fail")).code == "internal"
        assert await ana.call("ping") == "pong"


async def test_a_dec_hook_that_breaks_on_an_answer_is_the_callers_error() -> None:
    class Custom:
        pass

    def dec_hook(kind: type, value: object) -> object:
        raise KeyError("what a hook should not raise")

    @gateway("/x", emits=[Asked])
    class Gateway:
        @on("ask")
        async def ask(self, connection: Connection) -> str:
            await connection.call(Asked(), Custom)
            return "answered"

        @on("ping")
        async def ping(self) -> str:
            return "pong"

    async with running(Gateway, dec_hook=dec_hook) as client, client.connect("/x") as ana:
        await ana.send({"event": "ask", "id": 70})
        await ana.answer(await ana.receive(), 1)
        frame = await ana.receive()
        assert frame["id"] == 70
        assert frame["error"]["code"] == "internal"
        assert await ana.call("ping") == "pong"


async def test_handlers_that_start_after_a_late_connect_hook_end_before_the_disconnect_hook() -> (
    None
):
    connected = asyncio.Event()
    gates = [asyncio.Event(), asyncio.Event()]
    seen: list[str] = []

    @gateway("/x", concurrency=2)
    class Gateway:
        @on_connect
        async def connect(self) -> None:
            await connected.wait()

        @on("slow")
        async def slow(self, number: int) -> None:
            seen.append(f"{number} begins")
            await gates[number].wait()
            seen.append(f"{number} ends")

        @on_disconnect
        async def gone(self) -> None:
            seen.append("gone")

    async with running(Gateway) as client:
        async with client.connect("/x") as ana:
            await ana.emit("slow", 0)
            await ana.emit("slow", 1)
            ana.drop()
            await settle()
            connected.set()
            await until(lambda: "0 begins" in seen)
            gates[0].set()
            await until(lambda: "1 begins" in seen)
            await settle()
            gates[1].set()
        assert seen[-2:] == ["1 ends", "gone"]


async def test_asking_a_client_that_has_left_fails_at_once() -> None:
    ready, go = asyncio.Event(), asyncio.Event()
    codes: list[str] = []

    @gateway("/x", emits=[Asked])
    class Gateway:
        @on("ask")
        async def ask(self, connection: Connection) -> None:
            ready.set()
            await go.wait()
            await self.asking(connection)

        async def asking(self, connection: Connection) -> None:
            try:
                await connection.call(Asked(), str, timeout=60)
            except EventError as error:
                codes.append(error.code)

        @on_disconnect
        async def gone(self, connection: Connection) -> None:
            await self.asking(connection)

    async with running(Gateway) as client:
        async with client.connect("/x") as ana:
            await ana.emit("ask")
            await ready.wait()
            ana.drop()
            await settle()
            go.set()
        assert codes == ["interrupted", "interrupted"]


@pytest.mark.parametrize("first", ["ask", "note"])
async def test_an_answer_is_read_however_many_messages_wait(first: str) -> None:
    asked = asyncio.Event()

    @gateway("/x", emits=[Asked])
    class Gateway:
        @on("note")
        async def note(self) -> None:
            await asked.wait()

        @on("ask")
        async def ask(self, connection: Connection) -> str:
            asked.set()
            return await connection.call(Asked(), str, timeout=60)

        @on("ping")
        async def ping(self) -> str:
            return "pong"

    settings = Settings(inbox=4)
    async with running(Gateway, settings=settings) as client, client.connect("/x") as ana:
        if first == "note":  # so that reading has paused before anybody is asked
            await ana.emit("note")
        await ana.send({"event": "ask", "id": 9})
        for _ in range(10):
            await ana.emit("note")
        await settle()
        asked.set()
        await ana.answer(await ana.receive(lambda frame: "id" in frame), "answer")
        assert (await ana.receive(lambda frame: frame.get("id") == 9))["data"] == "answer"
        assert await ana.call("ping") == "pong"
        refused = [frame["data"]["code"] for frame in ana.received()]
        assert set(refused) == {"too_many"}
        assert len(refused) < 10


async def test_reading_pauses_again_once_the_answer_is_there() -> None:
    go = asyncio.Event()
    notes: list[int] = []

    @gateway("/x", emits=[Asked])
    class Gateway:
        @on("note")
        async def note(self, number: int) -> None:
            await go.wait()
            notes.append(number)

        @on("ask")
        async def ask(self, connection: Connection) -> None:
            await connection.call(Asked(), str)

    settings = Settings(inbox=4)
    async with running(Gateway, settings=settings) as client, client.connect("/x") as ana:
        await ana.emit("ask")
        await ana.answer(await ana.receive(), "answer")
        for number in range(50):
            await ana.emit("note", number)
        await settle()
        go.set()
        await until(lambda: len(notes) == 50)
        assert notes == list(range(50))
        assert ana.received() == []
