"""The first connection: as whom, whether at all, and how it is left."""

import asyncio
import logging
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_peer
from websockets.typing import Subprotocol

from gatewright import EventError, Settings
from gatewright.client import Backoff, ConnectError, connect
from tests._support.server import serve
from tests.client.cable import cable
from tests.sessions.chat import Said, running, until

pytestmark = pytest.mark.anyio

SOON = Backoff(0.001, 0.01)


def credentials() -> dict[str, Any]:
    return {"user": "ana"}


async def slow_credentials() -> dict[str, Any]:
    await asyncio.sleep(0)
    return {"user": "ana"}


@pytest.mark.parametrize("auth", [{"user": "ana"}, credentials, slow_credentials])
async def test_who_it_is(auth: object) -> None:
    async with running() as house, connect(f"{house.url.ws}/chat", auth=auth) as chat:
        assert await chat.call("who", reply=str | None) == "ana"
        assert chat.id == house.witness.connections[0].id


async def test_credentials_are_asked_for_at_each_attempt() -> None:
    asked: list[int] = []

    async def auth() -> dict[str, Any]:
        asked.append(len(asked))
        if len(asked) == 2:
            raise LookupError("the store of tokens is away")
        return {"user": "ana", "name": str(len(asked))}

    async with (
        running() as house,
        cable(house.url) as line,
        connect(f"{line.url.ws}/chat", auth=auth, reconnect=SOON) as chat,
    ):
        line.cut()
        await until(lambda: "resume" in house.witness.seen)
        assert house.witness.handshakes[-1].auth == {"user": "ana", "name": "3"}
        assert await chat.call("who", reply=str) == "ana"


@pytest.mark.parametrize(
    ("auth", "code", "reason"),
    [
        ({"refuse": "unauthenticated"}, 4501, "not you"),
        ({"refuse": "elsewhere"}, 4503, "not you"),
        ({"guard": "members"}, 4503, "members only"),
    ],
)
async def test_a_refusal_is_raised(auth: object, code: int, reason: str) -> None:
    async with running() as house:
        with pytest.raises(ConnectError) as caught:
            async with connect(f"{house.url.ws}/chat", auth=auth):
                pass
        assert (caught.value.code, caught.value.reason) == (code, reason)
        assert str(caught.value) == f"{house.url.ws}/chat: {code} {reason}"


async def test_a_path_that_is_none_is_raised_and_so_is_an_origin() -> None:
    async with running() as house:
        with pytest.raises(ConnectError) as caught:
            async with connect(f"{house.url.ws}/nothing"):
                pass
        assert caught.value.code == 404
        with pytest.raises(ConnectError, match=r"403 The origin 'https://evil\.example'"):
            async with connect(f"{house.url.ws}/chat", origin="https://evil.example"):
                pass
        with pytest.raises(ConnectError, match="isn't a valid URI"):
            async with connect("http://127.0.0.1/chat"):
                pass


async def test_headers_are_sent_at_each_attempt() -> None:
    async with (
        running() as house,
        cable(house.url) as line,
        connect(f"{line.url.ws}/chat", headers={"X-Tag": "7"}, reconnect=SOON),
    ):
        line.cut()
        await until(lambda: len(house.witness.handshakes) == 2)
        assert [each.headers["x-tag"] for each in house.witness.handshakes] == ["7", "7"]


async def test_nobody_there_is_told_when_the_time_is_over() -> None:
    async with running() as house, cable(house.url) as line:
        line.unplug()
        with pytest.raises(ConnectError, match=r"no connection within 1 s: ") as caught:
            async with connect(f"{line.url.ws}/chat", timeout=1, reconnect=SOON):
                pass
        assert caught.value.code is None
        assert isinstance(caught.value.__cause__, ConnectError)


async def test_a_server_that_comes_late_is_waited_for() -> None:
    async with running() as house, cable(house.url) as line:
        line.unplug()
        chat = connect(f"{line.url.ws}/chat", timeout=None, reconnect=SOON)
        opening = asyncio.create_task(chat.__aenter__())
        await until(lambda: line.refused >= 3)
        assert not opening.done()
        line.plug()
        assert await opening is chat
        await chat.__aexit__(None, None, None)


async def test_what_auth_raises_at_first_is_for_the_caller() -> None:
    def auth() -> object:
        raise LookupError("no token")

    async with running() as house:
        with pytest.raises(LookupError, match="no token"):
            async with connect(f"{house.url.ws}/chat", auth=auth):
                pass
        with pytest.raises(TypeError, match="unsupported"):
            async with connect(f"{house.url.ws}/chat", auth=object()):
                pass


async def test_an_opening_that_is_cancelled_leaves_nothing() -> None:
    async with running() as house:
        house.witness.connect_gate.clear()
        chat = connect(f"{house.url.ws}/chat")
        opening = asyncio.create_task(chat.__aenter__())
        await until(lambda: house.witness.seen == ["connect"])
        opening.cancel()
        await asyncio.wait([opening])
        assert opening.cancelled()
        assert chat.status == "closed"
        house.witness.connect_gate.set()


async def test_a_client_is_opened_once() -> None:
    async with running() as house:
        chat = connect(f"{house.url.ws}/chat")
        async with chat:
            pass
        with pytest.raises(Exception, match="expected a new client"):
            async with chat:
                pass


async def test_leaving_ends_the_session_and_what_waits() -> None:
    async with running() as house:
        async with connect(f"{house.url.ws}/chat") as chat:
            call = asyncio.create_task(chat.call("slow", "once"))
            items = chat.stream("forever", item=int)
            assert await anext(items) == 1
            await until(lambda: house.witness.done == ["once"])
        with pytest.raises(EventError, match="reply_lost: the connection has ended: 1000"):
            await call
        with pytest.raises(EventError, match="interrupted"):
            await anext(items)
        with pytest.raises(EventError, match="closed: the connection has ended: 1000"):
            await chat.call("echo")
        with pytest.raises(EventError, match="closed"):
            await chat.emit("echo")
        await chat.emit("echo", volatile=True)
        end = await chat.closed()
        assert (end.code, end.text) == (1000, "the client has left")
        house.witness.gate.set()
        await until(lambda: "end" in house.witness.seen)
        assert house.witness.reasons[0].resumable is False


async def test_a_block_that_raises_leaves_as_well() -> None:
    async with running() as house:
        with pytest.raises(LookupError):
            async with connect(f"{house.url.ws}/chat"):
                raise LookupError
        await until(lambda: house.witness.seen == ["connect", "disconnect", "end"])


async def test_leaving_while_there_is_no_connection() -> None:
    async with running() as house, cable(house.url) as line:
        async with connect(f"{line.url.ws}/chat", reconnect=Backoff(10, 10)) as chat:
            line.unplug()
            await until(lambda: chat.status == "resuming")
        assert chat.status == "closed"


async def test_being_sent_away_is_the_end() -> None:
    async with running() as house, connect(f"{house.url.ws}/chat") as chat:
        statuses: list[str] = []
        chat.on_status(statuses.append)
        await chat.emit("quit")
        end = await chat.closed()
        assert (end.code, end.text) == (4500, "goodbye")
        await until(lambda: statuses == ["open", "closed"])
        with pytest.raises(EventError, match="closed: the connection has ended: 4500 goodbye"):
            await chat.call("echo")


async def test_an_identity_is_refreshed_before_it_expires(
    caplog: pytest.LogCaptureFixture,
) -> None:
    given: list[str] = []

    def auth() -> dict[str, Any]:
        given.append("ben" if len(given) == 1 else "ana")
        return {"user": given[-1], "expires": 3}

    async with running() as house, connect(f"{house.url.ws}/chat", auth=auth) as chat:
        (connection,) = house.witness.connections
        before = connection.identity
        await until(lambda: connection.identity is not before)
        assert given == ["ana", "ben", "ana"], "another user is refused, and there is time left"
        assert chat.status == "open"
        (refused,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
        assert refused.startswith("the identity was not refreshed: ")


async def test_an_identity_that_expires_all_the_same_is_asked_for_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    given: list[int] = []

    def auth() -> dict[str, Any]:
        given.append(1)
        if len(given) in {2, 3, 4}:
            raise LookupError("the store of tokens is away")
        return {"user": "ana", "expires": 1}

    async with (
        running() as house,
        connect(f"{house.url.ws}/chat", auth=auth, reconnect=SOON) as chat,
    ):
        await until(lambda: "resume" in house.witness.seen)
        assert house.witness.reasons[0].code == 4004
        assert "no credentials to refresh the identity with" in caplog.messages
        assert "no credentials for the next attempt" in caplog.messages
        assert await chat.call("who", reply=str) == "ana"


async def test_a_message_over_the_clients_own_limit_is_the_end() -> None:
    async with running() as house, connect(f"{house.url.ws}/chat", max_size=1000) as chat:
        with pytest.raises(EventError, match="reply_lost"):
            await chat.call("big", 2000)
        end = await chat.closed()
        assert (end.code, end.text) == (1009, "a message is larger than 1000 bytes")


async def test_a_server_that_speaks_plain_only_is_refused() -> None:
    async def talk(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async with serve_peer(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectError, match=r"expected a server that speaks gw\.v1\.json"):
            async with connect(f"ws://127.0.0.1:{port}"):
                pass


async def test_a_server_that_talks_nonsense_is_left_and_tried_again() -> None:
    talks: list[Any] = []
    hello = (
        '{"op":"hello","session":"~a","token":"t","resumed":false,"epoch":"e","seq":0,"last":0,'
        '"heartbeat":{"interval":25,"timeout":10},"grace":9,"max":999}'
    )

    async def talk(socket: ServerConnection) -> None:
        talks.append(await socket.recv())
        await socket.send(hello)
        if len(talks) == 1:
            await socket.send("nonsense")
        await socket.wait_closed()

    protocols = [Subprotocol("gw.v1.json")]
    async with serve_peer(talk, "127.0.0.1", 0, subprotocols=protocols) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", reconnect=SOON):
            await until(lambda: len(talks) == 2)
            assert '"resume":' in talks[1]


async def test_without_a_session_door_the_sentence_of_the_server_is_told() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        await receive()
        await send({"type": "websocket.http.response.start", "status": 503, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"not yet"})

    async with serve(app) as url:
        with pytest.raises(ConnectError, match=r"no connection within 0\.2 s: not yet"):
            async with connect(f"{url.ws}/chat", timeout=0.2, reconnect=SOON):
                pass


async def test_two_clients_do_not_mix() -> None:
    async with (
        running(settings=Settings()) as house,
        connect(f"{house.url.ws}/chat") as ana,
        connect(f"{house.url.ws}/chat", format="msgpack") as ben,
    ):
        heard: list[Said] = []
        ben.on(Said)(heard.append)
        await ana.call("say", ["lobby", "hi"])
        await until(lambda: heard == [Said("hi")])
        assert ana.id != ben.id


@pytest.mark.parametrize("turns", range(4))
async def test_to_be_cancelled_as_it_opens_leaves_nothing(turns: int) -> None:
    async with running() as house:
        chat = connect(f"{house.url.ws}/chat")

        async def use() -> None:
            async with chat:
                await asyncio.Event().wait()

        task = asyncio.create_task(use())
        while not chat._core._opened.is_set():
            await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await house.gone()
