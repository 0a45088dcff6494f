import asyncio
from collections.abc import AsyncIterator

import pytest

from gatewright import Connection, EventError, Settings, gateway, on, on_disconnect
from tests.behaviours.support import ends, running, until

pytestmark = pytest.mark.anyio


class Witness:
    """What a stream tells of itself."""

    def __init__(self) -> None:
        self.yielded = 0
        self.closed = asyncio.Event()
        self.go = asyncio.Event()


def streaming(witness: Witness) -> type:
    @gateway("/s")
    class Streams:
        @on("count")
        async def count(self, to: int, start: int = 0) -> AsyncIterator[int]:
            for number in range(start, to):
                yield number

        @on("forever")
        async def forever(self) -> AsyncIterator[int]:
            try:
                while True:
                    witness.yielded += 1
                    yield witness.yielded
                    await witness.go.wait()
            finally:
                witness.closed.set()

        @on("stubborn")
        async def stubborn(self) -> AsyncIterator[str]:
            try:
                yield "one"
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                yield "more"
            finally:
                witness.closed.set()
            witness.yielded = 99

        @on("big")
        async def big(self, items: int) -> AsyncIterator[str]:
            for _ in range(items):
                witness.yielded += 1
                yield "x" * 1000

        @on("fails")
        async def fails(self) -> AsyncIterator[int]:
            yield 1
            yield 2
            raise EventError("no_more", "that was all")

        @on("odd")
        async def odd(self) -> AsyncIterator[object]:
            try:
                yield 1
                yield object()
            finally:
                witness.closed.set()

        @on("hi")
        async def hi(self) -> str:
            return "hi"

        @on("release")
        async def release(self) -> None:
            await witness.go.wait()

    return Streams


async def test_items_come_in_order_then_the_end_without_data() -> None:
    async with running(streaming(Witness())) as app, app.connect("/s") as ana:
        await ana.send({"event": "count", "data": [3], "id": 5})
        assert [await ana.receive() for _ in range(4)] == [
            {"id": 5, "item": 0},
            {"id": 5, "item": 1},
            {"id": 5, "item": 2},
            {"id": 5, "data": None},
        ]


async def test_a_stream_without_items_just_ends() -> None:
    async with running(streaming(Witness())) as app, app.connect("/s") as ana:
        assert [item async for item in ana.stream("count", 0, 0)] == []


async def test_a_stream_needs_an_id_to_answer_to() -> None:
    async with running(streaming(Witness())) as app, app.connect("/s") as ana:
        await ana.emit("count", 3, 0)
        told = await ana.expect("exception")
        assert (told["code"], told["event"]) == ("invalid", "count")


async def test_invalid_data_ends_a_stream_before_its_first_item() -> None:
    async with running(streaming(Witness())) as app, app.connect("/s") as ana:
        error = await ends(ana, "count", "three", 0)
        assert (error.code, error.details) == ("invalid", {"path": "$[0]"})


async def test_cancel_in_the_middle_closes_the_generator_and_ends_the_call() -> None:
    witness = Witness()
    async with running(streaming(witness)) as app, app.connect("/s") as ana:
        await ana.send({"event": "forever", "id": 1})
        assert (await ana.receive())["item"] == 1
        await ana.send({"op": "cancel", "id": 1})
        assert (await ana.receive())["error"]["code"] == "cancelled"
        assert witness.closed.is_set()
        witness.go.set()
        assert await ana.call("hi") == "hi"
        assert ana.received() == []


async def test_leaving_the_clients_loop_cancels_the_stream() -> None:
    witness = Witness()
    async with running(streaming(witness)) as app, app.connect("/s") as ana:
        items = ana.stream("forever")
        assert await anext(items) == 1
        await items.aclose()
        await asyncio.wait_for(witness.closed.wait(), 5)


async def test_a_drop_closes_the_generator() -> None:
    witness = Witness()
    async with running(streaming(witness)) as app:
        async with app.connect("/s") as ana:
            await ana.send({"event": "forever", "id": 1})
            await ana.receive()
            assert not witness.closed.is_set()
            ana.drop()
            await asyncio.wait_for(witness.closed.wait(), 5)
        assert len(app.app) == 0


async def test_a_stream_is_over_before_the_disconnect_hook_runs() -> None:
    witness = Witness()
    order: list[bool] = []

    @gateway("/h")
    class Hooked(streaming(witness)):  # type: ignore[misc]
        @on_disconnect
        async def left(self, connection: Connection) -> None:
            order.append(witness.closed.is_set())

    async with running(Hooked) as app, app.connect("/h") as ana:
        await ana.send({"event": "forever", "id": 1})
        await ana.receive()
    assert order == [True]


async def test_a_stream_that_swallows_its_cancel_is_closed_at_its_next_item() -> None:
    witness = Witness()
    async with running(streaming(witness)) as app, app.connect("/s") as ana:
        await ana.send({"event": "stubborn", "id": 1})
        assert (await ana.receive())["item"] == "one"
        await ana.send({"op": "cancel", "id": 1})
        assert (await ana.receive())["error"]["code"] == "cancelled"
        assert (witness.closed.is_set(), witness.yielded) == (True, 0)
        assert ana.received() == []


async def test_a_cancel_before_a_streams_first_step_still_ends_the_call() -> None:
    witness = Witness()
    async with running(streaming(witness)) as app, app.connect("/s") as ana:
        await ana.send({"event": "release", "id": 1})
        await ana.send({"event": "forever", "id": 2})
        await until(lambda: len(app.app) == 1 and not ana._to_server.qsize())
        # The lane goes on and the cancel arrives in one turn of the loop: the stream has been
        # started, but has not run yet.
        witness.go.set()
        await ana.send({"op": "cancel", "id": 2})
        frames = {frame["id"]: frame for frame in [await ana.receive(), await ana.receive()]}
        assert frames[1] == {"id": 1, "data": None}
        assert frames[2]["error"]["code"] == "cancelled"
        assert witness.yielded == 0


async def test_a_stream_runs_beside_the_lane() -> None:
    witness = Witness()
    async with running(streaming(witness)) as app, app.connect("/s") as ana:
        await ana.send({"event": "forever", "id": 90})
        assert (await ana.receive())["item"] == 1
        assert await ana.call("hi") == "hi"
        assert [item async for item in ana.stream("count", 2, 0)] == [0, 1]


async def test_an_error_in_the_middle_ends_the_stream_after_its_items() -> None:
    async with running(streaming(Witness())) as app, app.connect("/s") as ana:
        await ana.send({"event": "fails", "id": 1})
        frames = [await ana.receive() for _ in range(3)]
        assert [frame.get("item") for frame in frames] == [1, 2, None]
        assert frames[2]["error"] == {"code": "no_more", "message": "that was all"}


async def test_an_item_that_cannot_be_encoded_ends_the_stream_and_closes_the_generator() -> None:
    witness = Witness()
    async with running(streaming(witness)) as app, app.connect("/s") as ana:
        await ana.send({"event": "odd", "id": 1})
        assert (await ana.receive())["item"] == 1
        assert (await ana.receive())["error"]["code"] == "internal"
        assert witness.closed.is_set()


async def test_items_wait_for_room_in_the_outbox() -> None:
    witness = Witness()
    settings = Settings(outbox=4000)
    async with running(streaming(witness), settings=settings) as app, app.connect("/s") as ana:
        take, gate = ana._take, asyncio.Event()

        async def blocked(message: object) -> None:
            await gate.wait()
            await take(message)  # type: ignore[arg-type]

        # The client stops reading: its server's send does not come back.
        (session,) = app.app._dispatcher._sessions  # type: ignore[union-attr]
        session.connection.outbox._link._send = blocked  # type: ignore[union-attr]
        await ana.send({"event": "big", "data": 50, "id": 1})
        await until(lambda: session.connection.outbox.size > 2000)  # type: ignore[union-attr]
        for _ in range(100):
            await asyncio.sleep(0)
        assert witness.yielded < 8
        gate.set()
        items = 0
        while "item" in await ana.receive():
            items += 1
        assert (items, witness.yielded) == (50, 50)


async def test_cancel_reaches_a_stream_that_waits_for_room() -> None:
    witness = Witness()
    settings = Settings(outbox=4000)
    async with running(streaming(witness), settings=settings) as app, app.connect("/s") as ana:
        take, gate = ana._take, asyncio.Event()

        async def blocked(message: object) -> None:
            await gate.wait()
            await take(message)  # type: ignore[arg-type]

        (session,) = app.app._dispatcher._sessions  # type: ignore[union-attr]
        session.connection.outbox._link._send = blocked  # type: ignore[union-attr]
        await ana.send({"event": "big", "data": 50, "id": 1})
        await until(lambda: session.connection.outbox.size > 2000)  # type: ignore[union-attr]
        await ana.send({"op": "cancel", "id": 1})
        await until(lambda: not session._lanes._streams)
        gate.set()
        while "item" in (frame := await ana.receive()):
            pass
        assert frame["error"]["code"] == "cancelled"
        assert witness.yielded < 8


async def test_a_connection_has_only_so_many_streams() -> None:
    witness = Witness()
    settings = Settings(max_calls=2)
    async with running(streaming(witness), settings=settings) as app, app.connect("/s") as ana:
        await ana.send({"event": "forever", "id": 101})
        await ana.send({"event": "forever", "id": 102})
        await ana.send({"event": "forever", "id": 103})
        refused = await ana.receive(lambda frame: "error" in frame)
        assert (refused["id"], refused["error"]["code"]) == (103, "too_many")
        assert await ana.call("hi") == "hi"
        await ana.send({"op": "cancel", "id": 101})
        await ana.receive(lambda frame: "error" in frame)
        await ana.send({"event": "forever", "id": 104})
        await ana.receive(lambda frame: frame.get("id") == 104 and "item" in frame)


async def test_shutdown_ends_a_stream() -> None:
    witness = Witness()
    client = running(streaming(witness))
    async with client, client.connect("/s") as ana:
        await ana.send({"event": "forever", "id": 1})
        await ana.receive()
        await client.__aexit__(None, None, None)
        assert witness.closed.is_set()
        assert (await ana.wait_closed())[0] == 1012
