"""Gateways whose annotations are text, as `from __future__ import annotations` makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from injector import Inject
from msgspec import Struct

from gatewright import Connection, Emitter, Handshake, Identity, Principal, gateway, on

if TYPE_CHECKING:
    from decimal import Decimal


class User(Struct):
    name: str


class Clock:
    """Something to inject."""


class Later(Struct):
    amount: Decimal


async def authenticate(handshake: Handshake) -> Identity[User] | None:
    return None


@gateway("/right/{bench}")
class Right:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    @on("say")
    async def say(
        self,
        connection: Connection,
        bench: int,
        who: Principal[User],
        clock: Inject[Clock],
        text: str,
        times: int = 1,
    ) -> str:
        return text * times


@gateway("/unknown")
class Unknown:
    @on("pay")
    async def pay(self, amount: Decimal) -> None: ...


@gateway("/field")
class Field:
    @on("pay")
    async def pay(self, later: Later) -> None: ...


@gateway("/constructor")
class Constructor:
    def __init__(self, emitter: Emitter, rate: Decimal) -> None: ...

    @on("pay")
    async def pay(self, amount: int) -> None: ...


async def unknown_guard(amount: Decimal) -> bool:
    return True


async def unknown_authenticate(handshake: Handshake) -> Identity[Decimal]:
    raise NotImplementedError


def local_payload() -> Any:
    class Say(Struct):
        text: str

    @gateway("/local")
    class Local:
        @on("say")
        async def say(self, message: Say) -> None: ...

    return Local
