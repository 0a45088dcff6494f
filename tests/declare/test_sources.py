"""Parameters by type: what each of them needs, and where it makes no sense."""

# Annotations come from variables here.
# pyright: reportInvalidTypeForm=false

from typing import Annotated, Any, Protocol

import pytest
from injector import Inject
from msgspec import Struct

from gatewright import (
    Connection,
    Context,
    DisconnectReason,
    Emitter,
    From,
    Gap,
    Handshake,
    Identity,
    Principal,
    State,
    authorize_room,
    gateway,
    on,
    on_connect,
    on_disconnect,
    on_end,
    on_resume,
    on_start,
    on_stop,
)
from tests.declare.support import accepted, payloads, refused


class User(Struct):
    name: str


class Admin(User):
    pass


class Bot(Struct):
    token: str


class Named(Protocol):
    name: str


class Repository:
    pass


class Seen(Struct):
    events: int = 0


class Other(Struct):
    events: int = 0


class Strict(Struct):
    events: int


async def authenticate(handshake: Handshake) -> Identity[User] | None:
    return None


async def admins(handshake: Handshake) -> Identity[Admin]:
    return Identity("root", Admin("root"))


async def both(handshake: Handshake) -> Identity[User] | Identity[Bot] | None:
    return None


async def anybody(handshake: Handshake) -> Identity[Any]:
    return Identity("a", None)


async def untold(handshake: Handshake):  # type: ignore[no-untyped-def]  # noqa: ANN201
    return None


def handling(annotation: Any, path: str = "/chat") -> Any:
    """A gateway whose one handler has one parameter of this annotation."""

    async def say(self: Any, what: annotation) -> None: ...

    return gateway(path)(type("Chat", (), {"say": on("say")(say)}))


def hooked(hook: Any, annotation: Any, path: str = "/chat") -> Any:
    """A gateway whose one hook has one parameter of this annotation."""

    async def run(self: Any, what: annotation) -> Any: ...

    return gateway(path)(type("Chat", (), {"run": hook(run)}))


# Principal


def test_principal_without_authenticate() -> None:
    assert refused(handling(Principal[User])) == (
        "Chat.say, parameter 'what': expected an application with authenticate=…, which "
        "Principal comes from, got one without. "
        "Pass Gatewright(authenticate=…), an async function returning an Identity."
    )


@pytest.mark.parametrize(
    ("annotation", "known", "expected", "got"),
    [
        (Principal[Bot], authenticate, "Principal[User]", "Principal[Bot]"),
        (Principal[Admin], authenticate, "Principal[User]", "Principal[Admin]"),
        (Principal[Bot | None], authenticate, "Principal[User]", "Principal[Bot | None]"),  # type: ignore[misc]
        (Principal[User], both, "Principal[User | Bot]", "Principal[User]"),
    ],
)
def test_principal_of_another_type(annotation: Any, known: Any, expected: str, got: str) -> None:
    assert refused(handling(annotation), authenticate=known) == (
        f"Chat.say, parameter 'what': expected {expected}, as authenticate returns it, got {got}. "
        "Name the type that authenticate puts in its Identity."
    )


@pytest.mark.parametrize(
    ("annotation", "known"),
    [
        (Principal[User], authenticate),
        (Principal[User | None], authenticate),  # type: ignore[misc]
        (Principal[User], admins),
        (Principal[User | Bot], both),  # type: ignore[misc]
        (Principal[User | Bot | None], both),  # type: ignore[misc]
        (Principal[Any], authenticate),  # type: ignore[misc]
        (Principal[Named], authenticate),
        (Principal[Bot], anybody),
        (Principal[Bot], untold),
    ],
)
def test_principal_of_what_authenticate_returns(annotation: Any, known: Any) -> None:
    assert payloads(accepted(handling(annotation), authenticate=known)) == {"say": []}


def test_principal_of_a_guard_and_a_hook() -> None:
    def guard(user: Principal[Bot]) -> bool:
        return True

    what = "got Principal[Bot]. Name the type that authenticate puts in its Identity."
    expected = "expected Principal[User], as authenticate returns it"
    assert refused(handling(str), guards=[guard], authenticate=authenticate) == (
        f"Gatewright(guards=…): guard, parameter 'user': {expected}, {what}"
    )
    assert refused(hooked(on_connect, Principal[Bot]), authenticate=authenticate) == (
        f"Chat.run, parameter 'what': {expected}, {what}"
    )


@pytest.mark.parametrize(
    ("annotation", "shown"),
    [
        (Connection | None, "Connection | None"),
        (Emitter | int, "Emitter | int"),
        (Inject[Repository] | None, "Inject[Repository] | None"),
        (State[Seen] | None, "State[Seen] | None"),
        (Principal[User] | None, "Principal[User] | None"),
    ],
)
def test_a_union_with_something_known(annotation: Any, shown: str) -> None:
    assert refused(handling(annotation)) == (
        f"Chat.say, parameter 'what': expected one source for the value, got {shown}. "
        "Take the type alone; write Principal[User | None] for an optional principal."
    )


def test_an_optional_inside_inject() -> None:
    assert refused(handling(Inject[Repository | None])) == (  # type: ignore[misc]
        "Chat.say, parameter 'what': expected Inject[T] of one type, "
        "got Inject[Repository | None], which injector passes over in silence. "
        "Bind a null object, or inject without None."
    )


# State


@pytest.mark.parametrize(
    ("annotation", "got"),
    [(State[dict[str, int]], "State[dict[str, int]]"), (State[Repository], "State[Repository]")],
)
def test_state_of_no_struct(annotation: Any, got: str) -> None:
    assert refused(handling(annotation)) == (
        f"Chat.say, parameter 'what': expected State of a Struct, got {got}. "
        "Declare the state as a Struct whose fields have defaults."
    )


def test_state_without_defaults() -> None:
    assert refused(handling(State[Strict])) == (
        "Chat.say, parameter 'what': expected a State whose fields all have defaults, "
        "got Strict, which cannot be made without arguments. "
        "Give each field the value that a new connection starts with."
    )


def test_two_states() -> None:
    @gateway("/chat")
    class Chat:
        @on("say")
        async def say(self, seen: State[Seen]) -> None: ...

        @on_connect
        async def arrive(self, other: State[Other]) -> None: ...

    assert refused(Chat) == (
        "Chat.arrive, parameter 'other': expected one State of a namespace, Seen as in Chat.say, "
        "got Other. Join them in one Struct."
    )


def test_two_states_of_two_gateways() -> None:
    @gateway("/chat")
    class Bots:
        @on("tell")
        async def tell(self, other: State[Other]) -> None: ...

    assert refused(handling(State[Seen]), Bots) == (
        "Bots.tell, parameter 'other': expected one State of a namespace, Seen as in Chat.say, "
        "got Other. Join them in one Struct."
    )


# From


@pytest.mark.parametrize(
    ("marker", "shown"),
    [(From, "From without one"), (From("text"), "From(text)")],  # type: ignore[arg-type]
)
def test_from_without_an_extractor(marker: Any, shown: str) -> None:
    assert refused(handling(Annotated[str, marker])) == (
        f"Chat.say, parameter 'what': expected From(extractor), a function of the Context, "
        f"got {shown}. "
        "Write Annotated[str, From(language)] with def language(context: Context) -> str."
    )


# Hooks


HOOKS = [on_connect, on_resume, on_disconnect, on_end, on_start, on_stop]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_payload_of_a_hook(hook: Any) -> None:
    assert refused(hooked(hook, User)) == (
        "Chat.run, parameter 'what': expected a parameter that is known here, as Context, "
        "Principal[T] or Inject[T], got User, which only an event's data could be. "
        "Did you mean Inject[User]? Only @on handlers have a payload."
    )


@pytest.mark.parametrize("hook", [on_start, on_stop])
@pytest.mark.parametrize(
    ("annotation", "shown"),
    [
        (Connection, "Connection"),
        (Context, "Context"),
        (Handshake, "Handshake"),
        (Principal[User], "User"),
        (State[Seen], "Seen"),
        (Annotated[str, From(str)], "str"),
    ],
)
def test_a_connection_where_there_is_none(hook: Any, annotation: Any, shown: str) -> None:
    assert refused(hooked(hook, annotation), authenticate=authenticate) == (
        f"Chat.run, parameter 'what': expected a parameter that is known here, got {shown}. "
        "Remove it: there is no connection here."
    )


@pytest.mark.parametrize("hook", [on_start, on_stop])
def test_an_emitter_without_a_namespace(hook: Any) -> None:
    accepted(hooked(hook, Emitter))
    assert refused(hooked(hook, Emitter, "/lab/{bench}")) == (
        "Chat.run, parameter 'what': expected an emitter that is bound to a namespace: this hook "
        "has no connection, got Emitter in a gateway with path parameters. Take Inject[Emitter] "
        'and name the namespace: emitter.of("/lab/{bench}", bench=7).'
    )


@pytest.mark.parametrize("hook", [on_connect, on_resume, on_end, on_start])
def test_a_reason_of_another_hook(hook: Any) -> None:
    assert refused(hooked(hook, DisconnectReason)) == (
        "Chat.run, parameter 'what': expected a parameter that is known here, "
        "got DisconnectReason, which only @on_disconnect has. Remove it."
    )


@pytest.mark.parametrize("hook", [on_connect, on_disconnect, on_end, on_start])
def test_a_gap_of_another_hook(hook: Any) -> None:
    assert refused(hooked(hook, Gap | None)) == (
        "Chat.run, parameter 'what': expected a parameter that is known here, "
        "got Gap | None, which only @on_resume has. Remove it."
    )


def test_a_gap_that_is_always_there() -> None:
    accepted(hooked(on_resume, Gap | None))
    assert refused(hooked(on_resume, Gap)) == (
        "Chat.run, parameter 'what': expected Gap | None: most resumes have missed nothing, "
        "got Gap. Write Gap | None."
    )


def test_a_payload_of_authorize_room() -> None:
    accepted(hooked(authorize_room, str))
    assert refused(hooked(authorize_room, int)) == (
        "Chat.run, parameter 'what': expected a parameter that is known here, as Context, "
        "Principal[T] or Inject[T], got int, which only an event's data could be. "
        "Did you mean Inject[int]? Only @on handlers have a payload."
    )
