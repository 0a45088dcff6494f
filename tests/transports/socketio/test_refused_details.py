"""What a CONNECT_ERROR says of an error that cannot be said."""

import pytest

from gatewright import EventError, Gatewright, Handshake, gateway, on
from tests._support.server import serve
from tests.transports.socketio.clients import TRANSPORTS, Transport

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("details", "answer"),
    [
        (
            {"until": 7},
            '{"message":"banned","data":{"code":"forbidden","details":{"until":7}}}',
        ),
        (object(), '{"message":"internal error"}'),
        ("\ud800", '{"message":"internal error"}'),
    ],
)
async def test_details_that_cannot_be_encoded(details: object, answer: str) -> None:
    def banned(_: Handshake) -> bool:
        raise EventError("forbidden", "banned", details)

    @gateway("/", guards=[banned])
    class Closed:
        @on("hi")
        async def hi(self) -> None: ...

    transport: Transport = TRANSPORTS[-1]
    async with serve(Gatewright(gateways=[Closed])) as url, transport.opened(url) as client:
        await client.send("40")
        assert await client.receive() == f"44{answer}"
