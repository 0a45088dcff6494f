"""When a client connects again: by its backoff, or when the server has said."""

from collections.abc import Callable

from gatewright.protocol.close import CloseCode
from gatewright.protocol.sessions.client.backoff import Backoff

__all__ = ["Returning", "reconnects"]


class Returning:
    """The times of the attempts; `random` is from 0 to 1."""

    __slots__ = ("_attempt", "_backoff", "_random", "away", "until")

    def __init__(self, backoff: Backoff, random: Callable[[], float]) -> None:
        self.until: float = float("-inf")
        """When to open the next socket."""
        self.away: float | None = None
        """When to leave this server, as it has asked."""
        self._backoff = backoff
        self._random = random
        self._attempt = 0

    def plan(self, now: float, *, lasted: float = 0.0) -> None:
        """The next attempt, after a connection of so many seconds or after none."""
        # A server that lets in and throws out at once is not to be met in a tight loop.
        if lasted >= self._backoff.minimum:
            self._attempt = 0
        if self.away is not None:
            # Chosen by the server, so that its clients come back spread.
            self.until = max(now, self.away)
            self.away = None
        else:
            self.until = now + self._backoff.delay(self._attempt, self._random)
            self._attempt += 1


def reconnects(code: int) -> bool:
    """Whether a close code says to connect again."""
    try:
        return CloseCode(code).reconnect
    except ValueError:
        return code < 4500
