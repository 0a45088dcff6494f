"""What the test-suite of socket.io-client asks of a server, on port 3210."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct, structs

from gatewright import (
    Connection,
    Event,
    EventError,
    Gatewright,
    Handshake,
    State,
    gateway,
    on,
    on_connect,
)
from gatewright.transports.socketio import SocketIO


class HandshakeSeen(Event, event="handshake", array_like=True):
    handshake: dict[str, Any]


class Hi(Event, event="hi", array_like=True):
    pass


class Ack(Event, event="ack", array_like=True):
    pass


class GotIt(Event, event="got it", array_like=True):
    pass


class TakeDate(Event, event="takeDate", array_like=True):
    date: datetime


class TakeDateObject(Event, event="takeDateObj"):
    date: datetime


class TakeUtf8(Event, event="takeUtf8", array_like=True):
    text: str


class No(Event, event="false", array_like=True):
    value: bool = False


class Doge(Event, event="doge", array_like=True):
    data: bytes


class TakeBinary(Event, event="takebin", array_like=True):
    data: bytes


class BytesCame(Event, event="buffack", array_like=True):
    pass


class MixedCame(Event, event="jsonbuff-ack", array_like=True):
    pass


class SecondCame(Event, event="abuff2-ack", array_like=True):
    pass


class Mixed(Struct):
    hello: str
    message: bytes
    goodbye: str


class Seen(Struct, frozen=True):
    first: bool = False


def not_failing(handshake: Handshake) -> None:
    if "fail" in handshake.query:
        raise EventError("refused", "Auth failed (main namespace)")


def nobody() -> None:
    raise EventError("refused", "Auth failed (custom namespace)")


def described(handshake: Handshake) -> dict[str, Any]:
    fields = structs.asdict(handshake)
    return {**fields, "auth": handshake.auth or {}}


TEXTS = ("てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string")
SENT = (
    *(Ack, BytesCame, Doge, GotIt, HandshakeSeen, Hi, MixedCame, No, SecondCame),
    *(TakeBinary, TakeDate, TakeDateObject, TakeUtf8),
)


class Ids:
    @on("getId")
    async def id(self, connection: Connection) -> str:
        return connection.id


class Open:
    @on_connect
    async def welcome(self) -> None:
        """Nothing is asked of this namespace but to be there."""


# Several at a time: the suite sends `ack` again while the first waits for its client.
@gateway("/", emits=SENT, guards=[not_failing], concurrency=8)
class MainGateway(Ids):
    @on("hi")
    async def hi(self, connection: Connection) -> None:
        await connection.emit(Hi())

    @on("echo")
    async def echo(self, value: Any) -> Any:
        return value

    @on("ack")
    async def ack(self, connection: Connection) -> None:
        number, body = await connection.call(Ack(), tuple[int, dict[str, bool]])
        if number == 5 and body["test"]:
            await connection.emit(GotIt())

    @on("getAckDate")
    async def ack_date(self) -> datetime:
        return datetime.now(UTC)

    @on("getDate")
    async def date(self, connection: Connection) -> None:
        await connection.emit(TakeDate(datetime.now(UTC)))

    @on("getDateObj")
    async def date_object(self, connection: Connection) -> None:
        await connection.emit(TakeDateObject(datetime.now(UTC)))

    @on("getUtf8")
    async def utf8(self, connection: Connection) -> None:
        for text in TEXTS:
            await connection.emit(TakeUtf8(text))

    @on("false")
    async def no(self, connection: Connection) -> None:
        await connection.emit(No())

    @on("doge")
    async def doge(self, connection: Connection) -> None:
        await connection.emit(Doge(b"asdfasdf"))

    @on("buffa")
    async def bytes_came(self, connection: Connection, data: bytes) -> None:
        await connection.emit(BytesCame())

    @on("jsonbuff")
    async def mixed_came(self, connection: Connection, mixed: Mixed) -> None:
        if (mixed.hello, mixed.goodbye) == ("lol", "gotcha"):
            await connection.emit(MixedCame())

    @on("abuff1")
    async def first(self, connection: Connection, data: bytes) -> None:
        await connection.save(Seen(first=True))

    @on("abuff2")
    async def second(self, connection: Connection, seen: State[Seen], text: str) -> None:
        if seen.first:
            await connection.emit(SecondCame())

    @on("getbin")
    async def binary(self, connection: Connection) -> None:
        await connection.emit(TakeBinary(b"asdfasdf"))

    @on("getHandshake")
    async def handshake(self, handshake: Handshake) -> dict[str, Any]:
        return described(handshake)


@gateway("/foo")
class FooGateway(Ids):
    pass


@gateway("/abc", emits=[HandshakeSeen])
class AbcGateway:
    @on_connect
    async def connected(self, connection: Connection, handshake: Handshake) -> None:
        await connection.emit(HandshakeSeen(described(handshake)))


@gateway("/no", guards=[nobody])
class NoGateway(Open):
    pass


@gateway("/timeout_socket")
class TimeoutGateway(Open):
    pass


@gateway("/valid")
class ValidGateway(Open):
    pass


@gateway("/asd")
class AsdGateway(Open):
    pass


async def slowly(handshake: Handshake) -> None:
    """The suite cuts some connections short: none may be open sooner than this."""
    await asyncio.sleep(0.01)


@gateway("/", concurrency=8)
class SilentGateway:
    @on("unknown")
    async def say_nothing(self) -> None:
        await asyncio.Event().wait()


GATEWAYS = (
    *(MainGateway, FooGateway, AbcGateway, NoGateway, TimeoutGateway, ValidGateway),
    AsdGateway,
)


def serving(*more: type) -> Gatewright:
    config = SocketIO(ping_interval=2.0, recovery=True, allow_request=slowly)
    return Gatewright(gateways=[*GATEWAYS, *more], socketio=config)


app = serving()

silent = serving(SilentGateway)
"""The same, but a call of `unknown` gets no answer rather than one that says so."""
