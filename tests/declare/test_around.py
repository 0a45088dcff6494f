"""What guards, interceptors and error handlers must look like."""

# Annotations come from variables here.
# pyright: reportInvalidTypeForm=false

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from msgspec import Struct

from gatewright import (
    CallNext,
    Connection,
    Context,
    Emitter,
    EventError,
    Handshake,
    Identity,
    Principal,
    State,
    catch,
    gateway,
    on,
)
from gatewright.errors import StartupError
from tests.declare.support import accepted, refused


class User(Struct):
    name: str


class Seen(Struct):
    events: int = 0


class Say(Struct):
    text: str


async def authenticate(handshake: Handshake) -> Identity[User]:
    return Identity("ana", User("ana"))


class Base:
    @on("say")
    async def say(self, text: str) -> None: ...


@gateway("/chat")
class Chat(Base):
    pass


def with_options(**options: Any) -> Any:
    """A gateway with something around all of its handlers."""
    return gateway("/chat", **options)(type("Chat", (Base,), {}))


def on_handler(**options: Any) -> Any:
    """A gateway with something around its one handler."""

    async def say(self: Any, text: str) -> None: ...

    return gateway("/chat")(type("Chat", (), {"say": on("say", **options)(say)}))


# Guards


class Uncalled:
    pass


@pytest.mark.parametrize("guard", ["admin", 5, None])
def test_a_guard_that_nobody_can_call(guard: Any) -> None:
    rest = (
        f"expected a guard: a function, or a class with __call__, got {guard!r}. "
        "Write async def __call__(self, …) -> bool, or pass a function."
    )
    assert refused(Chat, guards=[guard]) == f"Gatewright(guards=…): {rest}"
    assert refused(with_options(guards=[guard])) == f"Chat, guards: {rest}"
    assert refused(on_handler(guards=[guard])) == f"Chat.say, guards: {rest}"


def test_a_guard_class_without_call() -> None:
    assert refused(Chat, guards=[Uncalled]) == (
        "Gatewright(guards=…): Uncalled: expected a guard: a function, or a class with __call__, "
        "got a class without. Write async def __call__(self, …) -> bool, or pass a function."
    )


def yields() -> Iterator[bool]:
    yield False


async def yields_later() -> AsyncIterator[bool]:
    yield False


@pytest.mark.parametrize("guard", [yields, yields_later])
def test_a_guard_that_would_let_everybody_in(guard: Any) -> None:
    assert refused(Chat, guards=[guard]) == (
        f"Gatewright(guards=…): {guard.__name__}: expected a guard that returns: def or async "
        "def, got a generator. Return True or False, or raise; there is no yield in a guard."
    )


def test_a_connection_in_a_guard_that_also_runs_at_opening() -> None:
    def guard(connection: Connection) -> bool:
        return True

    rest = (
        "guard, parameter 'connection': expected Context, Handshake, Principal[T] or Inject[T]: "
        "this runs while a connection opens, got Connection, which does not exist yet. "
        "Take Handshake or Principal[T]; a guard of a handler may take the connection."
    )
    assert refused(with_options(guards=[guard])) == f"Chat, guards: {rest}"
    assert refused(Chat, guards=[guard]) == f"Gatewright(guards=…): {rest}"
    accepted(on_handler(guards=[guard]))


@pytest.mark.parametrize(("kind", "shown"), [(State[Seen], "State[Seen]"), (Emitter, "Emitter")])
def test_what_belongs_to_a_connection_in_a_guard(kind: Any, shown: str) -> None:
    def guard(what: kind) -> bool:
        return True

    assert refused(with_options(guards=[guard])) == (
        "Chat, guards: guard, parameter 'what': expected Context, Handshake, Principal[T] or "
        f"Inject[T]: this runs while a connection opens, got {shown}, which does not exist yet. "
        "Take Handshake or Principal[T]; a guard of a handler may take the connection."
    )
    accepted(on_handler(guards=[guard]))


def test_a_payload_of_a_guard() -> None:
    def guard(say: Say) -> bool:
        return True

    rest = (
        "guard, parameter 'say': expected a parameter that is known here, as Context, "
        "Principal[T] or Inject[T], got Say, which only an event's data could be. "
        "Did you mean Inject[Say]? Only @on handlers have a payload."
    )
    assert refused(on_handler(guards=[guard])) == f"Chat.say, guards: {rest}"
    assert refused(with_options(guards=[guard])) == f"Chat, guards: {rest}"


def test_guards_that_are_right() -> None:
    def plain(context: Context, who: Principal[User]) -> bool:
        return True

    async def later(handshake: Handshake) -> None: ...

    def nothing() -> bool:
        return True

    class Injected:
        async def __call__(self, context: Context) -> bool:
            return True

    guards: list[Any] = [plain, later, nothing, Injected, Injected(), lambda: True]
    accepted(
        gateway("/chat", guards=guards)(type("Chat", (Base,), {})),
        guards=guards,
        authenticate=authenticate,
    )


def test_a_guard_with_a_path_parameter() -> None:
    def guard(bench: int) -> bool:
        return True

    lab = gateway("/lab/{bench}", guards=[guard])(type("Lab", (Base,), {}))
    accepted(lab)
    assert refused(lab, guards=[guard]) == (
        "Gatewright(guards=…): guard, parameter 'bench': expected a parameter that is known here, "
        "as Context, Principal[T] or Inject[T], got int, which only an event's data could be. "
        "Did you mean Inject[int]? Only @on handlers have a payload."
    )


# Interceptors

AROUND = (
    "expected an interceptor: async def (context, call_next), or a class with that __call__, got"
)
WRITE = (
    "Write async def around(context: Context, call_next: CallNext) and return await call_next()."
)


def not_async(context: Context, call_next: CallNext) -> Any:
    return None


async def too_few(context: Context) -> Any:
    return None


async def too_many(context: Context, call_next: CallNext, name: str) -> Any:
    return None


class Short:
    async def __call__(self, context: Context) -> Any: ...


@pytest.mark.parametrize(
    ("interceptor", "named", "got"),
    [
        (not_async, "not_async: ", "def not_async(context, call_next)"),
        (too_few, "too_few: ", "async def too_few(context)"),
        (too_many, "too_many: ", "async def too_many(context, call_next, name)"),
        (Short, "Short: ", "async def __call__(self, context)"),
        (Uncalled, "Uncalled: ", "a class without"),
        ("log", "", "'log'"),
    ],
)
def test_a_bad_interceptor(interceptor: Any, named: str, got: str) -> None:
    rest = f"{named}{AROUND} {got}. {WRITE}"
    if not named:
        rest = f"{AROUND} {got}. {WRITE}"
    assert refused(Chat, interceptors=[interceptor]) == f"Gatewright(interceptors=…): {rest}"
    assert refused(with_options(interceptors=[interceptor])) == f"Chat, interceptors: {rest}"
    assert refused(on_handler(interceptors=[interceptor])) == f"Chat.say, interceptors: {rest}"


def test_interceptors_that_are_right() -> None:
    async def around(context: Context, call_next: CallNext) -> Any:
        return await call_next()

    async def optional(context: Context, call_next: CallNext, *, name: str = "x") -> Any:
        return await call_next()

    class Injected:
        async def __call__(self, context: Context, call_next: CallNext) -> Any:
            return await call_next()

    accepted(Chat, interceptors=[around, optional, Injected, Injected()])


# Error handlers


@catch(ValueError)
async def on_value(error: ValueError, context: Context) -> EventError:
    return EventError("value")


@catch(ValueError)
async def also_on_value(error: ValueError, context: Context) -> EventError:
    return EventError("value")


@catch(KeyError)  # type: ignore[arg-type]
async def alone(error: KeyError) -> EventError:
    return EventError("key")


async def bare(error: KeyError, context: Context) -> EventError:
    return EventError("key")


LEVELS: list[tuple[Callable[[Any], str], str]] = [
    (lambda each: refused(Chat, errors=each), "Gatewright(errors=…)"),
    (lambda each: refused(with_options(errors=each)), "Chat, errors"),
    (lambda each: refused(on_handler(errors=each)), "Chat.say, errors"),
]


@pytest.mark.parametrize(("refuse", "where"), LEVELS)
def test_an_error_handler_of_another_arity(refuse: Any, where: str) -> None:
    assert refuse([alone]) == (
        f"{where}: alone: expected an error handler: async def (error, context) -> EventError, "
        "got (error). Take the exception and its Context."
    )


@pytest.mark.parametrize(
    ("handler", "got"), [(bare, "bare"), (ValueError, "ValueError"), ("bare", "'bare'")]
)
@pytest.mark.parametrize(("refuse", "where"), LEVELS)
def test_an_error_handler_without_catch(refuse: Any, where: str, handler: Any, got: str) -> None:
    assert refuse([handler]) == (
        f"{where}: expected error handlers: functions under @catch(ExceptionType), got {got}. "
        "Write @catch(…) above the function."
    )


@pytest.mark.parametrize(("refuse", "where"), LEVELS)
def test_two_error_handlers_of_one_exception(refuse: Any, where: str) -> None:
    assert refuse([on_value, also_on_value]) == (
        f"{where}: expected one error handler for each exception at one level, got on_value and "
        "also_on_value for ValueError. Drop one, or catch a narrower exception."
    )


@pytest.mark.parametrize(("refuse", "where"), LEVELS)
def test_an_error_handler_that_is_not_async(refuse: Any, where: str) -> None:
    def blocking(error: ValueError, context: Context) -> EventError:
        return EventError("value")

    assert refuse([catch(ValueError)(blocking)]) == (  # type: ignore[arg-type]
        f"{where}: blocking: expected an async def, got a plain function. "
        "Write async def; what blocks goes through anyio.to_thread.run_sync."
    )


def test_an_error_method_of_another_arity() -> None:
    class More(Base):
        @catch(ValueError)  # type: ignore[arg-type]
        async def wrong(self, error: ValueError) -> EventError:  # type: ignore[misc]
            return EventError("value")

    assert refused(gateway("/chat")(More)) == (
        "More.wrong: expected an error handler: async def (self, error, context) -> EventError, "
        "got (self, error). Take the exception and its Context."
    )


def test_an_error_method_and_a_function_of_one_exception() -> None:
    class More(Base):
        @catch(ValueError)
        async def wrong(self, error: ValueError, context: Context) -> EventError:
            return EventError("value")

    assert refused(gateway("/chat", errors=[on_value])(More)) == (
        "More: expected one error handler for each exception at one level, got More.wrong "
        "and on_value for ValueError. Drop one, or catch a narrower exception."
    )


def test_error_handlers_of_one_exception_at_three_levels() -> None:
    async def say(self: Any, text: str) -> None: ...

    method = on("say", errors=[on_value])(say)
    chat = gateway("/chat", errors=[on_value])(type("Chat", (), {"say": method}))
    accepted(chat, errors=[on_value])


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (5, "5"),
        (int, "int"),
        (KeyboardInterrupt, "KeyboardInterrupt"),
        (ValueError("text"), "text"),
        ((ValueError, KeyError), "(<class 'ValueError'>, <class 'KeyError'>)"),
        (bare, "bare"),
    ],
)
def test_catch_of_no_exception(given: Any, shown: str) -> None:
    with pytest.raises(StartupError) as caught:
        catch(given)
    assert str(caught.value) == (
        f"@catch: expected an exception class, got {shown}. "
        "Write @catch(ValueError), one decorator per class."
    )


def test_a_wrapped_error_handler() -> None:
    def wrapped(
        handler: Callable[[Any, Context], Awaitable[EventError]],
    ) -> Callable[[Any, Context], Awaitable[EventError]]:
        def inner(error: Any, context: Context) -> Awaitable[EventError]:
            return handler(error, context)

        inner.__wrapped__ = handler  # type: ignore[attr-defined]
        return inner

    async def on_key(error: KeyError, context: Context) -> EventError:
        return EventError("key")

    accepted(Chat, errors=[catch(KeyError)(wrapped(on_key))])
