"""CONNECT and DISCONNECT: who gets in where, in which order, and how often."""

import asyncio
import json

import pytest

from gatewright.transports.socketio import SocketIO
from tests.transports.socketio.app import Running, running, until
from tests.transports.socketio.clients import Client, Transport

pytestmark = pytest.mark.anyio


async def test_the_main_namespace(client: Client, app: Running) -> None:
    body = await client.join()
    assert body == {"sid": app.story.came[0]}
    # Whoever listens to the transport alone does not know the connection.
    assert body["sid"] != client.sid


async def test_a_namespace_of_its_own(client: Client, app: Running) -> None:
    assert (await client.join("/custom"))["sid"] == app.story.came[0]
    assert await client.receive() == '42/custom,["hello",{"auth":null}]'


@pytest.mark.parametrize("packet", ["40/custom,", "40/custom", "40/custom,{}"])
async def test_the_comma_may_be_missing(client: Client, packet: str) -> None:
    await client.send(packet)
    assert str(await client.receive()).startswith('40/custom,{"sid":')


async def test_what_connect_carries_is_the_auth_of_the_handshake(client: Client) -> None:
    await client.join("/custom", {"token": "1€", "more": [1, None]})
    assert await client.receive() == ('42/custom,["hello",{"auth":{"token":"1€","more":[1,null]}}]')


async def test_connect_is_answered_before_what_the_hooks_have_sent(client: Client) -> None:
    for _ in range(20):
        await client.join("/custom")
        assert str(await client.receive()).startswith('42/custom,["hello"')
        await client.send("41/custom,")


@pytest.mark.parametrize("name", ["/random", "/lab", "/lab/", "/lab/a/b", "/custom/", "/CUSTOM"])
async def test_a_namespace_that_nobody_serves(client: Client, name: str) -> None:
    await client.send(f"40{name},")
    assert await client.receive() == f'44{name},{{"message":"Invalid namespace"}}'
    # The session goes on.
    assert await client.join()


@pytest.mark.parametrize("bench", ["first", "07", "1.0", "%31", "-"])
async def test_a_parameter_that_is_none_is_no_namespace(client: Client, bench: str) -> None:
    await client.send(f"40/lab/{bench},")
    assert await client.receive() == f'44/lab/{bench},{{"message":"Invalid namespace"}}'


async def test_namespaces_with_parameters(client: Client) -> None:
    first, second = await client.join("/lab/1"), await client.join("/lab/2")
    assert first != second
    await client.send('42/lab/2,5["where"]', '42/lab/1,5["where"]')
    answers = {await client.receive(), await client.receive()}
    assert answers == {"43/lab/2,5[2]", "43/lab/1,5[1]"}


async def test_a_guard_says_why_not(client: Client) -> None:
    await client.send('40/guarded,{"token":"wrong"}')
    packet = str(await client.receive())
    assert packet.startswith("44/guarded,")
    assert json.loads(packet[11:]) == {
        "message": "who are you?",
        "data": {"code": "unauthenticated", "details": {"hint": "token"}},
    }
    assert await client.join("/guarded", {"token": "right"})


async def test_every_namespace_is_a_connection(client: Client, app: Running) -> None:
    sids = {(await client.join(name))["sid"] for name in ("/", "/lab/1", "/lab/2")}
    assert sids == set(app.story.came)
    assert len(app.app) == 3


async def test_one_namespace_is_left_the_others_stay(client: Client, app: Running) -> None:
    await client.join()
    left = await client.join("/lab/1")
    await client.send("41/lab/1,")
    await until(lambda: app.story.went == [left["sid"]])
    assert [reason.text for reason in app.story.reasons] == ["client namespace disconnect"]
    assert await client.call("echo", 1) == [1]
    assert (await client.join("/lab/1"))["sid"] != left["sid"]


async def test_the_server_may_end_one_namespace(client: Client, app: Running) -> None:
    await client.join("/lab/1")
    await client.join()
    await client.send('42["leave"]')
    assert await client.receive() == "41"
    await until(lambda: app.story.went)
    assert [reason.text for reason in app.story.reasons] == ["enough"]
    # What was under way meanwhile goes nowhere, and costs nothing.
    await client.send('42["note",1]', '421["echo"]', "41")
    await client.send('42/lab/1,1["where"]')
    assert await client.receive() == "43/lab/1,1[1]"
    assert app.story.notes == []
    assert await client.join()


async def test_whoever_leaves_before_it_is_let_in_has_been_here_all_the_same(
    client: Client, app: Running
) -> None:
    await client.send("40/slow,")
    await until(lambda: app.story.waiting)
    await client.send('42/slow,["note",1]', "41/slow,")
    app.story.gate.set()
    await until(lambda: app.story.went)
    assert app.story.came == app.story.went
    await until(lambda: len(app.app) == 0)


async def test_events_wait_for_the_hooks(client: Client, app: Running) -> None:
    await client.send("40/slow,")
    await until(lambda: app.story.waiting)
    await client.send('42/slow,["note",1]', '42/slow,["note",2]')
    assert app.story.notes == []
    app.story.gate.set()
    assert str(await client.receive()).startswith("40/slow,")
    await until(lambda: app.story.notes == [1, 2])


async def test_a_refusal_and_a_second_try(transport: Transport) -> None:
    async with running() as app, transport.opened(app.url) as client:
        for _ in range(3):
            await client.send("40/guarded,")
            assert str(await client.receive()).startswith("44/guarded,")
        assert len(app.app) == 0


# As much as it may be


async def test_a_client_joins_only_so_many_namespaces(transport: Transport) -> None:
    config = SocketIO(max_namespaces=3)
    async with running(config) as app, transport.opened(app.url) as client:
        for bench in range(3):
            await client.join(f"/lab/{bench}")
        await client.send("40/lab/3,")
        packet = str(await client.receive())
        assert packet.startswith("44/lab/3,")
        error = json.loads(packet[9:])
        assert error["data"] == {"code": "too_many"}
        assert "3 namespaces" in error["message"]
        await client.send("41/lab/0,")
        await client.join("/lab/3")
        assert len(app.app) <= 4


async def test_a_storm_of_connects_is_weathered(transport: Transport) -> None:
    config = SocketIO(max_namespaces=10)
    async with running(config) as app, transport.opened(app.url) as client:
        await client.send(*(f"40/lab/{number}," for number in range(300)))
        answers = [str(await client.receive())[:2] for _ in range(300)]
        assert (answers.count("40"), answers.count("44")) == (10, 290)
        assert len(app.app) == 10


async def test_connecting_has_its_rate(transport: Transport) -> None:
    async with running() as app, transport.opened(app.url) as client:
        await client.send(*["40/lab/1,", "41/lab/1,"] * 100)
        await client.send("40/lab/1,")
        packet = ""
        while not packet.startswith("44/lab/1,"):
            packet = str(await client.receive())
        assert json.loads(packet[9:])["data"] == {"code": "too_many"}
        await until(lambda: len(app.app) == 0)
        assert sorted(app.story.came) == sorted(app.story.went)


async def test_a_storm_of_one_namespace_is_weathered(transport: Transport) -> None:
    async with running() as app, transport.opened(app.url) as client:
        await client.send(*["40/lab/1,", "41/lab/1,"] * 40)
        await until(lambda: len(app.app) == 0 and app.story.came == app.story.went)
        assert await client.join("/lab/1")


# Nobody in time


async def test_a_client_that_joins_nothing_is_sent_away(transport: Transport) -> None:
    config = SocketIO(connect_timeout=0.05, ping_interval=0.02, ping_timeout=30)
    async with running(config) as app, transport.opened(app.url) as client:
        assert await client.closed() in {200, 4005}
        assert client.pings
        await until(lambda: app.sessions == 0)


async def test_a_client_that_was_refused_is_sent_away_too(transport: Transport) -> None:
    config = SocketIO(connect_timeout=0.2, ping_timeout=30)
    async with running(config) as app, transport.opened(app.url) as client:
        await client.send("40/guarded,")
        assert str(await client.receive()).startswith("44")
        assert await client.closed() in {200, 4005}


async def test_a_client_that_has_joined_may_stay(transport: Transport) -> None:
    config = SocketIO(connect_timeout=0.05)
    async with running(config) as app, transport.opened(app.url) as client:
        await client.join()
        loop = asyncio.get_running_loop()
        passed = loop.create_future()
        loop.call_later(0.1, passed.set_result, None)
        await passed
        assert await client.call("echo", 1) == [1]
        assert app.sessions == 1
