"""The servers of this folder start, and do what the suites begin with."""

import pytest

from tests._support.server import serve
from tests.conformance import engineio, socketio_client, socketio_protocol
from tests.transports.socketio.clients import Client, Transport, drop
from tests.transports.socketio.conftest import transport

__all__ = ["transport"]

pytestmark = pytest.mark.anyio


async def expect(client: Client, *packets: str | bytes) -> None:
    for packet in packets:
        assert await client.receive() == packet
    await drop(client)


async def test_the_protocol_of_engine_io(transport: Transport) -> None:
    async with serve(engineio.protocol) as url:
        client = await transport.open(url, "/engine.io/")
        await client.send("4hello", b"\x01\x02")
        await expect(client, "4hello", b"\x01\x02")


async def test_the_client_of_engine_io(transport: Transport) -> None:
    async with serve(engineio.client) as url:
        client = await transport.open(url, "/engine.io/")
        await client.send("4give binary", "4hello")
        await expect(client, "4hi", bytes(range(5)), "4hello")


async def test_the_protocol_of_socket_io(transport: Transport) -> None:
    async with serve(socketio_protocol.app) as url:
        client = await transport.open(url)
        assert set(await client.join()) == {"sid"}
        await client.send('421["message-with-ack",1,"2",[3]]')
        await expect(client, '42["auth",{}]', '431[1,"2",[3]]')


async def test_the_client_of_socket_io(transport: Transport) -> None:
    async with serve(socketio_client.app) as url:
        client = await transport.open(url)
        assert set(await client.join()) == {"sid", "pid"}
        await client.send('420["ack"]')
        asked = await client.receive()
        assert isinstance(asked, str)
        id = asked.removeprefix("42").removesuffix('["ack"]')
        await client.send(f'43{id}[5,{{"test":true}}]')
        assert str(await client.receive()).startswith('42["got it"')
        await expect(client, "430[null]")
