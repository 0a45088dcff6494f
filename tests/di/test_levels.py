"""Who shares which instance, and what replaces what."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from injector import Binder, Module, multiprovider, provider, singleton

from gatewright.di import (
    Container,
    Depth,
    app_scoped,
    connection_scoped,
    event_scoped,
    resource,
)
from gatewright.errors import StartupError

pytestmark = pytest.mark.anyio


class Connection:
    pass


class Context:
    pass


class Config:
    def __init__(self, url: str = "memory:") -> None:
        self.url = url


@app_scoped
class Repository:
    def __init__(self, config: Config) -> None:
        self.config = config


@connection_scoped
class Cart:
    def __init__(self, connection: Connection, repository: Repository) -> None:
        self.connection = connection
        self.repository = repository


@event_scoped
class Unit:
    def __init__(self, context: Context, cart: Cart) -> None:
        self.context = context
        self.cart = cart


class Service:
    def __init__(self, unit: Unit, other: Unit) -> None:
        self.unit = unit
        self.other = other


class Stateless:
    def __init__(self, repository: Repository) -> None:
        self.repository = repository


class Shop(Module):
    def configure(self, binder: Binder) -> None:
        for each in (Config, Repository, Cart, Unit, Service, Stateless):
            binder.bind(each)


def container(*modules: Module, overrides: tuple[Module, ...] = ()) -> Container:
    return Container(
        [Shop(), *modules], overrides=overrides, connection=[Connection], event=[Context]
    )


async def test_each_level_shares_what_is_scoped_to_it() -> None:
    async with container() as app:
        one, two = app.connection({Connection: Connection()}), app.connection({Connection: None})
        event, later, other = (each.event({Context: Context()}) for each in (one, one, two))
        a, b, c = [await each.aget(Service) for each in (event, later, other)]

        assert a.unit is a.other
        assert a.unit.context is event.instances[Context]
        assert a.unit is not b.unit
        assert a.unit.cart is b.unit.cart
        assert a.unit.cart is await one.aget(Cart)
        assert a.unit.cart.connection is one.instances[Connection]
        assert a.unit.cart is not c.unit.cart
        assert a.unit.cart.repository is c.unit.cart.repository is await app.aget(Repository)


async def test_unscoped_is_new_for_every_ask() -> None:
    app = container()
    event = app.connection().event()
    first, second = await event.aget(Stateless), await event.aget(Stateless)
    assert first is not second
    assert first.repository is second.repository
    assert app.recipe(Stateless).level is Depth.APP


async def test_a_recipe_says_level_and_what_narrows_it() -> None:
    app = container()
    assert app.recipe(Service) == (Depth.EVENT, (), (Service, Unit))
    assert app.recipe(Cart) == (Depth.CONNECTION, (), (Cart,))
    assert app.recipe(Repository) == (Depth.APP, (), (Repository,))
    assert app.recipe(Connection).level is Depth.CONNECTION
    assert app.recipe(Context).level is Depth.EVENT


async def test_the_scopes_work_on_classes_providers_and_bindings() -> None:
    class A:
        pass

    class B:
        pass

    class Three(Module):
        def configure(self, binder: Binder) -> None:
            binder.bind(A, scope=connection_scoped)

        @event_scoped
        @provider
        def b(self, a: A) -> B:
            made = B()
            made.__dict__["a"] = a
            return made

        @singleton
        @provider
        def number(self) -> int:
            return 7

    app = Container([Three])
    assert [app.recipe(each).level for each in (A, B, int)] == [
        Depth.CONNECTION,
        Depth.EVENT,
        Depth.APP,
    ]
    connection = app.connection()
    one, two = connection.event(), connection.event()
    assert await one.aget(B) is await one.aget(B)
    assert await one.aget(B) is not await two.aget(B)
    assert (await one.aget(B)).__dict__["a"] is await connection.aget(A)


async def test_a_singleton_is_one_per_application() -> None:
    def configure(binder: Binder) -> None:
        binder.bind(Config, scope=singleton)

    app, other = Container([configure]), Container([configure])
    found = await app.connection().event().aget(Config)
    assert found is await app.aget(Config)
    assert found is app.get(Config)
    assert found is not other.get(Config)


async def test_two_containers_of_the_same_module_are_independent() -> None:
    opened: list[str] = []

    class Pool:
        pass

    class Database(Module):
        @app_scoped
        @resource
        async def pool(self) -> AsyncIterator[Pool]:
            opened.append("open")
            yield Pool()
            opened.append("close")

    module = Database()
    async with Container([module]) as one:
        async with Container([module]) as two:
            assert await one.aget(Pool) is not await two.aget(Pool)
        assert opened == ["open", "open", "close"]
    assert opened == ["open", "open", "close", "close"]


async def test_an_override_replaces_a_binding_of_any_scope() -> None:
    class Fakes(Module):
        def configure(self, binder: Binder) -> None:
            binder.bind(Config, to=Config("fake:"), scope=event_scoped)
            binder.bind(Cart, to=FakeCart, scope=app_scoped)

    class FakeCart(Cart):
        def __init__(self) -> None:
            pass

    app = container(overrides=(Fakes(),))
    assert app.get(Repository).config.url == "fake:"
    assert app.recipe(Cart).level is Depth.APP
    cart = app.get(Cart)
    assert isinstance(cart, FakeCart)
    assert (await app.connection().event({Context: 1}).aget(Service)).unit.cart is cart


async def test_an_overridden_resource_is_never_opened() -> None:
    opened: list[str] = []

    class Session:
        name = "real"

    class Real(Module):
        @event_scoped
        @resource
        async def session(self) -> AsyncIterator[Session]:
            opened.append("real")
            yield Session()

    class Fake(Module):
        @connection_scoped
        @resource
        async def session(self) -> AsyncIterator[Session]:
            session = Session()
            session.name = "fake"
            yield session

    app = Container([Real()], overrides=[Fake()])
    async with app.connection() as connection, connection.event() as event:
        assert (await event.aget(Session)).name == "fake"
        assert await connection.aget(Session) is await event.aget(Session)
    assert opened == []
    plain = Container([Real()], overrides=[lambda binder: binder.bind(Session)])
    async with plain.connection().event() as event:
        assert (await event.aget(Session)).name == "real"
        assert await event.aget(Session) is not await event.aget(Session)


async def test_an_override_may_ask_for_what_it_does_not_replace() -> None:
    class Fake(Module):
        @provider
        def repository(self, config: Config) -> Repository:
            return Repository(Config(config.url + "fake"))

    assert container(overrides=(Fake(),)).get(Repository).config.url == "memory:fake"


async def test_lists_and_maps_are_bound_in_parts() -> None:
    class Plugin:
        def __init__(self, name: str = "plain") -> None:
            self.name = name

    @connection_scoped
    class Narrow(Plugin):
        def __init__(self, connection: Connection) -> None:
            super().__init__(type(connection).__name__)

    class Many(Module):
        def configure(self, binder: Binder) -> None:
            binder.multibind(list[Plugin], to=Plugin)
            binder.multibind(list[Plugin], to=[Plugin("instance"), Narrow])
            binder.multibind(dict[str, Plugin], to={"narrow": Narrow, "instance": Plugin("i")})
            binder.multibind(dict[str, Plugin], to=self.more)

        @multiprovider
        def two(self, config: Config) -> list[Plugin]:
            return [Plugin(config.url), Plugin("two")]

        def more(self) -> dict[str, Plugin]:
            return {"more": Plugin("more")}

    app = container(Many())
    assert app.recipe(list[Plugin]).level is Depth.CONNECTION
    connection = app.connection({Connection: Connection()})
    event = connection.event()
    plugins = await event.aget(list[Plugin])
    assert sorted(each.name for each in plugins) == [
        "Connection",
        "instance",
        "memory:",
        "plain",
        "two",
    ]
    again = await event.aget(list[Plugin])
    assert {type(each) for each in plugins if each in again} == {Plugin, Narrow}
    named = await event.aget(dict[str, Plugin])
    assert {key: value.name for key, value in named.items()} == {
        "narrow": "Connection",
        "instance": "i",
        "more": "more",
    }

    class Fewer(Module):
        def configure(self, binder: Binder) -> None:
            binder.multibind(list[Plugin], to=[Plugin("only")])

    few = container(Many(), overrides=(Fewer(),)).get(list[Plugin])
    assert [each.name for each in few] == ["only"]


async def test_instances_of_the_application_may_be_replaced_and_given_types_may_not() -> None:
    given = Config("given:")
    assert Container(app={Config: given}).get(Config) is given
    assert Container([Shop()], app={Config: given}).get(Config) is not given
    with pytest.raises(StartupError) as raised:
        Container([lambda binder: binder.bind(Connection)], connection=[Connection])
    assert str(raised.value) == (
        "modules: Connection: expected no binding for what every connection is given, got one. "
        "Remove it; bind a type of your own instead."
    )


async def test_a_falsy_instance_is_an_instance() -> None:
    app = Container(app={int: 0, str: ""})
    assert (app.get(int), app.get(str)) == (0, "")


async def test_a_gateway_is_created_with_what_the_caller_gives() -> None:
    class Emitter:
        pass

    class Gateway:
        def __init__(
            self, emitter: Emitter, repository: Repository, limit: int = 3, *, name: str = "x"
        ) -> None:
            self.parts = (emitter, repository, limit, name)

    app, emitter = container(), Emitter()
    assert app.create_recipe(Gateway, {"emitter": emitter}).level is Depth.APP
    gateway = await app.create(Gateway, {"emitter": emitter})
    assert gateway.parts == (emitter, app.get(Repository), 3, "x")
    assert await app.create(Gateway, {"emitter": emitter}) is not gateway
    other = await app.create(Gateway, {"emitter": emitter, "name": "y"})
    assert other.parts == (emitter, app.get(Repository), 3, "y")


async def test_a_guard_can_be_created_on_an_event_level() -> None:
    class Guard:
        def __init__(self, unit: Unit) -> None:
            self.unit = unit

    app = container()
    assert app.create_recipe(Guard).level is Depth.EVENT
    event = app.connection({Connection: 1}).event({Context: 1})
    assert (await event.create(Guard)).unit is event.get(Unit)


async def test_levels_do_not_care_who_asks_first() -> None:
    app = container()
    connection = app.connection({Connection: Connection()})
    events = [connection.event({Context: Context()}) for _ in range(20)]
    services = await asyncio.gather(*(each.aget(Service) for each in events))
    assert len({id(each.unit) for each in services}) == 20
    assert len({id(each.unit.cart) for each in services}) == 1


async def test_what_was_not_given_is_missed_when_it_is_asked_for() -> None:
    level = container().connection()
    with pytest.raises(LookupError) as raised:
        await level.aget(Cart)
    assert str(raised.value) == "expected the connection level to be given Connection, got nothing"
    level.instances[Connection] = connection = Connection()
    assert (await level.aget(Cart)).connection is connection


async def test_only_a_connection_has_events() -> None:
    event = container().connection().event()
    with pytest.raises(RuntimeError, match="expected a connection level to open an event, got ev"):
        event.event()


async def test_nothing_comes_from_a_closed_level() -> None:
    app = container()
    connection = app.connection({Connection: Connection()})
    await connection.aget(Cart)
    await connection.aclose()
    await connection.aclose()
    with pytest.raises(RuntimeError) as raised:
        await connection.aget(Cart)
    assert str(raised.value) == (
        "expected an open connection level to ask for Cart, got one that is closed"
    )
    with pytest.raises(RuntimeError, match="got one that is closed"):
        await connection.create(Service)
