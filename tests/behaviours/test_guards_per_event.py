import asyncio

import pytest
from injector import Module, provider, singleton

from gatewright import Connection, Context, EventError, Handshake, Settings, gateway, on
from gatewright.testing import Refused
from tests.behaviours.support import ends, running

pytestmark = pytest.mark.anyio


async def test_app_and_gateway_guards_run_again_for_every_event() -> None:
    allowed = True

    async def while_allowed(context: Context) -> bool:
        return allowed

    @gateway("/g", guards=[while_allowed])
    class Guarded:
        @on("hi")
        async def hi(self) -> str:
            return "hi"

    async with running(Guarded) as app, app.connect("/g") as ana:
        assert await ana.call("hi") == "hi"
        allowed = False
        error = await ends(ana, "hi")
        assert (error.code, error.message) == ("forbidden", "refused by a guard")
        allowed = True
        assert await ana.call("hi") == "hi"


async def test_guards_run_in_order_app_gateway_handler_and_the_first_refusal_ends_it() -> None:
    ran: list[str] = []

    async def one(context: Context) -> None:
        ran.append(f"app {context.event}")

    async def two(context: Context) -> None:
        ran.append(f"gateway {context.event}")

    async def three(connection: Connection) -> bool:
        ran.append("handler")
        return False

    async def four(connection: Connection) -> None:
        ran.append("never")

    @gateway("/g", guards=[two])
    class Guarded:
        @on("hi", guards=[three, four])
        async def hi(self) -> None:
            ran.append("handled")

    async with running(Guarded, guards=[one]) as app, app.connect("/g") as ana:
        assert ran == ["app None", "gateway None"]
        ran.clear()
        assert (await ends(ana, "hi")).code == "forbidden"
    assert ran == ["app hi", "gateway hi", "handler"]


async def test_a_handlers_guard_leaves_other_handlers_alone() -> None:
    async def never() -> bool:
        return False

    @gateway("/g")
    class Guarded:
        @on("open")
        async def opened(self) -> str:
            return "open"

        @on("closed", guards=[never])
        async def closed(self) -> None:
            pytest.fail("it must not run")

    async with running(Guarded) as app, app.connect("/g") as ana:
        assert await ana.call("open") == "open"
        assert (await ends(ana, "closed")).code == "forbidden"


async def test_none_and_true_allow_only_false_refuses() -> None:
    answers: list[object] = [None, True, 0, "", False]

    def pops() -> bool | None:
        return answers.pop(0)  # type: ignore[return-value]

    @gateway("/g")
    class Guarded:
        @on("hi", guards=[pops])
        async def hi(self) -> str:
            return "hi"

    async with running(Guarded) as app, app.connect("/g") as ana:
        for _ in range(4):
            assert await ana.call("hi") == "hi"
        assert (await ends(ana, "hi")).code == "forbidden"


async def test_what_a_guard_raises_is_the_callers_error() -> None:
    async def premium() -> None:
        raise EventError("payment_required", "this is for members", {"plan": "gold"})

    @gateway("/g")
    class Guarded:
        @on("hi", guards=[premium])
        async def hi(self) -> None:
            pytest.fail("it must not run")

    async with running(Guarded) as app, app.connect("/g") as ana:
        error = await ends(ana, "hi")
        assert (error.code, error.details) == ("payment_required", {"plan": "gold"})


async def test_a_guard_class_is_injected_once_and_called() -> None:
    class Bans:
        def __init__(self) -> None:
            self.names = {"eve"}

    class NotBanned:
        made = 0

        def __init__(self, bans: Bans) -> None:
            NotBanned.made += 1
            self.bans = bans

        async def __call__(self, handshake: Handshake) -> bool:
            return handshake.query.get("name") not in self.bans.names

    class Wiring(Module):
        @singleton
        @provider
        def bans(self) -> Bans:
            return Bans()

    @gateway("/g", guards=[NotBanned])
    class Guarded:
        @on("hi", guards=[NotBanned])
        async def hi(self) -> str:
            return "hi"

    async with running(Guarded, modules=[Wiring()]) as app:
        async with app.connect("/g", query={"name": "ana"}) as ana:
            assert await ana.call("hi") == "hi"
        with pytest.raises(Refused):
            async with app.connect("/g", query={"name": "eve"}):
                pytest.fail("it must not open")
    assert NotBanned.made == 1


async def test_the_guards_of_two_gateways_in_one_namespace_all_have_to_pass() -> None:
    open_a = open_b = True

    async def guard_a() -> bool:
        return open_a

    async def guard_b() -> bool:
        return open_b

    @gateway("/g", guards=[guard_a])
    class A:
        @on("a")
        async def a(self) -> str:
            return "a"

    @gateway("/g", guards=[guard_b])
    class B:
        @on("b")
        async def b(self) -> str:
            return "b"

    async with running(A, B) as app:
        async with app.connect("/g") as ana:
            assert [await ana.call("a"), await ana.call("b")] == ["a", "b"]
            open_b = False
            assert (await ends(ana, "a")).code == "forbidden"
        with pytest.raises(Refused):
            async with app.connect("/g"):
                pytest.fail("it must not open")


async def test_a_guard_that_takes_long_is_a_timeout() -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    @gateway("/g")
    class Guarded:
        @on("hi", guards=[hangs])
        async def hi(self) -> None:
            pytest.fail("it must not run")

    settings = Settings(guard_timeout=0.01)
    async with running(Guarded, settings=settings) as app, app.connect("/g") as ana:
        assert (await ends(ana, "hi")).code == "timeout"


async def test_a_guards_own_timeout_error_is_its_own() -> None:
    async def fails() -> None:
        raise TimeoutError("of a database")

    @gateway("/g")
    class Guarded:
        @on("hi", guards=[fails])
        async def hi(self) -> None:
            pytest.fail("it must not run")

    @gateway("/h", guards=[fails])
    class Shut:
        @on("hi")
        async def hi(self) -> None: ...

    async with running(Guarded, Shut) as app:
        async with app.connect("/g") as ana:
            assert (await ends(ana, "hi")).code == "internal"
        with pytest.raises(Refused, match="internal error"):
            async with app.connect("/h"):
                pytest.fail("it must not open")


async def test_guards_come_before_the_data_is_read() -> None:
    async def never() -> bool:
        return False

    @gateway("/g")
    class Guarded:
        @on("hi", guards=[never])
        async def hi(self, number: int) -> None:
            pytest.fail("it must not run")

    async with running(Guarded) as app, app.connect("/g") as ana:
        assert (await ends(ana, "hi", "not a number")).code == "forbidden"
