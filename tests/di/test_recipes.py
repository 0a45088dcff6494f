"""Every wrong declaration is found at startup, and its error says who asked and how to mend it."""

from collections.abc import AsyncIterator

import pytest
from injector import Inject, Module, NoInject, ProviderOf, multiprovider

from gatewright.di import (
    Container,
    Depth,
    app_scoped,
    connection_scoped,
    event_scoped,
    resource,
)
from gatewright.errors import StartupError
from tests.di.chat import ChatGateway, Connection, Database, Repository, Session, bind, message


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
