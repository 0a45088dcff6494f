from typing import Any

import pytest
from msgspec import Struct

from gatewright import Connection, Event, EventError, gateway, on
from tests.behaviours.support import ends, running

pytestmark = pytest.mark.anyio


class Said(Event, event="said"):
    text: str


class Receipt(Struct):
    id: int
    text: str


class Looks(Struct):
    """A domain object that only looks like an event to emit."""

    event: str
    data: int


@gateway("/echo", emits=[Said])
class Echo:
    @on("text")
    async def text(self, text: str) -> str:
        return f"Hello {text}"

    @on("receipt")
    async def receipt(self, text: str) -> Receipt:
        return Receipt(7, text)

    @on("nothing")
    async def nothing(self) -> None:
        return None

    @on("value")
    async def value(self, which: int) -> object:
        return [0, False, "", [], {}, None][which]

    @on("looks")
    async def looks(self) -> Looks:
        return Looks("said", 5)

    @on("loud")
    async def loud(self, connection: Connection, text: str) -> str:
        await connection.emit(Said(text))
        return "done"

    @on("whole")
    async def whole(self, data: Any) -> Any:
        return data

    @on("fails")
    async def fails(self) -> None:
        raise EventError("no_luck", "try again", {"after": 3})

    @on("with spaces: é")
    async def odd_name(self) -> str:
        return "odd"


async def test_what_a_handler_returns_is_the_answer_with_the_calls_id() -> None:
    async with running(Echo) as app, app.connect("/echo") as ana:
        await ana.send({"event": "text", "data": "Ana", "id": 41})
        assert await ana.receive() == {"id": 41, "data": "Hello Ana"}


async def test_a_struct_is_answered_as_a_map() -> None:
    async with running(Echo) as app, app.connect("/echo") as ana:
        assert await ana.call("receipt", "x", reply=Receipt) == Receipt(7, "x")


async def test_none_is_answered_too() -> None:
    async with running(Echo) as app, app.connect("/echo") as ana:
        await ana.send({"event": "nothing", "id": 1})
        assert await ana.receive() == {"id": 1, "data": None}


@pytest.mark.parametrize(
    ("which", "value"), [(0, 0), (1, False), (2, ""), (3, []), (4, {}), (5, None)]
)
async def test_falsy_values_are_answered_as_they_are(which: int, value: object) -> None:
    async with running(Echo) as app, app.connect("/echo") as ana:
        await ana.send({"event": "value", "data": which, "id": 1})
        assert await ana.receive() == {"id": 1, "data": value}


async def test_an_object_with_a_field_event_is_a_value_like_any_other() -> None:
    async with running(Echo) as app, app.connect("/echo") as ana:
        assert await ana.call("looks") == {"event": "said", "data": 5}


async def test_a_message_without_an_id_gets_no_answer() -> None:
    async with running(Echo) as app, app.connect("/echo") as ana:
        await ana.emit("text", "Ana")
        await ana.call("nothing")
        assert ana.received() == []


async def test_emitting_and_answering_are_two_things() -> None:
    async with running(Echo) as app, app.connect("/echo") as ana:
        assert await ana.call("loud", "hi") == "done"
        assert await ana.expect(Said) == Said("hi")


async def test_an_unknown_event_is_answered_not_dropped() -> None:
    async with running(Echo) as app, app.connect("/echo") as ana:
        error = await ends(ana, "nope", 1)
        assert error.code == "unknown_event"
        assert "'nope'" in error.message


async def test_an_unknown_event_without_an_id_is_told_by_the_event_exception() -> None:
    async with running(Echo) as app, app.connect("/echo") as ana:
        await ana.emit("nope")
        told = await ana.expect("exception")
        assert (told["status"], told["code"], told["event"]) == ("error", "unknown_event", "nope")


@pytest.mark.parametrize(
    "name", ["__init__", "text.__name__", "", "constructor", "toString", "exception", "on_connect"]
)
async def test_event_names_are_data_not_attributes(name: str) -> None:
    async with running(Echo) as app, app.connect("/echo") as ana:
        assert (await ends(ana, name)).code == "unknown_event"


async def test_an_event_may_have_any_name() -> None:
    async with running(Echo) as app, app.connect("/echo") as ana:
        assert await ana.call("with spaces: é") == "odd"


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "[]",
        "null",
        "3",
        '"text"',
        '{"event": 3}',
        '{"event": null}',
        '{"event": "text", "id": "one"}',
        '{"event": "text", "id": -1}',
        '{"event": "text", "id": 1.5}',
        '{"event": "text", "id": 9007199254740993}',
        '{"event": "text", "id": true}',
        "{}",
        '{"data": 3}',
        '{"op": "open"}',
        '{"op": "cancel"}',
        '{"op": 3}',
    ],
)
async def test_a_bad_frame_is_told_and_the_connection_goes_on(frame: str) -> None:
    async with running(Echo) as app, app.connect("/echo") as ana:
        await ana.send(frame)
        told = await ana.expect("exception")
        assert (told["status"], told["code"]) == ("error", "bad_frame")
        assert told["message"]
        assert await ana.call("text", "Ana") == "Hello Ana"


async def test_unknown_keys_of_a_frame_are_passed_over() -> None:
    async with running(Echo) as app, app.connect("/echo") as ana:
        await ana.send({"event": "text", "data": "Ana", "id": 1, "trace": {"a": [1]}})
        assert await ana.receive() == {"id": 1, "data": "Hello Ana"}


async def test_an_answer_that_nobody_waits_for_is_passed_over() -> None:
    async with running(Echo) as app, app.connect("/echo") as ana:
        await ana.send({"id": 12, "data": "late"})
        await ana.send({"id": 12, "error": {"code": "late"}})
        assert await ana.call("text", "Ana") == "Hello Ana"
        assert ana.received() == []


async def test_an_error_of_a_handler_carries_code_message_details_and_the_id() -> None:
    async with running(Echo) as app, app.connect("/echo") as ana:
        await ana.send({"event": "fails", "id": 9})
        error = {"code": "no_luck", "message": "try again", "details": {"after": 3}}
        assert await ana.receive() == {"id": 9, "error": error}


async def test_an_error_without_an_id_is_the_event_exception() -> None:
    async with running(Echo) as app, app.connect("/echo") as ana:
        await ana.emit("fails")
        assert await ana.expect("exception") == {
            "status": "error",
            "code": "no_luck",
            "message": "try again",
            "details": {"after": 3},
            "event": "fails",
        }


async def test_an_exception_does_not_echo_the_payload() -> None:
    async with running(Echo) as app, app.connect("/echo") as ana:
        await ana.send({"event": "text", "data": {"password": "secret"}})
        told = await ana.receive()
        assert "secret" not in str(told)


async def test_an_id_may_be_used_again_after_its_end() -> None:
    async with running(Echo) as app, app.connect("/echo") as ana:
        for text in ("one", "two"):
            await ana.send({"event": "text", "data": text, "id": 0})
            assert await ana.receive() == {"id": 0, "data": f"Hello {text}"}


async def test_a_result_that_cannot_be_encoded_ends_the_call_as_internal() -> None:
    @gateway("/odd")
    class Odd:
        @on("odd")
        async def odd(self) -> object:
            return object()

    async with running(Odd) as app, app.connect("/odd") as ana:
        assert (await ends(ana, "odd")).code == "internal"
        assert (await ends(ana, "odd")).code == "internal"


async def test_details_that_cannot_be_encoded_do_not_hide_the_error() -> None:
    @gateway("/odd")
    class Odd:
        @on("odd")
        async def odd(self) -> None:
            raise EventError("mine", "text", object())

    async with running(Odd) as app, app.connect("/odd") as ana:
        error = await ends(ana, "odd")
        assert (error.code, error.message, error.details) == ("mine", "text", None)


async def test_handlers_of_a_base_class_are_handlers() -> None:
    class Base:
        @on("hello")
        async def hello(self) -> str:
            return self.name()

        @on("bye")
        async def bye(self) -> str:
            return "bye"

        def name(self) -> str:
            return "base"

    @gateway("/derived")
    class Derived(Base):
        def name(self) -> str:
            return "derived"

        async def bye(self) -> str:
            return "goodbye"

    async with running(Derived) as app, app.connect("/derived") as ana:
        assert await ana.call("hello") == "derived"
        assert await ana.call("bye") == "goodbye"
