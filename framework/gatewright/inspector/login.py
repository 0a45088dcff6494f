"""Who may open the admin's namespace."""

import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest
from ipaddress import IPv6Address, ip_address
from typing import Final

from msgspec import Struct, ValidationError, convert

from gatewright.context import Context
from gatewright.errors import ErrorCode, EventError
from gatewright.inspector.passwords import matches
from gatewright.protocol.rates import TokenBucket
from gatewright.settings import Rate
from gatewright.types import Handshake

__all__ = ["Attempts", "Login", "Sessions"]

logger: logging.Logger = logging.getLogger("gatewright")

INVALID: Final = "invalid credentials"
"""The reference's words: its page asks for the password again when it reads them."""

SESSION_LIFETIME: Final = 24 * 3600.0
MAX_SESSIONS: Final = 1000

PER_CLIENT: Final = Rate(0.1, 5)
ALTOGETHER: Final = Rate(1, 20)
MAX_CLIENTS: Final = 4096

Clock = Callable[[], float]


class Sessions:
    """The ids that the page keeps, so that a reload asks for no password; by their hashes."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._ends: OrderedDict[bytes, float] = OrderedDict()

    def begin(self) -> str:
        """A new session's id."""
        id = secrets.token_urlsafe(16)
        self._ends[_hash(id)] = self._clock() + SESSION_LIFETIME
        if len(self._ends) > MAX_SESSIONS:
            self._ends.popitem(last=False)
        return id

    def knows(self, id: str | None) -> bool:
        """Whether it is the id of a session that has not ended."""
        return id is not None and self._ends.get(_hash(id), 0.0) > self._clock()


class Attempts:
    """How often a password may be tried: by one client, and altogether."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._all = TokenBucket(ALTOGETHER, clock())
        self._clients: OrderedDict[str, TokenBucket] = OrderedDict()

    def allow(self, client: str | None) -> bool:
        """Whether a client may try once more."""
        now, key = self._clock(), _network(client)
        bucket = self._clients.get(key)
        if bucket is None:
            bucket = self._clients[key] = TokenBucket(PER_CLIENT, now)
            if len(self._clients) > MAX_CLIENTS:
                self._clients.popitem(last=False)
        return bucket.take(now) and self._all.take(now)

    def succeeded(self, client: str | None) -> None:
        """It was the right password: what came before is forgotten."""
        self._clients.pop(_network(client), None)


class Credentials(Struct, rename="camel"):
    """What a page shows at the door."""

    username: str | None = None
    password: str | None = None
    session_id: str | None = None


class Login:
    """The guard of the admin's namespace."""

    def __init__(self, username: str, password_hash: str, clock: Clock = time.monotonic) -> None:
        self.sessions: Sessions = Sessions(clock)
        self._attempts = Attempts(clock)
        self._username = username
        self._password_hash = password_hash

    async def __call__(self, context: Context) -> None:
        if context.event is not None:
            # Whoever is inside was asked at the door.
            return
        handshake = context.handshake
        if not self.knows(handshake):
            given = _credentials(handshake)
            await self._check(given.username, given.password, handshake.client)

    def knows(self, handshake: Handshake) -> bool:
        """Whether a page shows a session that it was given before."""
        return self.sessions.knows(_credentials(handshake).session_id)

    async def _check(self, username: str | None, password: str | None, client: str | None) -> None:
        if not username or not password:
            raise EventError(ErrorCode.UNAUTHENTICATED, INVALID)
        if not self._attempts.allow(client):
            logger.warning("admin: too many logins, refused one from %s", client)
            raise EventError(ErrorCode.TOO_MANY, "too many failed logins; try again in a minute")
        # Both are always looked at: how long it takes does not tell which one was wrong.
        known = compare_digest(_hash(username), _hash(self._username))
        right = await matches(password, self._password_hash)
        if not (known and right):
            logger.warning("admin: a login from %s failed", client)
            raise EventError(ErrorCode.UNAUTHENTICATED, INVALID)
        self._attempts.succeeded(client)


def _credentials(handshake: Handshake) -> Credentials:
    """What a page has sent; nothing, where it is anything else."""
    try:
        return convert(handshake.auth, Credentials)
    except ValidationError:
        return Credentials()


def _hash(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def _network(client: str | None) -> str:
    """Whom attempts are counted for: of IPv6 the network, whose addresses all are one client's."""
    try:
        address = ip_address(client or "")
    except ValueError:
        return client or ""
    if isinstance(address, IPv6Address):
        return str(IPv6Address(int(address) >> 64 << 64))
    return str(address)
