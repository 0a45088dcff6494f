"""python-socketio's asynchronous client against our door, over every transport."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.behaviours.wire import opened
from tests.interop.doors import Server
from tests.interop.python import DOOR, PATIENCE, TRANSPORTS, Refused, quick, socketio

pytestmark = pytest.mark.anyio


class Listener:
    """A client, and what it has received."""

    def __init__(self) -> None:
        self.client = socketio.AsyncClient(**quick)
        self._heard: dict[str, asyncio.Queue[Any]] = {}
        self.call = self.client.call
        self.emit = self.client.emit

    def listen(self, event: str, namespace: str = "/") -> None:
        heard = self._heard[event] = asyncio.Queue()

        async def keep(*arguments: Any) -> None:
            heard.put_nowait(arguments)

        self.client.on(event, keep, namespace=namespace)

    async def heard(self, event: str) -> Any:
        async with asyncio.timeout(PATIENCE):
            return await self._heard[event].get()


Connect = Callable[..., Awaitable[Listener]]


@pytest.fixture(params=TRANSPORTS)
def transports(request: pytest.FixtureRequest) -> list[str] | None:
    return TRANSPORTS[request.param]


@pytest.fixture
async def connect(server: Server, transports: list[str] | None) -> AsyncIterator[Connect]:
    listeners: list[Listener] = []

    async def connect_client(
        *namespaces: str, listen: tuple[str, ...] = (), url: str = server.url, **options: Any
    ) -> Listener:
        listener = Listener()
        listeners.append(listener)
        main = namespaces[0] if namespaces else "/"
        for event in listen:
            listener.listen(event, main)
        await listener.client.connect(
            url,
            socketio_path=f"{DOOR}/socket.io",
            transports=transports,
            namespaces=list(namespaces) or ["/"],
            wait_timeout=PATIENCE,
            **options,
        )
        return listener

    yield connect_client
    for listener in listeners:
        await listener.client.shutdown()


async def test_connects_with_auth_and_headers(connect: Connect) -> None:
    ada = await connect(auth={"token": "ada"}, headers={"x-lab": "blue"})
    me = await ada.call("me")
    assert me["id"] == ada.client.get_sid()
    assert (me["user"], me["auth"], me["header"]) == ("ada", {"token": "ada"}, "blue")


async def test_a_query_is_seen(connect: Connect, server: Server) -> None:
    ada = await connect(url=f"{server.url}?lab=north")
    assert (await ada.call("me"))["query"] == "north"


async def test_several_namespaces(connect: Connect) -> None:
    ada = await connect("/", "/chat", "/lab/7")
    assert await ada.call("echo", 1) == 1
    assert await ada.call("join", "several", namespace="/chat") == ada.client.get_sid("/chat")
    assert await ada.call("where", namespace="/lab/7") == ("/lab/7", 7)


@pytest.mark.parametrize(
    ("namespace", "auth", "error"),
    [
        ("/unknown", None, {"message": "Invalid namespace"}),
        (
            "/members",
            {"card": "none"},
            {
                "message": "members only",
                "data": {"code": "forbidden", "details": {"office": "room 12"}},
            },
        ),
        (
            "/",
            {"token": "expired"},
            {
                "message": "the token has expired",
                "data": {"code": "unauthenticated", "details": {"at": "12:00"}},
            },
        ),
        (
            "/closed",
            None,
            {
                "message": "come back tomorrow",
                "data": {"code": "closed", "details": {"opens": 8}},
            },
        ),
    ],
)
async def test_refusals(
    namespace: str, auth: Any, error: Any, server: Server, transports: list[str] | None
) -> None:
    listener = Listener()
    listener.listen("connect_error", namespace)
    try:
        with pytest.raises(Refused):
            await listener.client.connect(
                server.url,
                socketio_path=f"{DOOR}/socket.io",
                transports=transports,
                namespaces=[namespace],
                auth=auth,
                wait_timeout=PATIENCE,
                retry=False,
            )
        assert await listener.heard("connect_error") == (error,)
    finally:
        await listener.client.shutdown()


async def test_no_one_and_several_arguments(connect: Connect) -> None:
    ada = await connect(listen=("bell", "number", "weather"))
    for arguments in (0, 1, 3):
        await ada.emit("event", arguments)
    assert await ada.heard("bell") == ()
    assert await ada.heard("number") == (1,)
    assert await ada.heard("weather") == ("Jena", 18.5, [3, 5])
    assert await ada.call("nothing") is None
    assert await ada.call("pair", (1, "two")) == ("two", 1, "none")
    assert await ada.call("pair", ([1], None, {"a": 3})) == (None, [1], {"a": 3})


async def test_an_answer_goes_to_the_callback(connect: Connect) -> None:
    ada = await connect()
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    await ada.emit("pair", ("a", "b"), callback=lambda *answer: answered.set_result(answer))
    async with asyncio.timeout(PATIENCE):
        assert await answered == ("b", "a", "none")


async def test_errors(connect: Connect) -> None:
    ada = await connect(listen=("exception",))
    taken = await ada.call("take", "ada")
    assert taken == {
        "status": "error",
        "code": "taken",
        "message": "ada is taken",
        "details": {"free": ["ada2"]},
    }
    assert (await ada.call("crash"))["code"] == "internal"
    assert (await ada.call("unheard"))["code"] == "unknown_event"
    wrong = await ada.call("move", {"piece": "rook", "to": {"x": 1, "y": "2"}})
    assert "`$.to.y`" in wrong["message"]
    await ada.emit("take", "eve")
    (exception,) = await ada.heard("exception")
    assert (exception["status"], exception["code"]) == ("error", "taken")


async def test_the_server_asks(connect: Connect) -> None:
    ada = await connect()

    async def answer(question: dict[str, str]) -> Any:
        return {"two": (2, "zwei"), "bytes": b"\x01\x02\x03"}.get(
            question["text"], question["text"] + "!"
        )

    ada.client.on("question", answer)

    assert await ada.call("ask", "how") == "how!"
    assert await ada.call("ask_two") == [2, "zwei"]
    assert await ada.call("ask_bytes") == 6


async def test_bytes_both_ways(connect: Connect) -> None:
    ada = await connect(listen=("picture",))
    everything = bytes(range(256))
    assert await ada.call("echo", everything) == everything
    nested = {"a": [b"one", "text"], "b": {"c": b""}}
    assert await ada.call("echo", nested) == nested
    assert await ada.call("join_bytes", (b"a", b"b", b"c")) == (b"abc", 3)
    file = {"name": "leaf", "content": b"\x01\x02", "parts": [b"\x03"]}
    assert await ada.call("upload", file) == {
        "name": "leaf",
        "size": 3,
        "reversed": b"\x03\x02\x01",
    }
    await ada.emit("picture")
    (picture,) = await ada.heard("picture")
    assert picture["pixels"] == everything
    assert picture["layers"] == {"front": [b"\x01", b"\x02\x03"], "back": [b""]}


async def test_any_text(connect: Connect) -> None:
    ada = await connect()
    texts = ["", "日本語", "👩‍🔬 🧬", "𐍈", "a\u2028b", '"\\/\b\n', "\x00"]
    assert await ada.call("echo", texts) == texts
    for text in texts:
        assert await ada.call("echo", text) == text


async def test_many_events_in_order(connect: Connect) -> None:
    ada = await connect()
    for n in range(200):
        await ada.emit("number", n)
    assert await ada.call("numbers") == list(range(200))


async def test_900_kb(connect: Connect) -> None:
    ada = await connect()
    assert await ada.call("large", ("x" * 900_000, 450_000)) == (900_000, "é" * 450_000)


async def test_a_stream(connect: Connect) -> None:
    ada = await connect(listen=("count",))
    assert await ada.call("count", 5) is None
    assert [await ada.heard("count") for _ in range(5)] == [(n,) for n in range(5)]


async def test_a_room_with_a_bare_websocket(connect: Connect, server: Server) -> None:
    room = "with a bare one"
    ada = await connect("/chat", listen=("said",))
    await ada.call("join", room, namespace="/chat")
    async with opened(f"{server.url.ws}{DOOR}/chat") as bare:
        await bare.call("join", room)
        await ada.call("tell", (room, "from Python 🐍"), namespace="/chat")
        assert await bare.receive() == {"event": "said", "data": {"text": "from Python 🐍"}}
        await bare.send({"event": "tell", "data": [room, "from a bare one"]})
        assert await ada.heard("said") == ({"text": "from a bare one"},)


async def test_leaving_is_noticed(connect: Connect) -> None:
    room = "left behind"
    ada, bob = await connect("/chat", listen=("left",)), await connect("/chat")
    for each in (ada, bob):
        await each.call("join", room, namespace="/chat")
    gone = bob.client.get_sid("/chat")
    await bob.client.disconnect()
    (left,) = await ada.heard("left")
    assert left["id"] == gone


async def test_a_poll_that_is_given_up_is_the_end(server: Server) -> None:
    ada, bob = Listener(), Listener()
    ada.listen("left", "/chat")
    try:
        for each in (ada, bob):
            # Where pings are rare, only the poll can tell.
            await each.client.connect(server.url, namespaces=["/chat"], transports=["polling"])
            await each.call("join", "given up", namespace="/chat")
        gone = bob.client.get_sid("/chat")
        await bob.client.eio.http.close()
        assert await ada.heard("left") == ({"id": gone, "reason": "transport error"},)
    finally:
        for each in (ada, bob):
            await each.client.shutdown()


async def test_the_server_says_goodbye_after_its_last_words(connect: Connect) -> None:
    ada = await connect(listen=("bell", "disconnect"))
    await ada.emit("leave")
    assert await ada.heard("bell") == ()
    assert await ada.heard("disconnect") == (socketio.AsyncClient.reason.SERVER_DISCONNECT,)


async def test_pings_keep_a_silent_client(connect: Connect) -> None:
    ada = await connect()
    pings = 0
    seen = asyncio.Event()
    respond = ada.client.eio._receive_packet

    async def count(packet: Any) -> None:
        nonlocal pings
        pings += packet.packet_type == 2
        if pings == 5:
            seen.set()
        await respond(packet)

    ada.client.eio._receive_packet = count
    async with asyncio.timeout(PATIENCE):
        await seen.wait()
    assert await ada.call("echo", 1) == 1


async def test_the_transport_is_the_one_that_was_asked_for(
    connect: Connect, transports: list[str] | None
) -> None:
    ada = await connect()
    assert ada.client.transport() == (transports or ["websocket"])[0]


async def test_comes_back_to_a_server_that_was_killed(
    connect: Connect, frail_server: Server
) -> None:
    ada = await connect(listen=("connect", "disconnect"), url=frail_server.url)
    before = ada.client.get_sid()
    await ada.heard("connect")
    await asyncio.to_thread(frail_server.kill)
    await ada.heard("disconnect")
    await ada.heard("connect")
    assert ada.client.get_sid() != before
    assert await ada.call("echo", "back") == "back"
