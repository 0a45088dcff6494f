"""How a door learns of the end of an opening, and what a refusal closes with."""

from typing import Protocol

from gatewright.errors import ErrorCode, EventError
from gatewright.protocol.close import CloseCode

__all__ = ["Entrance", "refusal_code"]

_REFUSALS: dict[str, CloseCode] = {
    ErrorCode.UNAUTHENTICATED: CloseCode.UNAUTHENTICATED,
    ErrorCode.INTERNAL: CloseCode.INTERNAL,
    ErrorCode.TIMEOUT: CloseCode.OPEN_TIMEOUT,
}
"""How the error of a guard or a hook closes; all others are `FORBIDDEN`."""


def refusal_code(error: EventError) -> CloseCode:
    """The code that a refused connection is closed with."""
    return _REFUSALS.get(error.code, CloseCode.FORBIDDEN)


class Entrance(Protocol):
    """What a door is told that answers an opening after its hooks have run."""

    def opened(self) -> None:
        """The hooks have let the connection in; its events are handled next."""
        ...

    def refused(self, error: EventError) -> None:
        """A hook has not; the connection is closed next."""
        ...
