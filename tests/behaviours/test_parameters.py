import functools
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Generic, TypeVar

import pytest
from msgspec import Meta, Struct

from gatewright import (
    Connection,
    Context,
    Emitter,
    Event,
    From,
    Handshake,
    gateway,
    on,
)
from tests.behaviours.support import ends, running

pytestmark = pytest.mark.anyio

T = TypeVar("T")


class Say(Struct):
    room: str
    text: str


class Said(Event, event="said"):
    text: str


def language(context: Context) -> str:
    return context.handshake.headers.get("accept-language", "none")


async def shouting(context: Context) -> bool:
    return "loud" in context.handshake.query


@gateway("/p", emits=[Said])
class Parameters:
    @on("whole")
    async def whole(self, message: Say) -> str:
        return f"{message.room}: {message.text}"

    @on("several")
    async def several(self, room: str, text: str, times: int = 1) -> list[str]:
        return [room, text * times]

    @on("list")
    async def one_list(self, numbers: list[int]) -> int:
        return sum(numbers)

    @on("none")
    async def none(self) -> str:
        return "ignored"

    @on("default")
    async def default(self, limit: int = 10) -> int:
        return limit

    @on("collects")
    async def collects(self, name: str, into: list[str] = []) -> list[str]:  # noqa: B006
        into.append(name)
        return into

    @on("anything")
    async def anything(self, data: Any) -> Any:
        return data

    @on("mixed")
    async def mixed(
        self, text: str, connection: Connection, emitter: Emitter, times: int, handshake: Handshake
    ) -> str:
        await emitter.to(connection.id).emit(Said(text))
        return f"{handshake.namespace} {text * times}"

    @on("keyword")
    async def keyword(self, first: int, *, second: int) -> int:
        return first - second

    @on("context")
    async def context(self, context: Context) -> list[str | None]:
        return [context.event, context.namespace, context.idempotency_key]

    @on("from")
    async def extracted(
        self,
        text: str,
        spoken: Annotated[str, From(language)],
        loud: Annotated[bool, From(shouting)],
    ) -> str:
        return f"{spoken} {text.upper() if loud else text}"

    @on("annotated")
    async def annotated(self, to: Annotated[int, Meta(ge=0, le=9)]) -> int:
        return to


async def test_one_parameter_takes_the_data_whole() -> None:
    async with running(Parameters) as app, app.connect("/p") as ana:
        assert await ana.call("whole", Say("lobby", "hi")) == "lobby: hi"


async def test_several_parameters_take_an_array_in_order() -> None:
    async with running(Parameters) as app, app.connect("/p") as ana:
        assert await ana.call("several", "lobby", "hi", 2) == ["lobby", "hihi"]


async def test_defaults_stand_in_for_arguments_at_the_end() -> None:
    async with running(Parameters) as app, app.connect("/p") as ana:
        assert await ana.call("several", "lobby", "hi") == ["lobby", "hi"]


async def test_a_missing_argument_without_default_is_invalid() -> None:
    async with running(Parameters) as app, app.connect("/p") as ana:
        await ana.send({"event": "several", "data": ["lobby"], "id": 1})
        assert (await ana.receive())["error"]["code"] == "invalid"


async def test_a_list_parameter_takes_the_array_itself() -> None:
    async with running(Parameters) as app, app.connect("/p") as ana:
        assert await ana.call("list", [1, 2, 3]) == 6


async def test_a_handler_without_payload_ignores_the_data() -> None:
    async with running(Parameters) as app, app.connect("/p") as ana:
        assert await ana.call("none", {"what": ["ever"]}) == "ignored"


async def test_a_default_stands_in_for_data_that_was_not_sent() -> None:
    async with running(Parameters) as app, app.connect("/p") as ana:
        assert await ana.call("default") == 10
        assert await ana.call("default", 3) == 3


async def test_data_that_was_not_sent_is_invalid_without_a_default() -> None:
    async with running(Parameters) as app, app.connect("/p") as ana:
        assert (await ends(ana, "whole")).code == "invalid"


async def test_a_mutable_default_is_new_for_every_call() -> None:
    async with running(Parameters) as app, app.connect("/p") as ana:
        for name in ("ana", "ben"):
            await ana.send({"event": "collects", "data": [name], "id": 1})
            assert (await ana.receive())["data"] == [name]


async def test_a_mutable_default_of_an_only_parameter_is_new_for_every_call() -> None:
    @gateway("/only")
    class Only:
        @on("collects")
        async def collects(self, into: list[int] = []) -> list[int]:  # noqa: B006
            into.append(1)
            return into

    async with running(Only) as app, app.connect("/only") as ana:
        assert await ana.call("collects") == [1]
        assert await ana.call("collects") == [1]


@pytest.mark.parametrize("data", [None, 0, "text", [1, [2]], {"a": {"b": None}}])
async def test_any_takes_whatever_json_there_is(data: object) -> None:
    async with running(Parameters) as app, app.connect("/p") as ana:
        assert await ana.call("anything", data) == data


async def test_parameters_are_told_apart_by_their_types_in_any_order() -> None:
    async with running(Parameters) as app, app.connect("/p") as ana:
        assert await ana.call("mixed", "hi", 2) == "/p hihi"
        assert await ana.expect(Said) == Said("hi")


async def test_keyword_only_parameters_are_arguments_too() -> None:
    async with running(Parameters) as app, app.connect("/p") as ana:
        assert await ana.call("keyword", 5, 3) == 2


async def test_the_context_knows_event_namespace_and_an_idempotency_key() -> None:
    async with running(Parameters) as app, app.connect("/p") as ana:
        event, namespace, key = await ana.call("context")
        assert (event, namespace) == ("context", "/p")
        assert key != (await ana.call("context"))[2]


async def test_a_message_without_an_id_has_no_idempotency_key() -> None:
    async with running(Parameters) as app, app.connect("/p") as ana:
        await ana.emit("context")
        assert (await ana.expect("exception"))["code"] == "internal"


async def test_extractors_are_custom_parameters_async_ones_too() -> None:
    async with (
        running(Parameters) as app,
        app.connect("/p", headers={"Accept-Language": "sq"}, query={"loud": ""}) as ana,
    ):
        assert await ana.call("from", "tung") == "sq TUNG"


async def test_a_constraint_in_the_annotation_is_the_pipe() -> None:
    async with running(Parameters) as app, app.connect("/p") as ana:
        assert await ana.call("annotated", 9) == 9
        assert (await ends(ana, "annotated", 10)).code == "invalid"


async def test_a_wrapped_handler_keeps_its_parameters() -> None:
    def logged(handler: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(handler)
        async def around(*args: Any, **kwargs: Any) -> Any:
            return [await handler(*args, **kwargs)]

        return around

    @gateway("/wrapped")
    class Wrapped:
        @on("add")
        @logged
        async def add(self, a: int, b: int) -> int:
            return a + b

    async with running(Wrapped) as app, app.connect("/wrapped") as ana:
        assert await ana.call("add", 1, 2) == [3]
        assert (await ends(ana, "add", 1, "2")).code == "invalid"


async def test_a_generic_base_takes_its_type_from_the_derived_class() -> None:
    class Crud(Generic[T]):
        @on("create")
        async def create(self, item: T) -> T:
            return item

    @gateway("/says")
    class Says(Crud[Say]):
        pass

    async with running(Says) as app, app.connect("/says") as ana:
        assert await ana.call("create", Say("a", "b"), reply=Say) == Say("a", "b")
        assert (await ends(ana, "create", 3)).code == "invalid"
