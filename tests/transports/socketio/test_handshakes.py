"""The opening of sessions: what is told, what is refused, and in which words."""

import asyncio
import json
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gatewright import EventError, Handshake
from gatewright.settings import Rate
from gatewright.transports.socketio import Cookie, SocketIO
from gatewright.transports.websocket import NOT_STARTED
from tests._support.server import serve
from tests.transports.socketio.app import Running, Story, make, running, until
from tests.transports.socketio.clients import Poller, Socket, Transport
from tests.transports.socketio.requests import Reply, request

pytestmark = pytest.mark.anyio

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"


async def dial(url: str, target: str, headers: dict[str, str] | None = None) -> Reply:
    """Ask for a WebSocket that is refused; the refusal."""
    with pytest.raises(InvalidStatus) as caught:
        await connect("ws" + url.removeprefix("http") + target, additional_headers=headers)
    response = caught.value.response
    return Reply(response.status_code, dict(response.headers), [], bytes(response.body))


async def opening(url: str, target: str, *, websocket: bool) -> Reply:
    return await dial(url, target) if websocket else await request(url, target)


def error(code: int, message: str) -> dict[str, Any]:
    return {"code": code, "message": message}


async def test_the_handshake_tells_what_a_client_must_know(transport: Transport) -> None:
    config = SocketIO(ping_interval=0.3, ping_timeout=0.25, max_payload=1234)
    async with running(config) as app, transport.opened(app.url) as client:
        assert client.handshake == {
            "sid": client.sid,
            "upgrades": ["websocket"] if transport.name == "polling" else [],
            "pingInterval": 300,
            "pingTimeout": 250,
            "maxPayload": 1234,
        }


async def test_ids_of_sessions_cannot_be_guessed(app: Running) -> None:
    sids = {(await Poller.open(app.url)).sid for _ in range(20)}
    assert len(sids) == 20
    assert all(len(sid) == 20 for sid in sids)


@pytest.mark.parametrize("config", [SocketIO(upgrades=False), SocketIO(transports=("polling",))])
async def test_an_upgrade_is_offered_only_where_there_is_one(config: SocketIO) -> None:
    async with running(config) as app:
        assert (await Poller.open(app.url)).handshake["upgrades"] == []


@pytest.mark.parametrize("query", ["transport=%s", "EIO=3&transport=%s", "EIO=abc&transport=%s"])
async def test_another_revision_is_refused(app: Running, query: str, transport: Transport) -> None:
    target = "/socket.io/?" + query % transport.name
    reply = await opening(app.url, target, websocket=transport.name == "websocket")
    assert (reply.status, reply.json) == (400, error(5, "Unsupported protocol version"))
    assert app.sessions == 0


@pytest.mark.parametrize("query", ["EIO=4", "EIO=4&transport=abc", "EIO=4&transport=webtransport"])
@pytest.mark.parametrize("websocket", [False, True])
async def test_an_unknown_transport_is_refused(app: Running, query: str, websocket: bool) -> None:  # noqa: FBT001
    reply = await opening(app.url, f"/socket.io/?{query}", websocket=websocket)
    assert (reply.status, reply.json) == (400, error(0, "Transport unknown"))


@pytest.mark.parametrize(
    ("config", "off"),
    [
        (SocketIO(transports=("websocket",)), "polling"),
        (SocketIO(transports=("polling",)), "websocket"),
    ],
)
async def test_a_transport_that_is_switched_off_is_unknown(config: SocketIO, off: str) -> None:
    async with running(config) as app:
        target = f"/socket.io/?EIO=4&transport={off}"
        reply = await opening(app.url, target, websocket=off == "websocket")
        assert (reply.status, reply.json) == (400, error(0, "Transport unknown"))


@pytest.mark.parametrize("name", ["polling", "websocket"])
async def test_an_unknown_session_is_refused(app: Running, name: str) -> None:
    target = f"/socket.io/?EIO=4&transport={name}&sid=nobody"
    reply = await opening(app.url, target, websocket=name == "websocket")
    assert (reply.status, reply.json) == (400, error(1, "Session ID unknown"))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_session_begins_with_get(app: Running, method: str) -> None:
    reply = await request(app.url, POLLING, method)
    assert (reply.status, reply.json) == (400, error(2, "Bad handshake method"))


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD"])
async def test_a_session_is_asked_with_get_and_post(app: Running, method: str) -> None:
    client = await Poller.open(app.url)
    reply = await request(app.url, client.target("polling", sid=client.sid), method)
    assert reply.status == 400
    # It has harmed nobody.
    assert await client.join()


async def test_a_websocket_needs_to_be_one(app: Running) -> None:
    reply = await request(app.url, WEBSOCKET)
    assert (reply.status, reply.json) == (400, error(3, "Bad request"))
    reply = await dial(app.url, POLLING)
    assert (reply.status, reply.json) == (400, error(3, "Bad request"))


async def test_the_session_of_a_websocket_cannot_be_polled(app: Running) -> None:
    client = await Socket.open(app.url)
    for method in ("GET", "POST"):
        reply = await request(app.url, client.target("polling", sid=client.sid), method)
        assert (reply.status, reply.json) == (400, error(3, "Bad request"))
    assert await client.join()
    client.abort()


# Who may


async def let_in(handshake: Handshake) -> bool | None:
    match handshake.query.get("who"):
        case "false":
            return False
        case "error":
            raise EventError("closed", "come back tomorrow")
        case "code":
            raise EventError("closed")
        case "bug":
            raise LookupError("secret")
        case "none":
            return None
        case _:
            return True


@pytest.fixture(scope="module")
async def choosy() -> AsyncGenerator[Running]:
    """An application that asks who is there."""
    async with running(SocketIO(allow_request=let_in)) as app:
        yield app


@pytest.mark.parametrize(
    ("who", "message"),
    [
        ("false", "Forbidden"),
        ("error", "come back tomorrow"),
        ("code", "closed"),
        ("bug", "Forbidden"),
    ],
)
async def test_allow_request_refuses(
    choosy: Running, who: str, message: str, transport: Transport
) -> None:
    target = f"/socket.io/?EIO=4&transport={transport.name}&who={who}"
    reply = await opening(choosy.url, target, websocket=transport.name == "websocket")
    assert (reply.status, reply.json) == (403, error(4, message))
    assert choosy.sessions == 0


async def test_allow_request_allows_once_for_a_whole_session(transport: Transport) -> None:
    seen: list[Handshake] = []

    async def note(handshake: Handshake) -> None:
        seen.append(handshake)

    async with (
        running(SocketIO(allow_request=note)) as app,
        transport.opened(app.url, headers={"x-tenant": "ours"}) as client,
    ):
        assert await client.join()
        assert await client.call("echo", 1) == [1]
    (handshake,) = seen
    assert handshake.namespace == "/socket.io/"
    assert handshake.headers["x-tenant"] == "ours"
    assert handshake.query == {"EIO": "4", "transport": transport.name}
    assert handshake.client == "127.0.0.1"


async def test_who_is_let_in_while_the_application_stops_finds_it_stopped() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def think(handshake: Handshake) -> None:
        asked.set()
        await go_on.wait()

    app = make(Story(), SocketIO(allow_request=think))
    sent: list[Message] = []
    scope = {"type": "http", "method": "GET", "path": "/socket.io/", "headers": []}
    query = {"query_string": b"EIO=4&transport=polling"}

    async def send(message: Message) -> None:
        sent.append(message)

    async with app.run():
        engine = app._engine
        exchange = asyncio.create_task(app({**scope, **query}, asyncio.Event().wait, send))  # type: ignore[arg-type]
        await asked.wait()
    go_on.set()
    await exchange
    assert sent[0]["status"] == HTTPStatus.SERVICE_UNAVAILABLE
    assert engine is not None
    assert not engine.sockets


async def test_too_many_at_once_are_told_to_come_back(transport: Transport) -> None:
    async with running(accept_rate=Rate(per_second=0.001, burst=1)) as app:
        client = await transport.open(app.url)
        # A session that has begun goes on.
        assert await client.join()
        for websocket in (False, True):
            reply = await opening(app.url, WEBSOCKET if websocket else POLLING, websocket=websocket)
            assert reply.status == 503
            assert "try again" in reply.text
        if isinstance(client, Socket):
            client.abort()


# The cookie


async def test_no_cookie_is_set_unless_it_is_wanted(app: Running) -> None:
    assert (await request(app.url, POLLING)).cookies == []


async def test_the_cookie_names_the_session_once() -> None:
    async with running(SocketIO(cookie=Cookie())) as app:
        reply = await request(app.url, POLLING)
        sid = json.loads(reply.text[1:])["sid"]
        assert reply.cookies == [f"io={sid}; HttpOnly; Path=/; SameSite=lax"]
        client = Poller(app.url, "/socket.io/")
        client.handshake = {"sid": sid}
        assert (await client.post("40")).cookies == []
        assert (await client.poll()).cookies == []


async def test_an_empty_session_id_is_none() -> None:
    async with running(SocketIO(cookie=Cookie())) as app:
        reply = await request(app.url, POLLING + "&sid=")
        assert reply.status == 200
        assert len(reply.cookies) == 1


async def test_the_cookie_is_as_it_is_configured() -> None:
    cookie = Cookie(
        name="node",
        path="/rt",
        max_age=60,
        domain="example.com",
        http_only=False,
        secure=True,
        same_site="none",
    )
    async with running(SocketIO(cookie=cookie)) as app:
        client = await Socket.open(app.url)
        response = client.socket.response
        assert response is not None
        expected = (
            f"node={client.sid}; Domain=example.com; Max-Age=60; Path=/rt; SameSite=none; Secure"
        )
        assert response.headers["set-cookie"] == expected
        client.abort()


# Where it is found


async def test_it_is_found_below_the_path_of_a_mount(transport: Transport) -> None:
    realtime = make(Story())
    outer = Starlette(routes=[Mount("/realtime", realtime)], lifespan=realtime.lifespan)
    async with (
        serve(outer) as url,
        transport.opened(url, path="/realtime/socket.io/") as client,
    ):
        await client.join("/lab/7")
        await client.send('42/lab/7,1["where"]')
        assert await client.receive() == "43/lab/7,1[7]"


async def test_it_is_found_beside_the_routes_of_another_application(transport: Transport) -> None:
    realtime = make(Story())
    outer = Starlette(routes=realtime.routes, lifespan=realtime.lifespan)
    async with serve(outer) as url, transport.opened(url) as client:
        assert await client.join()


@pytest.mark.parametrize("path", ["/rt", "/rt/"])
async def test_a_path_is_the_same_without_its_last_slash(path: str, transport: Transport) -> None:
    # Clients add the slash unless `addTrailingSlash` is off, however their `path` is written.
    async with running(SocketIO(path=path)) as app:
        for asked in ("/rt", "/rt/"):
            async with transport.opened(app.url, path=asked) as client:
                assert await client.join()


async def test_an_application_that_was_not_started_says_so(transport: Transport) -> None:
    outer = Starlette(routes=[Mount("/realtime", make(Story()))])
    async with serve(outer) as url:
        target = f"/realtime/socket.io/?EIO=4&transport={transport.name}"
        reply = await opening(url, target, websocket=transport.name == "websocket")
        assert (reply.status, reply.text) == (503, NOT_STARTED)


async def test_middleware_may_take_its_time_with_the_accept() -> None:
    """The handshake's answer is the first that a socket sends, whoever delays it."""

    def slow(app: ASGIApp) -> ASGIApp:
        async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
            async def delayed(message: Message) -> None:
                for _ in range(5 if message["type"] == "websocket.accept" else 0):
                    await asyncio.sleep(0)
                await send(message)

            await app(scope, receive, delayed if scope["type"] == "websocket" else send)

        return middleware

    story = Story()
    app = make(story)
    async with serve(slow(app)) as url:
        client = await Socket.open(url)
        assert await client.join()
        assert await client.call("echo", "hi") == ["hi"]
        client.abort()
        await until(lambda: story.went)
