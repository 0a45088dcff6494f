"""Who is silent is found and dropped, whatever waits for it; who merely cannot speak is not."""

import asyncio

import pytest

from gatewright.liveness import Heart
from tests._support.raw import RawClient, masked
from tests.transports.doors import DOORS, OURS, SANSIO, WSPROTO, Door, House, house, until

pytestmark = [pytest.mark.anyio, pytest.mark.long(30)]

PING, PONG = 0x9, 0xA

ASYNCIO, UVLOOP = ("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})
loops = pytest.mark.parametrize(
    "anyio_backend", [pytest.param(ASYNCIO, id="asyncio"), pytest.param(UVLOOP, id="uvloop")]
)
doors = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
PLAIN = DOORS[0]
ASKED = [(door, OURS) for door in DOORS] + [(door, SANSIO) for door in DOORS[1:]]
"""Where the hearts are ours."""
asked = pytest.mark.parametrize(
    ("door", "ws"), [pytest.param(*each, id=f"{each[0].name}, {each[1][:10]}") for each in ASKED]
)
servers = pytest.mark.parametrize("ws", [OURS, SANSIO, WSPROTO], ids=lambda ws: ws[:10])


@loops
@asked
async def test_an_idle_peer_that_is_silent_is_reset(door: Door, ws: str) -> None:
    """Its kernel answers for it: only a ping finds that nobody is there."""
    async with (
        house(door, ws, interval=0.05, timeout=0.05) as home,
        home.client() as client,
    ):
        await client.until_reset()
        await until(lambda: not home.watch.open)
        assert [each.text for each in home.watch.lost] == ["ping timeout"]
        assert not home.hearts


@loops
@asked
async def test_a_silent_peer_with_a_full_buffer_is_reset(door: Door, ws: str) -> None:
    async with (
        house(door, ws, interval=0.2, timeout=0.2, stall=60) as home,
        home.client() as client,
    ):
        await home.fill(lambda: stuck(home) or home.watch.lost)
        await client.until_reset()
        await until(lambda: not home.watch.open)
        assert [each.text for each in home.watch.lost] == ["ping timeout"]


def stuck(home: House) -> bool:
    """Whether the server's own buffer holds something for a peer that reads nothing."""
    return any(outbox.stuck for outbox in home.node.flusher._watched)


@pytest.mark.parametrize("ws", [SANSIO, WSPROTO])
@pytest.mark.parametrize("full", [False, True], ids=["idle", "full"])
async def test_a_plain_silent_peer_is_released_by_any_server(ws: str, *, full: bool) -> None:
    """uvicorn's keepalive closes, but waits for ever for a buffer to drain: the outbox does not."""
    async with (
        house(PLAIN, ws, interval=0.1, timeout=0.1, stall=0.4) as home,
        home.client() as client,
    ):
        if full:
            await home.fill(lambda: stuck(home) or home.watch.lost)
            await client.until_reset()
        await until(lambda: not home.watch.open)
        if not full:
            await client.until_gone()


@doors
@servers
async def test_a_busy_handler_is_no_dead_client(door: Door, ws: str) -> None:
    """The inbox is full and nothing is read, so nothing can be heard: that is our silence."""
    async with (
        house(door, ws, interval=0.05, timeout=0.05, inbox=2, finish_timeout=5) as home,
        home.client(buffer=None) as client,
    ):
        numbers = list(range(30))
        await client.send(door.says("wait"))
        for number in numbers:
            await client.send(door.says("note", number))
        (session,) = home.sessions
        await until(lambda: session.full)
        # Others come and are silent, and are found one after another.
        for count in range(1, 5):
            async with home.client() as other:
                await other.until_gone()
                await until(lambda count=count: len(home.watch.lost) == count)  # type: ignore[misc]
            assert home.watch.open == 1
        assert session.full
        # What its kernel and ours have taken meanwhile is not lost: the socket is still there.
        await client.send(door.says("note", 30))
        home.story.gate.set()
        await until(lambda: home.story.notes == [*numbers, 30])
        # From here on it could speak, and does not.
        await until(lambda: len(home.watch.lost) == 5)


@asked
async def test_a_peer_on_a_thin_line_has_its_time(door: Door, ws: str) -> None:
    """The ping stands behind what it has not read yet: as long as it reads on, it is there."""
    async with (
        house(door, ws, interval=0.15, timeout=0.15, stall=60) as home,
        home.client() as client,
    ):
        await home.fill(lambda: sum(outbox.size for outbox in home.node.flusher._watched) > 600_000)
        (heart,) = home.hearts
        await reading(client, heart, pings=5)
        assert not home.watch.lost
        # It stops, and then it is a silent one.
        await client.until_reset()
        await until(lambda: not home.watch.open)
        assert [each.text for each in home.watch.lost] == ["ping timeout"]


async def reading(client: RawClient, heart: Heart, pings: int) -> None:
    """Read little by little while the peer is asked so many times."""
    loop = asyncio.get_running_loop()
    last = heart.next_ping
    while pings:
        assert await loop.sock_recv(client._socket, 2048)
        await asyncio.sleep(0.01)
        if heart.next_ping != last:
            last = heart.next_ping
            pings -= 1


async def next_ping(client: RawClient) -> None:
    async with asyncio.timeout(10):
        while (await client.receive())[0] != PING:
            pass


@doors
async def test_a_long_message_is_heard_before_it_is_complete(door: Door) -> None:
    """Nothing else can be said meanwhile, not even a pong."""
    async with (
        house(door, OURS, interval=0.05, timeout=0.2) as home,
        home.client() as client,
    ):
        (heart,) = home.hearts
        message = masked(door.says("note", 7) + " " * 20_000)
        size = len(message) // 12
        for start in range(0, len(message), size):
            last = heart.next_ping
            await until(lambda last=last: heart.next_ping != last or home.watch.lost)  # type: ignore[misc]
            assert not home.watch.lost
            await client.send_bytes(message[start : start + size])
        await until(lambda: home.story.notes == [7])
        await client.until_reset()


@pytest.mark.parametrize("mounted", [False, True], ids=["alone", "mounted"])
async def test_plain_peers_are_pinged_as_websockets_are(*, mounted: bool) -> None:
    async with (
        house(PLAIN, OURS, interval=0.1, timeout=5, mounted=mounted) as home,
        home.client() as client,
    ):
        for _ in range(3):
            await next_ping(client)
            await client.send_bytes(masked(b"", PONG))
        await client.send(PLAIN.says("note", 1))
        await until(lambda: home.story.notes == [1])
        assert not home.watch.lost


@doors
async def test_nobody_is_asked_twice(door: Door) -> None:
    """uvicorn's own keepalive is off where a heart asks: no timer for each socket."""
    async with house(door, OURS, interval=5, timeout=5) as home, home.client():
        await home.fill(lambda: home.node.flusher._watched)
        (outbox,) = home.node.flusher._watched
        protocol = outbox._link._protocol  # type: ignore[attr-defined]
        assert protocol.config.ws_ping_interval == 5
        assert protocol.ping_timer is protocol.pong_timer is None
        assert len(home.hearts) == 1
