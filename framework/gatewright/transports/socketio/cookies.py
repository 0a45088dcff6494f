"""The cookie that a load balancer may keep a client at its node by."""

from starlette.responses import Response

from gatewright.transports.socketio.config import SocketIO

__all__ = ["cookie_headers"]


def cookie_headers(config: SocketIO, sid: str) -> list[tuple[bytes, bytes]]:
    """The `Set-Cookie` of a new session, if there is one to be set."""
    cookie = config.cookie
    if cookie is None:
        return []
    response = Response()
    response.set_cookie(
        cookie.name,
        sid,
        max_age=cookie.max_age,
        path=cookie.path,
        domain=cookie.domain,
        secure=cookie.secure,
        httponly=cookie.http_only,
        samesite=cookie.same_site,
    )
    return [(name, value) for name, value in response.raw_headers if name == b"set-cookie"]
