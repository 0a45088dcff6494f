"""Close codes, and reasons that fit in a close frame."""

from enum import IntEnum

__all__ = ["MAX_REASON", "CloseCode", "clip_reason", "is_final"]

MAX_REASON = 123
"""Bytes of UTF-8: a control frame carries at most 125, and the code takes two (RFC 6455, 5.5)."""


class CloseCode(IntEnum):
    """Why a connection was closed.

    1000–1015 are RFC 6455's. In our own range 4000–4499 tell a client to connect again, 4500–4999
    not to.
    """

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    INVALID_TEXT = 1007
    POLICY = 1008
    TOO_LARGE = 1009
    INTERNAL = 1011
    RESTART = 1012

    SLOW_CONSUMER = 4002
    EXPIRED = 4004
    OPEN_TIMEOUT = 4005
    TAKEN_OVER = 4009
    BEHIND = 4010

    DISCONNECTED = 4500
    UNAUTHENTICATED = 4501
    FORBIDDEN = 4503
    TOO_MANY = 4508

    @property
    def reconnect(self) -> bool:
        """Whether a client should try again."""
        return self < 4500 and self not in (CloseCode.NORMAL, CloseCode.POLICY)


def is_final(code: int) -> bool:
    """Whether a client is to stay away; codes beyond our own are an application's."""
    try:
        return not CloseCode(code).reconnect
    except ValueError:
        return not 4000 <= code < 4500


def clip_reason(reason: str) -> str:
    """Cut a reason to 123 bytes of UTF-8 without splitting a character."""
    # A lone surrogate can reach us in an exception's text, and no UTF-8 encoder takes it.
    data = reason.encode("utf-8", "replace")
    return data[:MAX_REASON].decode("utf-8", "ignore")
