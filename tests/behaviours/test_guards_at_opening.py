import asyncio

import pytest

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
from tests.behaviours.support import running, until

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
