"""A node follows the namespaces of its connections, and no others, whatever becomes of them."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gatewright import Settings
from gatewright.backplane.base import Break
from gatewright.errors import BackplaneError
from gatewright.transports.socketio.config import SocketIO
from tests.cluster.joined import Hub
from tests.cluster.nodes import cluster, empty, net
from tests.sessions.chat import House, until
from tests.sessions.client import Client
from tests.transports.socketio.clients import Closed, Socket

pytestmark = pytest.mark.anyio

RECOVERING = SocketIO(recovery=True)


def plain(house: House, path: str = "/chat") -> Any:
    return connect(f"{house.url.ws}{path}", compression=None, ping_interval=None)


@asynccontextmanager
async def socketio(house: House) -> AsyncGenerator[Socket]:
    socket = await Socket.open(house.url)
    try:
        yield socket
    finally:
        await socket.socket.close()


async def test_a_namespace_is_followed_while_it_has_connections(hub: Hub) -> None:
    async with cluster(hub.node) as (a, b):
        async with Client.opened(a.url) as ana, plain(a) as bob, plain(b, "/room/7"):
            await bob.send('{"event": "who", "id": 1}')
            await bob.recv()
            await until(lambda: net(b).follows["/room/7"] == 1)
            assert +net(a).follows == {"/chat": 2}
            assert +net(b).follows == {"/room/7": 1}
            await ana.send({"op": "bye"})
            await ana.closed()
        await empty(a, b)


async def test_a_session_that_returns_is_followed_once(hub: Hub) -> None:
    async with cluster(hub.node, 1) as (a,):
        async with Client.opened(a.url) as ana:
            ana.cut()
        await a.gone()
        await until(lambda: not +net(a).follows)
        async with Client.opened(a.url, resume=ana.ticket) as back:
            assert +net(a).follows == {"/chat": 1}
            await back.send({"op": "bye"})
            await back.closed()
        await empty(a)


@pytest.mark.parametrize(
    "auth",
    [{"refuse": "forbidden"}, {"guard": "forbidden"}, {"break": 1}],
    ids=["authenticate", "guard", "broken"],
)
async def test_who_is_refused_is_not_followed(hub: Hub, auth: Any) -> None:
    async with cluster(hub.node, 1) as (a,):
        async with Client.connect(a.url) as ana:
            await ana.ask(auth=auth)
            await ana.closed()
        async with socketio(a) as eve:
            await eve.send(f"40/chat,{json.dumps(auth)}")
            assert str(await eve.receive()).startswith("44/chat,")
        await empty(a)


async def test_whom_a_hook_refuses_is_followed_no_longer(hub: Hub) -> None:
    async with cluster(hub.node, 1) as (a,):
        a.witness.trouble = LookupError("of the hook")
        async with Client.connect(a.url) as ana:
            await ana.ask()
            await ana.closed()
        async with plain(a) as bob:
            await bob.wait_closed()
        await empty(a)


async def test_whoever_is_cut_at_any_step_of_the_opening_is_followed_no_longer(hub: Hub) -> None:
    async with cluster(hub.node, 1, settings=Settings(grace=0.2)) as (a,):
        for steps in range(0, 40, 2):
            async with Client.connect(a.url) as ana:
                await ana.ask()
                for _ in range(steps):
                    await asyncio.sleep(0)
                ana.cut()
            async with plain(a) as bob:
                for _ in range(steps // 4):
                    await asyncio.sleep(0)
                bob.transport.abort()
        await empty(a)


async def test_nobody_is_let_in_while_the_namespace_cannot_be_followed(hub: Hub) -> None:
    async with cluster(hub.node, 1, socketio=RECOVERING) as (a,):

        async def follow(namespace: str) -> None:
            raise BackplaneError(f"{namespace} is out of reach")

        net(a).follow = follow  # type: ignore[method-assign]
        async with Client.connect(a.url) as ana:
            await ana.ask()
            assert await ana.closed() == (4010, "the server has lost touch; connect again")
        with pytest.raises(InvalidStatus) as refused:
            async with plain(a):
                pass
        assert refused.value.response.status_code == 503
        async with socketio(a) as eve:
            await eve.send("40/chat,")
            # Not refused, which would keep it away: it loses its socket, and comes again.
            with pytest.raises(Closed):
                await eve.receive()
        await empty(a)


async def test_nobody_is_let_in_while_the_backplane_is_out_of_reach(hub: Hub) -> None:
    async with cluster(hub.node, 1, socketio=RECOVERING) as (a,):
        async with Client.opened(a.url) as ana:
            ana.cut()
        await a.gone()
        follow = net(a).follow
        net(a).follow = lambda _: asyncio.sleep(0)  # type: ignore[method-assign,assignment]
        net(a).unfollow = lambda _: asyncio.sleep(0)  # type: ignore[method-assign,assignment]
        hub.part(net(a))
        for ticket in (None, ana.ticket):
            async with Client.connect(a.url) as back:
                await back.ask(ticket)
                assert (await back.closed())[0] == 4010
        async with socketio(a) as eve:
            await eve.send("40/chat,")
            with pytest.raises(Closed):
                await eve.receive()
        hub.heal(net(a))
        net(a).follow = follow  # type: ignore[method-assign]
        async with Client.opened(a.url, resume=ana.ticket) as back:
            assert back.hello["resumed"]


async def test_after_a_break_everyone_comes_back(hub: Hub) -> None:
    async with (
        cluster(hub.node, 2, socketio=RECOVERING) as (a, b),
        Client.opened(a.url) as ana,
        plain(a) as bob,
        socketio(a) as eve,
        Client.opened(b.url) as zoe,
    ):
        body = await eve.join("/chat", {})
        await bob.send('{"event": "who", "id": 1}')
        await bob.recv()
        hub.part(net(a))
        await b.say("lobby", "one")
        hub.heal(net(a), lost=True)
        assert (await ana.closed())[0] == 4010
        await bob.wait_closed()
        assert bob.close_code == 4010
        await eve.closed()
        assert await zoe.hear(1) == ["one"]
        async with Client.opened(a.url, resume=ana.ticket) as back:
            assert back.hello["resumed"]
            assert await back.hear(1) == ["one"]
        async with socketio(a) as back:
            again = await back.join("/chat", {"pid": body["pid"]})
            assert again["sid"] == body["sid"]
            assert json.loads(str(await back.receive())[len("42/chat,") :])[1] == {"text": "one"}


async def test_a_break_while_somebody_opens_or_returns(hub: Hub) -> None:
    async with cluster(hub.node, 1) as (a,):
        async with Client.opened(a.url) as ana:
            ana.cut()
        await a.gone()
        for ticket in (None, ana.ticket):
            net(a).lane.hold()
            # What it asks for waits for the lane.
            async with Client.connect(a.url) as back:
                net(a).lane.put(Break("/other"))
                await back.ask(ticket)
                await until(lambda: net(a).lane._arrivals)
                net(a).lane.put(Break("/chat"))
                net(a).lane.let()
                assert (await back.closed())[0] == 4010
            await a.gone()
        async with Client.opened(a.url, resume=ana.ticket) as back:
            assert back.hello["resumed"]
