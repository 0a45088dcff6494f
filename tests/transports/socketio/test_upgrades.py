"""From polling to a WebSocket: nothing is lost or overtaken; who fails goes on polling."""

import asyncio
import json
import logging

import pytest

from gatewright.transports.socketio import SocketIO
from tests._support.raw import RawClient
from tests._support.remains import journal
from tests.transports.socketio.app import Number, Running, running, until
from tests.transports.socketio.clients import SEPARATOR, Poller, Socket
from tests.transports.socketio.requests import request

pytestmark = pytest.mark.anyio


async def joined(app: Running) -> Poller:
    client = await Poller.open(app.url)
    await client.join()
    return client


async def dialled(client: Poller) -> Socket:
    """A WebSocket for the session of a client that polls."""
    socket = await Socket.dial(client.url, f"/socket.io/?sid={client.sid}")
    socket.handshake = client.handshake
    return socket


async def probed(client: Poller) -> Socket:
    socket = await dialled(client)
    await socket.send("2probe")
    assert await socket.next() == "3probe"
    return socket


async def upgraded(client: Poller, app: Running) -> Socket:
    socket = await probed(client)
    await socket.send("5")
    session = app.session(client)
    await until(lambda: session.transport == "websocket")
    return socket


async def emit(app: Running, *numbers: int, padding: int = 0) -> None:
    for number in numbers:
        await app.app.emitter.of("/").emit(Number(number, "x" * padding))


async def test_a_session_goes_on_with_a_websocket(app: Running) -> None:
    client = await joined(app)
    socket = await upgraded(client, app)
    assert await socket.call("echo", "hi") == ["hi"]
    assert len(app.story.came) == 1
    assert not app.story.went
    socket.abort()
    await until(lambda: app.story.went)
    assert [reason.text for reason in app.story.reasons] == ["transport close"]


async def test_what_waited_for_a_poll_comes_first(app: Running) -> None:
    client = await joined(app)
    await emit(app, 1, 2)
    await client.send('42["send back","three"]', '421["bytes",1]')
    await until(lambda: len(app.session(client).polling._frames) == 4)  # type: ignore[union-attr]
    socket = await upgraded(client, app)
    await emit(app, 5)
    assert await socket.receive() == '42["number",1,""]'
    assert await socket.receive() == '42["number",2,""]'
    assert await socket.receive() == '42["back","three"]'
    assert await socket.receive() == '461-1[{"_placeholder":true,"num":0}]'
    assert await socket.receive() == b"x"
    assert await socket.receive() == '42["number",5,""]'
    socket.abort()


async def test_packets_right_behind_the_upgrade_are_taken(app: Running) -> None:
    client = await joined(app)
    socket = await probed(client)
    await socket.send("5", '421["echo",1]', '422["echo",2]')
    assert [await socket.receive(), await socket.receive()] == ["431[1]", "432[2]"]
    socket.abort()


@pytest.mark.parametrize("padding", [0, 1000, 30_000])
@pytest.mark.parametrize("ws", ["websockets-sansio", "wsproto"])
async def test_events_during_the_upgrade_all_arrive_in_their_order(ws: str, padding: int) -> None:
    """Sent without a pause, from before the probe until after the upgrade."""
    async with running(ws=ws, outbox=8 * 1024 * 1024) as app:
        client = await joined(app)
        going = True

        async def emitting() -> int:
            number = 0
            while going and number < 200:
                await emit(app, number, padding=padding)
                number += 1
                await asyncio.sleep(0.001)
            return number

        sending = asyncio.create_task(emitting())
        received: list[str | bytes] = []
        for _ in range(2):
            received += (await client.poll()).text.split(SEPARATOR)
        socket = await probed(client)
        polling = asyncio.create_task(client.poll())
        received += (await polling).text.split(SEPARATOR)
        await until(lambda: sending.done() or len(received) > 2)
        await socket.send("5")
        await socket.send('429["echo","end"]')
        going = False
        total = await sending
        numbers = [json.loads(str(each)[2:])[1] for each in received if each != "6"]
        while len(numbers) < total:
            packet = str(await socket.receive())
            if not packet.startswith("439"):
                numbers.append(json.loads(packet[2:])[1])
        assert numbers == list(range(total))
        socket.abort()


async def test_more_than_polls_take_waits_and_follows(app: Running) -> None:
    """The writer of the outbox is at it while the transport changes."""
    client = await joined(app)
    await emit(app, *range(30), padding=20_000)
    session = app.session(client)
    await until(lambda: session.outbox.size)
    socket = await upgraded(client, app)
    await emit(app, 30)
    numbers = [json.loads(str(await socket.receive())[2:])[1] for _ in range(31)]
    assert numbers == list(range(31))
    socket.abort()


@pytest.mark.parametrize("ws", ["websockets-sansio", "wsproto"])
async def test_a_client_that_upgrades_and_does_not_read_is_let_go(ws: str) -> None:
    """What waited for its poll is more than its socket takes: the switch itself stands still."""
    config = SocketIO(ping_interval=0.1, ping_timeout=0.2)
    async with running(config, ws=ws, outbox=64 * 1024 * 1024) as app:
        client = await joined(app)
        await client.send('42["count",100,100000]')
        session = app.session(client)
        await until(lambda: session.polling is not None and session.polling._size > 9_000_000)
        async with RawClient.connect(app.url, client.target("websocket", sid=client.sid)) as raw:
            await raw.send("2probe")
            assert await raw.receive() == (1, b"3probe")
            await raw.send("5")
            await until(lambda: app.story.went)
            await raw.until_reset()
        assert app.sessions == 0


# The poll that waits


async def test_a_poll_that_waits_is_sent_home(app: Running) -> None:
    client = await joined(app)
    polling = asyncio.create_task(client.poll())
    session = app.session(client)
    await until(lambda: session.polling is not None and session.polling.pending)
    socket = await probed(client)
    reply = await polling
    assert (reply.status, reply.text) == (200, "6")
    # And the next one too: some clients poll on until they are told.
    assert (await client.poll()).text == "6"
    await socket.send("5", '421["echo",1]')
    assert await socket.receive() == "431[1]"
    socket.abort()


async def test_a_poll_is_not_sent_home_at_once(app: Running) -> None:
    """Node's server looks ten times a second, and its client counts on it."""
    client = await joined(app)
    loop = asyncio.get_running_loop()
    socket = await dialled(client)
    polling = asyncio.create_task(client.poll())
    session = app.session(client)
    await until(lambda: session.polling is not None and session.polling.pending)
    start = loop.time()
    await socket.send("2probe")
    assert (await polling).text == "6"
    # A lower bound of what the server waits for, however slow the machine is.
    assert loop.time() - start >= 0.09
    socket.abort()


async def test_the_websocket_gets_no_noop(app: Running) -> None:
    client = await joined(app)
    socket = await probed(client)
    assert (await client.poll()).text == "6"
    await socket.send("5", '421["echo",1]')
    assert await socket.next() == "431[1]"
    socket.abort()


async def test_a_poll_that_waits_while_the_upgrade_comes_is_refused(app: Running) -> None:
    client = await joined(app)
    polling = asyncio.create_task(client.poll())
    session = app.session(client)
    await until(lambda: session.polling is not None and session.polling.pending)
    socket = await dialled(client)
    await socket.send("2probe", "5")
    assert await socket.next() == "3probe"
    reply = await polling
    assert reply.status == 400
    await until(lambda: session.transport == "websocket")
    assert await socket.call("echo", 1) == [1]
    socket.abort()


async def test_requests_after_the_upgrade_are_refused(app: Running) -> None:
    client = await joined(app)
    socket = await upgraded(client, app)
    for reply in (await client.poll(), await client.post('42["note",1]'), await client.post("1")):
        assert (reply.status, reply.json) == (400, {"code": 3, "message": "Bad request"})
    assert await socket.call("echo", 1) == [1]
    assert app.story.notes == []
    socket.abort()


# Upgrades that fail


@pytest.mark.parametrize("packet", ["5", "6", "3probe", "2", "", "40", '42["note",1]', b"2probe"])
async def test_anything_but_a_probe_is_refused(app: Running, packet: str | bytes) -> None:
    client = await joined(app)
    socket = await dialled(client)
    await socket.send(packet)
    if packet == "5":
        # As the reference, which does not ask for a probe.
        assert await socket.call("echo", 1) == [1]
        socket.abort()
        return
    assert await socket.closed() == 1008
    assert await client.call("echo", 1) == [1]
    assert app.story.notes == []


@pytest.mark.parametrize("packet", ["6", "3", '42["note",1]', "1", b"5"])
async def test_anything_but_an_upgrade_after_the_probe_is_refused(
    app: Running, packet: str | bytes
) -> None:
    client = await joined(app)
    socket = await probed(client)
    await socket.send(packet)
    assert await socket.closed() == 1008
    # It goes on polling, and may try again.
    assert await client.call("echo", 1) == [1]
    again = await upgraded(client, app)
    assert await again.call("echo", 2) == [2]
    assert app.story.notes == []
    again.abort()


async def test_a_probe_has_its_time() -> None:
    async with running(SocketIO(upgrade_timeout=0.05)) as app:
        client = await joined(app)
        for send in (False, True):
            socket = await dialled(client)
            if send:
                await socket.send("2probe")
                assert await socket.next() == "3probe"
            assert await socket.closed() == 1008
            assert await client.call("echo", 1) == [1]


@pytest.mark.parametrize("ws", ["websockets-sansio", "wsproto"])
async def test_a_probe_that_is_given_up_leaves_the_session_polling(ws: str) -> None:
    async with journal(logging.WARNING) as entries, running(ws=ws) as app:
        client = await joined(app)
        session = app.session(client)
        for send in (False, True):
            socket = await dialled(client)
            if send:
                await socket.send("2probe")
                assert await socket.next() == "3probe"
            await until(lambda: session.upgrading)
            socket.abort()
            await until(lambda: not session.upgrading)
            assert await client.call("echo", 1) == [1]
    assert entries == []


async def test_a_second_websocket_is_closed_while_the_first_probes(app: Running) -> None:
    client = await joined(app)
    first = await probed(client)
    second = await dialled(client)
    assert await second.closed() == 1008
    await first.send("5")
    assert await first.call("echo", 1) == [1]
    third = await dialled(client)
    assert await third.closed() == 1008
    assert await first.call("echo", 2) == [2]
    first.abort()


async def test_a_session_that_ends_takes_its_probe_along(app: Running) -> None:
    client = await joined(app)
    socket = await probed(client)
    assert (await client.post("1")).text == "ok"
    assert await socket.closed() == 1008
    await until(lambda: app.story.went)


async def test_a_session_that_ended_is_not_upgraded(app: Running) -> None:
    client = await joined(app)
    socket = await probed(client)
    await client.post("1")
    await socket.send("5")
    assert await socket.closed() == 1008
    await until(lambda: app.sessions == 0)


async def test_the_upgrade_may_be_switched_off() -> None:
    async with running(SocketIO(upgrades=False)) as app:
        client = await joined(app)
        socket = await dialled(client)
        assert await socket.closed() == 1008
        assert await client.call("echo", 1) == [1]


async def test_heartbeats_go_over_to_the_websocket() -> None:
    async with running(SocketIO(ping_interval=0.05, ping_timeout=5)) as app:
        client = await joined(app)
        socket = await upgraded(client, app)
        for _ in range(3):
            assert await socket.next() == "2"
            await socket.send("3")
        socket.abort()


async def test_a_probe_of_a_session_that_was_never_there(app: Running) -> None:
    reply = await request(app.url, "/socket.io/?EIO=4&transport=websocket&sid=x")
    assert (reply.status, reply.json["code"]) == (400, 1)
