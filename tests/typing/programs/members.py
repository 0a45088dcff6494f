"""Who may do what: an identity from a token, roles, an injected guard."""

from collections.abc import Callable
from typing import assert_type

from injector import Binder, Inject, Module, singleton
from msgspec import Struct

from gatewright import (
    CallNext,
    Connection,
    Context,
    EventError,
    Gatewright,
    Handshake,
    Identity,
    Principal,
    gateway,
    on,
)


class User(Struct, frozen=True):
    name: str
    roles: frozenset[str] = frozenset()


class Tokens:
    """The tokens that are known, and those that are banned."""

    def __init__(self) -> None:
        self.known = {
            "a": User("ana", frozenset({"admin"})),
            "b": User("ben"),
        }
        self.banned: set[str] = set()


class Access(Module):
    def configure(self, binder: Binder) -> None:
        binder.bind(Tokens, scope=singleton)


async def authenticate(handshake: Handshake, tokens: Inject[Tokens]) -> Identity[User] | None:
    token = handshake.auth if isinstance(handshake.auth, str) else handshake.query.get("token")
    if token is None:
        return None
    user = tokens.known.get(token)
    if user is None:
        raise EventError("unauthenticated", "no such token")
    return Identity(user.name, user)


def role(name: str) -> Callable[[Principal[User | None]], bool]:
    def guard(user: Principal[User | None]) -> bool:
        return user is not None and name in user.roles

    return guard


class NotBanned:
    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens

    async def __call__(self, user: Principal[User | None]) -> bool:
        return user is None or user.name not in self.tokens.banned


async def traced(context: Context, call_next: CallNext) -> object:
    answer = await call_next()
    return [context.event, answer]


@gateway("/members")
class MembersGateway:
    @on("whoami", interceptors=[traced])
    async def whoami(self, user: Principal[User | None]) -> str:
        assert_type(user, User | None)
        return user.name if user is not None else "nobody"

    @on("refresh")
    async def refresh(self, connection: Connection, token: str) -> None:
        await connection.authenticate(token)

    @on("secret", guards=[role("admin")])
    async def secret(self, user: Principal[User]) -> list[str]:
        assert_type(user, User)
        return sorted(user.roles)


@gateway("/admin", guards=[role("admin")])
class AdminGateway:
    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens

    @on("ban")
    async def ban(self, name: str) -> int:
        self.tokens.banned.add(name)
        return len(self.tokens.banned)


app = Gatewright(
    gateways=[MembersGateway, AdminGateway],
    modules=[Access()],
    guards=[NotBanned],
    authenticate=authenticate,
)
