"""Modules, providers and resources that are declared wrongly."""

import dataclasses
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Generic

import pytest
from injector import Binder, Module, provider, threadlocal

from gatewright.di import Container, Depth, app_scoped, event_scoped, resource
from tests.di.chat import ChatGateway, Database, Session, T, bind, message

if TYPE_CHECKING:
    from decimal import Decimal


def test_providers_that_are_no_plain_functions() -> None:
    class Late(Module):
        @provider
        async def session(self) -> Session:
            return Session()

    class Generating(Module):
        @provider
        def session(self) -> Iterator[Session]:
            yield Session()

    class Unmarked(Module):
        @provider
        async def session(self) -> AsyncIterator[Session]:
            yield Session()

    fix = (
        "Mark an async generator that yields the value with @resource; "
        "it may await before and clean up after."
    )
    key: Any
    for module, key, name, got in (
        (Late(), Session, "Session", "an async function"),
        (Generating(), Iterator[Session], "Iterator[Session]", "a generator"),
        (Unmarked(), AsyncIterator[Session], "AsyncIterator[Session]", "an async generator"),
    ):
        app = Container([module])
        owner = type(module).__name__
        assert message(lambda app=app, key=key: app.recipe(key)) == (  # type: ignore[misc]
            f"{name}: expected the provider {owner}.session to return the value, got {got}. {fix}"
        )


def test_resources_that_are_no_async_generators() -> None:
    async def session() -> Session:
        return Session()

    def plain() -> Session:
        return Session()

    def generating() -> Iterator[Session]:
        yield Session()

    fix = (
        "Write `async def` and `yield` the value once; use injector's @provider for what needs no "
        "clean-up."
    )
    for function, got in (
        (session, "an async function that does not yield"),
        (plain, "a plain function"),
        (generating, "a generator function that is not async"),
    ):
        wrong: Any = function
        assert message(lambda wrong=wrong: resource(wrong)).endswith(  # type: ignore[misc]
            f"{function.__name__}: expected an async generator function, got {got}. {fix}"
        )


def test_resources_must_say_what_they_yield() -> None:
    async def silent():  # type: ignore[no-untyped-def] # noqa: ANN202
        yield Session()

    assert message(lambda: resource(silent)).endswith(
        "silent: expected a return annotation AsyncIterator[T], got none. "
        "Annotate it: `-> AsyncIterator[Session]` provides Session."
    )

    async def yielding(self: Module) -> AsyncIterator[Any]:
        yield Session()

    for returned in (Session, list[Session], AsyncIterator):
        yielding.__annotations__["return"] = returned
        module = type("Wrong", (Module,), {"session": event_scoped(resource(yielding))})
        assert (
            "expected a return annotation AsyncIterator[T] or AsyncGenerator[T, None], got "
            in message(lambda module=module: Container([module]))  # type: ignore[misc]
        )

    class Several(Module):
        @event_scoped
        @resource
        async def sessions(self) -> AsyncIterator[list[Session]]:
            yield [Session()]

    assert message(lambda: Container([Several])) == (
        "@resource Several.sessions: expected a resource that yields one thing, got list[Session]. "
        "list and dict are injector's multibindings; yield a class that holds it."
    )


def test_resources_cannot_be_bound_in_parts() -> None:
    @event_scoped
    @resource
    async def session() -> AsyncIterator[Session]:
        yield Session()

    wrong: Any = session

    def configure(binder: Binder) -> None:
        binder.multibind(list[Session], to=wrong)

    assert message(lambda: Container([configure])).endswith(
        "session: expected a resource that yields one thing, got list[Session]. "
        "list and dict are injector's multibindings; yield a class that holds it."
    )


def test_resources_need_a_scope() -> None:
    class Endless(Module):
        @resource
        async def session(self) -> AsyncIterator[Session]:
            yield Session()

    assert message(lambda: Container([Endless])) == (
        "@resource Endless.session: expected a scope that says when it is closed, got none. "
        "Write @app_scoped, @connection_scoped or @event_scoped above @resource."
    )


def test_other_scopes_are_refused() -> None:
    app = Container([bind(Session, scope=threadlocal)])
    assert message(lambda: app.recipe(Session)) == (
        "Session: expected the scope app_scoped, connection_scoped, event_scoped or injector's "
        "singleton, got ThreadLocalScope. "
        "Only these have a beginning and an end that the container can see; use one of them."
    )


def test_names_that_are_unknown_at_run_time() -> None:
    class Priced:
        def __init__(self, price: "Decimal") -> None:
            self.price = price

    class Prices(Module):
        @app_scoped
        @resource
        async def price(self) -> AsyncIterator["Decimal"]:
            for price in list["Decimal"]():
                yield price

    class Asking(Module):
        @provider
        def session(self, price: "Decimal") -> Session:
            return Session()

    ending = (
        "expected annotations whose names are known at run time, got the unknown name 'Decimal'. "
        "Import it at run time (not under TYPE_CHECKING), or move it to module level."
    )
    assert message(lambda: Container([bind(Priced)]).recipe(Priced)) == f"Priced: {ending}"
    assert message(lambda: Container([Prices])) == f"module Prices: {ending}"
    assert message(lambda: Container([Asking()])) == f"module Asking: {ending}"


def test_other_mistakes_in_a_module_stay_what_they_are() -> None:
    def configure(binder: Binder) -> None:
        raise NameError("name 'Sesion' is not defined")

    with pytest.raises(NameError, match="Sesion"):
        Container([configure])


def test_a_field_of_a_dataclass_that_is_unknown_at_run_time() -> None:
    @dataclasses.dataclass
    class Priced:
        price: "Decimal"

    assert message(lambda: Container([bind(Priced)]).recipe(Priced)).startswith(
        "Priced: expected annotations whose names are known at run time, got the unknown name 'Dec"
    )


def test_only_the_return_type_of_a_provider_may_be_unknown() -> None:
    def make(session: Session) -> "Decimal":
        raise AssertionError

    def configure(binder: Binder) -> None:
        binder.bind(object, to=make)

    assert Container([Database(), configure]).recipe(object).level is Depth.EVENT


def test_a_given_name_that_the_constructor_does_not_have() -> None:
    assert message(lambda: Container().create_recipe(ChatGateway, ["emitter"])) == (
        "ChatGateway: expected a constructor parameter named 'emitter', got "
        "'repository: Repository'. Name the parameters to pass in as the constructor does."
    )


def test_type_variables_that_nothing_fills_in() -> None:
    class Store(Generic[T]):
        def __init__(self, item: T) -> None:
            self.item = item

    assert message(lambda: Container([bind(Store)]).recipe(Store)) == (
        "Store -> ~T: expected a binding for ~T, the parameter 'item: ~T' of Store, got none in "
        "the modules. Bind a specialized class, such as Repo[User], or give the parameter a "
        "default."
    )


def test_names_in_messages_are_written_as_in_code() -> None:
    key = Annotated[dict[str, Session], "named"]
    assert message(lambda: Container().recipe(key)).startswith(
        "Annotated[dict[str, Session], 'named']: expected a binding for Annotated[dict[str, S"
    )


def test_dataclasses_say_which_field_is_missing() -> None:
    @dataclasses.dataclass
    class Settings:
        session: Session
        retries: int = 3

    assert message(lambda: Container([bind(Settings)]).recipe(Settings)).startswith(
        "Settings -> Session: expected a binding for Session, the parameter 'session: Session'"
    )
