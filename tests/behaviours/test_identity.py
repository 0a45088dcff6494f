import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import Struct

from gatewright import (
    Connection,
    Context,
    Emitter,
    Event,
    EventError,
    Handshake,
    Identity,
    Principal,
    gateway,
    on,
    on_disconnect,
)
from gatewright.testing import Refused
from tests.behaviours.support import ends, running, until

pytestmark = pytest.mark.anyio


class User(Struct, frozen=True):
    name: str
    admin: bool = False


class News(Event, event="news"):
    text: str


USERS = {"a": User("ana", admin=True), "b": User("ben")}
EXPIRES: dict[str, datetime] = {}


async def authenticate(handshake: Handshake) -> Identity[User] | None:
    token = handshake.auth or handshake.query.get("token")
    if token is None:
        return None
    if token == "out":
        return None
    user = USERS.get(str(token))
    if user is None:
        raise EventError("unauthenticated", "no such token")
    return Identity(user.name, user, EXPIRES.get(str(token)))


@gateway("/who", emits=[News])
class Who:
    @on("must")
    async def must(self, user: Principal[User]) -> str:
        return user.name

    @on("may")
    async def may(self, user: Principal[User | None]) -> str | None:
        return user.name if user is not None else None

    @on("connection")
    async def connection(self, connection: Connection) -> list[str | bool | None]:
        principal = connection.principal
        return [connection.user, principal.admin if principal is not None else None]

    @on("context")
    async def context(self, context: Context) -> str | None:
        return context.identity.user if context.identity is not None else None

    @on("login")
    async def login(self, connection: Connection, token: str) -> str | None:
        await connection.authenticate(token)
        return connection.user

    @on("auth")
    async def auth(self, handshake: Handshake) -> object:
        return handshake.auth

    @on("tell")
    async def tell(self, emitter: Emitter, user: str) -> None:
        await emitter.to_user(user).emit(News(f"for {user}"))


async def test_authenticate_says_who_a_connection_is() -> None:
    async with (
        running(Who, authenticate=authenticate) as app,
        app.connect("/who", query={"token": "a"}) as ana,
    ):
        assert await ana.call("must") == "ana"
        assert await ana.call("may") == "ana"
        assert await ana.call("connection") == ["ana", True]
        assert await ana.call("context") == "ana"


async def test_none_is_anonymous() -> None:
    async with running(Who, authenticate=authenticate) as app, app.connect("/who") as eve:
        assert await eve.call("may") is None
        assert await eve.call("connection") == [None, None]
        assert await eve.call("context") is None


async def test_a_principal_that_is_required_refuses_anonymous_callers() -> None:
    async with running(Who, authenticate=authenticate) as app, app.connect("/who") as eve:
        assert (await ends(eve, "must")).code == "unauthenticated"
        assert await eve.call("may") is None


async def test_raising_in_authenticate_refuses_the_connection() -> None:
    async with running(Who, authenticate=authenticate) as app:
        with pytest.raises(Refused) as refused:
            async with app.connect("/who", query={"token": "x"}):
                pytest.fail("it must not open")
    assert (refused.value.status, refused.value.text) == (403, "unauthenticated: no such token")


async def test_authenticate_that_breaks_refuses_without_telling_why() -> None:
    async def breaks(handshake: Handshake) -> Identity[None]:
        raise LookupError("secret")

    @gateway("/x")
    class Shut:
        @on("hi")
        async def hi(self) -> None: ...

    async with running(Shut, authenticate=breaks) as app:
        with pytest.raises(Refused) as refused:
            async with app.connect("/x"):
                pytest.fail("it must not open")
    assert (refused.value.status, refused.value.text) == (403, "internal: internal error")


async def test_authenticate_that_returns_something_else_refuses() -> None:
    async def wrong(handshake: Handshake):  # type: ignore[no-untyped-def]  # noqa: ANN202
        return "ana"

    @gateway("/x")
    class Shut:
        @on("hi")
        async def hi(self) -> None: ...

    async with running(Shut, authenticate=wrong) as app:
        with pytest.raises(Refused, match="internal error"):
            async with app.connect("/x"):
                pytest.fail("it must not open")


async def test_authenticate_reads_cookies_headers_and_the_address() -> None:
    async def from_cookie(handshake: Handshake) -> Identity[str] | None:
        session = handshake.cookies.get("session")
        if session is None:
            return None
        return Identity(session, f"{handshake.headers['user-agent']} {handshake.client}")

    @gateway("/x")
    class Cookies:
        @on("who")
        async def who(self, connection: Connection, principal: Principal[str]) -> list[str | None]:
            return [connection.user, principal]

    async with (
        running(Cookies, authenticate=from_cookie) as app,
        app.connect("/x", cookies={"session": "ana"}, headers={"User-Agent": "tests"}) as ana,
    ):
        assert await ana.call("who") == ["ana", "tests testclient"]


async def test_a_malformed_cookie_does_not_hide_the_others() -> None:
    async def from_cookie(handshake: Handshake) -> Identity[None] | None:
        session = handshake.cookies.get("session")
        return Identity(session, None) if session is not None else None

    @gateway("/x")
    class Cookies:
        @on("who")
        async def who(self, connection: Connection) -> str | None:
            return connection.user

    headers = {
        "cookie": 'prefs={"theme":"dark"}; a[b]=1; session=ana; =; x',
        "origin": "http://testserver",
    }
    async with (
        running(Cookies, authenticate=from_cookie) as app,
        app.connect("/x", headers=headers) as ana,
    ):
        assert await ana.call("who") == "ana"


async def test_to_user_reaches_all_connections_of_a_user_and_nobody_else() -> None:
    async with (
        running(Who, authenticate=authenticate) as app,
        app.connect("/who", query={"token": "a"}) as one,
        app.connect("/who", query={"token": "a"}) as two,
        app.connect("/who", query={"token": "b"}) as ben,
        app.connect("/who") as eve,
    ):
        await eve.call("tell", "ana")
        assert await one.expect(News) == await two.expect(News) == News("for ana")
        for other in (ben, eve):
            await other.call("may")
            assert other.received() == []


async def test_connection_authenticate_changes_the_identity_in_place() -> None:
    async with running(Who, authenticate=authenticate) as app, app.connect("/who") as ana:
        assert await ana.call("login", "a") == "ana"
        assert await ana.call("must") == "ana"
        assert await ana.call("auth") == "a"
        await ana.call("tell", "ana")
        assert await ana.expect(News) == News("for ana")
        assert await ana.call("login", "b") == "ben"
        await ana.call("tell", "ana")
        assert ana.received() == []
        assert await ana.call("login", "out") is None
        assert (await ends(ana, "must")).code == "unauthenticated"


async def test_a_failed_authenticate_changes_nothing() -> None:
    async with running(Who, authenticate=authenticate) as app, app.connect("/who") as ana:
        await ana.call("login", "a")
        assert (await ends(ana, "login", "wrong")).code == "unauthenticated"
        assert await ana.call("must") == "ana"
        assert await ana.call("auth") == "a"


async def test_an_identity_that_expires_closes_the_connection_with_4004() -> None:
    EXPIRES["a"] = datetime.now(UTC) + timedelta(milliseconds=20)
    try:
        async with (
            running(Who, authenticate=authenticate) as app,
            app.connect("/who", query={"token": "a"}) as ana,
        ):
            assert await ana.wait_closed() == (4004, "the identity has expired")
    finally:
        EXPIRES.clear()


async def test_an_identity_that_has_expired_already_closes_at_once() -> None:
    EXPIRES["a"] = datetime.now(UTC) - timedelta(days=1)
    try:
        async with (
            running(Who, authenticate=authenticate) as app,
            app.connect("/who", query={"token": "a"}) as ana,
        ):
            assert (await ana.wait_closed())[0] == 4004
    finally:
        EXPIRES.clear()


async def test_an_expiry_without_time_zone_refuses_and_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    EXPIRES["a"] = datetime.now()  # noqa: DTZ005
    try:
        async with running(Who, authenticate=authenticate) as app:
            with pytest.raises(Refused, match="internal error"):
                async with app.connect("/who", query={"token": "a"}):
                    pytest.fail("it must not open")
            async with app.connect("/who") as eve:
                assert (await ends(eve, "login", "a")).code == "internal"
                assert await eve.call("may") is None
    finally:
        EXPIRES.clear()
    assert "expected expires with a time zone" in caplog.text


async def test_a_far_expiry_is_no_problem() -> None:
    EXPIRES["a"] = datetime.max.replace(tzinfo=UTC)
    try:
        async with (
            running(Who, authenticate=authenticate) as app,
            app.connect("/who", query={"token": "a"}) as ana,
        ):
            assert await ana.call("must") == "ana"
    finally:
        EXPIRES.clear()


async def test_a_refreshed_identity_stays() -> None:
    closed = asyncio.Event()

    @gateway("/expiring")
    class Expiring(Who):
        @on_disconnect
        async def left(self, connection: Connection) -> None:
            closed.set()

    EXPIRES["a"] = datetime.now(UTC) + timedelta(seconds=30)
    try:
        async with (
            running(Expiring, authenticate=authenticate) as app,
            app.connect("/expiring", query={"token": "a"}) as ana,
        ):
            (session,) = app.app._dispatcher._sessions  # type: ignore[union-attr]
            first = session._expiry._timer
            assert first is not None
            assert await ana.call("login", "b") == "ben"
            assert first.cancelled()
            assert await ana.call("login", "a") == "ana"
            second: asyncio.TimerHandle | None = session._expiry._timer
        await until(closed.is_set)
        assert second is not None
        assert second.cancelled()
    finally:
        EXPIRES.clear()
