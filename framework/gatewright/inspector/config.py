"""What can be set about the admin."""

from typing import Any, Literal

from msgspec import Struct

from gatewright.declare.decorators import GATEWAY
from gatewright.declare.specs import GatewaySpec
from gatewright.errors import StartupError
from gatewright.inspector.events import EVENTS
from gatewright.inspector.gateways import Acting, Watching
from gatewright.inspector.inspector import Inspector
from gatewright.inspector.login import Login
from gatewright.inspector.passwords import is_hash

__all__ = ["Admin"]

ACTIONS = ("EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT")


class Admin(Struct, frozen=True, kw_only=True):
    """`Gatewright(admin=…)`: lets the page of `@socket.io/admin-ui` in, with this password.

    `password_hash` is what `hash_password` returns.
    """

    username: str

    password_hash: str

    namespace: str = "/admin"

    read_only: bool = False
    """Whether pages may only watch."""

    mode: Literal["development", "production"] = "development"
    """In production pages get figures only: no list of sockets, no rooms, no events."""

    server_id: str | None = None
    """What the page calls this server; by default its host's name and the process's number."""

    def __post_init__(self) -> None:
        if not self.username:
            raise _wrong("username", "a name", "none")
        if not is_hash(self.password_hash):
            # It may be the password itself: not even an error repeats it.
            raise _wrong(
                "password_hash",
                "a bcrypt hash, as $2b$12$…",
                "something else, perhaps the password itself",
                "Hash it: gatewright.inspector.hash_password(password).",
            )
        if not self.namespace.startswith("/") or "{" in self.namespace:
            raise _wrong("namespace", "a path without parameters, as /admin", repr(self.namespace))
        if self.mode not in {"development", "production"}:
            raise _wrong("mode", '"development" or "production"', repr(self.mode))

    def __repr__(self) -> str:
        return f"Admin(username={self.username!r}, namespace={self.namespace!r})"

    def inspector(self) -> Inspector:
        """What an application serves and starts; a new one for each application."""
        login = Login(self.username, self.password_hash)
        base = Watching if self.read_only else Acting
        spec = GatewaySpec(self.namespace, EVENTS, guards=(login,), apart=True)
        gateway: Any = type("AdminGateway", (base,), {GATEWAY: spec, "login": login})
        features = () if self.read_only else ACTIONS
        features = (*features, "AGGREGATED_EVENTS")
        if self.mode == "development":
            features = (*features, "ALL_EVENTS")
        return Inspector(gateway, self.namespace, features, self.server_id)


def _wrong(field: str, expected: str, got: str, fix: str = "") -> StartupError:
    where = f"Admin({field}=…)"
    return StartupError(where, expected=expected, got=got, fix=fix or f"Set {field}.")
