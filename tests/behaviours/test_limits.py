import pytest

from gatewright import Connection, Rate, Settings, gateway, on
from gatewright.testing import Refused
from tests.behaviours.support import ends, running

pytestmark = pytest.mark.anyio


@gateway("/l")
class Limited:
    @on("join")
    async def join(self, connection: Connection, rooms: list[str]) -> int:
        await connection.join(*rooms)
        return len(connection.rooms)

    @on("leave")
    async def leave(self, connection: Connection, room: str) -> int:
        await connection.leave(room)
        return len(connection.rooms)

    @on("text")
    async def text(self, text: str) -> int:
        return len(text)

    @on("hi")
    async def hi(self) -> str:
        return "hi"

    @on("bytes")
    async def binary(self, data: bytes) -> int:
        return len(data)


async def test_a_connection_may_be_in_so_many_rooms() -> None:
    async with running(Limited, settings=Settings(max_rooms=3)) as app, app.connect("/l") as ana:
        assert await ana.call("join", ["a", "b", "c"]) == 3
        assert (await ends(ana, "join", ["d"])).code == "too_many"
        assert await ana.call("join", ["a"]) == 3
        assert await ana.call("leave", "a") == 2
        assert (await ends(ana, "join", ["d", "e"])).code == "too_many"
        assert await ana.call("join", ["d"]) == 3


@pytest.mark.parametrize("room", ["", "a\nb", "a\x00", "\x7f", "\x85", "x" * 256, "é" * 128])
async def test_what_cannot_be_a_rooms_name_is_invalid(room: str) -> None:
    async with running(Limited) as app, app.connect("/l") as ana:
        assert (await ends(ana, "join", [room])).code == "invalid"
        assert await ana.call("join", []) == 0


@pytest.mark.parametrize("room", ["a b", "x" * 255, "é" * 127, "__proto__", "🦉", "a/b?c#d"])
async def test_any_other_text_may_be_a_rooms_name(room: str) -> None:
    async with running(Limited) as app, app.connect("/l") as ana:
        assert await ana.call("join", [room]) == 1


async def test_messages_over_the_rate_are_refused_and_calls_learn_it() -> None:
    settings = Settings(rate=Rate(0.0001, 3))
    async with running(Limited, settings=settings) as app, app.connect("/l") as ana:
        for _ in range(3):
            assert await ana.call("hi") == "hi"
        assert (await ends(ana, "hi")).code == "too_many"
        await ana.emit("hi")
        told = await ana.expect("exception")
        assert (told["code"], told["event"]) == ("too_many", "hi")
        await ana.send("{")
        assert (await ana.expect("exception"))["code"] == "too_many"
        assert ana.closed is None


async def test_a_rate_of_one_event_leaves_the_others_alone() -> None:
    settings = Settings(event_rates={"hi": Rate(0.0001, 1)})
    async with running(Limited, settings=settings) as app, app.connect("/l") as ana:
        assert await ana.call("hi") == "hi"
        assert (await ends(ana, "hi")).code == "too_many"
        for _ in range(5):
            assert await ana.call("text", "x") == 1


async def test_a_rate_for_every_event_counts_each_by_itself() -> None:
    settings = Settings(event_rate=Rate(0.0001, 1), event_rates={"text": Rate(0.0001, 2)})
    async with running(Limited, settings=settings) as app, app.connect("/l") as ana:
        assert await ana.call("hi") == "hi"
        assert (await ends(ana, "hi")).code == "too_many"
        assert await ana.call("text", "x") == 1
        assert await ana.call("text", "x") == 1
        assert (await ends(ana, "text", "x")).code == "too_many"


async def test_invented_events_do_not_fill_the_table_of_rates() -> None:
    settings = Settings(event_rate=Rate(0.0001, 1))
    async with running(Limited, settings=settings) as app, app.connect("/l") as ana:
        for number in range(20):
            assert (await ends(ana, f"invented {number}")).code == "unknown_event"
        (session,) = app.app._dispatcher._sessions  # type: ignore[union-attr]
        assert session._limits._by_event == {}


async def test_who_does_not_stop_is_closed() -> None:
    settings = Settings(rate=Rate(0.0001, 1), max_violations=5)
    async with running(Limited, settings=settings) as app, app.connect("/l") as ana:
        for _ in range(7):
            await ana.emit("hi")
        assert await ana.wait_closed() == (4508, "too many messages")
        assert len(ana.received()) == 5


async def test_rates_belong_to_one_connection() -> None:
    settings = Settings(rate=Rate(0.0001, 1))
    async with (
        running(Limited, settings=settings) as app,
        app.connect("/l") as ana,
        app.connect("/l") as ben,
    ):
        assert await ana.call("hi") == "hi"
        assert (await ends(ana, "hi")).code == "too_many"
        assert await ben.call("hi") == "hi"


async def test_without_rates_nothing_is_counted() -> None:
    settings = Settings(rate=None)
    async with running(Limited, settings=settings) as app, app.connect("/l") as ana:
        for _ in range(300):
            await ana.emit("hi")
        assert await ana.call("hi") == "hi"
        assert ana.received() == []


async def test_handshakes_over_the_accept_rate_are_refused_with_503() -> None:
    settings = Settings(accept_rate=Rate(0.0001, 1))
    async with running(Limited, settings=settings) as app, app.connect("/l"):
        with pytest.raises(Refused) as refused:
            async with app.connect("/l"):
                pytest.fail("it must not open")
    assert refused.value.status == 503


def frame_of(size: int, text: str = "x") -> str:
    envelope = '{"event":"text","id":1,"data":"%s"}'
    room = size - len(envelope) + 2
    return envelope % (text * (room // len(text.encode())))


async def test_a_frame_of_the_largest_size_passes_a_larger_one_closes_with_1009() -> None:
    async with (
        running(Limited, settings=Settings(max_frame=1000)) as app,
        app.connect("/l") as ana,
    ):
        frame = frame_of(1000)
        assert len(frame) == 1000
        await ana.send(frame)
        assert (await ana.receive())["id"] == 1
        await ana.send(frame_of(1001))
        assert (await ana.wait_closed())[0] == 1009


async def test_the_size_of_a_text_frame_is_counted_in_bytes() -> None:
    async with (
        running(Limited, settings=Settings(max_frame=1000)) as app,
        app.connect("/l") as ana,
    ):
        frame = frame_of(1003, "🦉")
        assert len(frame) < 1000 < len(frame.encode())
        await ana.send(frame)
        assert (await ana.wait_closed())[0] == 1009


async def test_a_binary_frame_has_the_same_limit() -> None:
    settings = Settings(max_frame=1000)
    async with (
        running(Limited, settings=settings) as app,
        app.connect("/l", codec="msgpack") as ana,
    ):
        assert await ana.call("bytes", b"x" * 900) == 900
        await ana.emit("bytes", b"x" * 1000)
        assert (await ana.wait_closed())[0] == 1009


async def test_what_is_sent_after_a_frame_too_large_is_not_handled() -> None:
    handled: list[str] = []

    @gateway("/h")
    class Handles:
        @on("text")
        async def text(self, text: str) -> None:
            handled.append(text)

    async with (
        running(Handles, settings=Settings(max_frame=1000)) as app,
        app.connect("/h") as ana,
    ):
        await ana.send(frame_of(2000))
        await ana.emit("text", "after")
        await ana.wait_closed()
    assert handled == []


@pytest.mark.parametrize(
    "nested", ["[" * 20_000 + "]" * 20_000, '{"a":' * 9_000 + "1" + "}" * 9_000]
)
async def test_deep_nesting_is_an_error_not_the_end(nested: str) -> None:
    async with running(Limited) as app, app.connect("/l") as ana:
        for frame in (nested, f'{{"event":"text","data":{nested}}}'):
            await ana.send(frame)
            told = await ana.receive()
            assert told["data"]["code"] in {"bad_frame", "invalid"}
        assert await ana.call("hi") == "hi"


async def test_of_equal_keys_the_last_one_counts() -> None:
    async with running(Limited) as app, app.connect("/l") as ana:
        await ana.send('{"event":"nope","event":"text","data":"x","data":"xyz","id":1,"id":2}')
        assert await ana.receive() == {"id": 2, "data": 3}


async def test_a_binary_frame_on_a_json_connection_is_a_bad_frame() -> None:
    async with running(Limited) as app, app.connect("/l") as ana:
        await ana.send(b'{"event":"hi","id":1}')
        told = await ana.expect("exception")
        assert (told["code"], "binary" in told["message"]) == ("bad_frame", True)
        assert await ana.call("hi") == "hi"


async def test_a_text_frame_on_a_msgpack_connection_is_a_bad_frame() -> None:
    async with running(Limited) as app, app.connect("/l", codec="msgpack") as ana:
        await ana.send('{"event":"hi","id":1}')
        told = await ana.expect("exception")
        assert (told["code"], "text" in told["message"]) == ("bad_frame", True)
        assert await ana.call("hi") == "hi"


async def test_bad_utf8_inside_msgpack_is_an_error_not_the_end() -> None:
    async with running(Limited) as app, app.connect("/l", codec="msgpack") as ana:
        event, data = b"\xa5event\xa4text", b"\xa4data\xa2\xff\xfe"
        await ana.send(b"\x82" + event + data)
        assert (await ana.receive())["data"]["code"] in {"bad_frame", "invalid"}
        await ana.send(b"\x82\xa5event\xa2\xff\xfe\xa2id\x01")
        assert (await ana.receive())["data"]["code"] == "bad_frame"
        assert await ana.call("text", "abc") == 3


async def test_a_huge_number_is_an_error_not_the_end() -> None:
    @gateway("/n")
    class Numbers:
        @on("double")
        async def double(self, number: int) -> int:
            return 2 * number

    async with running(Numbers) as app, app.connect("/n") as ana:
        await ana.send('{"event":"double","id":1,"data":' + "9" * 10_000 + "}")
        assert (await ana.receive())["error"]["code"] in {"bad_frame", "invalid"}
        assert await ana.call("double", 4) == 8
