"""Names of events, and what a gateway emits."""

from typing import Any, Generic, TypeVar

import pytest
from msgspec import Struct

from gatewright import Event, gateway, on
from gatewright.declare.events import RESERVED
from gatewright.errors import StartupError
from tests.declare.support import accepted, handled, refused

T = TypeVar("T")


class Said(Event, event="said"):
    text: str


class Louder(Said):
    times: int = 1


class Page(Event, Generic[T], event="page"):
    items: list[T]


async def say(self: Any, text: str) -> None: ...


class Base:
    @on("say")
    async def say(self, text: str) -> None: ...


def emitting(*emits: Any) -> Any:
    return gateway("/chat", emits=emits)(type("Chat", (Base,), {}))


@pytest.mark.parametrize("name", [*sorted(RESERVED), "presence:state", "presence:mine"])
def test_a_reserved_name_of_a_handler(name: str) -> None:
    with pytest.raises(StartupError) as caught:
        on(name)(say)
    assert str(caught.value) == (
        f"say, @on: expected an event name of your own, got {name!r}, which the protocols use "
        "themselves. Choose another name."
    )


@pytest.mark.parametrize("name", [*sorted(RESERVED), "presence:diff"])
def test_a_reserved_name_of_an_event(name: str) -> None:
    with pytest.raises(StartupError) as caught:

        class Mine(Event, event=name):
            pass

    assert str(caught.value) == (
        f"event Mine: expected an event name of your own, got {name!r}, which the protocols use "
        "themselves. Choose another name."
    )


@pytest.mark.parametrize("name", ["", None, 5])
def test_no_name_of_a_handler(name: Any) -> None:
    with pytest.raises(StartupError) as caught:
        on(name)(say)
    assert str(caught.value) == (
        f"say, @on: expected an event name, as a non-empty string, got {name!r}. "
        'Name the event, for instance "said".'
    )


@pytest.mark.parametrize("name", ["", 5])
def test_no_name_of_an_event(name: Any) -> None:
    with pytest.raises(StartupError) as caught:

        class Mine(Event, event=name):
            pass

    assert str(caught.value) == (
        f"event Mine: expected an event name, as a non-empty string, got {name!r}. "
        'Name the event, for instance "said".'
    )


def test_emits_of_a_plain_struct() -> None:
    class Told(Struct):
        text: str

    assert refused(emitting(Said, Told)) == (
        "Chat, emits: expected Event classes with a name, got Told. "
        'Declare it as class Told(Event, event="told").'
    )


def test_emits_of_a_subclass_without_its_own_name() -> None:
    assert refused(emitting(Louder)) == (
        "Chat, emits: expected Event classes with a name, got Louder. "
        'Declare it as class Louder(Event, event="louder").'
    )


def test_emits_of_a_name() -> None:
    assert refused(emitting("said")) == (
        "Chat, emits: expected Event classes with a name, got 'said'. "
        'Declare it as class Said(Event, event="said").'
    )


def test_two_classes_of_one_name() -> None:
    class AlsoSaid(Event, event="said"):
        text: str

    assert refused(emitting(Said, AlsoSaid)) == (
        "Chat, emits: expected one class for each event name of a namespace, "
        "got Said and AlsoSaid for 'said'. Rename one of the events."
    )


def test_two_classes_of_one_name_in_two_gateways() -> None:
    class AlsoSaid(Event, event="said"):
        text: str

    async def tell(self: Any, text: str) -> None: ...

    other = gateway("/chat", emits=[AlsoSaid])(type("Bots", (), {"tell": on("tell")(tell)}))
    assert refused(emitting(Said), other) == (
        "Bots, emits: expected one class for each event name of a namespace, "
        "got Said and AlsoSaid for 'said'. Rename one of the events."
    )


def test_one_class_of_two_gateways_and_a_generic_one() -> None:
    async def tell(self: Any, text: str) -> None: ...

    other = gateway("/chat", emits=[Said])(type("Bots", (), {"tell": on("tell")(tell)}))
    assert list(handled(accepted(emitting(Said, Page[int]), other))) == ["/chat"]
