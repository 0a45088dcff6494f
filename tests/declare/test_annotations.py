"""Annotations: missing, unresolved, postponed, generic."""

# Annotations come from variables here.
# pyright: reportInvalidTypeForm=false

from typing import Any, Generic, TypeVar

import pytest
from injector import Inject
from msgspec import Struct

from gatewright import Emitter, Principal, State, gateway, on
from tests.declare import postponed
from tests.declare.support import accepted, payloads, refused

T = TypeVar("T")
U = TypeVar("U")

RESOLVED = "expected annotations that can be resolved when the application is built"
MOVE = "Import it at run time (not under TYPE_CHECKING), or move it to module level."


def bind_clock(binder: Any) -> None:
    binder.bind(postponed.Clock)


def test_no_annotation() -> None:
    @gateway("/chat")
    class Chat:
        @on("say")
        async def say(self, text) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001

    assert refused(Chat) == (
        "Chat.say, parameter 'text': expected an annotation, got none. "
        "Write its type: text: str, for instance."
    )


def test_no_self() -> None:
    @gateway("/chat")
    class Chat:
        @on("say")
        async def say() -> None: ...  # type: ignore[misc]

    assert refused(Chat) == ("Chat.say: expected a method with self, got no parameter. Add self.")


@pytest.mark.parametrize("stars", ["*", "**"])
def test_any_number_of_arguments(stars: str) -> None:
    async def one(self: Any, *words: str) -> None: ...
    async def two(self: Any, **words: str) -> None: ...

    method = on("say")(one if stars == "*" else two)
    chat = gateway("/chat")(type("Chat", (), {"say": method}))
    assert refused(chat) == (
        f"Chat.say, parameter 'words': expected named parameters, got {stars}words. "
        "Name each argument; a decorator around a handler needs functools.wraps."
    )


@pytest.mark.parametrize(
    ("annotation", "shown"), [(5, "5"), ([int], "[<class 'int'>]"), ("1 +", "ForwardRef")]
)
def test_an_annotation_that_is_no_type(annotation: Any, shown: str) -> None:
    async def say(self: Any, text: str) -> None: ...

    say.__annotations__["text"] = annotation
    chat = gateway("/chat")(type("Chat", (), {"say": on("say")(say)}))
    message = refused(chat)
    if annotation == "1 +":
        assert message == (
            f"Chat.say: {RESOLVED}, got SyntaxError: Forward reference must be an expression -- "
            "got '1 +'. Correct the annotation."
        )
    else:
        assert message == (
            "Chat.say, parameter 'text': expected a type that msgspec can decode, "
            f"got {shown} (Type '{shown}' is not supported). Change the payload's type."
        )


# Postponed


def test_postponed_annotations() -> None:
    app = accepted(postponed.Right, modules=[bind_clock], authenticate=postponed.authenticate)
    assert payloads(app) == {"say": ["text", "times"]}


def test_a_name_of_type_checking_alone() -> None:
    assert refused(postponed.Unknown) == (
        f"Unknown.pay: {RESOLVED}, got the unknown name 'Decimal'. {MOVE}"
    )


def test_a_name_of_type_checking_alone_in_a_field() -> None:
    assert refused(postponed.Field) == (
        f"Field.pay, parameter 'later', Later: {RESOLVED}, got the unknown name 'Decimal'. {MOVE}"
    )


def test_a_name_of_type_checking_alone_in_a_constructor() -> None:
    assert refused(postponed.Constructor) == (
        f"Constructor.__init__: {RESOLVED}, got the unknown name 'Decimal'. {MOVE}"
    )


def test_a_name_of_type_checking_alone_in_a_guard() -> None:
    assert refused(postponed.Right, guards=[postponed.unknown_guard]) == (
        f"Gatewright(guards=…): unknown_guard: {RESOLVED}, got the unknown name 'Decimal'. {MOVE}"
    )


def test_a_name_of_type_checking_alone_in_authenticate() -> None:
    assert refused(postponed.Right, authenticate=postponed.unknown_authenticate) == (
        f"authenticate=unknown_authenticate: {RESOLVED}, got the unknown name 'Decimal'. {MOVE}"
    )


def test_a_class_inside_a_function() -> None:
    assert refused(postponed.local_payload()) == (
        f"Local.say: {RESOLVED}, got the unknown name 'Say'. {MOVE}"
    )


# Generic


class Task(Struct):
    title: str


class Repository(Generic[T]):
    """Of things of one kind."""


class Crud(Generic[T]):
    def __init__(self, repository: Repository[T], emitter: Emitter) -> None:
        self.repository = repository
        self.emitter = emitter

    @on("create")
    async def create(self, item: T) -> T:
        return item

    @on("replace")
    async def replace(self, items: dict[str, list[T]], note: str = "") -> None: ...


class Named(Crud[U], Generic[U]):
    @on("rename")
    async def rename(self, item: U | None, name: str) -> None: ...


def bind_repositories(binder: Any) -> None:
    binder.bind(Repository[Task])


def test_a_generic_base() -> None:
    @gateway("/tasks")
    class Tasks(Crud[Task]):
        pass

    app = accepted(Tasks, modules=[bind_repositories])
    assert payloads(app, kinds=True) == {
        "create": [Task],
        "replace": [dict[str, list[Task]], str],
    }


def test_a_generic_base_of_a_generic_base() -> None:
    @gateway("/tasks")
    class Tasks(Named[Task]):
        pass

    @gateway("/more")
    class More(Tasks):
        pass

    for cls in (Tasks, More):
        app = accepted(cls, modules=[bind_repositories])
        assert payloads(app, kinds=True) == {
            "create": [Task],
            "replace": [dict[str, list[Task]], str],
            "rename": [Task | None, str],
        }


def test_two_specializations_of_one_base() -> None:
    class Bare(Generic[T]):
        @on("create")
        async def create(self, item: T) -> None: ...

    @gateway("/numbers")
    class Numbers(Bare[int]):
        pass

    @gateway("/words")
    class Words(Bare[str]):
        pass

    assert payloads(accepted(Numbers), kinds=True) == {"create": [int]}
    assert payloads(accepted(Words), kinds=True) == {"create": [str]}


def test_an_unresolved_type_variable() -> None:
    @gateway("/tasks")
    class Tasks(Crud):  # type: ignore[type-arg]
        pass

    assert refused(Tasks) == (
        "Tasks.create, parameter 'item': expected a concrete type, got the type variable T. "
        "Name it where the class is derived, as in class Tasks(Crud[Task])."
    )


def test_an_unresolved_type_variable_inside() -> None:
    @gateway("/tasks")
    class Tasks(Generic[T]):
        @on("create")
        async def create(self, items: list[T]) -> None: ...

    assert refused(Tasks) == (
        "Tasks.create, parameter 'items': expected a concrete type, got the type variable T. "
        "Name it where the class is derived, as in class Tasks(Crud[Task])."
    )


@pytest.mark.parametrize("marker", [Principal, State, Inject])
def test_a_marker_without_its_type(marker: Any) -> None:
    @gateway("/chat")
    class Chat:
        @on("say")
        async def say(self, what: marker) -> None: ...

    name = marker.__parameters__[0].__name__
    assert refused(Chat) == (
        f"Chat.say, parameter 'what': expected a concrete type, got the type variable {name}. "
        "Name the type in brackets, as in Principal[User] or Inject[Repository]."
    )
