import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from injector import Module, provider, singleton

from gatewright import CallNext, Context, EventError, gateway, on
from tests.behaviours.support import ends, running

pytestmark = pytest.mark.anyio


async def test_interceptors_wrap_app_gateway_handler_and_unwind_reversed() -> None:
    ran: list[str] = []

    def named(name: str) -> Any:
        async def around(context: Context, call_next: CallNext) -> Any:
            ran.append(f"{name} in")
            try:
                return await call_next()
            finally:
                ran.append(f"{name} out")

        return around

    @gateway("/i", interceptors=[named("gateway")])
    class Intercepted:
        @on("hi", interceptors=[named("handler 1"), named("handler 2")])
        async def hi(self) -> None:
            ran.append("handled")

    async with running(Intercepted, interceptors=[named("app")]) as app, app.connect("/i") as ana:
        await ana.call("hi")
    names = ["app", "gateway", "handler 1", "handler 2"]
    assert ran == [
        *(f"{name} in" for name in names),
        "handled",
        *(f"{name} out" for name in reversed(names)),
    ]


async def test_an_interceptor_may_change_the_answer() -> None:
    async def doubled(context: Context, call_next: CallNext) -> Any:
        return 2 * await call_next()

    @gateway("/i", interceptors=[doubled])
    class Intercepted:
        @on("add")
        async def add(self, a: int, b: int) -> int:
            return a + b

    async with running(Intercepted) as app, app.connect("/i") as ana:
        assert await ana.call("add", 1, 2) == 6


async def test_an_interceptor_may_answer_without_the_handler() -> None:
    async def cached(context: Context, call_next: CallNext) -> str:
        return "cached"

    @gateway("/i")
    class Intercepted:
        @on("hi", interceptors=[cached])
        async def hi(self) -> None:
            pytest.fail("it must not run")

    async with running(Intercepted) as app, app.connect("/i") as ana:
        assert await ana.call("hi") == "cached"


async def test_an_interceptor_sees_the_event_its_decoded_payload_and_its_connection() -> None:
    seen: list[Any] = []

    async def looks(context: Context, call_next: CallNext) -> Any:
        seen.append((context.event, context.payload, context.connection.namespace))
        return await call_next()

    @gateway("/i", interceptors=[looks])
    class Intercepted:
        @on("say")
        async def say(self, text: str) -> None: ...

    async with running(Intercepted) as app, app.connect("/i") as ana:
        await ana.call("say", "hi")
    assert seen == [("say", "hi", "/i")]


async def test_an_interceptor_does_not_run_for_what_guards_or_validation_refuse() -> None:
    ran: list[str | None] = []

    async def counts(context: Context, call_next: CallNext) -> Any:
        ran.append(context.event)
        return await call_next()

    async def never() -> bool:
        return False

    @gateway("/i", interceptors=[counts])
    class Intercepted:
        @on("number")
        async def number(self, number: int) -> int:
            return number

        @on("guarded", guards=[never])
        async def guarded(self) -> None: ...

    async with running(Intercepted) as app, app.connect("/i") as ana:
        await ends(ana, "number", "one")
        await ends(ana, "guarded")
        await ana.call("number", 1)
    assert ran == ["number"]


async def test_an_interceptor_sees_and_may_translate_what_the_handler_raises() -> None:
    async def translates(context: Context, call_next: CallNext) -> Any:
        try:
            return await call_next()
        except LookupError as error:
            raise EventError("not_found", str(error)) from error

    @gateway("/i", interceptors=[translates])
    class Intercepted:
        @on("find")
        async def find(self) -> None:
            raise LookupError("no such thing")

    async with running(Intercepted) as app, app.connect("/i") as ana:
        error = await ends(ana, "find")
        assert (error.code, error.message) == ("not_found", "no such thing")


async def test_what_an_interceptor_raises_goes_through_the_error_handlers() -> None:
    async def raises(context: Context, call_next: CallNext) -> Any:
        await call_next()
        raise EventError("too_bad")

    @gateway("/i")
    class Intercepted:
        @on("hi", interceptors=[raises])
        async def hi(self) -> str:
            return "never seen"

    async with running(Intercepted) as app, app.connect("/i") as ana:
        assert (await ends(ana, "hi")).code == "too_bad"


async def test_an_interceptor_may_replace_the_items_of_a_stream() -> None:
    async def doubled(context: Context, call_next: CallNext) -> Any:
        items = await call_next()

        async def twice() -> AsyncIterator[int]:
            async for item in items:
                yield 2 * item

        return twice()

    @gateway("/i", interceptors=[doubled])
    class Intercepted:
        @on("count")
        async def count(self, to: int) -> AsyncIterator[int]:
            for number in range(to):
                yield number

    async with running(Intercepted) as app, app.connect("/i") as ana:
        assert [item async for item in ana.stream("count", 3)] == [0, 2, 4]


async def test_cancelling_closes_the_stream_that_an_interceptor_replaced() -> None:
    closed = asyncio.Event()

    async def through(context: Context, call_next: CallNext) -> Any:
        items = await call_next()

        async def passes() -> AsyncIterator[int]:
            async for item in items:
                yield item

        return passes()

    @gateway("/i", interceptors=[through])
    class Intercepted:
        @on("forever")
        async def forever(self) -> AsyncIterator[int]:
            try:
                yield 1
                await asyncio.Event().wait()
            finally:
                closed.set()

    async with running(Intercepted) as app, app.connect("/i") as ana:
        await ana.send({"event": "forever", "id": 1})
        assert (await ana.receive())["item"] == 1
        await ana.send({"op": "cancel", "id": 1})
        assert (await ana.receive())["error"]["code"] == "cancelled"
        await asyncio.wait_for(closed.wait(), 5)


async def test_an_interceptor_that_answers_a_stream_with_something_else_is_an_internal_error() -> (
    None
):
    async def cached(context: Context, call_next: CallNext) -> Any:
        return [1, 2]

    @gateway("/i")
    class Intercepted:
        @on("count", interceptors=[cached])
        async def count(self) -> AsyncIterator[int]:
            yield 1

        @on("hi")
        async def hi(self) -> str:
            return "hi"

    async with running(Intercepted) as app, app.connect("/i") as ana:
        assert (await ends(ana, "count")).code == "internal"
        assert await ana.call("hi") == "hi"


async def test_an_interceptor_class_is_injected() -> None:
    class Log:
        def __init__(self) -> None:
            self.lines: list[str | None] = []

    class Logged:
        def __init__(self, log: Log) -> None:
            self.log = log

        async def __call__(self, context: Context, call_next: CallNext) -> Any:
            self.log.lines.append(context.event)
            return await call_next()

    log = Log()

    class Wiring(Module):
        @singleton
        @provider
        def log(self) -> Log:
            return log

    @gateway("/i", interceptors=[Logged])
    class Intercepted:
        @on("hi")
        async def hi(self) -> None: ...

    async with running(Intercepted, modules=[Wiring()]) as app, app.connect("/i") as ana:
        await ana.call("hi")
        await ana.emit("hi")
        await ana.call("hi")
    assert log.lines == ["hi", "hi", "hi"]


async def test_an_interceptor_may_call_twice_to_try_again() -> None:
    attempts: list[int] = []

    async def again(context: Context, call_next: CallNext) -> Any:
        try:
            return await call_next()
        except ConnectionError:
            return await call_next()

    @gateway("/i")
    class Intercepted:
        @on("flaky", interceptors=[again])
        async def flaky(self) -> int:
            attempts.append(1)
            if len(attempts) == 1:
                raise ConnectionError
            return len(attempts)

    async with running(Intercepted) as app, app.connect("/i") as ana:
        assert await ana.call("flaky") == 2
