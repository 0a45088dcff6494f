"""The exception tree, and the codes that travel to clients.

```
GatewrightError
├── StartupError        a declaration is wrong; raised while the application is built or started
├── NotStartedError     the application's lifespan has not run
├── BackplaneError      the backplane cannot do now what was asked of it
├── BridgeError         servers on the other side of a bridge are out of reach
├── EmitError           an emit that can never be right: unnamed, undeclared or unbound
└── EventError          the end of a call that failed; code, message and details go to the caller
    ├── CallTimeout     not every receiver answered an emitted call in time
    └── RequestTimeout  not every node answered a request in time
```
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

__all__ = [
    "BackplaneError",
    "BridgeError",
    "CallTimeout",
    "EmitError",
    "ErrorCode",
    "EventError",
    "GatewrightError",
    "NotStartedError",
    "RequestTimeout",
    "StartupError",
]


class ErrorCode(StrEnum):
    """Every code that the framework itself sends; a handler's `EventError` may use its own."""

    INVALID = "invalid"
    INTERNAL = "internal"
    UNKNOWN_EVENT = "unknown_event"
    BAD_FRAME = "bad_frame"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    TOO_MANY = "too_many"
    TOO_LARGE = "too_large"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    REPLY_LOST = "reply_lost"


class GatewrightError(Exception):
    """The base of every exception that gatewright raises on its own account."""


class StartupError(GatewrightError):
    """A wrong declaration, found before the first connection.

    `where` names class and method; the message reads "where: expected …, got …. fix".
    """

    def __init__(self, where: str, *, expected: str, got: str, fix: str) -> None:
        super().__init__(f"{where}: expected {expected}, got {got}. {fix}")
        self.where = where
        self.expected = expected
        self.got = got
        self.fix = fix


class NotStartedError(GatewrightError):
    """Something was asked of an application whose lifespan has not run."""


class BackplaneError(GatewrightError):
    """The backplane cannot do now what was asked of it; nothing of it was delivered."""


class BridgeError(GatewrightError):
    """The servers on the other side of a bridge cannot be reached now; nothing was told them."""


class EmitError(GatewrightError):
    """An emit that can never be right, whoever is connected."""


class EventError(GatewrightError):
    """The error that ends a call: it goes to the caller as it is.

    `code` is one of `ErrorCode` or the application's own; `details` is anything that msgspec can
    encode.
    """

    def __init__(self, code: str, message: str = "", details: object = None) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code: str = str(code)
        self.message: str = str(message)
        self.details = details


class CallTimeout(EventError):
    """Not every receiver of an emitted call answered in time.

    `answers` holds what did arrive, `missing` the ids of the connections that stayed silent, and
    `nodes` the nodes that did not even say whom they ask.
    """

    def __init__(
        self,
        timeout: float,
        answers: Sequence[object],
        errors: Mapping[str, EventError],
        missing: Sequence[str],
        nodes: Sequence[str] = (),
    ) -> None:
        total = len(answers) + len(errors) + len(missing)
        silent = f", nor did the nodes {', '.join(nodes)}" if nodes else ""
        super().__init__(
            ErrorCode.TIMEOUT,
            f"{len(missing)} of {total} receivers did not answer within {timeout:g} s{silent}",
        )
        self.nodes: list[str] = list(nodes)
        self.answers: list[object] = list(answers)
        self.errors: dict[str, EventError] = dict(errors)
        self.missing: list[str] = list(missing)


class RequestTimeout(EventError):
    """Not every node answered a request in time.

    `answers` and `errors` hold, by node, what did arrive; `missing` the nodes that stayed silent.
    """

    def __init__(
        self,
        timeout: float,
        answers: Mapping[str, object],
        errors: Mapping[str, EventError],
        missing: Sequence[str],
    ) -> None:
        super().__init__(
            ErrorCode.TIMEOUT,
            f"the nodes {', '.join(missing)} did not answer within {timeout:g} s",
        )
        self.answers: dict[str, object] = dict(answers)
        self.errors: dict[str, EventError] = dict(errors)
        self.missing: list[str] = list(missing)
