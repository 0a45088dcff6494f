"""Who gets in, and who does not."""

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gatewright import EventError, Handshake, Identity
from gatewright.inspector import login
from gatewright.inspector.login import Attempts, Sessions
from tests.inspector.lab import LOGIN, PASSWORD, lab
from tests.inspector.wire import Refused, wire

pytestmark = pytest.mark.anyio


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self._now = 1000.0

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds


@pytest.mark.parametrize(
    "auth",
    [
        None,
        {},
        {"username": "admin"},
        {"username": "admin", "password": None},
        {"username": "admin", "password": ""},
        {"username": "admin", "password": "wrong"},
        {"username": "admin", "password": [PASSWORD]},
        {"username": "admin", "password": "x" * 100},
        {"username": "root", "password": PASSWORD},
        {"sessionId": "made up"},
        {"sessionId": None},
        {"sessionId": True},
    ],
)
async def test_who_does_not_know_both_is_refused(auth: object) -> None:
    async with lab() as running, wire(running.url) as page:
        # The words are the reference's: its page asks for the password when it reads them.
        with pytest.raises(Refused, match=r"^invalid credentials$") as refused:
            await page.join("/admin", auth)
        assert refused.value.code == "unauthenticated"
        assert page.events == {}
        assert not running.observers


async def test_a_session_opens_without_the_password() -> None:
    async with lab() as running, wire(running.url) as page, wire(running.url) as again:
        await page.join("/admin", LOGIN)
        (session,) = await page.heard("/admin", "session")
        await again.join("/admin", {"sessionId": session})
        await again.heard("/admin", "server_stats")
        # It has one already.
        assert "session" not in again.names("/admin")


async def test_passwords_are_tried_a_few_times_only() -> None:
    async with lab() as running:
        async with wire(running.url) as page:
            await page.join("/admin", LOGIN)
            (session,) = await page.heard("/admin", "session")
        async with wire(running.url) as page:
            for _ in range(login.PER_CLIENT.burst):
                with pytest.raises(Refused, match="invalid credentials"):
                    await page.join("/admin", {"username": "admin", "password": "guess"})
            # Now not even the right one helps.
            with pytest.raises(Refused, match="too many failed logins") as refused:
                await page.join("/admin", LOGIN)
            assert refused.value.code == "too_many"
            # Who was in before is not kept out by somebody who guesses.
            await page.join("/admin", {"sessionId": session})


async def test_the_right_password_may_be_given_often() -> None:
    async with lab() as running:
        for _ in range(2 * login.PER_CLIENT.burst):
            async with wire(running.url) as page:
                await page.join("/admin", LOGIN)


def test_attempts_come_back_with_time() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    assert [attempts.allow("10.0.0.1") for _ in range(6)] == [True] * 5 + [False]
    assert attempts.allow("10.0.0.2")
    clock.advance(10)
    assert [attempts.allow("10.0.0.1") for _ in range(2)] == [True, False]


def test_addresses_of_one_network_are_one_client() -> None:
    attempts = Attempts(Clock())
    tries = [attempts.allow(f"2001:db8::{number:x}") for number in range(6)]
    assert tries == [True] * 5 + [False]
    assert attempts.allow("2001:db8:0:1::1")


@pytest.mark.parametrize("client", [None, "unix:"])
def test_who_has_no_address_is_one_client(client: str | None) -> None:
    attempts = Attempts(Clock())
    assert [attempts.allow(client) for _ in range(6)] == [True] * 5 + [False]


def test_many_clients_together_are_limited_too() -> None:
    attempts = Attempts(Clock())
    tries = [attempts.allow(f"10.0.0.{number}") for number in range(21)]
    assert tries == [True] * 20 + [False]


def test_who_is_counted_for_attempts_is_bounded() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for number in range(login.MAX_CLIENTS + 10):
        clock.advance(1)
        assert attempts.allow(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(attempts._clients) == login.MAX_CLIENTS


def test_sessions_end() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    id = sessions.begin()
    assert sessions.knows(id)
    assert not sessions.knows(None)
    clock.advance(login.SESSION_LIFETIME)
    assert not sessions.knows(id)


def test_sessions_are_bounded_and_kept_as_hashes() -> None:
    sessions = Sessions(Clock())
    first = sessions.begin()
    for _ in range(login.MAX_SESSIONS):
        sessions.begin()
    assert len(sessions._ends) == login.MAX_SESSIONS
    assert not sessions.knows(first)
    assert first.encode() not in b"".join(sessions._ends)


async def test_what_guards_the_application_is_not_asked_and_does_not_open() -> None:
    asked: list[str] = []

    async def authenticate(handshake: Handshake) -> Identity[str] | None:
        asked.append(handshake.namespace)
        raise EventError("unauthenticated", "no token")

    async def guard(handshake: Handshake) -> bool:
        asked.append(handshake.namespace)
        return False

    async with (
        lab(authenticate=authenticate, guards=[guard]) as running,
        wire(running.url) as page,
    ):
        await page.join("/admin", LOGIN)
        await page.heard("/admin", "server_stats")
        with pytest.raises(Refused, match="no token"):
            await page.join("/chat", LOGIN)
        assert asked == ["/chat"]


async def test_there_is_no_plain_websocket_to_it() -> None:
    async with lab() as running:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{running.url.ws}/admin")
        assert refused.value.response.status_code == 404


async def test_a_foreign_page_needs_its_origin_listed() -> None:
    async with lab() as running:
        with pytest.raises(InvalidStatus) as refused:
            async with wire(running.url, {"Origin": "https://admin.socket.io"}):
                pass
        assert refused.value.response.status_code == 403
