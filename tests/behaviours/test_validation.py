import datetime
from enum import Enum
from typing import Annotated, Literal
from uuid import UUID

import msgspec
import pytest
from msgspec import Meta, Struct

from gatewright import gateway, on
from tests.behaviours.support import ends, running

pytestmark = pytest.mark.anyio


class Colour(Enum):
    RED = "red"


class Item(Struct):
    name: Annotated[str, Meta(min_length=1)]
    price: float


class Order(Struct, forbid_unknown_fields=True):
    items: list[Item]
    note: str | None = None


class Card(Struct, tag="card"):
    number: str


class Cash(Struct, tag="cash"):
    coins: int


@gateway("/v")
class Validated:
    def __init__(self) -> None:
        self.calls = 0

    @on("order")
    async def order(self, order: Order) -> int:
        return len(order.items)

    @on("say")
    async def say(self, room: str, order: Order) -> str:
        return room

    @on("pay")
    async def pay(self, means: Card | Cash) -> str:
        return type(means).__name__

    @on("typed")
    async def typed(
        self, colour: Colour, day: datetime.date, key: UUID, kind: Literal["a", "b"]
    ) -> list[str]:
        return [colour.name, day.isoformat(), str(key), kind]


async def test_invalid_data_is_the_callers_error_with_the_path_of_what_is_wrong() -> None:
    async with running(Validated) as app, app.connect("/v") as ana:
        error = await ends(ana, "order", {"items": [{"name": "x", "price": 1}, {"name": "y"}]})
        assert error.code == "invalid"
        assert "price" in error.message
        assert error.details == {"path": "$.items[1]"}


async def test_the_path_names_the_argument_among_several() -> None:
    async with running(Validated) as app, app.connect("/v") as ana:
        error = await ends(ana, "say", "lobby", {"items": [{"name": "", "price": 1}]})
        assert error.details == {"path": "$[1].items[0].name"}


async def test_the_path_of_the_whole_is_the_root() -> None:
    async with running(Validated) as app, app.connect("/v") as ana:
        assert (await ends(ana, "order", 3)).details == {"path": "$"}


async def test_invalid_data_without_an_id_is_the_event_exception() -> None:
    async with running(Validated) as app, app.connect("/v") as ana:
        await ana.emit("order", {"items": 3})
        told = await ana.expect("exception")
        assert (told["code"], told["details"]) == ("invalid", {"path": "$.items"})


async def test_valid_data_passes() -> None:
    async with running(Validated) as app, app.connect("/v") as ana:
        assert await ana.call("order", {"items": [{"name": "x", "price": 1}]}) == 1


async def test_unknown_fields_are_refused_where_the_struct_says_so() -> None:
    async with running(Validated) as app, app.connect("/v") as ana:
        error = await ends(ana, "order", {"items": [], "isAdmin": True})
        assert (error.code, "isAdmin" in error.message) == ("invalid", True)


async def test_text_is_no_number() -> None:
    async with running(Validated) as app, app.connect("/v") as ana:
        error = await ends(ana, "order", {"items": [{"name": "x", "price": "1"}]})
        assert error.details == {"path": "$.items[0].price"}


async def test_a_tagged_union_picks_its_struct() -> None:
    async with running(Validated) as app, app.connect("/v") as ana:
        assert await ana.call("pay", {"type": "cash", "coins": 3}) == "Cash"
        assert (await ends(ana, "pay", {"type": "cheque"})).code == "invalid"


async def test_enums_dates_uuids_and_literals_are_converted() -> None:
    key = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
    async with running(Validated) as app, app.connect("/v") as ana:
        assert await ana.call("typed", "red", "2026-11-23", key, "b") == [
            "RED",
            "2026-11-23",
            key,
            "b",
        ]
        assert (await ends(ana, "typed", "blue", "2026-11-23", key, "b")).details == {
            "path": "$[0]"
        }


async def test_a_handler_does_not_run_for_invalid_data() -> None:
    calls: list[int] = []

    @gateway("/counted")
    class Counted:
        @on("count")
        async def count(self, by: int) -> None:
            calls.append(by)

    async with running(Counted) as app, app.connect("/counted") as ana:
        await ends(ana, "count", "one")
        await ana.call("count", 1)
    assert calls == [1]


async def test_a_validation_error_raised_inside_a_handler_is_invalid_as_well() -> None:
    @gateway("/inner")
    class Inner:
        @on("parse")
        async def parse(self, text: str) -> int:
            return msgspec.json.decode(text, type=list[int])[0]

    async with running(Inner) as app, app.connect("/inner") as ana:
        assert await ana.call("parse", "[4]") == 4
        error = await ends(ana, "parse", '["x"]')
        assert (error.code, error.details) == ("invalid", {"path": "$[0]"})


async def test_a_lone_surrogate_in_text_is_a_bad_frame() -> None:
    async with running(Validated) as app, app.connect("/v") as ana:
        await ana.send('{"event":"say","data":["\\ud800",{"items":[]}],"id":1}')
        assert (await ana.expect("exception"))["code"] == "bad_frame"
        assert await ana.call("order", {"items": []}) == 0
