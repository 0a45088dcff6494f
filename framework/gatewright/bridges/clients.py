"""Clients of Redis, and whether it is there; the package is an extra."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from gatewright.bridges.figures import Figures
from gatewright.errors import StartupError
from gatewright.protocol.sessions.client.backoff import Backoff

__all__ = ["BACKOFF", "PATIENCE", "Breaks", "connector", "without_password"]

logger: logging.Logger = logging.getLogger("gatewright")

PATIENCE: Final = 5.0
"""Seconds in which Redis answers, or is taken for lost."""

BACKOFF: Final = Backoff(0.1, 5.0)
"""Seconds before it is tried again."""


class Breaks:
    """Which sides of a line are broken; a break is logged once, and so is its end."""

    def __init__(self, name: str, figures: Figures) -> None:
        self._name = name
        self._figures = figures
        self._since: dict[str, float] = {}

    @property
    def none(self) -> bool:
        return not self._since

    def begin(self, side: str, error: Exception) -> None:
        if not self._since:
            self._figures.breaks += 1
            logger.warning(
                "Socket.IO bridge: Redis at %s is lost (%s: %s); trying again",
                self._name,
                type(error).__name__,
                error,
            )
        self._since.setdefault(side, time.monotonic())

    def end(self, side: str) -> None:
        since = self._since.pop(side, None)
        if since is not None and not self._since:
            logger.info(
                "Socket.IO bridge: Redis at %s is back after %.1f s; %d messages were lost so far",
                self._name,
                time.monotonic() - since,
                self._figures.lost,
            )


def connector() -> Callable[[str], Any]:
    """What makes a client of Redis; raises `StartupError` without the extra."""
    try:
        from redis.asyncio import Redis  # noqa: PLC0415 - an extra
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
    except ImportError:
        raise StartupError(
            "SocketIORedis(…)",
            expected="the package redis",
            got="none",
            fix="Install the extra: pip install 'gatewright[redis]'.",
        ) from None

    def connect(url: str) -> Any:
        # The package tells the types of a part of it.
        client: Any = Redis
        try:
            return client.from_url(
                url,
                socket_timeout=PATIENCE,
                socket_connect_timeout=PATIENCE,
                # A repeated command would be a second message.
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError:
            raise StartupError(
                "SocketIORedis(url)",
                expected="redis://host:port, rediss:// or unix://",
                got=repr(without_password(url)),
                fix="Correct the URL.",
            ) from None

    return connect


def without_password(url: str) -> str:
    """A URL as it may be shown."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "…"
    return f"{parts.scheme}://{host}{parts.path}"
