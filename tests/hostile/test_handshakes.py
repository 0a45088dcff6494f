"""Requests that no well-behaved client sends, and what is read from them."""

import pytest

from gatewright import Handshake
from gatewright.transports.admission import allowed_origin, read_handshake


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (None, "http://none"),  # not what a missing host looks like as text
        (None, "null"),
        ("", "null"),
        ("", "http://"),
        (":80", "http://:80"),
        ("example.com", "null"),
        ("example.com", "app://example.com"),
        ("example.com", "file://example.com"),
        ("example.com", "example.com"),
        ("example.com", "http://example.com.evil.example"),
        ("example.com", "http://example.com@evil.example"),
        ("example.com", "http://evil.example#example.com"),
        ("example.com", "http://example.com:99999"),
        ("example.com", "http://[::1"),
        ("example.com:8000", "http://example.com"),
        ("[::1]:8000", "http://[::1]:8001"),
    ],
)
def test_no_trick_with_host_and_origin_makes_a_foreign_page_ones_own(
    host: str | None, origin: str
) -> None:
    headers = {"origin": origin} | ({} if host is None else {"host": host})
    assert not allowed_origin(Handshake(namespace="/", headers=headers), "ws", ())


@pytest.mark.parametrize(
    ("host", "origin", "scheme"),
    [
        ("example.com", "http://example.com", "ws"),
        ("EXAMPLE.com", "http://example.COM", "ws"),
        ("example.com", "https://example.com", "ws"),  # a proxy ends TLS
        ("example.com:443", "https://example.com", "wss"),
        ("example.com", "https://example.com:443", "ws"),
        ("[::1]:8000", "http://[::1]:8000", "ws"),
        ("[2001:DB8::1]", "https://[2001:db8::1]", "wss"),
    ],
)
def test_ones_own_page_is_let_in_however_its_host_is_written(
    host: str, origin: str, scheme: str
) -> None:
    handshake = Handshake(namespace="/", headers={"host": host, "origin": origin})
    assert allowed_origin(handshake, scheme, ())


def test_cookies_may_come_in_several_headers() -> None:
    # As HTTP/2 splits them (RFC 9113, 8.2.3).
    scope = {
        "headers": [(b"cookie", b"a=1"), (b"x-other", b"y"), (b"Cookie", b"b=2; c=3")],
        "query_string": b"",
    }
    handshake = read_handshake(scope, "/chat", {})
    assert handshake.cookies == {"a": "1", "b": "2", "c": "3"}
    assert handshake.headers["cookie"] == "a=1; b=2; c=3"


def test_odd_bytes_in_headers_and_query_are_text() -> None:
    scope = {
        "headers": [(b"x-name", b"caf\xe9"), (b"x-name", b"last"), (b"cookie", b"k=\xff;;=;x")],
        "query_string": b"a=%ff&b=\xff&&=&c",
    }
    handshake = read_handshake(scope, "/chat", {})
    assert handshake.headers["x-name"] == "last"
    assert handshake.cookies["k"] == "ÿ"
    assert handshake.query["a"] == "�"
    assert handshake.query["c"] == ""
