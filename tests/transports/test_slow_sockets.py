"""Peers that read slowly or not at all, over real sockets and every way that there is to them."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from msgspec import Struct
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp
from websockets.asyncio.client import connect

from gatewright import (
    Connection,
    DisconnectReason,
    Event,
    Gatewright,
    Settings,
    gateway,
    on,
    on_disconnect,
)
from gatewright.outbox import Outbox
from gatewright.transports.links import AsgiLink, DirectLink
from tests._support.raw import CLOSE, RawClient
from tests._support.server import Url, serve

pytestmark = [pytest.mark.anyio, pytest.mark.long(30)]


class Said(Event, event="said"):
    number: int
    text: str


@gateway("/chat", emits=[Said])
class Chat:
    @on("join")
    async def join(self, connection: Connection) -> None:
        await connection.join("lobby")

    @on_disconnect
    async def note(self, connection: Connection, reason: DisconnectReason) -> None:
        lost.append((connection.id, reason))


lost: list[tuple[str, DisconnectReason]] = []


class Way(Struct):
    """One way of an outbox to a socket."""

    name: str
    link: type
    config: dict[str, Any]
    wrap: Callable[[Gatewright], ASGIApp] = lambda realtime: realtime
    path: str = "/chat"
    deflate: bool = False


def routes(realtime: Gatewright) -> ASGIApp:
    return Starlette(routes=realtime.routes, lifespan=realtime.lifespan)


def mount(realtime: Gatewright) -> ASGIApp:
    return Starlette(routes=[Mount("/realtime", realtime)], lifespan=realtime.lifespan)


SANSIO = {"ws": "websockets-sansio"}
OURS = {"ws": "gatewright.server:WebSocketProtocol"}
WAYS = [
    Way("direct", DirectLink, SANSIO),
    Way("compressed", DirectLink, SANSIO, deflate=True),
    Way("wsproto", AsgiLink, {"ws": "wsproto"}),
    Way("routes of an app", AsgiLink, SANSIO, routes),
    Way("mounted", AsgiLink, SANSIO, mount, "/realtime/chat"),
    Way("mounted, our protocol", DirectLink, OURS, mount, "/realtime/chat"),
]


class House:
    """A served chat with one member that reads nothing and one that reads everything."""

    def __init__(self, realtime: Gatewright, url: Url, way: Way) -> None:
        self.realtime = realtime
        self.url = url
        self.way = way
        self.said = 0
        self.heard: list[int] = []

    @property
    def members(self) -> dict[str, Connection]:
        dispatcher = self.realtime._dispatcher
        assert dispatcher is not None
        return cast(dict[str, Connection], dispatcher.node.namespaces["/chat"].members)

    async def emit(self, size: int) -> None:
        """Say something to the room, and wait until who reads has heard it."""
        self.said += 1
        # Not compressible, so that a compressed socket fills up as well.
        text = random_text(size)
        await self.realtime.emitter.of("/chat").to("lobby").emit(Said(self.said, text))
        await until(lambda: self.heard[-1:] == [self.said])


def random_text(size: int) -> str:
    return os.urandom(size // 2).hex()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def house(way: Way, **settings: Any) -> AsyncGenerator[tuple[House, RawClient, Outbox]]:
    lost.clear()
    realtime = Gatewright(gateways=[Chat], settings=Settings(**settings))
    async with serve(way.wrap(realtime), ws_ping_interval=None, **way.config) as url:
        home = House(realtime, url, way)
        async with RawClient.connect(url, way.path, deflate=way.deflate) as stalled:
            await stalled.send('{"event": "join"}')
            await until(lambda: any(each.rooms for each in home.members.values()))
            (member,) = home.members.values()
            assert isinstance(member.outbox, Outbox)
            assert type(member.outbox._link) is way.link
            assert (b"permessage-deflate" in stalled.response) == way.deflate
            async with connect(url.ws + way.path, max_size=None) as reader:
                await reader.send('{"event": "join"}')
                await until(lambda: all(each.rooms for each in home.members.values()))
                reading = asyncio.create_task(_read(reader, home.heard))
                try:
                    yield home, stalled, member.outbox
                finally:
                    reading.cancel()
                    await asyncio.wait([reading])


async def _read(reader: Any, heard: list[int]) -> None:
    async for message in reader:
        number: int = json.loads(message)["data"]["number"]
        heard.append(number)


async def fill(home: House, outbox: Outbox, enough: Callable[[], object]) -> None:
    """Speak until the member that does not read has so much waiting."""
    async with asyncio.timeout(20):
        while not enough():
            await home.emit(48_000)
            assert outbox.size <= outbox.limit
            # The transport holds what it took in one write, and no more than its own mark besides.
            assert outbox._link.backlog <= outbox.limit + 2 * 65_536


ASYNCIO, UVLOOP = ("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})
BASIC = [
    pytest.param(loop, way, id=f"{way.name}, {'uvloop' if loop is UVLOOP else 'asyncio'}")
    for way in (WAYS[0], WAYS[2])
    for loop in (ASYNCIO, UVLOOP)
]
OTHERS = [pytest.param(ASYNCIO, way, id=way.name) for way in WAYS if way not in (WAYS[0], WAYS[2])]
names = ("anyio_backend", "way")
ways = pytest.mark.parametrize(names, BASIC + OTHERS)
basic_ways = pytest.mark.parametrize(names, BASIC)


@ways
async def test_a_peer_that_reads_nothing_is_aborted_and_the_room_goes_on(way: Way) -> None:
    async with house(way, stall=0.3, outbox=512 * 1024) as (home, stalled, outbox):
        await fill(home, outbox, lambda: outbox.size > 100_000)
        await stalled.until_reset()
        await until(lambda: len(home.realtime) == 1)
        assert len(lost) == 1
        assert (outbox.size, outbox._link.backlog) == (0, 0)
        before = home.said
        for _ in range(3):
            await home.emit(100)
        # Everything that was said since it joined, each once and in order.
        assert home.heard == list(range(1, before + 4))


@ways
async def test_what_the_server_holds_for_an_idle_peer_is_found_too(way: Way) -> None:
    async with house(way, stall=0.3) as (home, stalled, outbox):
        await fill(home, outbox, lambda: outbox._link.backlog > 0)
        await stalled.until_reset()
        await until(lambda: len(home.realtime) == 1)
        assert outbox._link.backlog == 0


@ways
async def test_a_peer_that_says_goodbye_and_reads_nothing_is_dropped(way: Way) -> None:
    async with house(way, stall=0.3) as (home, stalled, outbox):
        await fill(home, outbox, lambda: outbox._link.backlog > 0)
        await stalled.send_close()
        await until(lambda: len(home.realtime) == 1)
        await stalled.until_reset()


@ways
async def test_too_much_for_a_peer_closes_it_with_4002_after_what_it_was_sent(way: Way) -> None:
    async with house(way, stall=30, outbox=256 * 1024) as (home, stalled, outbox):
        await fill(home, outbox, lambda: outbox.closing)
        assert outbox.size == 0
        numbers: list[int] = []
        async with asyncio.timeout(20):
            while True:
                opcode, payload = await stalled.receive()
                if opcode == CLOSE:
                    break
                if not way.deflate:
                    numbers.append(json.loads(payload)["data"]["number"])
        assert int.from_bytes(payload[:2], "big") == 4002
        assert payload[2:].decode() == "messages arrive faster than they are read"
        assert numbers == list(range(1, len(numbers) + 1))
        await stalled.send_close(4002)
        await stalled.until_gone()
        await until(lambda: len(home.realtime) == 1)
        assert [reason.code for _, reason in lost] == [4002]


@ways
async def test_too_much_for_a_peer_that_never_reads_aborts_it(way: Way) -> None:
    async with house(way, stall=0.3, outbox=128 * 1024) as (home, stalled, outbox):
        await fill(home, outbox, lambda: outbox.closing)
        await stalled.until_reset()
        await until(lambda: len(home.realtime) == 1)


@basic_ways
async def test_a_peer_that_reads_slowly_keeps_its_connection(way: Way) -> None:
    async with house(way, stall=1.0) as (home, stalled, outbox):
        await fill(home, outbox, lambda: outbox.size > 100_000)
        loop = asyncio.get_running_loop()
        until_then = loop.time() + 1.7
        read = 0
        while loop.time() < until_then:
            # Far less at a time than a frame or the server's buffer, but some of it.
            read += len(await loop.sock_recv(stalled._socket, 20_000))
            await asyncio.sleep(0.03)
        assert read
        assert len(home.realtime) == 2
        assert not outbox.closing
