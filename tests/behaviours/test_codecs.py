from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from msgspec import Struct

from gatewright import Connection, Event, EventError, gateway, on
from gatewright.testing import Refused
from tests.behaviours.support import ends, running

pytestmark = pytest.mark.anyio

CODECS = pytest.mark.parametrize("codec", ["json", "msgpack"])


class Blob(Event, event="blob"):
    name: str
    data: bytes


class Nested(Struct):
    blobs: list[bytes]


@gateway("/w", emits=[Blob])
class Wire:
    @on("sizes")
    async def sizes(self, nested: Nested) -> list[int]:
        return [len(blob) for blob in nested.blobs]

    @on("echo")
    async def echo(self, connection: Connection, data: bytes) -> bytes:
        await connection.emit(Blob("copy", data))
        return data

    @on("count")
    async def count(self, to: int) -> AsyncIterator[bytes]:
        for number in range(to):
            yield bytes([number])

    @on("any")
    async def anything(self, data: Any) -> Any:
        return data

    @on("fails")
    async def fails(self) -> None:
        raise EventError("mine", "text", {"n": 1})


@CODECS
async def test_both_formats_carry_the_same_conversation(codec: Any) -> None:
    async with running(Wire) as app, app.connect("/w", codec=codec) as ana:
        assert await ana.call("any", {"a": [1, None, "é", 1.5, True]}) == {
            "a": [1, None, "é", 1.5, True]
        }
        assert await ana.call("sizes", Nested([b"", b"abc"])) == [0, 3]
        error = await ends(ana, "fails")
        assert (error.code, error.message, error.details) == ("mine", "text", {"n": 1})
        assert (await ends(ana, "sizes", {"blobs": [1]})).details == {"path": "$.blobs[0]"}
        assert (await ends(ana, "nope")).code == "unknown_event"
        await ana.emit("fails")
        assert (await ana.expect("exception"))["status"] == "error"


async def test_bytes_are_base64_in_json() -> None:
    async with running(Wire) as app, app.connect("/w") as ana:
        await ana.send({"event": "echo", "data": "AP8=", "id": 1})
        assert await ana.expect(Blob) == Blob("copy", b"\x00\xff")
        assert await ana.receive() == {"id": 1, "data": "AP8="}
        assert (await ends(ana, "echo", "no base64!")).code == "invalid"
        await ana.send({"event": "count", "data": 1, "id": 9})
        assert await ana.receive() == {"id": 9, "item": "AA=="}


async def test_bytes_are_bytes_in_msgpack() -> None:
    async with running(Wire) as app, app.connect("/w", codec="msgpack") as ana:
        await ana.send({"event": "echo", "data": b"\x00\xff", "id": 1})
        frames = [await ana.receive(), await ana.receive()]
        assert {"id": 1, "data": b"\x00\xff"} in frames
        assert {"event": "blob", "data": {"name": "copy", "data": b"\x00\xff"}} in frames


async def test_the_first_sub_protocol_that_is_known_is_chosen() -> None:
    async with running(Wire) as app:
        async with app.connect("/w", subprotocols=["graphql", "plain.json"]) as ana:
            assert ana.subprotocol == "plain.json"
            assert await ana.call("any", 1) == 1
        async with app.connect(
            "/w", codec="msgpack", subprotocols=["plain.msgpack", "plain.json"]
        ) as ana:
            assert ana.subprotocol == "plain.msgpack"
            assert await ana.call("any", 1) == 1
        async with app.connect("/w") as ana:
            assert ana.subprotocol is None


async def test_only_unknown_sub_protocols_are_refused_with_400() -> None:
    async with running(Wire) as app:
        with pytest.raises(Refused, match=r"plain\.json") as refused:
            async with app.connect("/w", subprotocols=["graphql"]):
                pytest.fail("it must not open")
    assert refused.value.status == 400


async def test_a_room_of_both_formats_gets_each_its_own() -> None:
    async with (
        running(Wire) as app,
        app.connect("/w") as ana,
        app.connect("/w", codec="msgpack") as ben,
        app.connect("/w") as eve,
    ):
        await app.app.emitter.of("/w").emit(Blob("x", b"\x01"))
        for each in (ana, eve):
            assert await each.receive() == {"event": "blob", "data": {"name": "x", "data": "AQ=="}}
        assert await ben.receive() == {"event": "blob", "data": {"name": "x", "data": b"\x01"}}


class Money:
    """A type that msgspec does not know."""

    def __init__(self, cents: int) -> None:
        self.cents = cents


def dec_hook(kind: type, value: Any) -> Any:
    if kind is Money:
        if not isinstance(value, int):
            raise ValueError("expected cents")
        return Money(value)
    raise NotImplementedError(kind)


def enc_hook(value: Any) -> Any:
    if isinstance(value, Money):
        return value.cents
    raise NotImplementedError(type(value))


class Paid(Event, event="paid"):
    money: Money


@gateway("/money", emits=[Paid])
class Till:
    @on("double")
    async def double(self, connection: Connection, money: Money) -> Money:
        await connection.emit(Paid(money))
        return Money(2 * money.cents)

    @on("decimal")
    async def decimal(self, amount: Decimal) -> Decimal:
        return amount * 2

    @on("set")
    async def odd(self) -> Any:
        return complex(1, 2)

    @on("ask")
    async def ask(self, connection: Connection) -> Money:
        return await connection.call(Paid(Money(1)), Money)


@CODECS
async def test_hooks_read_and_write_types_of_ones_own(codec: Any) -> None:
    async with (
        running(Till, dec_hook=dec_hook, enc_hook=enc_hook) as app,
        app.connect("/money", codec=codec) as ana,
    ):
        assert await ana.call("double", 21) == 42
        assert await ana.expect("paid") == {"money": 21}
        assert await ana.call("decimal", "1.10") == "2.20"
        await ana.send({"event": "ask", "id": 50})
        await ana.answer(await ana.receive(lambda frame: frame.get("event") == "paid"), 7)
        assert await ana.receive() == {"id": 50, "data": 7}


async def test_what_a_dec_hook_refuses_is_invalid() -> None:
    async with (
        running(Till, dec_hook=dec_hook, enc_hook=enc_hook) as app,
        app.connect("/money") as ana,
    ):
        error = await ends(ana, "double", "21")
        assert (error.code, "expected cents" in error.message) == ("invalid", True)


async def test_what_an_enc_hook_refuses_is_internal() -> None:
    async with (
        running(Till, dec_hook=dec_hook, enc_hook=enc_hook) as app,
        app.connect("/money") as ana,
    ):
        assert (await ends(ana, "set")).code == "internal"
        assert await ana.call("double", 1) == 2


async def test_structs_keep_their_wire_names_and_defaults() -> None:
    class Order(Struct, rename="camel", omit_defaults=True):
        order_id: int
        gift_note: str | None = None

    @gateway("/orders")
    class Orders:
        @on("next")
        async def following(self, order: Order) -> Order:
            return Order(order.order_id + 1)

    async with running(Orders) as app, app.connect("/orders") as ana:
        assert await ana.call("next", {"orderId": 1}) == {"orderId": 2}
        error = await ends(ana, "next", {"order_id": 1})
        assert "orderId" in error.message
