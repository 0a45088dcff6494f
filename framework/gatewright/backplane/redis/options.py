"""Where Redis is and how one gets in: URLs and options, judged before anything is connected."""

import re
from collections.abc import Mapping
from typing import Any, Final, Protocol, cast
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct
from redis.asyncio import Connection, UnixDomainSocketConnection
from redis.asyncio.connection import parse_url
from redis.exceptions import RedisError

from gatewright.errors import StartupError

__all__ = ["DEFAULT_PREFIX", "SILENCE", "Address", "Options", "Wire"]

SILENCE: Final = 2.0
"""Seconds within which a server connects and answers, or is given up."""

DEFAULT_PREFIX: Final = "gatewright"
PREFIX: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")

SCHEMES: Final = ("redis", "rediss", "redis+cluster", "rediss+cluster", "unix")

_OURS: Final = {
    # A step that is done again unknown to us would be done twice, and a message missed (R2, R10).
    "retry": "nothing is tried again behind the backplane's back",
    "retry_on_error": "nothing is tried again behind the backplane's back",
    "retry_on_timeout": "nothing is tried again behind the backplane's back",
    "health_check_interval": "the backplane looks every second",
    "socket_timeout": "the backplane gives a server up after 2 seconds",
    "socket_connect_timeout": "the backplane gives a server up after 2 seconds",
    "timeout": "the backplane gives a server up after 2 seconds",
    "max_connections": "there are two connections to each server",
    "decode_responses": "what it carries is bytes",
    "encoding": "what it carries is bytes",
    "encoding_errors": "what it carries is bytes",
    "protocol": "the backplane speaks RESP 2",
    "parser_class": "redis-py chooses: hiredis, if it is installed",
    "host": "it is in the URL",
    "port": "it is in the URL",
    "path": "it is in the URL",
}


class Address(Struct, frozen=True):
    """Of one server; a Unix socket's path stands for the host, with port 0."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host


class Wire(Protocol):
    """What is used of a connection of redis-py, whose types are incomplete."""

    socket_timeout: float | None

    async def connect(self) -> object: ...

    async def disconnect(self, nowait: bool = ...) -> object: ...  # noqa: FBT001

    def pack_command(self, *args: Any) -> list[bytes]: ...

    async def send_command(self, *args: Any) -> object: ...

    async def send_packed_command(
        self,
        command: list[bytes],
        check_health: bool = ...,  # noqa: FBT001
    ) -> object: ...

    async def read_response(self) -> Any: ...


class Options(Struct, frozen=True):
    """How connections are made; `addresses` are those that the URL names."""

    text: str
    """The URL without its secrets, for people."""
    cluster: bool
    addresses: tuple[Address, ...]
    database: int
    prefix: str
    kind: type[Connection] | type[UnixDomainSocketConnection]
    arguments: Mapping[str, Any]

    @property
    def where(self) -> str:
        """How an error names this backplane."""
        return f"Redis({self.text!r})"

    @property
    def address(self) -> str:
        """Which lanes and sessions these are: the same for all who share them."""
        scheme, _, rest = self.text.partition("://")
        cluster = "+cluster" if self.cluster else ""
        prefix = "" if self.prefix == DEFAULT_PREFIX else f"?prefix={self.prefix}"
        place = rest.rpartition("@")[2].rstrip("/")
        return f"{scheme.partition('+')[0]}{cluster}://{place}{prefix}"

    def connection(self, address: Address) -> Wire:
        """One that has not connected yet."""
        place: dict[str, Any] = (
            {"host": address.host, "port": address.port}
            if issubclass(self.kind, Connection)
            else {"path": address.host}
        )
        # RESP 2 is what redis-py reads fastest: pushed messages are plain replies.
        connection: Any = self.kind(
            **place,
            **self.arguments,
            protocol=2,
            socket_timeout=SILENCE,
            socket_connect_timeout=SILENCE,
        )
        return cast(Wire, connection)

    @classmethod
    def of(
        cls, url: str, prefix: str, further: Mapping[str, Any], *, cluster: bool = False
    ) -> "Options":
        """Read a URL and what is given beside it; raises `StartupError`."""
        parts = urlsplit(url)
        text = _redacted(url)
        where = f"Redis({text!r})"
        if parts.scheme not in SCHEMES:
            raise StartupError(
                where,
                expected=f"a URL with one of the schemes {', '.join(SCHEMES)}",
                got=repr(text),
                fix="One server: redis://host:6379/0. A cluster: redis+cluster://host1:6379,host2:6379.",
            )
        if not PREFIX.fullmatch(prefix):
            raise StartupError(
                f"{where}, prefix=…",
                expected="1 to 64 letters, digits and any of _ . : / -",
                got=repr(prefix),
                fix="All keys and channels begin with it: name the application.",
            )
        scheme, _, kind = parts.scheme.partition("+")
        cluster = cluster or kind == "cluster"
        hosts = _hosts(parts.netloc)
        if not cluster and len(hosts) > 1:
            raise StartupError(
                where,
                expected="one server",
                got=f"{len(hosts)}",
                fix="Several are named for a cluster only: redis+cluster://…",
            )
        arguments, addresses = _read(where, scheme, parts.netloc, hosts, parts.path, parts.query)
        arguments = {**arguments, **further}
        for name, reason in _OURS.items():
            if name in arguments:
                raise StartupError(
                    where,
                    expected="options of a connection",
                    got=name,
                    fix=f"Leave it out: {reason}.",
                )
        made = arguments.pop("connection_class", Connection)
        database = arguments.get("db") or 0
        if cluster and database:
            raise StartupError(
                where,
                expected="database 0, the only one that a cluster has",
                got=str(database),
                fix="Use another prefix to keep applications apart.",
            )
        options = cls(text, cluster, addresses, database, prefix, made, arguments)
        try:
            options.connection(addresses[0])
        except (TypeError, ValueError, RedisError) as error:
            # Its words name the options, not what they were set to.
            raise StartupError(
                where,
                expected="options of redis.asyncio.Connection, or of SSLConnection for rediss://",
                got=str(error),
                fix="Look for a slip of the pen, and for ssl_… options without rediss://.",
            ) from None
        return options


def _read(
    where: str, scheme: str, netloc: str, hosts: list[str], path: str, query: str
) -> tuple[dict[str, Any], tuple[Address, ...]]:
    """What redis-py reads in a URL, and in one for each host."""
    login, _, _ = netloc.rpartition("@")
    arguments: dict[str, Any] = {}
    addresses: list[Address] = []
    for host in hosts:
        single = urlunsplit((scheme, f"{login}@{host}" if login else host, path, query, ""))
        try:
            arguments = dict(parse_url(single))
            port = int(arguments.pop("port", 0 if scheme == "unix" else 6379))
        except ValueError as error:
            raise StartupError(
                where, expected="a URL", got=str(error), fix="Mend host, port or query."
            ) from None
        if scheme == "unix":
            addresses.append(Address(arguments.pop("path", ""), 0))
        else:
            addresses.append(Address(arguments.pop("host", "localhost"), port))
    return arguments, tuple(addresses)


def _hosts(netloc: str) -> list[str]:
    return netloc.rpartition("@")[2].split(",")


def _redacted(url: str) -> str:
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    user = login.partition(":")[0]
    # A query may hold a password as well.
    return urlunsplit((parts.scheme, f"{user}@{hosts}" if user else hosts, parts.path, "", ""))
