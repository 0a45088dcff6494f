"""Where NATS is and how one gets in: URLs and options, judged before anything is connected."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from msgspec import Struct

from gatewright.backplane.nats.streams import STORAGES, Layout, Storage
from gatewright.errors import StartupError

__all__ = ["DEFAULT_PREFIX", "Options"]

DEFAULT_PREFIX: Final = "gatewright"
PREFIX: Final = re.compile(r"[A-Za-z0-9_]{1,32}")
SCHEMES: Final = ("nats", "tls")
PORT: Final = 4222
MOST_REPLICAS: Final = 5

THEIRS: Final = frozenset(
    {
        "user",
        "password",
        "token",
        "user_credentials",
        "nkeys_seed",
        "nkeys_seed_str",
        "signature_cb",
        "user_jwt_cb",
        "tls",
        "tls_hostname",
        "tls_handshake_first",
        "inbox_prefix",
    }
)
"""What of `nats.connect` says who connects; how a connection is kept is the backplane's matter."""


class Options(Struct, frozen=True):
    """The servers, with a secret for each that has one, and what is made there."""

    servers: tuple[str, ...]
    layout: Layout
    arguments: Mapping[str, Any]
    address: str
    """Which lanes and sessions these are: the same for all who share them."""

    @classmethod
    def of(
        cls,
        url: str | Sequence[str],
        prefix: str | None,
        replicas: int | None,
        storage: Storage | None,
        further: Mapping[str, Any],
    ) -> "Options":
        """Read URLs and what is given beside them; raises `StartupError`."""
        urls = [url] if isinstance(url, str) else list(url)
        servers: list[str] = []
        places: list[str] = []
        query: dict[str, str] = {}
        schemes: set[str] = set()
        for each in urls:
            parts = _split(each)
            schemes.add(parts.scheme)
            query |= dict(parse_qsl(parts.query, keep_blank_values=True))
            login, at, hosts = parts.netloc.rpartition("@")
            for host in hosts.split(","):
                place = _place(host)
                places.append(place)
                servers.append(f"{parts.scheme}://{login}{at}{place}")
        if len(schemes) != 1:
            raise _refused("one scheme for all servers, nats:// or tls://", str(sorted(schemes)))
        layout = _layout(query, prefix, replicas, storage)
        _check(further)
        (scheme,) = schemes
        options = "" if layout.prefix == DEFAULT_PREFIX else f"?prefix={layout.prefix}"
        address = f"{scheme}://{','.join(sorted(places))}{options}"
        return cls(tuple(servers), layout, dict(further), address)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _refused("a URL", f"one that cannot be read: {error}") from None
    if parts.scheme not in SCHEMES or not parts.netloc or parts.path.strip("/"):
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        raise _refused("nats://host:4222, or tls:// and the same", repr(shown))
    return parts


def _place(host: str) -> str:
    try:
        parts = urlsplit(f"//{host}")
        port = parts.port or PORT
    except ValueError as error:
        raise _refused("a host and a port", f"{host!r}: {error}") from None
    if not parts.hostname:
        raise _refused("a host in the URL", repr(host))
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{name}:{port}"


def _layout(
    query: Mapping[str, str], prefix: str | None, replicas: int | None, storage: Storage | None
) -> Layout:
    if query.keys() - {"prefix", "replicas", "storage"}:
        unknown = ", ".join(sorted(query.keys() - {"prefix", "replicas", "storage"}))
        raise _refused("no option in the URL but prefix, replicas and storage", unknown)
    prefix = prefix if prefix is not None else query.get("prefix", DEFAULT_PREFIX)
    if not PREFIX.fullmatch(prefix):
        raise _refused("a prefix of 1 to 32 letters, digits and underscores", repr(prefix))
    copies = replicas if replicas is not None else query.get("replicas", "1")
    if str(copies) not in map(str, range(1, MOST_REPLICAS + 1)):
        raise _refused(f"1 to {MOST_REPLICAS} replicas", repr(copies))
    kept: object = storage if storage is not None else query.get("storage", "file")
    for known in STORAGES:
        if kept == known:
            return Layout(prefix, int(copies), known)
    raise _refused("'file' or 'memory' as storage", repr(kept))


def _check(further: Mapping[str, Any]) -> None:
    for name in further:
        if name not in THEIRS:
            raise _refused(
                f"options of nats.connect that say who connects ({', '.join(sorted(THEIRS))})",
                name,
                "Leave it out: how connections are kept is the backplane's own matter.",
            )


def _refused(
    expected: str, got: str, fix: str = "As in Nats('nats://host:4222', prefix='chat')."
) -> StartupError:
    return StartupError("Nats(url)", expected=expected, got=got, fix=fix)
