"""Backplanes by URL, as configuration names them."""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from gatewright.backplane.base import Backplane
from gatewright.backplane.memory import Memory
from gatewright.backplane.sqlite import SQLite
from gatewright.errors import StartupError

__all__ = ["BACKPLANE", "WORKERS", "choose", "connect", "without_secrets", "workers"]

BACKPLANE: Final = "GATEWRIGHT_BACKPLANE"
"""The variable of the environment that names the backplane of applications which name none."""

WORKERS: Final = "GATEWRIGHT_WORKERS"
"""The variable by which `gatewright run` tells each worker how many there are."""


def connect(url: str) -> Backplane:
    """Make the backplane of a URL; it connects when the application starts.

    `memory:`, `sqlite:///file.db` (four slashes for an absolute path), `redis://host:6379/0`,
    `rediss://` with TLS, `redis+cluster://` and `rediss+cluster://` for a cluster,
    `unix:///redis.sock`, `nats://host:4222` or `tls://`. What stands behind `?` is given to the
    backplane: `?prefix=chat` (Redis), `?synchronous=normal` (SQLite). Raises `StartupError`.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _refused(url, f"one that cannot be read: {error}") from None
    match parts.scheme:
        case "memory" if url in ("memory:", "memory://"):
            return Memory()
        case "sqlite":
            return _sqlite(url, parts)
        case "redis" | "rediss" | "redis+cluster" | "rediss+cluster" | "unix":
            return _redis(url, parts)
        case "nats" | "tls":
            backplane: Backplane = _imported("nats", "Nats", url)(url)
            return backplane
        case _:
            raise _refused(url, repr(without_secrets(url)))


def choose(given: Backplane | None, environ: Mapping[str, str] = os.environ) -> Backplane:
    """The backplane of an application that starts: the one of its code, or of the environment.

    Raises `StartupError` where the two differ, and where several workers would share none.
    """
    named = _named(environ)
    if given is not None and named is not None and given.address != named.address:
        raise StartupError(
            "Gatewright(backplane=…)",
            expected=f"the backplane that {BACKPLANE} names, {named.address}",
            got=given.address,
            fix="Name it in one of the two places.",
        )
    backplane = given or named or Memory()
    count = workers(environ)
    if count > 1 and not backplane.shared:
        raise StartupError(
            "Gatewright(backplane=…)",
            expected=f"one that {count} workers can share",
            got=f"{backplane.address}, with which each worker would be a world of its own: its "
            "rooms, users and sessions would be unknown to the others",
            fix="Name Redis or NATS, by `gatewright run --backplane redis://localhost:6379`, by "
            f"{BACKPLANE} or in Gatewright(backplane=…); or run one worker.",
        )
    return backplane


def workers(environ: Mapping[str, str] = os.environ) -> int:
    """How many processes serve at this one's address, as far as `gatewright run` started them."""
    count = environ.get(WORKERS, "")
    return max(1, int(count)) if count.isdecimal() else 1


def _named(environ: Mapping[str, str]) -> Backplane | None:
    url = environ.get(BACKPLANE)
    if not url:
        return None
    try:
        return connect(url)
    except StartupError as error:
        raise StartupError(
            BACKPLANE, expected=error.expected, got=error.got, fix=error.fix
        ) from None


def without_secrets(url: str) -> str:
    """A URL to be shown: who it is for and with which options is left out."""
    scheme, colon, rest = url.partition("://")
    if not colon:
        return url.partition("?")[0].rpartition("@")[2]
    place, _, options = rest.partition("?")
    # An @ so late is in an option, or in a password that holds a question mark.
    return f"{scheme}://{'…' if '@' in options else place.rpartition('@')[2]}"


def _sqlite(url: str, parts: SplitResult) -> Backplane:
    # One slash ends the empty host; what follows is the path, as in SQLAlchemy's URLs.
    if parts.netloc or not url.startswith("sqlite:///") or len(parts.path) < 2:
        raise StartupError(
            f"connect({url!r})",
            expected="sqlite:///file.db, or sqlite:////srv/file.db for an absolute path",
            got=repr(url),
            fix="There are three slashes before a relative path, and four in all for an absolute.",
        )
    options: dict[str, Any] = dict(parse_qsl(parts.query, keep_blank_values=True))
    if options.keys() - {"synchronous"}:
        raise StartupError(
            f"connect({without_secrets(url)!r})",
            expected="no option but synchronous",
            got=", ".join(options),
            fix="Leave the others out.",
        )
    return SQLite(Path(unquote(parts.path[1:])), **options)


def _redis(url: str, parts: SplitResult) -> Backplane:
    made = _imported("redis", "Redis", url)
    # What is not ours is the client's.
    query = parse_qsl(parts.query, keep_blank_values=True)
    ours = dict(each for each in query if each[0] == "prefix")
    theirs = urlencode([each for each in query if each[0] != "prefix"])
    backplane: Backplane = made(url.partition("?")[0] + (theirs and f"?{theirs}"), **ours)
    return backplane


def _imported(module: str, name: str, url: str) -> Any:
    """A backplane that needs a package of its own; `module` is also that package and the extra."""
    try:
        return getattr(importlib.import_module(f"gatewright.backplane.{module}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module:
            raise
        raise StartupError(
            f"connect({without_secrets(url)!r})",
            expected=f"the package {error.name!r}, which this backplane is built upon",
            got="none that is installed",
            fix=f"pip install 'gatewright[{module}]'",
        ) from None


def _refused(url: str, got: str) -> StartupError:
    hint = "The URL says by its scheme what the backplane is."
    if "://" not in url and ":" in url.strip(":"):
        hint = f"Write redis://{without_secrets(url)} if that is a Redis."
    return StartupError(
        "connect(url)",
        expected="the URL of a backplane (memory:, sqlite:///file.db, redis://…, rediss://…, "
        "redis+cluster://…, rediss+cluster://…, unix://…, nats://…, tls://…)",
        got=got,
        fix=hint,
    )
