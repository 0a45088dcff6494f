"""What a client raises before it is connected."""

from gatewright.errors import GatewrightError

__all__ = ["ConnectError"]


class ConnectError(GatewrightError):
    """The server was not reached, or refused.

    `code` is the close code or the HTTP status of a refusal, None where nothing answered.
    """

    def __init__(self, url: str, code: int | None, reason: str) -> None:
        said = f"{code} {reason}".rstrip() if code is not None else reason
        super().__init__(f"{url}: {said}")
        self.code = code
        self.reason = reason
