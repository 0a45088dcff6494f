"""What `authenticate` must look like."""

# Annotations come from variables here.
# pyright: reportInvalidTypeForm=false

from typing import Any

import pytest
from injector import Inject
from msgspec import Struct

from gatewright import Connection, Context, Emitter, Handshake, Identity, Principal, gateway, on
from tests.declare.support import accepted, refused


class User(Struct):
    name: str


class Tokens:
    def __init__(self) -> None:
        self.known = {"a": "ana"}


@gateway("/chat")
class Chat:
    @on("say")
    async def say(self, text: str) -> None: ...


def plain(handshake: Handshake) -> Identity[User] | None:
    return None


class Uncalled:
    def __repr__(self) -> str:
        return "<uncalled>"


UNCALLED = Uncalled()


@pytest.mark.parametrize(
    ("given", "named", "got"),
    [
        (plain, "plain", "a function that is not async"),
        (Uncalled, "Uncalled", "a class"),
        (UNCALLED, "<uncalled>", "<uncalled>"),
        ("token", "'token'", "'token'"),
    ],
)
def test_no_async_function(given: Any, named: str, got: str) -> None:
    assert refused(Chat, authenticate=given) == (
        f"authenticate={named}: expected an async function of a Handshake that returns an "
        f"Identity or None, got {got}. "
        "Write async def authenticate(handshake: Handshake) -> Identity[User] | None."
    )


@pytest.mark.parametrize(
    ("annotation", "got"),
    [(User, "User"), (bool, "bool"), (Identity[User] | str, "str"), (list[User], "list[User]")],
)
def test_another_return_type(annotation: Any, got: str) -> None:
    async def authenticate(handshake: Handshake) -> annotation:
        return None

    assert refused(Chat, authenticate=authenticate) == (
        "authenticate=authenticate, return type: expected Identity[P] or Identity[P] | None, "
        f"got {got}. Return Identity(user, principal), or None for an anonymous connection."
    )


@pytest.mark.parametrize(
    "annotation",
    [Identity[User], Identity[User] | None, Identity, Identity[User] | Identity[int], Any, None],
)
def test_the_return_types_that_are_right(annotation: Any) -> None:
    async def authenticate(handshake: Handshake) -> annotation:
        return None

    accepted(Chat, authenticate=authenticate)


def test_principal_as_a_parameter() -> None:
    async def authenticate(user: Principal[User]) -> Identity[User]:
        return Identity(user.name, user)

    assert refused(Chat, authenticate=authenticate) == (
        "authenticate=authenticate, parameter 'user': expected Handshake, Context or Inject[T], "
        "got Principal, which is what authenticate finds out. Take the Handshake."
    )


@pytest.mark.parametrize(
    ("annotation", "shown"), [(Connection, "Connection"), (Emitter, "Emitter")]
)
def test_a_connection_as_a_parameter(annotation: Any, shown: str) -> None:
    async def authenticate(what: annotation) -> Identity[User] | None:
        return None

    assert refused(Chat, authenticate=authenticate) == (
        "authenticate=authenticate, parameter 'what': expected Context, Handshake, Principal[T] "
        "or Inject[T]: this runs while a connection opens, "
        f"got {shown}, which does not exist yet. "
        "Take Handshake or Principal[T]; a guard of a handler may take the connection."
    )


def test_a_token_as_a_parameter() -> None:
    async def authenticate(token: str) -> Identity[User] | None:
        return None

    assert refused(Chat, authenticate=authenticate) == (
        "authenticate=authenticate, parameter 'token': expected a parameter that is known here, "
        "as Context, Principal[T] or Inject[T], got str, which only an event's data could be. "
        "Did you mean Inject[str]? Only @on handlers have a payload."
    )


def test_a_callable_instance_a_method_and_injected_things() -> None:
    class Door:
        async def __call__(self, handshake: Handshake) -> Identity[User] | None:
            return None

        async def method(self, context: Context, tokens: Inject[Tokens]) -> Identity[User] | None:
            return None

    def modules(binder: Any) -> None:
        binder.bind(Tokens)

    accepted(Chat, authenticate=Door())
    accepted(Chat, authenticate=Door().method, modules=[modules])
