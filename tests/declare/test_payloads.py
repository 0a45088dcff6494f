"""What a handler may take as its payload, and as a parameter of the path."""

import inspect
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from msgspec import Meta, Struct

from gatewright import Connection, gateway, on
from tests.declare.support import accepted, payloads, refused


class Repository:
    """Not data."""


class Say(Struct):
    text: str


class Move(Struct):
    task: int


class Cat(Struct, tag=True):
    name: str


class Dog(Struct, tag=True):
    name: str


class Nested(Struct):
    inner: dict[str, list[Repository]]


class Tree(Struct):
    children: "list[Tree]" = []


def handling(annotation: Any, path: str = "/chat", name: str = "value") -> Any:
    """A gateway whose one handler has one parameter of this annotation."""

    async def say(self: Any, value: object) -> None: ...

    say.__annotations__ = {name: annotation}
    signature = inspect.signature(say)
    me, value = signature.parameters.values()
    say.__signature__ = signature.replace(parameters=[me, value.replace(name=name)])  # type: ignore[attr-defined]
    return gateway(path)(type("Chat", (), {"say": on("say")(say)}))


def test_a_custom_type() -> None:
    assert refused(handling(Repository)) == (
        "Chat.say, parameter 'value': expected a type that msgspec can decode, as the payload, "
        "got Repository. Did you mean Inject[Repository]? "
        "A payload of this type needs a dec_hook."
    )


@pytest.mark.parametrize(
    ("annotation", "shown"),
    [
        (list[Repository], "list[Repository]"),
        (Repository | None, "Repository | None"),
        (dict[str, list[Repository]], "dict[str, list[Repository]]"),
        (Nested, "Nested"),
        (list[Nested], "list[Nested]"),
    ],
)
def test_a_custom_type_inside(annotation: Any, shown: str) -> None:
    assert refused(handling(annotation)) == (
        "Chat.say, parameter 'value': expected a type that msgspec can decode, as the payload, "
        f"got Repository in {shown}. Did you mean Inject[Repository]? "
        "A payload of this type needs a dec_hook."
    )


@pytest.mark.parametrize("annotation", [Repository, list[Repository], Nested])
def test_a_custom_type_with_a_hook(annotation: Any) -> None:
    def decode(kind: type, value: object) -> object:
        return kind()

    accepted(handling(annotation), dec_hook=decode)


def test_a_union_of_two_structs() -> None:
    assert refused(handling(Say | Move)) == (
        "Chat.say, parameter 'value': expected a type that msgspec can decode, got Say | Move "
        "(If a type union contains multiple Struct types, all Struct types must be tagged (via "
        "`tag` or `tag_field` kwarg)). Change the payload's type."
    )


def test_a_type_that_no_data_can_be() -> None:
    message = refused(handling(Callable[[], int]))
    assert message == (
        "Chat.say, parameter 'value': expected a type that msgspec can decode, as the payload, "
        "got Callable[[], int]. Did you mean Inject[Callable[[], int]]? "
        "A payload of this type needs a dec_hook."
    )


@pytest.mark.parametrize(
    "annotation",
    [
        Any,
        str,
        bytes,
        Say,
        Cat | Dog,
        Tree,
        list[int] | None,
        Annotated[int, Meta(ge=1)],
        Literal["a", "b"],
        Decimal,
        tuple[int, ...],
    ],
)
def test_what_data_can_be(annotation: Any) -> None:
    assert payloads(accepted(handling(annotation)), kinds=True) == {"say": [annotation]}


# Several


def test_several_parameters() -> None:
    @gateway("/chat")
    class Chat:
        @on("say")
        async def say(
            self,
            room: str,
            connection: Connection,
            message: Say,
            times: int = 1,
            *,
            loud: bool = False,
        ) -> None: ...

    assert payloads(accepted(Chat)) == {"say": ["room", "message", "times", "loud"]}


def test_a_required_argument_after_a_default() -> None:
    @gateway("/chat")
    class Chat:
        @on("say")
        async def say(self, room: str = "lobby", *, text: str) -> None: ...

    assert refused(Chat) == (
        "Chat.say, parameter 'text': expected arguments with defaults last, got a required one "
        "after 'room'. Reorder them: the payload is an array in this order."
    )


def test_one_of_several_that_is_custom() -> None:
    @gateway("/chat")
    class Chat:
        @on("say")
        async def say(self, text: str, repository: Repository) -> None: ...

    assert refused(Chat) == (
        "Chat.say, parameter 'repository': expected a type that msgspec can decode, as the "
        "payload, got Repository. Did you mean Inject[Repository]? "
        "A payload of this type needs a dec_hook."
    )


# The path


class Bench(Enum):
    LEFT = "left"
    RIGHT = "right"


@pytest.mark.parametrize(
    "annotation",
    [str, int, float, UUID, date, Bench, Literal["a", "b"], Annotated[int, Meta(ge=1)]],
)
def test_what_a_path_can_be(annotation: Any) -> None:
    app = accepted(handling(annotation, "/lab/{bench}", "bench"))
    assert payloads(app) == {"say": []}


@pytest.mark.parametrize(
    ("annotation", "shown"),
    [
        (Repository, "Repository"),
        (Say, "Say"),
        (list[int], "list[int]"),
        (bool, "bool"),
        (int | None, "int | None"),
    ],
)
def test_what_a_path_cannot_be(annotation: Any, shown: str) -> None:
    assert refused(handling(annotation, "/lab/{bench}", "bench")) == (
        "Chat.say, parameter 'bench': expected a path parameter of str, int, float, UUID, date, "
        f"Enum or Literal, got {shown}. "
        "Take the text and convert it, or rename the parameter if it is not the path's."
    )


def test_a_path_parameter_that_is_also_something_else() -> None:
    assert refused(handling(Connection, "/lab/{bench}", "bench")) == (
        "Chat.say, parameter 'bench': expected the path parameter {bench}, got a parameter of "
        "that name annotated Connection. Rename the parameter or the part of the path."
    )
