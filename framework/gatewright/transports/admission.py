"""What is checked of a request before anything of the application runs."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import cookie_parser
from starlette.types import Scope

from gatewright.types import Handshake

__all__ = ["allowed_origin", "read_handshake"]


def read_handshake(scope: Scope, namespace: str, path: Mapping[str, str]) -> Handshake:
    """The `Handshake` of an ASGI scope."""
    headers: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
        if name == "cookie" and name in headers:
            # HTTP/2 splits it, one field per cookie (RFC 9113, 8.2.3).
            text = f"{headers[name]}; {text}"
        headers[name] = text
    client = scope.get("client")
    query = scope.get("query_string", b"").decode("latin-1")
    return Handshake(
        namespace=namespace,
        path=dict(path),
        headers=headers,
        # Not http.cookies: of a header with one malformed cookie that reads none at all.
        cookies=cookie_parser(headers.get("cookie", "")),
        query=dict(parse_qsl(query, keep_blank_values=True)),
        client=client[0] if client else None,
    )


def allowed_origin(handshake: Handshake, scheme: str, origins: tuple[str, ...]) -> bool:
    """Whether the page that opens this socket may.

    Browsers name the page's origin and let every page open a socket anywhere, cookies included,
    so a foreign one is refused. Who sends no Origin is no browser; without cookies it can do
    nothing in somebody's name (RFC 6455, 10.2).
    """
    origin = handshake.headers.get("origin")
    if origin is None:
        return not handshake.cookies and "cookie" not in handshake.headers
    if "*" in origins or origin in origins:
        return True
    # Behind a proxy the scheme that the server saw may not be the page's: hosts are compared,
    # with the default ports left out on both sides.
    own = _host(f"{_HTTP.get(scheme, scheme)}://{handshake.headers.get('host', '')}")
    return own is not None and _host(origin) == own


_HTTP: dict[str, str] = {"ws": "http", "wss": "https"}
_PORTS: dict[str, int] = {"http": 80, "https": 443}


def _host(url: str) -> tuple[str, int | None] | None:
    """Host and port of a page, None for what no page of a web server has."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname:
        return None
    return parts.hostname, None if port in _PORTS.values() else port
