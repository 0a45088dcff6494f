"""Defaults that change, and types that say too little."""

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pytest
from msgspec import Struct

from gatewright import Connection, Event, Gatewright, gateway, on
from gatewright.errors import StartupError
from tests.behaviours.support import running

pytestmark = pytest.mark.anyio

T = TypeVar("T")


class Basket(Struct):
    things: list[int] = []


@dataclass
class Shelf:
    rows: list[list[int]] = field(default_factory=lambda: [[]])


class Page(Event, Generic[T], event="page"):
    items: list[T]


async def test_a_default_belongs_to_one_call_however_deep_it_is() -> None:
    deep: list[list[int]] = [[]]
    basket, shelf = Basket(), Shelf()

    @gateway("/x")
    class Gateway:
        @on("one")
        async def one(self, basket: Basket = basket) -> Any:
            basket.things.append(1)
            return basket.things

        @on("nested")
        async def nested(self, rows: list[list[int]] = deep) -> Any:
            rows[0].append(1)
            return rows

        @on("several")
        async def several(
            self,
            number: int,
            basket: Basket = basket,
            shelf: Shelf = shelf,
            rows: list[list[int]] = deep,
        ) -> Any:
            for each in (basket.things, shelf.rows[0], rows[0]):
                each.append(number)
            return [basket.things, shelf.rows, rows]

    async with running(Gateway) as client, client.connect("/x") as ana:
        for _ in range(2):
            assert await ana.call("one") == [1]
            assert await ana.call("nested") == [[1]]
            assert await ana.call("several", [7]) == [[7], [[7]], [[7]]]


def test_object_as_a_payload_names_any() -> None:
    @gateway("/x")
    class Gateway:
        @on("echo")
        async def echo(self, data: object) -> None: ...

    with pytest.raises(StartupError, match="Write Any"):
        Gatewright(gateways=[Gateway])


async def test_a_generic_event_is_expected_by_the_type_of_its_items() -> None:
    @gateway("/x", emits=[Page[int]])
    class Gateway:
        @on("turn")
        async def turn(self, connection: Connection) -> None:
            await connection.emit(Page([1, 2]))

    async with running(Gateway) as client, client.connect("/x") as ana:
        await ana.emit("turn")
        page = await ana.expect(Page[int])
        assert page.items == [1, 2]
