"""What the decorators of methods refuse: what they stand above, and twice."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from gatewright import (
    Connection,
    Context,
    EventError,
    authorize_room,
    catch,
    gateway,
    on,
    on_connect,
    on_start,
)
from gatewright.errors import StartupError
from tests.declare.support import accepted, handled, refused

BLOCKING = "Write async def; what blocks goes through anyio.to_thread.run_sync."
INSTANCE = "Make it an async method with self: the gateway is an injected instance."


def test_a_plain_function() -> None:
    @gateway("/chat")
    class Chat:
        @on("say")  # type: ignore[type-var]
        def say(self, text: str) -> str:
            return text

    assert refused(Chat) == (
        f"Chat.say: expected an async def or an async generator, got a plain function. {BLOCKING}"
    )


def test_a_generator() -> None:
    @gateway("/chat")
    class Chat:
        @on("count")  # type: ignore[type-var]
        def count(self, to: int) -> Iterator[int]:
            yield from range(to)

    assert refused(Chat) == (
        f"Chat.count: expected an async def or an async generator, got a generator. {BLOCKING}"
    )


def test_a_hook_that_is_no_async_def() -> None:
    @gateway("/chat")
    class Chat:
        @on_connect  # type: ignore[type-var]
        def arrive(self, connection: Connection) -> None: ...

    assert refused(Chat) == (
        f"Chat.arrive: expected an async def, got a plain function. {BLOCKING}"
    )


def test_a_hook_that_is_a_stream() -> None:
    @gateway("/chat")
    class Chat:
        @on_connect  # type: ignore[type-var]
        async def arrive(self, connection: Connection) -> AsyncIterator[int]:
            yield 1

    assert refused(Chat) == (
        f"Chat.arrive: expected an async def, got an async generator. {BLOCKING}"
    )


def test_an_error_handler_that_is_no_async_def() -> None:
    @gateway("/chat")
    class Chat:
        @on("say")
        async def say(self, text: str) -> None: ...

        @catch(ValueError)  # type: ignore[arg-type]
        def wrong(self, error: ValueError, context: Context) -> EventError:  # type: ignore[misc]
            return EventError("wrong")

    assert refused(Chat) == f"Chat.wrong: expected an async def, got a plain function. {BLOCKING}"


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
def test_a_decorator_above_a_method_of_the_class(kind: Any) -> None:
    async def say(text: str) -> None: ...

    with pytest.raises(StartupError) as caught:
        on("say")(kind(say))
    assert str(caught.value) == f"say: expected a method, got a {kind.__name__}. {INSTANCE}"


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
def test_a_method_of_the_class_above_a_decorator(kind: Any) -> None:
    async def say(self: Any, text: str) -> None: ...

    chat = gateway("/chat")(type("Chat", (), {"say": kind(on("say")(say))}))
    assert refused(chat) == f"Chat.say: expected a method, got a {kind.__name__}. {INSTANCE}"


def test_a_property_above_a_decorator() -> None:
    @gateway("/chat")
    class Chat:
        @property
        @on("say")
        async def say(self) -> None: ...

    assert refused(Chat) == f"Chat.say: expected a method, got a property. {INSTANCE}"


def test_a_class() -> None:
    wrong: Any = type("Say", (), {})
    with pytest.raises(StartupError) as caught:
        on("say")(wrong)
    assert str(caught.value) == f"Say: expected a method, got a class. {INSTANCE}"


def test_on_without_brackets() -> None:
    with pytest.raises(StartupError) as caught:

        @on  # type: ignore[arg-type]
        async def say(self: Any, text: str) -> None: ...

    assert str(caught.value) == (
        '@on above say: expected an event\'s name in brackets, got none. Write @on("say").'
    )


def test_two_decorators_on_one_method() -> None:
    with pytest.raises(StartupError) as caught:

        @on("shout")
        @on("say")
        async def say(self: Any, text: str) -> None: ...

    assert str(caught.value) == (
        'say: expected one gatewright decorator, got a second one besides @on("say"). '
        "Write one method for each and let them call a third."
    )


@pytest.mark.parametrize(
    ("first", "shown"), [(on_connect, "@on_connect"), (catch(ValueError), "@catch(ValueError)")]
)
def test_two_decorators_of_different_kinds(first: Any, shown: str) -> None:
    async def arrive(self: Any) -> None: ...

    with pytest.raises(StartupError) as caught:
        on("arrive")(first(arrive))
    assert str(caught.value) == (
        f"arrive: expected one gatewright decorator, got a second one besides {shown}. "
        "Write one method for each and let them call a third."
    )


def test_two_handlers_of_one_event_in_a_class() -> None:
    @gateway("/chat")
    class Chat:
        @on("say")
        async def say(self, text: str) -> None: ...

        @on("say")
        async def tell(self, text: str) -> None: ...

    assert refused(Chat) == (
        "Chat.tell: expected one handler for each event, got a second one for 'say' besides "
        "Chat.say. Rename one event, or call both from one handler."
    )


def test_two_handlers_of_one_event_in_a_namespace() -> None:
    @gateway("/chat")
    class Chat:
        @on("say")
        async def say(self, text: str) -> None: ...

    @gateway("/chat")
    class Bots:
        @on("say")
        async def tell(self, text: str) -> None: ...

    assert refused(Chat, Bots) == (
        "Bots.tell: expected one handler for each event of a namespace, got a second one for "
        "'say' besides Chat.say. Rename one event, or give one gateway another namespace."
    )


def test_one_event_in_two_namespaces() -> None:
    @gateway("/chat")
    class Chat:
        @on("say")
        async def say(self, text: str) -> None: ...

    @gateway("/bots")
    class Bots:
        @on("say")
        async def say(self, text: str) -> None: ...

    app = accepted(Chat, Bots)
    assert handled(app) == {"/chat": {"say": "Chat.say"}, "/bots": {"say": "Bots.say"}}


@pytest.mark.parametrize("hook", [on_connect, on_start, authorize_room])
def test_two_hooks_of_one_kind(hook: Any) -> None:
    @gateway("/chat")
    class Chat:
        @hook  # type: ignore[untyped-decorator]
        async def first(self) -> None: ...

        @hook  # type: ignore[untyped-decorator]
        async def second(self) -> None: ...

    assert refused(Chat) == (
        f"Chat.second: expected one @{hook.__name__} in a gateway, got a second one besides first. "
        "Join them in one method."
    )


# What is inherited


@gateway("/chat")
class Chat:
    @on("say")
    async def say(self, text: str) -> str:
        return text

    @on("leave")
    async def leave(self) -> None: ...


def test_handlers_are_inherited() -> None:
    @gateway("/more")
    class More(Chat):
        @on("shout")
        async def shout(self, text: str) -> str:
            return text.upper()

    assert handled(accepted(More)) == {
        "/more": {"say": "More.say", "leave": "More.leave", "shout": "More.shout"}
    }


def test_an_override_keeps_the_event_that_it_overrides() -> None:
    @gateway("/more")
    class More(Chat):
        async def say(self, text: str, times: int = 1) -> str:
            return text * times

    app = accepted(More)
    assert handled(app) == {"/more": {"say": "More.say", "leave": "More.leave"}}


def test_an_override_may_name_another_event() -> None:
    @gateway("/more")
    class More(Chat):
        @on("tell")
        async def say(self, text: str) -> str:
            return text

    assert handled(accepted(More)) == {"/more": {"tell": "More.say", "leave": "More.leave"}}


def test_none_removes_what_is_inherited() -> None:
    @gateway("/more")
    class More(Chat):
        leave = None  # type: ignore[assignment]

    assert handled(accepted(More)) == {"/more": {"say": "More.say"}}


def test_an_override_is_held_to_the_same_rules() -> None:
    @gateway("/more")
    class More(Chat):
        def say(self, text: str) -> str:  # type: ignore[override]
            return text

    assert refused(More) == (
        f"More.say: expected an async def or an async generator, got a plain function. {BLOCKING}"
    )


def test_an_override_that_is_no_method() -> None:
    @gateway("/more")
    class More(Chat):
        say = 5  # type: ignore[assignment]

    assert refused(More) == f"More.say: expected a method, got an int. {INSTANCE}"


def test_the_base_is_left_as_it_was() -> None:
    @gateway("/more")
    class More(Chat):
        @on("tell")
        async def say(self, text: str) -> str:
            return text

    assert handled(accepted(Chat, More))["/chat"] == {"say": "Chat.say", "leave": "Chat.leave"}


# What is wrapped


def kept(handler: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handler)
    async def inner(*args: Any, **kwargs: Any) -> Any:
        return await handler(*args, **kwargs)

    return inner


def naked(handler: Callable[..., Any]) -> Callable[..., Any]:
    async def inner(*args: Any, **kwargs: Any) -> Any:
        return await handler(*args, **kwargs)

    return inner


def plain(handler: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handler)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return asyncio.ensure_future(handler(*args, **kwargs))

    return inner


@pytest.mark.parametrize("wrapper", [kept, plain])
def test_a_wrapper_that_keeps_what_it_wraps(wrapper: Any) -> None:
    @gateway("/chat")
    class Below:
        @on("say")
        @wrapper  # type: ignore[untyped-decorator]
        async def say(self, text: str) -> str:
            return text

    @gateway("/chat")
    class Above:
        @wrapper  # type: ignore[untyped-decorator]
        @on("tell")
        async def say(self, text: str) -> str:
            return text

    assert handled(accepted(Below, Above)) == {"/chat": {"say": "Below.say", "tell": "Above.say"}}


def test_a_naked_wrapper_below_on() -> None:
    @gateway("/chat")
    class Chat:
        @on("say")
        @naked
        async def say(self, text: str) -> str:
            return text

    assert refused(Chat) == (
        "Chat.say, parameter 'kwargs': expected named parameters, got **kwargs. "
        "Name each argument; a decorator around a handler needs functools.wraps."
    )


def test_a_naked_wrapper_above_on() -> None:
    @gateway("/chat")
    class Chat:
        @naked
        @on("say")
        async def say(self, text: str) -> str:
            return text

    assert refused(Chat) == (
        "Chat.say: expected a decorator that keeps what it wraps, got inner, which hides the "
        "handler inside. Give the wrapper functools.wraps, or write its decorator below "
        "gatewright's."
    )


def test_a_partial_above_on() -> None:
    async def say(self: Any, text: str) -> str:
        return text

    chat = gateway("/chat")(type("Chat", (), {"say": functools.partialmethod(on("say")(say))}))
    assert refused(chat) == f"Chat.say: expected a method, got a partialmethod. {INSTANCE}"


def test_a_closure_may_hold_a_handler_of_another_gateway() -> None:
    other = Chat.say

    def helper(self: Any) -> Any:
        return other

    more = gateway("/more")(type("More", (Chat,), {"helper": helper}))
    assert "say" in handled(accepted(more))["/more"]
