"""What `Gatewright(gateways=[…])` and `@gateway` refuse."""

# Annotations come from variables here.
# pyright: reportInvalidTypeForm=false

from typing import Any

import pytest
from injector import Inject

from gatewright import Connection, Emitter, Event, Gatewright, gateway, on, on_connect
from gatewright.errors import StartupError
from tests.declare.support import accepted, handled, refused


class Said(Event, event="said"):
    text: str


@gateway("/chat")
class Chat:
    @on("say")
    async def say(self, text: str) -> str:
        return text


def test_no_gateways() -> None:
    assert refused() == (
        "Gatewright(gateways=…): expected at least one gateway, got none. "
        "Pass the classes under @gateway."
    )


def test_a_gateway_outside_a_list() -> None:
    with pytest.raises(StartupError) as caught:
        Gatewright(gateways=Chat)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "Gatewright: expected gateways as a list, got Chat. Write gateways=[…]."
    )


def test_an_instance() -> None:
    chat = Chat()
    assert refused(chat) == (
        f"Gatewright(gateways=…): expected a gateway class, got {chat!r}. "
        "Pass the class itself: it is created by injection."
    )


def test_a_function() -> None:
    def chat() -> None: ...

    assert refused(chat) == (
        "Gatewright(gateways=…): expected a gateway class, got the function chat. "
        "Pass the class itself: it is created by injection."
    )


def test_a_class_without_gateway() -> None:
    class Plain:
        @on("say")
        async def say(self, text: str) -> str:
            return text

    assert refused(Plain) == (
        "Plain: expected a class under @gateway(namespace), got a plain class. "
        'Write @gateway("/…") above class Plain.'
    )


def test_a_subclass_without_its_own_gateway() -> None:
    class Louder(Chat):
        @on("shout")
        async def shout(self, text: str) -> str:
            return text.upper()

    assert refused(Louder) == (
        "Louder: expected a class under @gateway(namespace), got a subclass without its own. "
        'Write @gateway("/…") above class Louder.'
    )


def test_gateway_without_brackets() -> None:
    with pytest.raises(StartupError) as caught:

        @gateway  # type: ignore[arg-type]
        class Lobby:
            pass

    assert str(caught.value) == (
        "@gateway above Lobby: expected a namespace in brackets, got none. "
        'Write @gateway("/lobby").'
    )


def test_the_same_gateway_twice() -> None:
    assert refused(Chat, Chat) == (
        "Gatewright(gateways=…): expected each gateway once, got Chat twice. Drop one of them."
    )


def test_a_gateway_that_handles_nothing() -> None:
    @gateway("/empty")
    class Empty:
        async def say(self, text: str) -> str:
            return text

    assert refused(Empty) == (
        "Empty: expected at least one @on handler or hook, got none. "
        'Add a method: @on("say") async def say(self, text: str) -> None.'
    )


def test_a_gateway_of_hooks_alone() -> None:
    @gateway("/hooks")
    class Hooks:
        @on_connect
        async def arrive(self, connection: Connection) -> None: ...

    assert list(handled(accepted(Hooks))) == ["/hooks"]


# The namespace


@pytest.mark.parametrize(
    ("namespace", "fix"), [("chat", "/chat"), ("", "/chat"), ("lab/{n}", "/lab/{n}"), (5, "/chat")]
)
def test_a_namespace_without_a_slash(namespace: Any, fix: str) -> None:
    cls = gateway(namespace)(type("Chat", (Chat,), {}))
    assert refused(cls) == (
        f"Chat, @gateway({namespace!r}): expected a namespace that starts with a slash, "
        f'got {namespace!r}. Write @gateway("{fix}").'
    )


def test_a_type_in_the_braces() -> None:
    cls = gateway("/lab/{bench:int}")(type("Lab", (Chat,), {}))
    assert refused(cls) == (
        "Lab, @gateway('/lab/{bench:int}'): expected path parameters that are plain names, "
        "as {bench}, got {bench:int}. The type belongs to the handler's parameter: bench: int."
    )


def test_a_path_parameter_twice() -> None:
    cls = gateway("/lab/{bench}/{bench}")(type("Lab", (Chat,), {}))
    assert refused(cls) == (
        "Lab, @gateway('/lab/{bench}/{bench}'): expected each path parameter once, "
        "got {bench} twice. Rename one of them."
    )


@pytest.mark.parametrize("namespace", ["/lab/{bench", "/lab/bench}", "/lab/{{bench}}"])
def test_an_open_brace(namespace: str) -> None:
    cls = gateway(namespace)(type("Lab", (Chat,), {}))
    assert refused(cls) == (
        f"Lab, @gateway({namespace!r}): expected path parameters in pairs of braces, "
        f"as {{bench}}, got {namespace!r}. Close the brace, or remove it."
    )


def test_two_paths_of_one_shape() -> None:
    first = gateway("/lab/{bench}")(type("Benches", (Chat,), {}))
    second = gateway("/lab/{desk}")(type("Desks", (Chat,), {}))
    assert refused(first, second) == (
        "namespace /lab/{desk}: expected one spelling of a namespace, got /lab/{bench} as well, "
        "which matches the same addresses. Give both gateways the same path."
    )


def test_paths_of_different_shapes() -> None:
    first = gateway("/lab/{bench}")(type("Benches", (Chat,), {}))
    second = gateway("/lab/x{bench}")(type("Others", (Chat,), {}))
    third = gateway("/lab")(type("Lab", (Chat,), {}))
    assert len(handled(accepted(first, second, third))) == 3


@pytest.mark.parametrize("concurrency", [0, -1, "2", None])
def test_concurrency_below_one(concurrency: Any) -> None:
    cls = gateway("/chat", concurrency=concurrency)(type("Chat", (Chat,), {}))
    assert refused(cls) == (
        "Chat, @gateway('/chat'): expected concurrency=n, how many events of one connection run "
        f"at a time, at least 1, got {concurrency!r}. "
        "Drop it: by default they run one after another."
    )


# Its lists


@pytest.mark.parametrize("name", ["emits", "guards", "interceptors", "errors"])
def test_one_thing_where_a_list_belongs(name: str) -> None:
    options: Any = {name: Said}
    with pytest.raises(StartupError) as caught:
        gateway("/chat", **options)(type("Chat", (Chat,), {}))
    assert str(caught.value) == (
        f"Chat, @gateway: expected {name} as a list, got Said. Write {name}=[…]."
    )


@pytest.mark.parametrize("name", ["guards", "interceptors", "errors"])
def test_one_thing_where_a_list_of_a_handler_belongs(name: str) -> None:
    options: Any = {name: Said}

    async def say(self: Any, text: str) -> None: ...

    with pytest.raises(StartupError) as caught:
        on("say", **options)(say)
    assert str(caught.value) == f"say, @on: expected {name} as a list, got Said. Write {name}=[…]."


@pytest.mark.parametrize("name", ["guards", "interceptors", "errors"])
def test_one_thing_where_a_list_of_the_application_belongs(name: str) -> None:
    assert refused(Chat, **{name: Said}) == (
        f"Gatewright: expected {name} as a list, got Said. Write {name}=[…]."
    )


# The emitter of its constructor


@pytest.mark.parametrize("annotation", [Emitter, Inject[Emitter]])
def test_an_emitter_for_a_namespace_with_path_parameters(annotation: Any) -> None:
    @gateway("/lab/{bench}")
    class Lab:
        def __init__(self, emitter: annotation) -> None:
            self.emitter = emitter

        @on("say")
        async def say(self, text: str) -> None: ...

    assert refused(Lab) == (
        "Lab.__init__, parameter 'emitter': expected a gateway of a namespace without path "
        "parameters, to bind its emitter to, got one of /lab/{bench}. "
        "Take the Emitter as a parameter of the handler: it is bound to the connection's."
    )
