"""What the container cannot provide is found when the application is built."""

# Annotations come from variables here.
# pyright: reportInvalidTypeForm=false

from collections.abc import AsyncIterator
from typing import Any

import pytest
from injector import Binder, Inject, Module

from gatewright import (
    CallNext,
    Connection,
    Context,
    Emitter,
    Handshake,
    Identity,
    app_scoped,
    connection_scoped,
    event_scoped,
    gateway,
    on,
    on_connect,
    on_start,
    resource,
)
from tests.declare.support import accepted, refused


class Session:
    pass


class Repository:
    def __init__(self, session: Session) -> None:
        self.session = session


class Service:
    def __init__(self, repository: Repository) -> None:
        self.repository = repository


class Visitor:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection


class Storage(Module):
    def configure(self, binder: Binder) -> None:
        binder.bind(Repository)
        binder.bind(Visitor, scope=connection_scoped)

    @event_scoped
    @resource
    async def session(self) -> AsyncIterator[Session]:
        yield Session()


class Captive(Storage):
    def configure(self, binder: Binder) -> None:
        super().configure(binder)
        binder.bind(Service, scope=app_scoped)


class Base:
    @on("say")
    async def say(self, text: str) -> None: ...


@gateway("/chat")
class Chat(Base):
    pass


UNBOUND = (
    "expected a binding for Service, got none in the modules. "
    "Bind it in a module: binder.bind(Service)."
)


def taking(annotation: Any, decorator: Any) -> Any:
    async def run(self: Any, what: annotation) -> None: ...

    return gateway("/tasks")(type("Tasks", (), {"run": decorator(run)}))


@pytest.mark.parametrize("decorator", [on("say"), on_connect, on_start])
def test_something_unbound(decorator: Any) -> None:
    assert refused(taking(Inject[Service], decorator)) == (
        f"Tasks.run, parameter 'what': Service: {UNBOUND}"
    )


def test_something_unbound_further_in() -> None:
    def modules(binder: Binder) -> None:
        binder.bind(Service)

    assert refused(taking(Inject[Service], on("say")), modules=[modules]) == (
        "Tasks.run, parameter 'what': Service -> Repository: expected a binding for Repository, "
        "the parameter 'repository: Repository' of Service, got none in the modules. "
        "Bind it in a module: binder.bind(Repository), or give the parameter a default."
    )


def test_something_unbound_of_a_guard() -> None:
    def guard(service: Inject[Service]) -> bool:
        return True

    assert refused(Chat, guards=[guard]) == (
        f"Gatewright(guards=…): guard, parameter 'service': Service: {UNBOUND}"
    )


def test_something_unbound_of_authenticate() -> None:
    async def authenticate(service: Inject[Service]) -> Identity[str] | None:
        return None

    assert refused(Chat, authenticate=authenticate) == (
        f"authenticate=authenticate, parameter 'service': Service: {UNBOUND}"
    )


def test_something_unbound_of_a_constructor() -> None:
    @gateway("/tasks")
    class Tasks(Base):
        def __init__(self, service: Service) -> None:
            self.service = service

    assert refused(Tasks) == (
        "Tasks -> Service: expected a binding for Service, the parameter 'service: Service' of "
        "Tasks, got none in the modules. "
        "Bind it in a module: binder.bind(Service), or give the parameter a default."
    )


def test_a_constructor_without_annotation() -> None:
    @gateway("/tasks")
    class Tasks(Base):
        def __init__(self, thing) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
            self.thing = thing

    assert refused(Tasks) == (
        "Tasks: expected an annotation on the parameter 'thing' of Tasks, got none. "
        "Annotate it with the type to inject, or give it a default."
    )


# Levels


def test_a_captive_dependency() -> None:
    assert refused(taking(Inject[Service], on("say")), modules=[Captive]) == (
        "Tasks.run, parameter 'what': Service -> Repository -> Session: expected only what lives "
        "as long as Service (application level), got Session (event level). "
        "Scope Service to the event as well, or pass Session to its methods."
    )


@pytest.mark.parametrize(
    ("annotation", "chain", "got", "ask"),
    [
        (Repository, "Repository -> Session", "Session (event level)", "Repository"),
        (Visitor, "Visitor", "Visitor (connection level)", "Visitor"),
        (Connection, "Connection", "Connection (connection level)", "Connection"),
        (Context, "Context", "Context (event level)", "Context"),
    ],
)
def test_something_narrower_in_a_constructor(
    annotation: Any, chain: str, got: str, ask: str
) -> None:
    @gateway("/tasks")
    class Tasks(Base):
        def __init__(self, what: annotation) -> None:
            self.what = what

    assert refused(Tasks, modules=[Storage]) == (
        f"Tasks -> {chain}: expected only what lives as long as the application level, got {got}. "
        f"Take it as a parameter of a handler, Inject[{ask}], or widen its scope."
    )


def test_something_narrower_in_the_constructor_of_a_guard() -> None:
    class Guarding:
        def __init__(self, repository: Repository) -> None: ...

        def __call__(self) -> bool:
            return True

    message = (
        "Guarding -> Repository -> Session: expected only what lives as long as the application: "
        "guards and interceptors are created once, got Session (event level). "
        "Take Inject[Repository] in the __call__ of a guard, or widen its scope."
    )
    assert refused(Chat, modules=[Storage], guards=[Guarding]) == message
    guarded = gateway("/chat", guards=[Guarding])(type("Chat", (Base,), {}))
    assert refused(guarded, modules=[Storage]) == message


def test_something_narrower_in_the_constructor_of_an_interceptor() -> None:
    class Around:
        def __init__(self, connection: Connection) -> None: ...

        async def __call__(self, context: Context, call_next: CallNext) -> Any:
            return await call_next()

    assert refused(Chat, interceptors=[Around]) == (
        "Around -> Connection: expected only what lives as long as the application: "
        "guards and interceptors are created once, got Connection (connection level). "
        "Take Inject[Connection] in the __call__ of a guard, or widen its scope."
    )


def test_something_narrower_at_the_start() -> None:
    assert refused(taking(Inject[Repository], on_start), modules=[Storage]) == (
        "Tasks.run, parameter 'what': expected something of the application level: there is "
        "nothing narrower here, got Inject[Repository], which needs the event level. "
        "Take it in a handler, or scope it to the application."
    )


def test_a_connection_behind_what_a_guard_at_opening_takes() -> None:
    def guard(visitor: Inject[Visitor]) -> bool:
        return True

    async def authenticate(visitor: Inject[Visitor]) -> Identity[str] | None:
        return None

    rest = (
        "parameter 'visitor': Visitor -> Connection: expected only what is known while a "
        "connection opens, got Connection, which does not exist yet. "
        "Take Handshake, or put the guard on the handler."
    )
    assert refused(Chat, modules=[Storage], guards=[guard]) == (
        f"Gatewright(guards=…): guard, {rest}"
    )
    guarded = gateway("/chat", guards=[guard])(type("Chat", (Base,), {}))
    assert refused(guarded, modules=[Storage]) == f"Chat, guards: guard, {rest}"
    assert refused(Chat, modules=[Storage], authenticate=authenticate) == (
        f"authenticate=authenticate, {rest}"
    )

    async def say(self: Any, text: str) -> None: ...

    method = on("say", guards=[guard])(say)
    accepted(gateway("/chat")(type("Chat", (), {"say": method})), modules=[Storage])


def test_what_each_place_may_take() -> None:
    @gateway("/tasks")
    class Tasks(Base):
        def __init__(self, emitter: Emitter, note: str = "") -> None:
            self.emitter = emitter

        @on("create")
        async def create(
            self, repository: Inject[Repository], visitor: Inject[Visitor]
        ) -> None: ...

        @on_connect
        async def arrive(self, visitor: Inject[Visitor]) -> None: ...

    def guard(repository: Inject[Repository]) -> bool:
        return True

    async def authenticate(
        handshake: Handshake, repository: Inject[Repository]
    ) -> Identity[str] | None:
        return None

    accepted(Tasks, modules=[Storage], guards=[guard], authenticate=authenticate)
