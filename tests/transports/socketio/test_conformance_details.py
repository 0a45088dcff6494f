"""Details that the reference's own clients and their tests look at."""

import contextlib

import pytest

from gatewright.transports.socketio import SocketIO
from tests.transports.socketio.app import Running, running, until
from tests.transports.socketio.clients import Client, Closed, Socket

pytestmark = pytest.mark.anyio


async def test_a_close_frame_has_a_code_and_no_text() -> None:
    """`details.context.reason` of engine.io-client: empty with the reference, whatever the code."""
    async with running(SocketIO(max_payload=100)) as app:
        client = await Socket.open(app.url)
        await client.join()
        await client.send("x" * 101)
        assert await client.closed() == 1009
        assert client.socket.close_reason == ""


HALF = r"half an emoji: \ud83d"
"""As `JSON.stringify` writes a text that was cut between the two halves of a character."""


@pytest.mark.parametrize(
    ("packet", "answer"),
    [
        (rf'421["echo","{HALF}"]', '431["half an emoji: \ufffd"]'),
        (rf'421["echo","{HALF}","\ude00",1]', '431["half an emoji: \ufffd","\ufffd",1]'),
        (r'421["echo","\ud83d\ud83d\ude00"]', '431["\ufffd\U0001f600"]'),
        (r'421["echo",{"\uD83D":"\\ud83d"}]', r'431[{"' + "\ufffd" + r'":"\\ud83d"}]'),
        (r'42["send back","\udfff"]', '42["back","\ufffd"]'),
    ],
)
async def test_half_a_character_is_no_reason_to_go(
    client: Client, packet: str, answer: str
) -> None:
    await client.join()
    await client.send(packet)
    assert await client.receive() == answer


async def test_half_a_character_beside_attachments(client: Client) -> None:
    await client.join()
    await client.send(rf'451-7["echo","{HALF}",{{"_placeholder":true,"num":0}}]', b"x")
    assert await client.receive() == '461-7["half an emoji: \ufffd",{"_placeholder":true,"num":0}]'
    assert await client.receive() == b"x"


async def test_half_a_character_in_auth(client: Client) -> None:
    await client.send(r'40/custom,{"name":"\ud83d"}')
    assert str(await client.receive()).startswith("40/custom,")
    assert await client.receive() == '42/custom,["hello",{"auth":{"name":"\ufffd"}}]'


@pytest.mark.parametrize(
    "broken",
    [
        r'42["note","\ud83d"',
        r'42["note\ud83d",[}]',
        r'42["\q\ud83d"]',
        "42[" + "[" * 5000 + r'"\ud83d"' + "]" * 5001,
    ],
)
async def test_what_is_broken_otherwise_stays_so(client: Client, app: Running, broken: str) -> None:
    await client.join()
    with contextlib.suppress(Closed):
        await client.send(broken)
    await until(lambda: app.story.went)
    assert [each.text for each in app.story.reasons] == ["parse error"]
