"""Each fault of the proxy is real: it is looked at from both ends of the connection."""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from tests._support.server import serve
from tests.chaos.frames import Frame
from tests.chaos.proxy import Proxy, Wire, proxy

pytestmark = pytest.mark.anyio

LOTS = b"x" * 65_536
MOMENT = 0.1  # seconds in which nothing may happen


class Peer:
    """One end of a TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def get(self, size: int) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.readexactly(size)

    async def end(self) -> bytes:
        """What still comes until the other side is gone; raises ConnectionResetError."""
        async with asyncio.timeout(5):
            return await self.reader.read()

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def silent(self) -> bool:
        return await hangs(self.reader.read(1))


async def hangs(something: Awaitable[object]) -> bool:
    try:
        async with asyncio.timeout(MOMENT):
            await something
    except TimeoutError:
        return True
    return False


class Pair:
    """A client and the server's end of its connection, through the proxy."""

    def __init__(self, network: Proxy, arrived: "asyncio.Queue[Peer]") -> None:
        self.network = network
        self._arrived = arrived
        self._open: list[Peer] = []

    async def client(self) -> Peer:
        peer = Peer(*await asyncio.open_connection("127.0.0.1", self.network.port))
        self._open.append(peer)
        return peer

    async def server(self) -> Peer:
        async with asyncio.timeout(5):
            return await self._arrived.get()

    async def both(self) -> tuple[Peer, Peer, Wire]:
        client = await self.client()
        server = await self.server()
        return client, server, self.network.wires[-1]

    def abort(self) -> None:
        for peer in self._open:
            peer.writer.transport.abort()


@asynccontextmanager
async def listening() -> AsyncGenerator[tuple[str, "asyncio.Queue[Peer]"]]:
    arrived: asyncio.Queue[Peer] = asyncio.Queue()
    peers: list[Peer] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(Peer(reader, writer))
        arrived.put_nowait(peers[-1])

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", arrived
    finally:
        server.close()
        for peer in peers:
            peer.writer.transport.abort()


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with listening() as (url, arrived), proxy(url) as network:
        pair = Pair(network, arrived)
        try:
            yield pair
        finally:
            pair.abort()


async def test_without_faults_everything_passes_and_ends(pair: Pair) -> None:
    client, server, wire = await pair.both()
    await client.send(b"up")
    assert await server.get(2) == b"up"
    await server.send(b"down!")
    assert await client.get(5) == b"down!"
    client.writer.write_eof()
    assert await server.end() == b""
    # Half a connection is a connection.
    await server.send(b"still")
    assert await client.get(5) == b"still"
    server.writer.close()
    assert await client.end() == b""
    await wire.ended.wait()
    assert (wire.up.passed, wire.down.passed) == (2, 10)
    assert (pair.network.wires, pair.network.accepted) == ([], 1)


async def test_a_reset_passes(pair: Pair) -> None:
    client, server, _ = await pair.both()
    client.reset()
    with pytest.raises(ConnectionResetError):
        await server.end()


async def test_cut_resets_both_sides(pair: Pair) -> None:
    client, server, wire = await pair.both()
    wire.cut()
    for peer in (client, server):
        with pytest.raises(ConnectionResetError):
            await peer.end()


@pytest.mark.parametrize("side", ["client", "server"])
async def test_one_side_may_be_cut_while_the_other_believes(pair: Pair, side: str) -> None:
    client, server, wire = await pair.both()
    cut, other = (client, server) if side == "client" else (server, client)
    wire.cut("client" if side == "client" else "server")
    with pytest.raises(ConnectionResetError):
        await cut.end()
    await other.send(LOTS)
    assert await other.silent()


async def test_close_ends_both_sides_in_order(pair: Pair) -> None:
    client, server, wire = await pair.both()
    await client.send(b"lost")
    wire.close()
    assert await client.end() == b""
    assert await server.end() in {b"", b"lost"}
    client.writer.close()
    server.writer.close()
    await wire.ended.wait()


async def test_one_side_may_be_closed(pair: Pair) -> None:
    client, server, wire = await pair.both()
    wire.close("client")
    assert await client.end() == b""
    assert await server.silent()


async def test_a_stall_is_felt_by_the_sender_and_ends(pair: Pair) -> None:
    client, server, wire = await pair.both()
    wire.stall("down")
    sent = 0
    while not await hangs(server.send(LOTS)):
        sent += 1
        assert sent < 1000, "a stalled connection takes no 64 MiB"
    # The other direction flows.
    await client.send(b"up")
    assert await server.get(2) == b"up"
    assert wire.down.passed == 0
    wire.heal()
    await client.get(len(LOTS) * (sent + 1))


async def test_a_black_hole_takes_everything_and_says_nothing(pair: Pair) -> None:
    client, server, wire = await pair.both()
    wire.blackhole()
    for _ in range(500):  # 32 MiB are more than buffers hold: it is acknowledged
        assert not await hangs(client.send(LOTS))
    await server.send(b"anybody?")
    assert await client.silent()
    assert await server.silent()
    client.reset()
    assert await server.silent(), "not even an end passes"
    assert wire.up.passed == 0


async def test_a_black_hole_may_have_one_direction(pair: Pair) -> None:
    client, server, wire = await pair.both()
    wire.blackhole("up")
    await client.send(b"lost")
    await server.send(b"found")
    assert await client.get(5) == b"found"
    assert await server.silent()
    wire.heal("up")
    await client.send(b"healed")
    assert await server.get(6) == b"healed"


async def test_who_comes_into_a_black_hole_is_accepted_by_nobody(pair: Pair) -> None:
    pair.network.blackhole()
    client = await pair.client()
    await client.send(b"hello?")
    assert await client.silent()
    assert await hangs(pair.server())


async def test_slices(pair: Pair) -> None:
    client, server, wire = await pair.both()
    wire.slice(3, "up")
    await client.send(b"123456789")
    assert await server.reader.read(100) == b"123"
    assert await server.get(6) == b"456789"
    await server.send(b"123456789")
    assert await client.reader.read(100) == b"123456789"


async def test_delay_holds_back(pair: Pair) -> None:
    client, server, wire = await pair.both()
    wire.delay(2 * MOMENT, "up")
    await client.send(b"late")
    assert await server.silent()
    assert await server.get(4) == b"late"


async def test_cut_after_so_many_bytes(pair: Pair) -> None:
    client, server, wire = await pair.both()
    trigger = wire.cut_after("up", size=5)
    await client.send(b"123")
    assert await server.get(3) == b"123"
    assert not trigger.fired.is_set()
    await client.send(b"4567")
    await trigger.fired.wait()
    with pytest.raises(ConnectionResetError):
        await client.end()
    await wire.ended.wait()
    assert wire.up.passed == 5


async def test_refused_and_admitted_on_the_same_port(pair: Pair) -> None:
    client, server, _ = await pair.both()
    await pair.network.refuse()
    with pytest.raises(ConnectionRefusedError):
        await pair.client()
    await client.send(b"here")  # those there are go on
    assert await server.get(4) == b"here"
    pair.network.admit()
    await pair.both()
    assert pair.network.accepted == 2


async def test_another_server_behind_the_same_address(pair: Pair) -> None:
    async with listening() as (url, arrived):
        pair.network.upstream = url
        client = await pair.client()
        server = await arrived.get()
        await client.send(b"you")
        assert await server.get(3) == b"you"
    assert await client.end() == b""
    lost = await pair.client()  # nobody is there any more
    with pytest.raises(ConnectionResetError):
        await lost.end()


async def test_faults_of_a_proxy_are_those_of_all_its_connections(pair: Pair) -> None:
    first, its_server, _ = await pair.both()
    pair.network.blackhole("down")
    second, other_server, _ = await pair.both()
    await its_server.send(b"lost")
    await other_server.send(b"lost")
    assert await first.silent()
    assert await second.silent()
    pair.network.heal()
    pair.network.cut()
    for peer in (first, second):
        with pytest.raises(ConnectionResetError):
            await peer.end()


# WebSockets


async def count(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        handled.append(text)
        await socket.send_text(f"{text} done")


handled: list[str] = []
app = Starlette(routes=[WebSocketRoute("/", count)])


@pytest.fixture
async def network() -> AsyncIterator[Proxy]:
    handled.clear()
    async with serve(app) as url, proxy(url) as network:
        yield network


async def test_cut_between_effect_and_reply(network: Proxy) -> None:
    async with connect(network.url.ws) as socket:
        await socket.send("one")
        assert await socket.recv() == "one done"
        trigger = network.cut_instead("down", nth=2)
        await socket.send("two")
        assert await socket.recv() == "two done"
        await socket.send("three")
        with pytest.raises(ConnectionClosedError):
            await socket.recv()
    assert trigger.fired.is_set()
    assert handled == ["one", "two", "three"]


async def test_cut_in_place_of_a_request(network: Proxy) -> None:
    def is_it(frame: Frame) -> bool:
        return frame.payload == b"this"

    async with (
        connect(network.url.ws, compression=None) as first,
        connect(network.url.ws, compression=None) as second,
    ):
        trigger = network.cut_instead("up", when=is_it)
        await first.send("that")
        assert await first.recv() == "that done"
        await second.send("this")
        with pytest.raises(ConnectionClosedError):
            await second.recv()
        await trigger.fired.wait()
        # It has fired: the next one passes, and others never notice.
        await first.send("this")
        assert await first.recv() == "this done"
    assert handled == ["that", "this"]


async def test_a_trigger_waits_for_those_who_come_later(network: Proxy) -> None:
    trigger = network.cut_instead("down", nth=2)
    network.slice(100)
    async with connect(network.url.ws) as socket:
        await socket.send("one")
        assert await socket.recv() == "one done"
        await socket.send("two")
        await socket.wait_closed()
    assert trigger.fired.is_set()


async def test_cut_after_so_many_frames_however_they_are_sliced(network: Proxy) -> None:
    async with connect(network.url.ws) as socket:
        network.slice(2, "up")
        trigger = network.cut_after("up", frames=2)
        await socket.send("one")
        await socket.send("two")
        await socket.send("three")
        await socket.wait_closed()
    assert trigger.fired.is_set()
    while len(handled) < 2:
        await asyncio.sleep(0.01)
    assert handled == ["one", "two"]


async def test_pings_are_no_data(network: Proxy) -> None:
    async with connect(network.url.ws) as socket:
        trigger = network.cut_after("up", frames=1)
        await (await socket.ping())
        assert not trigger.fired.is_set()
        await socket.send("one")
        await socket.wait_closed()
    assert trigger.fired.is_set()
