"""Constructors need no marker, however they come about."""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec
import pytest
from injector import (
    AssistedBuilder,
    Binder,
    ClassAssistedBuilder,
    Inject,
    Injector,
    InstanceProvider,
    NoInject,
    Provider,
    ProviderOf,
    inject,
    noninjectable,
)

from gatewright.di import Container, Depth, connection_scoped, event_scoped
from tests.di import postponed

T = TypeVar("T")
K = TypeVar("K")


class Session:
    pass


class Base:
    def __init__(self, session: Session) -> None:
        self.session = session


class Inherited(Base):
    pass


def bound(*classes: Any) -> Container:
    def configure(binder: Binder) -> None:
        for each in classes:
            binder.bind(each)

    return Container([configure])


def test_an_inherited_constructor_is_used_and_left_alone() -> None:
    before = dict(vars(Base.__init__))
    assert isinstance(bound(Session, Inherited).get(Inherited).session, Session)
    assert vars(Base.__init__) == before == {}
    assert not hasattr(object.__init__, "__bindings__")


def test_markers_of_injector_change_nothing() -> None:
    class Marked:
        @inject
        def __init__(self, session: Session, other: Inject[Session]) -> None:
            self.sessions = session, other

    one, two = bound(Session, Marked).get(Marked).sessions
    assert isinstance(one, Session)
    assert isinstance(two, Session)
    assert one is not two


def test_defaults_are_taken_for_what_is_unbound() -> None:
    class Defaulting:
        def __init__(  # type: ignore[no-untyped-def]
            self,
            session: Session,
            limit: int = 3,
            name: NoInject[str] = "n",
            other: Session | None = None,
            *rest: Any,
            key: float = 0.5,
            bare=None,  # noqa: ANN001
            **more: Any,
        ) -> None:
            self.parts = (limit, name, rest, key, bare, more)
            self.other = other

    made = bound(Session, Defaulting).get(Defaulting)
    assert made.parts == (3, "n", (), 0.5, None, {})
    assert isinstance(made.other, Session)

    def configure(binder: Binder) -> None:
        binder.bind(Defaulting)
        binder.bind(Session)
        binder.bind(int, to=5)
        binder.bind(str, to="bound, but not wanted")

    assert Container([configure]).get(Defaulting).parts == (5, "n", (), 0.5, None, {})


def test_an_optional_with_a_default_takes_it_when_unbound() -> None:
    class Maybe:
        def __init__(self, session: Session | None = None) -> None:
            self.session = session

    assert bound(Maybe).get(Maybe).session is None


def test_noninjectable_is_respected() -> None:
    class Chosen:
        @noninjectable("session")
        def __init__(self, session: Session | None = None) -> None:
            self.session = session

    assert bound(Chosen, Session).get(Chosen).session is None


def test_positional_only_parameters() -> None:
    class Positional:
        def __init__(self, session: Session, limit: int = 3, last: str = "z", /) -> None:
            self.parts = (session, limit, last)

    def configure(binder: Binder) -> None:
        binder.bind(Positional)
        binder.bind(Session)
        binder.bind(str, to="not reachable past the default")

    session, limit, last = Container([configure]).get(Positional).parts
    assert isinstance(session, Session)
    assert (limit, last) == (3, "z")


def test_dataclasses_structs_and_tuples() -> None:
    @dataclasses.dataclass
    class Data(Base):
        session: Session
        extra: dataclasses.InitVar[Session]
        items: list[int] = dataclasses.field(default_factory=list)

        def __post_init__(self, extra: Session) -> None:
            self.seen = extra

    class Record(msgspec.Struct):
        session: Session
        limit: int = 3

    class Row(NamedTuple):
        session: Session
        limit: int = 3

    app = bound(Session, Data, Record, Row)
    assert isinstance(app.get(Data).seen, Session)
    assert app.get(Data).items == []
    assert app.get(Record).limit == 3
    assert isinstance(app.get(Row).session, Session)


def test_a_dataclass_with_fields_of_another_module() -> None:
    @dataclasses.dataclass
    class Wider(postponed.Config):
        session: Session

    made = bound(postponed.Url, Session, Wider).get(Wider)
    assert isinstance(made.url, postponed.Url)
    assert isinstance(made.session, Session)


def test_annotations_that_are_strings() -> None:
    made = bound(postponed.Url, postponed.Client).get(postponed.Client)
    assert isinstance(made.url, postponed.Url)


def test_classes_without_a_constructor_of_their_own() -> None:
    class Speaking(Protocol):
        def speak(self) -> str: ...

    class Dog(Speaking):
        def speak(self) -> str:
            return "wuff"

    def configure(binder: Binder) -> None:
        binder.bind(Speaking, to=Dog)  # type: ignore[type-abstract]

        binder.bind(bytearray)

    app = Container([configure])
    assert app.get(bytearray) == b""
    assert app.get(Speaking).speak() == "wuff"


class User:
    pass


class Task:
    pass


class Store(Generic[T]):
    def __init__(self, item: T) -> None:
        self.item = item


class Pair(Generic[K, T]):
    def __init__(self, one: Store[K], two: Store[T]) -> None:
        self.parts = (one.item, two.item)


class Tasks(Store[Task]):
    pass


class Swapped(Pair[T, K], Generic[K, T]):
    pass


class Final(Swapped[User, Task]):
    pass


def test_generic_services() -> None:
    app = bound(User, Task, Store[User], Store[Task], Pair[User, Task], Tasks, Final)
    assert isinstance(app.get(Store[User]).item, User)
    assert isinstance(app.get(Store[Task]).item, Task)
    assert isinstance(app.get(Tasks).item, Task)
    assert [type(each) for each in app.get(Pair[User, Task]).parts] == [User, Task]
    assert [type(each) for each in app.get(Final).parts] == [Task, User]


def test_a_generic_interface_and_its_implementation() -> None:
    class Remote(Store[T]):
        pass

    def configure(binder: Binder) -> None:
        binder.bind(User)
        binder.bind(Task)
        binder.bind(Store[User], to=Remote[User])  # type: ignore[type-abstract, unused-ignore]
        binder.bind(Store[Task], to=Store)

    app = Container([configure])
    assert type(app.get(Store[User])) is Remote
    assert isinstance(app.get(Store[User]).item, User)
    assert isinstance(app.get(Store[Task]).item, Task)


def test_generic_dataclasses() -> None:
    @dataclasses.dataclass
    class One(Generic[T]):
        item: T

    @dataclasses.dataclass
    class Two(One[User], Generic[K]):
        other: K

    made = bound(User, Task, Two[Task]).get(Two[Task])
    assert (type(made.item), type(made.other)) == (User, Task)


def test_annotated_types_are_keys_of_their_own() -> None:
    read, write = Annotated[Session, "read"], Annotated[Session, "write"]
    one, two = Session(), Session()

    class Split:
        def __init__(
            self, read: Annotated[Session, "read"], write: Inject[Annotated[Session, "write"]]
        ) -> None:
            self.parts = (read, write)

    def configure(binder: Binder) -> None:
        binder.bind(Split)
        binder.bind(Annotated[Session, "new"])  # type: ignore[arg-type]
        binder.bind(read, to=one)  # type: ignore[arg-type]
        binder.bind(write, to=InstanceProvider(two))  # type: ignore[arg-type]

    app = Container([configure])
    assert app.get(Split).parts == (one, two)
    assert type(app.get(Annotated[Session, "new"])) is Session


def test_functions_and_objects_that_make_things() -> None:
    class Custom(Provider[Base]):
        def get(self, injector: Injector) -> Base:
            return Inherited(injector.get(Session))

    def configure(binder: Binder) -> None:
        binder.bind(Session)
        binder.bind(Base, to=Custom())
        binder.bind(Inherited, to=lambda: Inherited(Session()))

    app = Container([configure])
    assert type(app.get(Base)) is Inherited
    assert type(app.get(Inherited)) is Inherited


class Connection:
    pass


@connection_scoped
class Cart:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection


class Lazy:
    """Takes what resolves later, on the level that made it."""

    def __init__(
        self,
        injector: Injector,
        cart: ProviderOf[Cart],
        builder: AssistedBuilder[Cart],
        free: ClassAssistedBuilder[Base],
        binder: Binder,
    ) -> None:
        self.injector = injector
        self.cart = cart
        self.builder = builder
        self.free = free
        self.binder = binder


def test_what_resolves_later_resolves_where_it_was_asked_for() -> None:
    def configure(binder: Binder) -> None:
        binder.bind(Lazy, scope=event_scoped)
        binder.bind(Cart)
        binder.bind(Session)

    app = Container([configure], connection=[Connection])
    assert app.recipe(Lazy).level is Depth.EVENT
    assert app.recipe(ProviderOf[Cart]).level is Depth.CONNECTION
    assert app.recipe(ProviderOf[Connection]).level is Depth.CONNECTION
    connection = app.connection({Connection: Connection()})
    lazy = connection.event().get(Lazy)
    cart = connection.get(Cart)
    assert lazy.cart.get() is cart
    assert lazy.injector.get(Cart) is cart
    assert lazy.injector.create_object(Base).session is not None
    other = Connection()
    assert lazy.builder.build(connection=other).connection is other
    assert isinstance(lazy.free.build().session, Session)
    assert lazy.binder.has_binding_for(Cart)

    @inject
    def function(cart: Cart) -> Cart:
        return cart

    assert lazy.injector.call_with_injection(function) is cart
    with pytest.raises(RuntimeError) as raised:
        lazy.injector.get(Cart, scope=event_scoped)
    assert str(raised.value).startswith("expected the binding of Cart to name its scope, got get(")


def test_a_provider_of_something_unbound_is_refused() -> None:
    with pytest.raises(Exception, match=r"ProviderOf\[Cart\] -> Cart: expected a binding for Cart"):
        Container().recipe(ProviderOf[Cart])


def test_a_cycle_is_broken_by_what_resolves_later() -> None:
    app = bound(postponed.Left, postponed.Right)
    right = app.get(postponed.Right)
    assert isinstance(right.left.right.get(), postponed.Right)


def test_a_plain_injector_refuses_our_scopes() -> None:
    configure: Callable[[Binder], None] = lambda binder: binder.bind(Session, scope=event_scoped)  # noqa: E731
    with pytest.raises(RuntimeError, match="expected a gatewright Container to resolve"):
        Injector([configure], auto_bind=False).get(Session)
