"""What is shown of values: a sane part, and no secrets."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Struct, UnsetType, json

from gatewright import Event
from gatewright.inspector.preview import Preview
from gatewright.redaction import MAX_TEXT, is_secret
from tests.inspector.lab import lab, shown, watching
from tests.inspector.wire import wire


@pytest.mark.parametrize(
    "name",
    [
        "authorization", "Proxy-Authorization", "auth", "Cookie", "set-cookie", "password",
        "new_password", "passwd", "token", "accessToken", "X-API-Key", "apikey", "private_key",
        "client_secret", "sessionId", "sid", "jwt", "otp", "X-Signature", "X-Auth-Request-Email",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["author", "authors", "author_id", "user-agent", "host", "key", "side", "text", "EIO"]
)
def test_names_of_no_secrets(name: str) -> None:
    assert not is_secret(name)


class Card(Struct, rename="camel"):
    holder_name: str
    card_token: str
    note: str | UnsetType = UNSET


class Pair(Event, event="pair", array_like=True):
    left: int
    secret: str


@dataclass
class Point:
    x: int


class Opaque:
    """Nothing that msgspec knows."""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("text", "text"),
        (b"1234", "<4 bytes>"),
        (Card("Ana", "1234"), {"holderName": "Ana", "cardToken": "[redacted]"}),
        (Pair(1, "x"), [1, "[redacted]"]),
        ({"a": {"password": {"deep": 1}, "b": 2}}, {"a": {"password": "[redacted]", "b": 2}}),
        ({1: (2, 3)}, {"1": [2, 3]}),
        ([Point(1)], [{"x": 1}]),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
        (Opaque(), "<Opaque>"),
        ("x" * 1001, "x" * 1000 + "… (1001 characters)"),
        (list(range(52)), [*range(50), "… 2 more"]),
        ({str(n): n for n in range(51)}, {**{str(n): n for n in range(50)}, "…": "1 more"}),
        ([[[[[[[1]]]]]]], [[[[[["…"]]]]]]),
        ("lone \ud800", "lone ?"),
    ],
)
def test_what_is_shown(value: Any, expected: Any) -> None:
    assert Preview().of(value) == expected


def test_wide_and_deep_values_end() -> None:
    tree: Any = "leaf"
    for _ in range(5):
        tree = [tree] * 50
    assert len(json.encode(Preview().of(tree))) < 100_000


@given(st.recursive(st.none() | st.text() | st.binary() | st.integers() | st.floats(), st.lists))
def test_whatever_it_is_it_can_be_sent(value: Any) -> None:
    try:
        whole = json.encode(value)
    except (UnicodeEncodeError, OverflowError):
        whole = None
    sent = json.encode(Preview().of(value))
    assert whole is None or len(sent) <= len(whole) + MAX_TEXT


@pytest.mark.anyio
async def test_secrets_of_a_handshake_are_not_shown() -> None:
    headers = {
        "Authorization": "Bearer S3CRET",
        "Origin": "http://127.0.0.1",
        "Cookie": "sid=S3CRET",
        "X-Api-Key": "S3CRET",
        "Referer": "http://127.0.0.1/page?token=S3CRET",
        "X-Colour": "green",
    }
    async with lab() as running, watching(running) as page:
        own = {**headers, "Origin": str(running.url)}
        async with wire(running.url, own, access_token="S3CRET", colour="blue") as ana:
            id = await ana.join("/chat", {"password": "S3CRET"})
            socket = await shown(page, id)
            await ana.call("/chat", "login", {"name": "Ana", "password": "S3CRET"})
            received = await page.heard("/admin", "event_received", "/chat", id)
        assert received[2] == ["login", {"name": "Ana", "password": "[redacted]"}]
        request = socket["handshake"]
        assert request["headers"]["authorization"] == "[redacted]"
        assert request["headers"]["cookie"] == "[redacted]"
        assert request["headers"]["referer"] == "http://127.0.0.1/page"
        assert request["headers"]["x-colour"] == "green"
        assert request["query"]["access_token"] == "[redacted]"
        assert request["query"]["colour"] == "blue"
        assert "S3CRET" not in str(page.events["/admin"])
