"""HTTP long-polling: payloads, requests that overlap, come late or are given up."""

import asyncio
from base64 import b64encode

import pytest

from gatewright.transports.socketio import SocketIO
from tests.transports.socketio.app import Number, Running, running, until
from tests.transports.socketio.clients import SEPARATOR, Poller
from tests.transports.socketio.requests import Reply, request, start

pytestmark = pytest.mark.anyio

UNKNOWN = {"code": 1, "message": "Session ID unknown"}


async def joined(app: Running) -> Poller:
    client = await Poller.open(app.url)
    await client.join()
    return client


async def waiting(client: Poller, app: Running) -> "asyncio.Task[Reply]":
    """A poll that the server holds."""
    polling = asyncio.create_task(client.poll())
    session = app.session(client)
    await until(lambda: session.polling is not None and session.polling.pending)
    return polling


async def gone(client: Poller, app: Running) -> None:
    """The session is over, here and there."""
    reply = await client.poll()
    assert (reply.status, reply.json) == (400, UNKNOWN)
    reply = await client.post("3")
    assert (reply.status, reply.json) == (400, UNKNOWN)
    assert client.sid not in app.engine.sockets


async def test_a_poll_waits_for_something_to_come(app: Running) -> None:
    client = await joined(app)
    polling = await waiting(client, app)
    assert (await client.post('42["send back","hi"]')).text == "ok"
    assert (await polling).text == '42["back","hi"]'


async def test_what_waits_comes_at_once_and_together(app: Running) -> None:
    client = await joined(app)
    await client.send('421["echo",1]', '422["echo","zwei"]', '423["echo",[3]]')
    session = app.session(client)
    await until(lambda: session.polling is not None and len(session.polling._frames) == 3)
    assert (await client.poll()).text == '431[1]\x1e432["zwei"]\x1e433[[3]]'


async def test_text_is_any_text(app: Running) -> None:
    client = await joined(app)
    for text in ("€, ÿ, \U0001f388 and \u2028", "b", "", "\\x1e \\u0000"):
        assert await client.call("echo", text) == [text]


async def test_attachments_travel_as_base64(app: Running) -> None:
    client = await joined(app)
    packet = '451-7["echo",{"_placeholder":true,"num":0}]'
    reply = await client.post_body(f"{packet}{SEPARATOR}bAQIDBA==".encode())
    assert reply.status == 200
    assert (await client.poll()).text == (
        '461-7[{"_placeholder":true,"num":0}]' + SEPARATOR + "bAQIDBA=="
    )


async def test_attachments_may_come_with_the_next_request(app: Running) -> None:
    client = await joined(app)
    await client.send('451-7["echo",{"_placeholder":true,"num":0}]')
    await client.send(b"late")
    assert await client.receive() == '461-7[{"_placeholder":true,"num":0}]'
    assert await client.receive() == b"late"


async def test_every_packet_of_a_request_is_handled(app: Running) -> None:
    # python-engineio decodes 16 and answers 200.
    client = await joined(app)
    await client.send(*(f'42["note",{number}]' for number in range(400)))
    await until(lambda: len(app.story.notes) == 400)
    assert app.story.notes == list(range(400))


async def test_the_ping_comes_with_a_poll() -> None:
    async with running(SocketIO(ping_interval=0.05, ping_timeout=5)) as app:
        client = await Poller.open(app.url)
        for _ in range(3):
            assert (await client.poll()).text == "2"
            assert (await client.post("3")).text == "ok"


# Requests that overlap or come late


async def test_two_polls_at_once_end_the_session(app: Running) -> None:
    client = await joined(app)
    polling = await waiting(client, app)
    assert (await client.poll()).status == 400
    reply = await polling
    assert (reply.status, reply.text) == (200, "1")
    await gone(client, app)
    await until(lambda: app.story.went)
    assert [reason.text for reason in app.story.reasons] == ["transport error"]


async def test_two_posts_at_once_end_the_session(app: Running) -> None:
    client = await joined(app)
    target = client.target("polling", sid=client.sid)
    _, writer = await start(app.url, target, "POST", body=b'42["note"', length=100)
    session = app.session(client)
    await until(lambda: session.polling is not None and session.polling.posting)
    assert (await client.post('42["note",1]')).status == 400
    writer.transport.abort()
    await gone(client, app)
    await until(lambda: app.story.went)
    assert app.story.notes == []


async def test_a_poll_that_is_given_up_ends_the_session(app: Running) -> None:
    client = await joined(app)
    polling = await waiting(client, app)
    polling.cancel()
    await asyncio.wait([polling])
    await until(lambda: app.story.went)
    await gone(client, app)
    assert [reason.resumable for reason in app.story.reasons] == [False]


async def test_a_post_that_is_given_up_ends_the_session(app: Running) -> None:
    client = await joined(app)
    target = client.target("polling", sid=client.sid)
    _, writer = await start(app.url, target, "POST", body=b'42["note",1]', length=100)
    session = app.session(client)
    await until(lambda: session.polling is not None and session.polling.posting)
    writer.transport.abort()
    await until(lambda: app.story.went)
    await gone(client, app)
    assert app.story.notes == []


async def test_a_poll_may_be_answered_while_a_post_waits_for_its_handlers() -> None:
    async with running(inbox=1) as app:
        client = await joined(app)
        await client.send('42["wait"]')
        await until(lambda: app.story.waiting)
        posting = asyncio.create_task(client.post('421["echo",1]', '422["echo",2]'))
        session = app.session(client)
        await until(lambda: not session.heart.reading)
        polling = await waiting(client, app)
        app.story.gate.set()
        assert "431[1]" in (await polling).text
        assert (await posting).text == "ok"
        app.story.gate.clear()


# Bodies


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"abc",
        b"7",
        b"9x",
        b"\x1e",
        b"3\x1e",
        b"\xff\xfe",
        b"4\xed\xa0\x80",
        b"b====",
        b"b*",
        b"bAQ",
        b"bAQ ID",
        "4١".encode(),
    ],
)
async def test_what_is_no_payload_ends_the_session(app: Running, body: bytes) -> None:
    client = await joined(app)
    reply = await client.post_body(body)
    assert (reply.status, reply.body) == (400, b"")
    await gone(client, app)
    await until(lambda: app.story.went)
    assert [reason.text for reason in app.story.reasons] == ["parse error"]


async def test_what_stands_before_a_broken_packet_is_handled(app: Running) -> None:
    client = await joined(app)
    reply = await client.post('42["note",1]', "x", '42["note",2]')
    assert reply.status == 400
    await until(lambda: app.story.went)
    assert app.story.notes == [1]


async def test_octets_are_refused(app: Running) -> None:
    client = await joined(app)
    reply = await client.post('42["note",1]', **{"content-type": "application/octet-stream"})
    assert reply.status == 400
    await gone(client, app)
    await until(lambda: app.story.went)
    assert app.story.notes == []


@pytest.mark.parametrize("kind", ["text/plain", "text/plain;charset=UTF-8", "application/json"])
async def test_the_type_of_a_body_does_not_matter_otherwise(app: Running, kind: str) -> None:
    client = await joined(app)
    assert (await client.post('42["note",1]', **{"content-type": kind})).status == 200
    await until(lambda: app.story.notes)


async def test_a_body_may_be_as_large_as_the_limit() -> None:
    async with running(SocketIO(max_payload=1000)) as app:
        client = await joined(app)
        packet = '42["note","%s"]'
        body = packet % ("x" * (1000 - len(packet) + 2))
        assert (await client.post(body)).status == 200
        await until(lambda: app.story.notes)
        reply = await client.post(body[:-2] + 'x"]')
        assert (reply.status, reply.body) == (413, b"")
        # As the reference has it, the session goes on.
        assert await client.call("note", "small") == [2]


async def test_a_body_is_read_no_further_than_the_limit() -> None:
    async with running(SocketIO(max_payload=1000)) as app:
        client = await joined(app)
        target = client.target("polling", sid=client.sid)
        reader, writer = await start(app.url, target, "POST", body=b"4" * 2000, length=10**12)
        assert b" 413 " in await reader.readline()
        writer.transport.abort()
        assert await client.call("note", "small") == [1]


async def test_the_limit_is_of_the_body_as_it_is_sent() -> None:
    async with running(SocketIO(max_payload=1000)) as app:
        client = await joined(app)
        reply = await client.post_body(b"b" + b64encode(bytes(800)))
        assert reply.status == 413


# The end of a session


async def test_the_client_s_close_sends_its_poll_home(app: Running) -> None:
    client = await joined(app)
    polling = await waiting(client, app)
    assert (await client.post("1")).text == "ok"
    reply = await polling
    assert (reply.status, reply.text) == (200, "6")
    await gone(client, app)
    await until(lambda: app.story.went)
    assert [reason.text for reason in app.story.reasons] == ["transport close"]


async def test_the_server_s_close_is_the_answer_of_the_next_poll(app: Running) -> None:
    client = await joined(app)
    (connection,) = app.story.connections.values()
    connection.outbox.close(4004, "expired")
    await until(lambda: app.story.went)
    assert (await client.poll()).text == "1"
    await gone(client, app)


async def test_the_server_s_close_answers_the_poll_that_waits(app: Running) -> None:
    client = await joined(app)
    polling = await waiting(client, app)
    (connection,) = app.story.connections.values()
    connection.outbox.close(4004, "expired")
    assert (await polling).text == "1"
    await gone(client, app)


async def test_the_server_s_close_comes_after_what_was_sent_before(app: Running) -> None:
    client = await joined(app)
    polling = await waiting(client, app)
    (connection,) = app.story.connections.values()
    await app.app.emitter.of("/").to(connection.id).emit(Number(7))
    connection.outbox.close(4004, "expired")
    packets = (await polling).text.split(SEPARATOR)
    if len(packets) == 1:
        packets += (await client.poll()).text.split(SEPARATOR)
    assert packets == ['42["number",7,""]', "1"]
    await gone(client, app)


async def test_a_session_that_was_closed_is_forgotten_unless_it_polls() -> None:
    async with running(SocketIO(ping_timeout=0.05)) as app:
        await joined(app)
        (connection,) = app.story.connections.values()
        connection.outbox.close(4004, "expired")
        await until(lambda: app.story.went)
        assert app.sessions == 1
        await until(lambda: app.sessions == 0)


async def test_packets_after_the_goodbye_are_not_handled(app: Running) -> None:
    client = await joined(app)
    (connection,) = app.story.connections.values()
    connection.outbox.close(4004, "expired")
    await until(lambda: app.story.went)
    assert (await client.post('42["note",1]')).status == 200
    assert (await client.poll()).text == "1"
    assert app.story.notes == []


async def test_requests_of_http_1_0_and_keep_alive_are_the_same(app: Running) -> None:
    client = await joined(app)
    target = client.target("polling", sid=client.sid)
    headers = {"connection": "keep-alive"}
    reader, writer = await start(app.url, target, "POST", headers=headers, body=b'421["echo",1]')
    assert b" 200 " in await reader.readline()
    writer.write(f"GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert b"431[1]" in await reader.read()
    writer.transport.abort()
    assert (await request(app.url, target, "POST", body=b"1")).text == "ok"


async def test_the_last_poll_may_come_after_the_goodbye(app: Running) -> None:
    client = await joined(app)
    assert (await client.post("1")).text == "ok"
    reply = await client.poll()
    assert (reply.status, reply.text) == (200, "6")
    await gone(client, app)


async def test_nothing_is_taken_after_the_goodbye(app: Running) -> None:
    client = await joined(app)
    await client.post("1")
    reply = await client.post('42["hello"]')
    assert (reply.status, reply.json) == (400, UNKNOWN)
