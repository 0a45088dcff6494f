"""Every wrong declaration is found at startup, and its error says who asked and how to mend it."""

import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

import pytest
from injector import (
    Binder,
    Inject,
    Module,
    NoInject,
    ProviderOf,
    multiprovider,
    provider,
    threadlocal,
)

from gatewright.di import (
    Container,
    Depth,
    app_scoped,
    connection_scoped,
    event_scoped,
    resource,
)
from gatewright.errors import StartupError

if TYPE_CHECKING:
    from decimal import Decimal

T = TypeVar("T")


class Connection:
    pass


class Session:
    pass


class Repository:
    def __init__(self, session: Session) -> None:
        self.session = session


class ChatGateway:
    def __init__(self, repository: Repository) -> None:
        self.repository = repository


class Database(Module):
    @event_scoped
    @resource
    async def session(self) -> AsyncIterator[Session]:
        yield Session()


def bind(*classes: type, scope: Any = None) -> Callable[[Binder], None]:
    def configure(binder: Binder) -> None:
        for each in classes:
            binder.bind(each, scope=scope)

    return configure


def message(ask: Callable[[], object]) -> str:
    with pytest.raises(StartupError) as raised:
        ask()
    return str(raised.value)


def test_an_unbound_type() -> None:
    app = Container([bind(Repository)])
    assert message(lambda: app.create_recipe(ChatGateway)) == (
        "ChatGateway -> Repository -> Session: expected a binding for Session, the parameter "
        "'session: Session' of Repository, got none in the modules. "
        "Bind it in a module: binder.bind(Session), or give the parameter a default."
    )
    assert message(lambda: app.recipe(Session)) == (
        "Session: expected a binding for Session, got none in the modules. "
        "Bind it in a module: binder.bind(Session)."
    )


def test_an_error_stays_an_error_when_asked_again() -> None:
    app = Container([bind(Repository)])
    first = message(lambda: app.recipe(Repository))
    assert message(lambda: app.recipe(Repository)) == first


def test_an_unbound_list() -> None:
    assert message(lambda: Container().recipe(list[Session])) == (
        "list[Session]: expected a binding for list[Session], got none in the modules. "
        "Bind its items in a module: binder.multibind(list[Session], to=…)."
    )


def test_a_parameter_without_annotation() -> None:
    class Bare:
        def __init__(self, repository) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
            self.repository = repository

    assert message(lambda: Container([bind(Bare)]).recipe(Bare)) == (
        "Bare: expected an annotation on the parameter 'repository' of Bare, got none. "
        "Annotate it with the type to inject, or give it a default."
    )


def test_an_optional() -> None:
    class Maybe:
        def __init__(self, session: Session | None) -> None:
            self.session = session

    class Marked:
        def __init__(self, session: Inject[Session | None] = None) -> None:
            self.session = session

    assert message(lambda: Container([bind(Maybe)]).recipe(Maybe)) == (
        "Maybe: expected one type for the parameter 'session: Session | None' of Maybe, got an "
        "Optional. A type is bound or it is not: drop `| None`, or give the parameter a default."
    )
    for modules in ([bind(Marked)], [bind(Marked, Session)]):
        assert message(lambda modules=modules: Container(modules).recipe(Marked)) == (  # type: ignore[misc]
            "Marked: expected one type for the parameter 'session: Session | None' of Marked, got "
            "an Optional. A type is bound or it is not: drop `| None` and Inject."
        )


def test_a_marked_parameter_does_not_fall_back_to_its_default() -> None:
    class Marked:
        def __init__(self, limit: Inject[int] = 3) -> None:
            self.limit = limit

    assert "expected a binding for int" in message(lambda: Container([bind(Marked)]).recipe(Marked))


def test_a_parameter_that_must_not_be_injected() -> None:
    class Refusing:
        def __init__(self, session: NoInject[Session]) -> None:
            self.session = session

    app = Container([bind(Refusing, Session)])
    assert message(lambda: app.recipe(Refusing)) == (
        "Refusing: expected a default for the parameter 'session: Session' of Refusing, got "
        "NoInject without one. Give it a default, or let it be injected."
    )


class Chicken:
    def __init__(self, egg: "Egg") -> None:
        self.egg = egg


class Egg:
    def __init__(self, chicken: Chicken) -> None:
        self.chicken = chicken


def test_a_cycle() -> None:
    class Farm:
        def __init__(self, chicken: Chicken) -> None:
            self.chicken = chicken

    app = Container([bind(Chicken, Egg, Farm)])
    assert message(lambda: app.recipe(Farm)) == (
        "Farm -> Chicken -> Egg -> Chicken: expected constructors that come to an end, got a "
        "cycle: Chicken -> Egg -> Chicken. "
        "Let one of them take injector's ProviderOf[…] and call its get() later."
    )


def test_the_application_must_not_hold_an_event_captive() -> None:
    class Helper:
        def __init__(self, repository: Repository) -> None:
            self.repository = repository

    @app_scoped
    class Cache:
        def __init__(self, helper: Helper) -> None:
            self.helper = helper

    app = Container([Database(), bind(Helper, Repository, Cache)])
    assert app.recipe(Helper).level is Depth.EVENT
    assert message(lambda: app.recipe(Cache)) == (
        "Cache -> Helper -> Repository -> Session: expected only what lives as long as Cache "
        "(application level), got Session (event level). "
        "Scope Cache to the event as well, or pass Session to its methods."
    )


def test_the_application_must_not_hold_a_connection_captive() -> None:
    @app_scoped
    class Cache:
        def __init__(self, connection: Connection) -> None:
            self.connection = connection

    app = Container([bind(Cache)], connection=[Connection])
    assert message(lambda: app.recipe(Cache)) == (
        "Cache -> Connection: expected only what lives as long as Cache (application level), got "
        "Connection (connection level). "
        "Scope Cache to the connection as well, or pass Connection to its methods."
    )


def test_a_connection_must_not_hold_an_event_captive() -> None:
    class Holder:
        pass

    class Holding(Module):
        @connection_scoped
        @resource
        async def holder(self, sessions: list[Session]) -> AsyncIterator[Holder]:
            yield Holder()

        @multiprovider
        def sessions(self, session: Session) -> list[Session]:
            return [session]

    app = Container([Database(), Holding()])
    assert message(lambda: app.recipe(Holder)) == (
        "Holder -> list[Session] -> Holding.sessions -> Session: expected only what lives as long "
        "as Holder (connection level), got Session (event level). "
        "Scope Holder to the event as well, or pass Session to its methods."
    )


def test_a_provider_of_something_narrower_is_captive_too() -> None:
    @app_scoped
    class Cache:
        def __init__(self, session: ProviderOf[Session]) -> None:
            self.session = session

    app = Container([Database(), bind(Cache)])
    assert "Cache -> ProviderOf[Session] -> Session: expected only what lives as long" in message(
        lambda: app.recipe(Cache)
    )


def test_a_gateway_cannot_be_created_with_what_an_event_has() -> None:
    app = Container([Database(), bind(Repository)])
    assert app.create_recipe(ChatGateway) == (
        Depth.EVENT,
        (Session,),
        (ChatGateway, Repository, Session),
    )
    expected = (
        "ChatGateway -> Repository -> Session: expected only what lives as long as the application "
        "level, got Session (event level). "
        "Take it as a parameter of a handler, Inject[Repository], or widen its scope."
    )
    assert message(lambda: app.create_recipe(ChatGateway, at=Depth.APP)) == expected
    with pytest.raises(StartupError) as raised:
        app.get(Repository)
    assert str(raised.value).startswith("Repository -> Session: expected only what lives as long")


def test_resources_come_in_the_order_in_which_they_need_each_other() -> None:
    class Pool:
        pass

    class Audit:
        pass

    class Layers(Module):
        @app_scoped
        @resource
        async def pool(self) -> AsyncIterator[Pool]:
            yield Pool()

        @event_scoped
        @resource
        async def audit(self, repository: Repository, pool: Pool) -> AsyncIterator[Audit]:
            yield Audit()

        @event_scoped
        @resource
        async def session(self, pool: Pool) -> AsyncIterator[Session]:
            yield Session()

    app = Container([Layers(), bind(Repository)])
    assert app.recipe(Audit).resources == (Pool, Session, Audit)


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
