# type: ignore
# ruff: noqa: T201, PGH003
"""What must not pass a type checker where gateways are declared. Checked, never run.

A line that must be reported ends in `# error`; every other line must not be. The first line keeps
the project's own checks away; tests/typing/test_misuse.py checks the file without it.
"""

from collections.abc import AsyncIterator
from typing import Any, assert_type

from injector import Inject, Module
from msgspec import Struct

from gatewright import (
    CallNext,
    Connection,
    Context,
    Event,
    EventError,
    From,
    Gatewright,
    Handshake,
    Identity,
    Principal,
    State,
    app_scoped,
    authorize_room,
    catch,
    gateway,
    on,
    on_connect,
    resource,
)
from tests.typing.programs.chat import ChatGateway, Said
from tests.typing.programs.ledger import Accounts
from tests.typing.programs.members import User


class Plain(Struct):
    text: str


# Events

Said("ana", "hi")
Said(1, "hi")  # error
Said("ana")  # error
Said("ana", "hi", "more")  # error
Said("ana", "hi").author = 5  # error


class Named(Event, event="named", frozen=True):
    text: str


Named("text").text = "other"  # error


# Handlers


@gateway("/handlers")
class Handlers:
    @on("right")
    async def right(self, connection: Connection, text: str, times: int = 1) -> int:
        return len(text) * times

    @on("stream")
    async def stream(self, to: int) -> AsyncIterator[int]:
        yield to

    @on("plain")  # error
    def plain(self, text: str) -> int:
        return len(text)

    @on(5)  # error
    async def numbered(self, text: str) -> None: ...

    @on_connect
    async def arrive(self, connection: Connection) -> None: ...

    @on_connect  # error
    def arrive_at_once(self, connection: Connection) -> None: ...

    @on_connect  # error
    async def arrive_with(self, connection: Connection) -> int:
        return 5

    @authorize_room  # error
    async def may_enter(self, connection: Connection, room: str) -> None: ...

    @on("markers")
    async def markers(
        self, user: Principal[User], state: State[Plain], accounts: Inject[Accounts]
    ) -> None:
        assert_type(user, User)
        assert_type(state, Plain)
        assert_type(accounts, Accounts)
        print(user.nickname)  # error
        print(state.author)  # error
        accounts.missing()  # error


async def calls_handlers(handlers: Handlers, connection: Connection) -> None:
    # A decorator leaves a method's type alone: it can still be called and tested.
    assert_type(await handlers.right(connection, "text"), int)
    await handlers.right(connection, 5)  # error
    async for number in handlers.stream(3):
        assert_type(number, int)


# Gateways


@gateway(5)  # error
class Five: ...


@gateway("/emits", emits=Said)  # error
class Emits: ...


@gateway("/one", concurrency="2")  # error
class One: ...


assert_type(ChatGateway, type[ChatGateway])


# Around


def guard(user: Principal[User]) -> bool:
    return True


async def slow_guard(context: Context) -> None: ...


def says_yes(context: Context) -> str:
    return "yes"


async def around(context: Context, call_next: CallNext) -> object:
    return await call_next()


def not_around(context: Context, call_next: CallNext) -> object:
    return call_next()


async def too_few(context: Context) -> object:
    return context


@gateway("/around", guards=[guard, slow_guard], interceptors=[around])
class Around: ...


@gateway("/around", guards=[says_yes])  # error
class Guarded: ...


@gateway("/around", interceptors=[not_around])  # error
class NotAround: ...


@gateway("/around", interceptors=[too_few])  # error
class TooFew: ...


# Errors


@catch(ValueError)
async def on_value(error: ValueError, context: Context) -> EventError:
    return EventError("value", str(error))


@catch(ValueError)
async def on_any(error: Exception, context: Context) -> EventError:
    return EventError("any")


@catch(ValueError)  # error
async def on_key(error: KeyError, context: Context) -> EventError:
    return EventError("key")


@catch(ValueError)  # error
async def on_text(error: ValueError, context: Context) -> str:
    return "value"


@catch(ValueError)  # error
def at_once(error: ValueError, context: Context) -> EventError:
    return EventError("value")


@catch(int)  # error
async def on_int(error: int, context: Context) -> EventError:
    return EventError("int")


# The application


async def authenticate(handshake: Handshake) -> Identity[User] | None:
    return Identity("ana", User("ana"))


def at_the_door(handshake: Handshake) -> Identity[User] | None:
    return None


async def user_alone(handshake: Handshake) -> User:
    return User("ana")


Gatewright([ChatGateway], authenticate=authenticate, guards=[guard], errors=[on_value])
Gatewright()  # error
Gatewright(ChatGateway)  # error
Gatewright([ChatGateway()])  # error
Gatewright([ChatGateway], debug="yes")  # error
Gatewright([ChatGateway], concurrency=3)  # error
Gatewright([ChatGateway], errors={ValueError: on_value})  # error
Gatewright([ChatGateway], authenticate=at_the_door)  # error
Gatewright([ChatGateway], authenticate=user_alone)  # error
Identity("ana")  # error
From("text")  # error


class Resources(Module):
    @app_scoped
    @resource
    async def plain(self) -> AsyncIterator[Plain]:
        yield Plain("text")

    @app_scoped
    @resource  # error
    async def returns(self) -> Plain:
        return Plain("text")


async def principals(connection: Connection) -> None:
    assert_type(connection.principal, Any)
