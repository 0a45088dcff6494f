"""Which pages may: CORS for the requests, the origin of WebSockets."""

from collections.abc import AsyncGenerator

import pytest
from websockets.exceptions import InvalidStatus

from tests.transports.socketio.app import Running, running
from tests.transports.socketio.clients import Poller, Socket
from tests.transports.socketio.requests import Reply, request

pytestmark = pytest.mark.anyio

POLLING = "/socket.io/?EIO=4&transport=polling"
NAMED = "https://app.example"
FOREIGN = "https://evil.example"


def shared(reply: Reply) -> dict[str, str]:
    """What tells a browser which pages may read an answer."""
    prefix = "access-control-allow-"
    found = {k.removeprefix(prefix): v for k, v in reply.headers.items() if k.startswith(prefix)}
    if "vary" in reply.headers:
        found["vary"] = reply.headers["vary"]
    return found


async def get(url: str, **headers: str) -> Reply:
    return await request(url, POLLING, headers=headers)


WITH_COOKIES = {"origin": NAMED, "credentials": "true", "vary": "Origin"}


async def test_a_named_origin_may_send_cookies() -> None:
    async with running(origins=(NAMED,)) as app:
        reply = await get(app.url, origin=NAMED, cookie="a=1")
        assert (reply.status, shared(reply)) == (200, WITH_COOKIES)
        client = await Poller.open(app.url)
        reply = await client.post("40", origin=NAMED, cookie="a=1")
        assert (reply.status, shared(reply)) == (200, WITH_COOKIES)
        # What goes wrong may be read too.
        reply = await request(
            app.url, "/socket.io/?EIO=4&transport=x", headers={"origin": NAMED, "cookie": "a=1"}
        )
        assert (reply.status, reply.json["code"], shared(reply)) == (400, 0, WITH_COOKIES)


async def test_an_origin_that_is_named_beside_the_star_may_send_cookies() -> None:
    async with running(origins=("*", NAMED)) as app:
        assert shared(await get(app.url, origin=NAMED)) == WITH_COOKIES
        assert shared(await get(app.url, origin=FOREIGN)) == {"origin": "*"}


async def test_with_the_star_everyone_may_without_cookies() -> None:
    async with running(origins=("*",)) as app:
        assert shared(await get(app.url, origin=FOREIGN)) == {"origin": "*"}
        assert shared(await get(app.url, origin="null")) == {"origin": "*"}


async def test_ones_own_page_may() -> None:
    async with running() as app:
        reply = await get(app.url, origin=app.url, cookie="a=1")
        assert (reply.status, shared(reply)["origin"]) == (200, app.url)
        client = await Socket.open(app.url, origin=app.url, headers={"cookie": "a=1"})
        client.abort()


async def test_a_browser_names_no_origin_when_its_own_page_gets_something() -> None:
    async with running() as app:
        reply = await get(app.url, cookie="session=1")
        assert (reply.status, shared(reply)) == (200, {})


@pytest.fixture(scope="module")
async def strict() -> AsyncGenerator[Running]:
    """An application that one other page may use."""
    async with running(origins=(NAMED,)) as app:
        yield app


@pytest.mark.parametrize("origin", [FOREIGN, "null", "http://127.0.0.1", ""])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_a_foreign_page_is_refused(strict: Running, origin: str, method: str) -> None:
    client = await Poller.open(strict.url)
    sessions = set(strict.engine.sockets)
    for target in (POLLING, client.target("polling", sid=client.sid)):
        reply = await request(strict.url, target, method, headers={"origin": origin})
        assert reply.status == 403
        assert reply.json == {"code": 4, "message": "this origin is not allowed"}
        assert shared(reply) == {}
    # Nothing of it has reached the session, or made another one.
    assert await client.join()
    await client.send("1")
    assert set(strict.engine.sockets) <= sessions


@pytest.mark.parametrize("sid", [None, "", "known"])
@pytest.mark.parametrize("origin", [FOREIGN, "null"])
async def test_a_foreign_page_gets_no_websocket(
    strict: Running, sid: str | None, origin: str
) -> None:
    client = await Poller.open(strict.url)
    sessions = set(strict.engine.sockets)
    path = "/socket.io/" + ("" if sid is None else f"?sid={client.sid if sid else ''}")
    with pytest.raises(InvalidStatus) as caught:
        await Socket.dial(strict.url, path, origin=origin)
    assert caught.value.response.status_code == 403
    assert set(strict.engine.sockets) <= sessions


@pytest.mark.parametrize("path", ["/socket.io/", "/socket.io/?sid="])
async def test_a_websocket_with_cookies_and_without_an_origin_is_refused(path: str) -> None:
    async with running() as app:
        with pytest.raises(InvalidStatus) as caught:
            await Socket.dial(app.url, path, headers={"cookie": "session=1"})
        assert caught.value.response.status_code == 403
        assert app.sessions == 0


async def test_who_has_begun_a_session_may_upgrade_it_with_its_cookie() -> None:
    """A client that is no browser sends back the cookie that keeps it at its node."""
    async with running() as app:
        client = await Poller.open(app.url)
        socket = await Socket.dial(
            app.url, f"/socket.io/?sid={client.sid}", headers={"cookie": "io=1"}
        )
        await socket.send("2probe")
        assert await socket.next() == "3probe"
        socket.abort()


async def test_a_preflight_says_what_may_be_sent() -> None:
    async with running(origins=(NAMED,)) as app:
        asked = {
            "origin": NAMED,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,x-tenant",
        }
        reply = await request(app.url, POLLING, "OPTIONS", headers=asked)
        assert (reply.status, reply.body) == (204, b"")
        assert shared(reply) == {
            **WITH_COOKIES,
            "methods": "GET, POST",
            "headers": "content-type,x-tenant",
        }
        assert app.sessions == 0


async def test_answers_are_not_kept_by_anybody() -> None:
    async with running() as app:
        client = await Poller.open(app.url)
        replies = [await get(app.url), await client.post("40"), await client.poll()]
        assert [each.headers["cache-control"] for each in replies] == ["no-store"] * 3
        types = [each.headers["content-type"] for each in replies]
        assert types == [*["text/plain; charset=UTF-8", "text/html; charset=utf-8"], types[0]]
