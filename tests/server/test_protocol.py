"""What gatewright's own WebSocket class for uvicorn does beyond uvicorn's."""

import contextlib

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from gatewright.server.protocol import UNSENT
from gatewright.transports.links import unacknowledged
from tests._support.raw import RawClient
from tests._support.server import serve
from tests.transports.doors import DOORS, OURS, house

pytestmark = pytest.mark.anyio

PING = 0x9


async def test_other_websockets_of_the_server_are_left_to_uvicorns_keepalive() -> None:
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            await socket.receive_text()

    app = Starlette(routes=[WebSocketRoute("/echo", echo)])
    async with (
        serve(app, ws=OURS, ws_ping_interval=0.05, ws_ping_timeout=0.05) as url,
        RawClient.connect(url, "/echo") as client,
    ):
        assert (await client.receive())[0] == PING
        await client.until_gone()


async def test_the_kernel_holds_little_for_a_peer_that_does_not_read() -> None:
    async with (
        house(DOORS[0], OURS, interval=60, timeout=60, stall=60) as home,
        home.client() as client,
    ):
        # A peer that reads nothing offers a window of its small buffer: nothing more is under way.
        await home.fill(lambda: any(outbox.stuck for outbox in home.node.flusher._watched))
        (outbox,) = home.node.flusher._watched
        held = unacknowledged(outbox._link._protocol.transport)  # type: ignore[attr-defined]
        assert 0 < held < 2 * UNSENT
        client.reset()
