"""Closes a connection whose identity has run out."""

import asyncio
from datetime import UTC, datetime

from gatewright.connection import Connection
from gatewright.protocol.close import CloseCode

__all__ = ["Expiry"]


class Expiry:
    """Watches one connection's `Identity.expires`; a connection without one costs no timer."""

    __slots__ = ("_connection", "_timer")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.renewed = self.watch
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Set the timer for the identity the connection has now."""
        self._cancel()
        identity = self._connection.identity
        if identity is not None and identity.expires is not None:
            left = (identity.expires - datetime.now(UTC)).total_seconds()
            self._timer = asyncio.get_running_loop().call_later(max(left, 0), self._expire)

    def stop(self) -> None:
        """The socket is lost: whoever has another identity now is watched on the next one."""
        self._cancel()
        if self._connection.renewed == self.watch:
            self._connection.renewed = None

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        self._connection.outbox.close(CloseCode.EXPIRED, "the identity has expired")
