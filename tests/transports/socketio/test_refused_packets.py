"""Packets that end a session, each for its own reason: nothing else could have ended it here.

Heartbeats and timeouts have their defaults, which are longer than any of these tests.
"""

import pytest

from gatewright.transports.socketio import SocketIO
from tests.transports.socketio.app import Running, running, until
from tests.transports.socketio.clients import Client, Closed, Socket, Transport

pytestmark = pytest.mark.anyio

ENGINE = {
    "a type that there is not": "7",
    "a letter": "abc",
    "nothing": "",
    "an open packet": '0{"sid":"x"}',
    "the client's ping": "2",
    "a probe outside of an upgrade": "2probe",
    "an upgrade outside of an upgrade": "5",
    "base64 that is none": "b!",
}
PACKETS = {
    "a type that there is not": "47",
    "a letter": "4abc",
    "nothing": "4",
    "a digit of another script": "4٢",
    "an event without arguments": "42",
    "an event with an object": "42{}",
    "an event with a text": '42"note"',
    "an event with an empty array": "42[]",
    "an event without a name": "42[null]",
    "an event named by an object": '42[{"a":1}]',
    "an event named by an array": '42[["note"]]',
    "an event named true": "42[true]",
    "broken JSON": '42["note",]',
    "JSON without an end": '42["note"',
    "two arrays": '42["note",1]["note",2]',
    "something behind the array": '42["note",1] x',
    "NaN": '42["note",NaN]',
    "an id of letters": '42abc["note",1]',
    "a negative id": '42-1["note",1]',
    "an id with a fraction": '421.5["note",1]',
    "an id with an exponent": '421e3["note",1]',
    "an id of another script": '42١["note",1]',
    "an id that JavaScript cannot count to": f'42{2**53}["note",1]',
    "an id of a thousand digits": "42" + "9" * 1000 + '["note",1]',
    "attachments of a text event": '421-["note",1]',
    "a namespace without its comma": '42/lab/1["note",1]',
    "an answer without an id": "43[1]",
    "an answer with an object": "431{}",
    "an answer without arguments": "431",
    "a second CONNECT": "40",
    "a second CONNECT with auth": '40{"token":"right"}',
    "CONNECT with an array": "40/custom,[]",
    "CONNECT with a text": '40/custom,"token"',
    "CONNECT with null": "40/custom,null",
    "CONNECT with broken JSON": "40/custom,{",
    "DISCONNECT with something": "41{}",
    "CONNECT_ERROR of a client": '44{"message":"no"}',
    "CONNECT_ERROR for elsewhere": '44/random,{"message":"no"}',
    "an event for a namespace not joined": '42/custom,["send back",1]',
    "an event for a namespace that is none": '42/random,["note",1]',
    "an answer for a namespace not joined": "43/custom,1[]",
    "DISCONNECT of a namespace not joined": "41/custom,",
    "nesting deeper than a parser goes": '42["note",' + "[" * 100_000,
    "more than ten attachments": '4511-["note",1]',
    "very many attachments": "45" + "9" * 400 + '-["note",1]',
    "attachments without their number": '45-["note",1]',
    "attachments less than none": '45-1-["note",1]',
    "attachments without a dash": '451["note",1]',
    "no number of attachments": '45["note",1]',
    "a half attachment": '451.5-["note",1]',
    "no attachments and broken JSON": '450-["note",]',
    "no attachments and an object": "450-{}",
    "no attachments and a name reserved": '450-["disconnect"]',
    "no attachments and a placeholder": '450-["note",{"_placeholder":true,"num":0}]',
    "an answer with attachments and no id": "460-[1]",
}
RESERVED = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
]


async def ended(client: Client, app: Running, *packets: str | bytes) -> None:
    """Send what must end the session, as a parse error, and handle none of it."""
    try:
        await client.send(*packets)
        code = await client.closed()
    except Closed as closed:
        code = closed.code
    assert code == (1002 if isinstance(client, Socket) else 400)
    await until(lambda: app.sessions == 0)
    await until(lambda: app.story.went == app.story.came)
    assert [each.text for each in app.story.reasons] == ["parse error"] * len(app.story.came)
    assert app.story.notes == []


@pytest.mark.parametrize("packet", ENGINE.values(), ids=ENGINE)
async def test_what_is_no_packet_of_engine_io(client: Client, app: Running, packet: str) -> None:
    await client.join()
    await ended(client, app, packet)


@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS)
async def test_what_is_no_packet_of_socket_io(client: Client, app: Running, packet: str) -> None:
    await client.join()
    await ended(client, app, packet)


@pytest.mark.parametrize("name", RESERVED)
@pytest.mark.parametrize("packet", ['42["%s","x"]', '421["%s",{},{"admin":true}]', '450-["%s"]'])
async def test_names_that_are_the_framework_s_own(
    client: Client, app: Running, name: str, packet: str
) -> None:
    # python-socketio runs its own hooks for them.
    await client.join()
    await ended(client, app, packet % name)
    assert len(app.story.came) == len(app.story.went) == 1


async def test_an_escaped_name_is_the_same_name(client: Client, app: Running) -> None:
    await client.join()
    await ended(client, app, r'42["\u0064isconnect","x"]')


@pytest.mark.parametrize(
    "packet", ['42["note",1]', '421["note",1]', "431[]", "41", "44", b"bytes", "42/custom,[]"]
)
async def test_anything_before_connect(client: Client, app: Running, packet: str | bytes) -> None:
    await ended(client, app, packet)


async def test_an_event_that_does_not_wait_for_connect(client: Client, app: Running) -> None:
    await ended(client, app, "40", '42["note",1]')


async def test_an_attachment_of_nothing(client: Client, app: Running) -> None:
    await client.join()
    await ended(client, app, b"\x00")


async def test_one_attachment_too_many(client: Client, app: Running) -> None:
    await client.join()
    placeholder = '{"_placeholder":true,"num":0}'
    await client.send(f'451-["echo",{placeholder}]', b"1")
    await ended(client, app, b"2")


@pytest.mark.parametrize("other", ['42["note",1]', "41", '451-["note",1]', "40/custom,"])
async def test_text_while_attachments_are_missing(client: Client, app: Running, other: str) -> None:
    await client.join()
    placeholder = '{"_placeholder":true,"num":0}'
    await ended(client, app, f'452-["note",{placeholder}]', b"1", other)


@pytest.mark.parametrize(
    "placeholder",
    [
        '{"_placeholder":true}',
        '{"_placeholder":true,"num":1}',
        '{"_placeholder":true,"num":-1}',
        '{"_placeholder":true,"num":"0"}',
        '{"_placeholder":true,"num":null}',
        '{"_placeholder":true,"num":true}',
        '{"_placeholder":true,"num":0.5}',
        '{"_placeholder":true,"num":18446744073709551616}',
        '[{"a":{"_placeholder":true,"num":9}}]',
    ],
)
async def test_a_placeholder_of_nothing(client: Client, app: Running, placeholder: str) -> None:
    await client.join()
    await ended(client, app, f'451-["note",{placeholder}]', b"1")


async def test_a_heartbeat_between_attachments_is_no_text(client: Client) -> None:
    await client.join()
    placeholder = '{"_placeholder":true,"num":0}'
    await client.send(f'451-1["echo",{placeholder}]', "3", "6", b"1")
    assert await client.receive() == f"461-1[{placeholder}]"
    assert await client.receive() == b"1"


async def test_text_that_is_no_utf_8_ends_a_websocket(app: Running) -> None:
    client = await Socket.open(app.url)
    await client.join()
    await client.socket.send(b'42["note","\xff"]', text=True)
    assert await client.closed() == 1007
    await until(lambda: app.story.went)
    assert app.story.notes == []


@pytest.mark.parametrize("ws", ["websockets-sansio", "wsproto"])
@pytest.mark.parametrize("message", ["x" * 1001, "é" * 501, "\U0001f388" * 251, b"x" * 1001])
async def test_what_is_too_large_ends_a_websocket(ws: str, message: str | bytes) -> None:
    async with running(SocketIO(max_payload=1000), ws=ws) as app:
        client = await Socket.open(app.url)
        await client.join()
        await client.send(message)
        assert await client.closed() == 1009
        await until(lambda: app.story.went)


async def test_a_websocket_may_send_as_much_as_the_limit(app: Running) -> None:
    async with running(SocketIO(max_payload=1000)) as other:
        client = await Socket.open(other.url)
        await client.join()
        packet = '421["echo","%s"]'
        text = "é" * ((1000 - len(packet) + 2) // 2)
        await client.send(packet % text)
        assert await client.receive() == f'431["{text}"]'
        client.abort()


@pytest.mark.parametrize("parser", ["json", "msgpack"])
async def test_the_other_format_ends_the_session(parser: str, transport: Transport) -> None:
    config = SocketIO(parser="msgpack" if parser == "msgpack" else "json")
    async with running(config) as app, transport.opened(app.url) as client:
        wrong = "40" if parser == "msgpack" else b"\x82\xa4type\x00\xa3nsp\xa1/"
        await ended(client, app, wrong)
