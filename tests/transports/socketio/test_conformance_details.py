"""Details that the reference's own clients and their tests look at."""

import pytest

from gatewright.transports.socketio import SocketIO
from tests.transports.socketio.app import running
from tests.transports.socketio.clients import Socket

pytestmark = pytest.mark.anyio


async def test_a_close_frame_has_a_code_and_no_text() -> None:
    """`details.context.reason` of engine.io-client: empty with the reference, whatever the code."""
    async with running(SocketIO(max_payload=100)) as app:
        client = await Socket.open(app.url)
        await client.join()
        await client.send("x" * 101)
        assert await client.closed() == 1009
        assert client.socket.close_reason == ""
