import asyncio
import logging
from collections.abc import AsyncIterator

import msgspec
import pytest

from gatewright import Context, EventError, catch, gateway, on
from tests.behaviours.support import ends, running

pytestmark = pytest.mark.anyio


class Shop(Exception):
    pass


class OutOfStock(Shop):
    pass


def answering(kind: type[Exception], code: str):  # type: ignore[no-untyped-def]  # noqa: ANN201
    @catch(kind)
    async def answer(error: Exception, context: Context) -> EventError:
        return EventError(code, str(error), {"event": context.event})

    return answer


async def test_an_unexpected_error_is_internal_and_its_text_stays_here(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @gateway("/e")
    class Errors:
        @on("boom")
        async def boom(self) -> None:
            raise KeyError("secret")

    async with running(Errors) as app, app.connect("/e") as ana:
        error = await ends(ana, "boom")
    assert (error.code, error.message, error.details) == ("internal", "internal error", None)
    (logged,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert logged.exc_info is not None
    assert isinstance(logged.exc_info[1], KeyError)
    assert "'boom'" in logged.getMessage()


async def test_debug_tells_the_caller_what_happened_and_where() -> None:
    @gateway("/e")
    class Errors:
        @on("boom")
        async def boom(self) -> None:
            raise KeyError("secret")

    async with running(Errors, debug=True) as app, app.connect("/e") as ana:
        error = await ends(ana, "boom")
    assert (error.code, error.message) == ("internal", "'secret'")
    assert isinstance(error.details, dict)
    assert error.details["type"] == "KeyError"
    assert error.details["at"].startswith("boom, line ")


async def test_the_nearest_level_answers_handler_then_gateway_then_app() -> None:
    @gateway("/e", errors=[answering(ValueError, "gateway"), answering(KeyError, "gateway")])
    class Errors:
        @on("one", errors=[answering(ValueError, "handler")])
        async def one(self) -> None:
            raise ValueError

        @on("two", errors=[answering(ValueError, "handler")])
        async def two(self) -> None:
            raise KeyError

        @on("three", errors=[answering(ValueError, "handler")])
        async def three(self) -> None:
            raise OSError

    every = [answering(kind, "app") for kind in (ValueError, KeyError, OSError)]
    async with running(Errors, errors=every) as app, app.connect("/e") as ana:
        for event, code in (("one", "handler"), ("two", "gateway"), ("three", "app")):
            error = await ends(ana, event)
            assert (error.code, error.details) == (code, {"event": event})


async def test_the_most_specific_exception_of_a_level_answers() -> None:
    @gateway("/e")
    class Errors:
        @catch(Exception)
        async def anything(self, error: Exception, context: Context) -> EventError:
            return EventError("anything")

        @catch(OutOfStock)
        async def out(self, error: OutOfStock, context: Context) -> EventError:
            return EventError("out")

        @catch(Shop)
        async def shop(self, error: Shop, context: Context) -> EventError:
            return EventError("shop")

        @on("raise")
        async def raises(self, which: int) -> None:
            raise (OutOfStock, Shop, OSError)[which]

    async with running(Errors) as app, app.connect("/e") as ana:
        codes = [(await ends(ana, "raise", which)).code for which in range(3)]
    assert codes == ["out", "shop", "anything"]


async def test_a_nearer_level_answers_even_where_a_farther_one_is_more_specific() -> None:
    @gateway("/e", errors=[answering(Shop, "gateway")])
    class Errors:
        @on("raise")
        async def raises(self) -> None:
            raise OutOfStock

    every = [answering(OutOfStock, "app")]
    async with running(Errors, errors=every) as app, app.connect("/e") as ana:
        assert (await ends(ana, "raise")).code == "gateway"


async def test_error_handlers_may_catch_validation_errors_and_event_errors() -> None:
    @gateway("/e", errors=[answering(msgspec.ValidationError, "mine")])
    class Errors:
        @catch(EventError)
        async def translated(self, error: EventError, context: Context) -> EventError:
            return EventError(f"still {error.code}")

        @on("number")
        async def number(self, number: int) -> None:
            raise EventError("mine")

    async with running(Errors) as app, app.connect("/e") as ana:
        assert (await ends(ana, "number", "one")).code == "mine"
        assert (await ends(ana, "number", 1)).code == "still mine"


async def test_an_error_handler_may_raise_its_answer() -> None:
    @gateway("/e")
    class Errors:
        @catch(OSError)
        async def raises(self, error: OSError, context: Context) -> EventError:
            raise EventError("raised")

        @on("boom")
        async def boom(self) -> None:
            raise OSError

    async with running(Errors) as app, app.connect("/e") as ana:
        assert (await ends(ana, "boom")).code == "raised"


async def test_an_error_handler_that_breaks_ends_the_call_as_internal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @gateway("/e")
    class Errors:
        @catch(OSError)
        async def breaks(self, error: OSError, context: Context) -> EventError:
            raise LookupError("of the error handler")

        @on("boom")
        async def boom(self) -> None:
            raise OSError("of the handler")

    async with running(Errors) as app, app.connect("/e") as ana:
        assert (await ends(ana, "boom")).code == "internal"
    assert "of the error handler" in caplog.text
    assert "of the handler" in caplog.text


async def test_an_error_handler_that_returns_something_else_ends_the_call_as_internal() -> None:
    @catch(OSError)
    async def wrong(error: OSError, context: Context) -> EventError:
        return "sorry"  # type: ignore[return-value]

    @gateway("/e", errors=[wrong])
    class Errors:
        @on("boom")
        async def boom(self) -> None:
            raise OSError

    async with running(Errors) as app, app.connect("/e") as ana:
        assert (await ends(ana, "boom")).code == "internal"
        assert (await ends(ana, "boom")).code == "internal"


async def test_errors_in_the_middle_of_a_stream_go_through_the_error_handlers() -> None:
    @gateway("/e", errors=[answering(OSError, "gateway")])
    class Errors:
        @on("stream")
        async def stream(self) -> AsyncIterator[int]:
            yield 1
            raise OSError("gone")

    async with running(Errors) as app, app.connect("/e") as ana:
        items = ana.stream("stream", item=int)
        assert await anext(items) == 1
        with pytest.raises(EventError, match="gateway: gone"):
            await anext(items)


async def test_an_exception_group_is_an_error_like_any_other() -> None:
    @gateway("/e", errors=[answering(ExceptionGroup, "group")])
    class Errors:
        @on("boom")
        async def boom(self) -> None:
            async def fails() -> None:
                raise OSError

            async with asyncio.TaskGroup() as group:
                group.create_task(fails())

    async with running(Errors) as app, app.connect("/e") as ana:
        assert (await ends(ana, "boom")).code == "group"


async def test_a_cancelled_error_of_something_awaited_is_an_error_not_the_connections_end() -> None:
    @gateway("/e", errors=[])
    class Errors:
        @on("awaits")
        async def awaits(self) -> None:
            lost = asyncio.get_running_loop().create_future()
            lost.cancel()
            await lost

        @on("stream")
        async def stream(self) -> AsyncIterator[int]:
            yield 1
            raise asyncio.CancelledError

        @on("hi")
        async def hi(self) -> str:
            return "hi"

    async with running(Errors) as app, app.connect("/e") as ana:
        assert (await ends(ana, "awaits")).code == "internal"
        assert await ana.call("hi") == "hi"
        with pytest.raises(EventError, match="internal"):
            assert [item async for item in ana.stream("stream")] == []
        await ana.emit("awaits")
        assert (await ana.expect("exception"))["code"] == "internal"
        assert await ana.call("hi") == "hi"


async def test_an_error_of_one_connection_is_no_concern_of_another() -> None:
    @gateway("/e")
    class Errors:
        @on("boom")
        async def boom(self) -> None:
            raise RuntimeError

        @on("hi")
        async def hi(self) -> str:
            return "hi"

    async with running(Errors) as app, app.connect("/e") as ana, app.connect("/e") as ben:
        await ends(ana, "boom")
        assert await ben.call("hi") == "hi"
        assert await ana.call("hi") == "hi"
