"""python-socketio's blocking client against our door, over every transport."""

import gc
import threading
import time
from collections.abc import Callable, Iterator
from queue import Queue
from typing import Any, TypeAlias

import pytest

from tests.interop.doors import Server
from tests.interop.python import DOOR, PATIENCE, TRANSPORTS, Refused, quick, socketio

# The client forgets to close the sockets of attempts that it gave up.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

Client: TypeAlias = Any
Connect = Callable[..., Client]


@pytest.fixture(params=TRANSPORTS)
def transports(request: pytest.FixtureRequest) -> list[str] | None:
    return TRANSPORTS[request.param]


@pytest.fixture
def connect(server: Server, transports: list[str] | None) -> Iterator[Connect]:
    clients: list[Client] = []

    def connect_client(*namespaces: str, client: Client = None, **options: Any) -> Client:
        client = client or new_client()
        clients.append(client)
        client.connect(
            options.pop("url", server.url),
            socketio_path=f"{DOOR}/socket.io",
            transports=transports,
            namespaces=list(namespaces) or ["/"],
            wait_timeout=PATIENCE,
            **options,
        )
        return client

    before = set(threading.enumerate())
    yield connect_client
    for client in clients:
        client.reconnection = False
        client.shutdown()
    left = set(threading.enumerate()) - before
    deadline = time.monotonic() + PATIENCE
    while any(thread.is_alive() for thread in left):
        # It may have two threads that reconnect, of which `shutdown` knows one. They draw from
        # `random` before each try, under the feet of the tests that come next.
        for client in clients:
            if client._reconnect_abort is not None:
                client._reconnect_abort.set()
            if client.connected:
                client.disconnect()
        assert time.monotonic() < deadline, left
        time.sleep(0.01)
    clients.clear()
    gc.collect()  # here, where its warnings are expected


def new_client() -> Client:
    return socketio.Client(**quick)


def listen(client: Client, event: str, namespace: str = "/") -> "Queue[Any]":
    heard: Queue[Any] = Queue()
    client.on(event, lambda *arguments: heard.put(arguments), namespace=namespace)
    return heard


def test_connects_with_auth_and_headers(connect: Connect, transports: list[str] | None) -> None:
    ada = connect(auth={"token": "ada"}, headers={"x-lab": "blue"})
    me = ada.call("me")
    assert me["id"] == ada.get_sid()
    assert (me["user"], me["auth"], me["header"]) == ("ada", {"token": "ada"}, "blue")
    assert ada.transport() == (transports or ["websocket"])[0]


def test_several_namespaces(connect: Connect) -> None:
    ada = connect("/", "/chat", "/lab/7")
    assert ada.call("echo", 1) == 1
    assert ada.call("join", "several", namespace="/chat") == ada.get_sid("/chat")
    assert ada.call("where", namespace="/lab/7") == ("/lab/7", 7)


def test_refusals(connect: Connect) -> None:
    for namespace, message in [
        ("/unknown", "Invalid namespace"),
        ("/members", "members only"),
        ("/closed", "come back tomorrow"),
    ]:
        client = new_client()
        errors = listen(client, "connect_error", namespace)
        with pytest.raises(Refused):
            connect(namespace, client=client)
        (error,) = errors.get(timeout=PATIENCE)
        assert error["message"] == message


def test_arguments_answers_and_errors(connect: Connect) -> None:
    client = new_client()
    weather, bell = listen(client, "weather"), listen(client, "bell")
    exceptions = listen(client, "exception")
    ada = connect(client=client)
    ada.emit("event", 0)
    ada.emit("event", 3)
    assert bell.get(timeout=PATIENCE) == ()
    assert weather.get(timeout=PATIENCE) == ("Jena", 18.5, [3, 5])
    assert ada.call("nothing") is None
    assert ada.call("pair", (1, "two")) == ("two", 1, "none")
    assert ada.call("take", "ada")["code"] == "taken"
    ada.emit("move", {"piece": "rook", "to": {"x": 1, "y": "2"}})
    (exception,) = exceptions.get(timeout=PATIENCE)
    assert exception["code"] == "invalid"
    assert "`$.to.y`" in exception["message"]


def test_an_answer_goes_to_the_callback(connect: Connect) -> None:
    ada = connect()
    answers: Queue[Any] = Queue()
    ada.emit("pair", ("a", "b"), callback=lambda *answer: answers.put(answer))
    assert answers.get(timeout=PATIENCE) == ("b", "a", "none")


def test_the_server_asks(connect: Connect) -> None:
    client = new_client()
    client.on("question", lambda question: question["text"] + "!")
    assert connect(client=client).call("ask", "how") == "how!"


def test_bytes_both_ways(connect: Connect) -> None:
    client = new_client()
    pictures = listen(client, "picture")
    ada = connect(client=client)
    nested = {"a": [b"one", "text"], "b": {"c": bytes(range(256))}}
    assert ada.call("echo", nested) == nested
    ada.emit("picture")
    (picture,) = pictures.get(timeout=PATIENCE)
    assert picture["layers"] == {"front": [b"\x01", b"\x02\x03"], "back": [b""]}


def test_many_events_in_order_and_large_ones(connect: Connect) -> None:
    ada = connect()
    for n in range(100):
        ada.emit("number", n)
    assert ada.call("numbers") == list(range(100))
    assert ada.call("large", ("x" * 900_000, 450_000)) == (900_000, "é" * 450_000)


def test_from_several_threads(connect: Connect) -> None:
    ada = connect()
    answers: Queue[Any] = Queue()
    threads = [
        threading.Thread(target=lambda n=n: answers.put((n, ada.call("echo", n)))) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(answers.get(timeout=PATIENCE) for _ in threads) == [(n, n) for n in range(8)]


def test_a_room_and_who_leaves_it(connect: Connect) -> None:
    client = new_client()
    said, left = listen(client, "said", "/chat"), listen(client, "left", "/chat")
    ada, bob = connect("/chat", client=client), connect("/chat")
    for each in (ada, bob):
        each.call("join", "a room", namespace="/chat")
    bob.emit("tell", ("a room", "hello"), namespace="/chat")
    assert said.get(timeout=PATIENCE) == ({"text": "hello"},)
    gone = bob.get_sid("/chat")
    bob.disconnect()
    assert left.get(timeout=PATIENCE)[0]["id"] == gone


def test_the_server_says_goodbye_after_its_last_words(connect: Connect) -> None:
    client = new_client()
    bell, gone = listen(client, "bell"), listen(client, "disconnect")
    connect(client=client).emit("leave")
    assert bell.get(timeout=PATIENCE) == ()
    assert gone.get(timeout=PATIENCE) == (socketio.Client.reason.SERVER_DISCONNECT,)


def test_comes_back_to_a_server_that_was_killed(connect: Connect, frail_server: Server) -> None:
    client = new_client()
    connected, gone = listen(client, "connect"), listen(client, "disconnect")
    ada = connect(client=client, url=frail_server.url)
    connected.get(timeout=PATIENCE)
    before = ada.get_sid()
    frail_server.kill()
    gone.get(timeout=PATIENCE)
    connected.get(timeout=PATIENCE)
    assert ada.get_sid() != before
    assert ada.call("echo", "back") == "back"
