import asyncio

import pytest
from injector import Module, provider, singleton

from gatewright import (
    Connection,
    Context,
    EventError,
    Handshake,
    Identity,
    Principal,
    Settings,
    catch,
    gateway,
    on,
    on_connect,
    on_disconnect,
)
from gatewright.testing import Refused
from tests.behaviours.support import ends, running, until

pytestmark = pytest.mark.anyio


async def with_key(handshake: Handshake) -> bool:
    return handshake.query.get("key") == "right"


async def test_a_gateways_guard_refuses_before_accept_with_403() -> None:
    opened: list[str] = []

    @gateway("/g", guards=[with_key])
    class Guarded:
        @on_connect
        async def opened(self, connection: Connection) -> None:
            opened.append(connection.id)

        @on("hi")
        async def hi(self) -> str:
            return "hi"

    async with running(Guarded) as app:
        with pytest.raises(Refused) as refused:
            async with app.connect("/g"):
                pytest.fail("it must not open")
        assert refused.value.status == 403
        assert opened == []
        async with app.connect("/g", query={"key": "right"}) as ana:
            assert await ana.call("hi") == "hi"


async def test_an_application_guard_stands_before_all_gateways() -> None:
    @gateway("/a")
    class A:
        @on("hi")
        async def hi(self) -> str:
            return "a"

    @gateway("/b")
    class B(A):
        pass

    async with running(A, B, guards=[with_key]) as app:
        for path in ("/a", "/b"):
            with pytest.raises(Refused):
                async with app.connect(path):
                    pytest.fail("it must not open")
            async with app.connect(path, query={"key": "right"}) as ana:
                assert await ana.call("hi") == "a"


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


async def test_what_a_guard_raises_at_opening_stands_in_the_refusal() -> None:
    async def premium() -> None:
        raise EventError("payment_required", "this is for members")

    @gateway("/g", guards=[premium])
    class Guarded:
        @on("hi")
        async def hi(self) -> None: ...

    async with running(Guarded) as app:
        with pytest.raises(Refused) as refused:
            async with app.connect("/g"):
                pytest.fail("it must not open")
        assert (refused.value.status, refused.value.text) == (
            403,
            "payment_required: this is for members",
        )


async def test_a_guard_that_breaks_refuses_without_telling_why() -> None:
    async def broken() -> None:
        raise LookupError("secret")

    @gateway("/g", guards=[broken])
    class Guarded:
        @on("hi")
        async def hi(self) -> None: ...

    async with running(Guarded) as app:
        with pytest.raises(Refused) as refused:
            async with app.connect("/g"):
                pytest.fail("it must not open")
        assert refused.value.status == 403
        assert "secret" not in refused.value.text


async def test_error_handlers_answer_for_guards_at_opening_too() -> None:
    class Banned(Exception):
        pass

    @catch(Banned)
    async def banned(error: Banned, context: Context) -> EventError:
        return EventError("banned", f"until {error}")

    @catch(LookupError)
    async def lost(error: LookupError, context: Context) -> EventError:
        return EventError("lost")

    async def guard(handshake: Handshake) -> None:
        raise Banned("monday") if "banned" in handshake.query else LookupError

    @gateway("/g", guards=[guard], errors=[lost])
    class Guarded:
        @on("hi")
        async def hi(self) -> None: ...

    async with running(Guarded, errors=[banned]) as app:
        for query, text in (({"banned": ""}, "banned: until monday"), ({}, "lost")):
            with pytest.raises(Refused) as refused:
                async with app.connect("/g", query=query):
                    pytest.fail("it must not open")
            assert (refused.value.status, refused.value.text) == (403, text)


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


async def test_guards_take_the_principal() -> None:
    async def authenticate(handshake: Handshake) -> Identity[list[str]]:
        return Identity("ana", handshake.query.get("roles", "").split())

    async def admin(roles: Principal[list[str]]) -> bool:
        return "admin" in roles

    @gateway("/g", guards=[admin])
    class Guarded:
        @on("hi")
        async def hi(self) -> str:
            return "hi"

    async with running(Guarded, authenticate=authenticate) as app:
        async with app.connect("/g", query={"roles": "admin"}) as ana:
            assert await ana.call("hi") == "hi"
        with pytest.raises(Refused):
            async with app.connect("/g", query={"roles": "reader"}):
                pytest.fail("it must not open")


async def test_guards_take_path_parameters() -> None:
    async def odd(bench: int) -> bool:
        return bench % 2 == 1

    @gateway("/lab/{bench}", guards=[odd])
    class Lab:
        @on("hi")
        async def hi(self, bench: int) -> int:
            return bench

    async with running(Lab) as app:
        async with app.connect("/lab/7") as ana:
            assert await ana.call("hi") == 7
        with pytest.raises(Refused):
            async with app.connect("/lab/8"):
                pytest.fail("it must not open")


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


async def test_opening_as_a_whole_has_a_limit() -> None:
    async def authenticate(handshake: Handshake) -> Identity[None]:
        await asyncio.Event().wait()
        raise AssertionError

    @gateway("/g")
    class Slow:
        @on("hi")
        async def hi(self) -> None: ...

    settings = Settings(open_timeout=0.01)
    async with running(Slow, authenticate=authenticate, settings=settings) as app:
        with pytest.raises(Refused, match="opening took too long"):
            async with app.connect("/g"):
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


async def test_a_refused_connection_runs_no_hooks() -> None:
    ran: list[str] = []

    async def never() -> bool:
        return False

    @gateway("/g", guards=[never])
    class Guarded:
        @on_connect
        async def connected(self, connection: Connection) -> None:
            ran.append("connect")

        @on_disconnect
        async def disconnected(self, connection: Connection) -> None:
            ran.append("disconnect")

    async with running(Guarded) as app:
        with pytest.raises(Refused):
            async with app.connect("/g"):
                pytest.fail("it must not open")
        assert len(app.app) == 0
    assert ran == []


async def test_an_application_that_stops_refuses_who_is_still_opening() -> None:
    asked = asyncio.Event()
    release = asyncio.Event()
    ran: list[str] = []

    async def slow() -> None:
        asked.set()
        await release.wait()

    @gateway("/g", guards=[slow])
    class Guarded:
        @on_connect
        async def connected(self, connection: Connection) -> None:
            ran.append("connect")

    client = running(Guarded)

    async def knock() -> None:
        async with client.connect("/g"):
            pytest.fail("it must not open")

    async with client:
        knocking = asyncio.create_task(knock())
        await asked.wait()
        stopping = asyncio.create_task(client.__aexit__(None, None, None))
        await until(lambda: not client.app.running)
        release.set()
        with pytest.raises(Refused) as refused:
            await knocking
        await stopping
    assert refused.value.status == 503
    assert ran == []
