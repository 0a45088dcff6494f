"""Events and answers over both transports, with and without attachments."""

import asyncio
import json

import pytest

from gatewright.transports.socketio import SocketIO
from tests.transports.socketio.app import Back, Running, running, until
from tests.transports.socketio.clients import Client, Poller, Socket, Transport

pytestmark = pytest.mark.anyio

PLACEHOLDERS = ['{"_placeholder":true,"num":0}', '{"_placeholder":true,"num":1}']


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [1],
        [None],
        [1, "2", {"3": [True]}],
        ["", [], {}],
        [[1, 2]],
        [{"_placeholder": False, "num": 0}],
        [1.5, -0.25, 2**53],
        ["\U0001f388 \u2028 \x00 \x1e"],
        [[[[[[1]]]]]],
    ],
)
async def test_arguments_come_back_as_they_went(client: Client, arguments: list[object]) -> None:
    await client.join()
    assert await client.call("echo", *arguments) == arguments


@pytest.mark.parametrize("id", [0, 1, 2**31, 2**53 - 1])
async def test_an_answer_has_the_id_of_its_call(client: Client, id: int) -> None:
    await client.join()
    assert await client.call("echo", "x", id=id) == ["x"]


async def test_an_event_goes_back_as_an_event(client: Client) -> None:
    await client.join()
    await client.send('42["send back",1,"2",{"3":[true]}]')
    assert await client.receive() == '42["back",1,"2",{"3":[true]}]'


async def test_attachments_go_back_as_attachments(client: Client) -> None:
    await client.join()
    both = ",".join(PLACEHOLDERS)
    await client.send(f'452-["send back",{both}]', b"\x01\x02\x03", b"")
    assert await client.receive() == f'452-["back",{both}]'
    assert await client.receive() == b"\x01\x02\x03"
    assert await client.receive() == b""


async def test_attachments_of_a_call_and_of_its_answer(client: Client) -> None:
    await client.join()
    await client.send(
        f'452-789["echo",{{"a":[{PLACEHOLDERS[1]}],"b":{PLACEHOLDERS[0]}}}]', b"zero", b"one"
    )
    first, second = PLACEHOLDERS
    assert await client.receive() == f'461-789[{{"a":[{first}],"b":{second}}}]'.replace(
        "61-", "62-"
    )
    assert await client.receive() == b"one"
    assert await client.receive() == b"zero"


async def test_an_attachment_may_be_used_twice_or_never(client: Client) -> None:
    await client.join()
    first = PLACEHOLDERS[0]
    await client.send(f'452-1["echo",{first},{first}]', b"twice", b"never")
    assert await client.receive() == f"462-1[{','.join(PLACEHOLDERS)}]"
    assert [await client.receive(), await client.receive()] == [b"twice", b"twice"]


async def test_no_attachments_at_all(client: Client) -> None:
    await client.join()
    await client.send('450-1["echo","x"]')
    assert await client.receive() == '431["x"]'


async def test_attachments_of_another_namespace(client: Client) -> None:
    await client.join("/custom")
    assert await client.receive()
    await client.send(f'451-/custom,["send back",{PLACEHOLDERS[0]}]', b"x")
    assert await client.receive() == f'451-/custom,["back",{PLACEHOLDERS[0]}]'
    assert await client.receive() == b"x"


@pytest.mark.parametrize("count", [0, 1, 10])
async def test_as_many_attachments_as_may_be(client: Client, count: int) -> None:
    await client.join()
    await client.send(f'421["bytes",{count}]')
    packet = str(await client.receive())
    assert packet.startswith(f"46{count}-1[" if count else "431[")
    assert [await client.receive() for _ in range(count)] == [b"x"] * count


async def test_more_attachments_than_a_client_takes_are_an_error(client: Client) -> None:
    await client.join()
    (error,) = await client.call("bytes", 11)
    assert error["status"] == "error"
    assert error["code"] == "internal"
    assert await client.call("echo", 1) == [1]


async def test_an_error_answers_a_call(client: Client) -> None:
    await client.join()
    assert await client.call("fail") == [
        {
            "status": "error",
            "code": "teapot",
            "message": "short and stout",
            "details": {"handle": 1},
        }
    ]


async def test_an_error_without_a_call_is_an_event(client: Client) -> None:
    await client.join()
    await client.send('42["fail"]')
    event, body = json.loads(str(await client.receive())[2:])
    assert (event, body["event"], body["code"]) == ("exception", "fail", "teapot")


@pytest.mark.parametrize("name", ["nobody", "1", "__class__", "on_connect", "toString", ""])
async def test_an_event_that_nobody_handles(client: Client, name: str) -> None:
    await client.join()
    (error,) = await client.call(name)
    assert error["code"] == "unknown_event"


@pytest.mark.parametrize("name", ["1", "1.5", "-7"])
async def test_a_number_names_an_event_that_nobody_handles(client: Client, name: str) -> None:
    # The reference's parser lets them through.
    await client.join()
    await client.send(f"421[{name}]")
    assert '"code":"unknown_event"' in str(await client.receive())


async def test_an_argument_too_few_or_too_many(client: Client) -> None:
    await client.join()
    (error,) = await client.call("count")
    assert error["code"] == "invalid"
    (error,) = await client.call("count", "many")
    assert error["code"] == "invalid"
    assert "$[0]" in error["message"]


async def test_a_stream_is_events_and_an_answer(client: Client) -> None:
    await client.join()
    await client.send('421["stream",3]')
    items = [await client.receive() for _ in range(3)]
    assert items == ['42["stream",0]', '42["stream",1]', '42["stream",2]']
    assert await client.receive() == "431[null]"


async def test_answers_that_nobody_waits_for_go_nowhere(client: Client) -> None:
    await client.join()
    await client.send("431[1]", "430[]", f"43{2**53 - 1}[{{}}]", f"461-5[{PLACEHOLDERS[0]}]", b"x")
    assert await client.call("echo", 1) == [1]


async def test_five_hundred_events_keep_their_order(client: Client, app: Running) -> None:
    await client.join()
    for start in range(0, 500, 50):
        await client.send(*(f'42["note",{number}]' for number in range(start, start + 50)))
    await until(lambda: len(app.story.notes) == 500)
    assert app.story.notes == list(range(500))


async def test_five_hundred_events_arrive_in_their_order(client: Client) -> None:
    await client.join()
    await client.send('42["count",500]')
    packets = [json.loads(str(await client.receive())[2:]) for _ in range(500)]
    assert packets == [["number", number, ""] for number in range(500)]


async def test_events_with_and_without_attachments_keep_their_order(client: Client) -> None:
    await client.join()
    packets: list[str | bytes] = []
    for number in range(50):
        packets += [
            f'42["send back",{number}]',
            f'451-["send back",{PLACEHOLDERS[0]}]',
            b"%d" % number,
        ]
    await client.send(*packets)
    for number in range(50):
        assert await client.receive() == f'42["back",{number}]'
        assert await client.receive() == f'451-["back",{PLACEHOLDERS[0]}]'
        assert await client.receive() == b"%d" % number


async def test_attachments_of_two_senders_do_not_mix(transport: Transport, app: Running) -> None:
    """Emits from two tasks to one client: a packet and its attachments stay together."""
    async with transport.opened(app.url) as client:
        await client.join()

        async def emitting(text: bytes) -> None:
            for _ in range(20):
                await app.app.emitter.of("/").emit(Back(text, text))
                await asyncio.sleep(0)

        await asyncio.gather(emitting(b"a" * 10), emitting(b"b" * 20))
        for _ in range(40):
            assert str(await client.receive()).startswith('452-["back",')
            first, second = await client.receive(), await client.receive()
            assert first == second
            assert isinstance(first, bytes)


async def test_one_client_waits_for_no_other(app: Running, transport: Transport) -> None:
    async with transport.opened(app.url) as slow, transport.opened(app.url) as quick:
        await slow.join()
        await quick.join()
        await slow.send('421["wait"]')
        assert await quick.call("echo", 1) == [1]
        app.story.gate.set()
        assert await slow.receive() == '431["done"]'


async def test_a_payload_of_a_megabyte_goes_both_ways(transport: Transport) -> None:
    async with (
        running(SocketIO(max_payload=2_000_000), outbox=4_000_000) as app,
        transport.opened(app.url) as client,
    ):
        await client.join()
        text = "x" * 1_000_000
        assert await client.call("echo", text) == [text]


async def test_polling_and_websocket_clients_hear_the_same(app: Running) -> None:
    polling, socket = await Poller.open(app.url), await Socket.open(app.url)
    for each in (polling, socket):
        await each.join()
    await app.app.emitter.of("/").emit(Back(b"bytes", "text"))
    for each in (polling, socket):
        assert await each.receive() == f'451-["back",{PLACEHOLDERS[0]},"text"]'
        assert await each.receive() == b"bytes"
    socket.abort()
