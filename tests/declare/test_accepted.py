"""Declarations that are right, run: what the reader has understood is what happens."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, TypeVar

import pytest
from injector import Binder, Inject
from msgspec import Struct

from gatewright import Emitter, EventError, Gatewright, Identity, gateway, on
from gatewright.testing import TestClient
from tests.declare import postponed

pytestmark = pytest.mark.anyio

T = TypeVar("T")


class Task(Struct):
    title: str


class Say(Struct):
    text: str


class Crud(Generic[T]):
    def __init__(self, emitter: Emitter) -> None:
        self.items: list[T] = []

    @on("create")
    async def create(self, item: T) -> int:
        self.items.append(item)
        return len(self.items)

    @on("list")
    async def list(self) -> list[T]:
        return self.items


@gateway("/tasks")
class Tasks(Crud[Task]):
    async def create(self, item: Task) -> int:
        if not item.title:
            raise EventError("untitled")
        return await super().create(item)


def plain(handler: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handler)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return asyncio.ensure_future(handler(*args, **kwargs))

    return inner


def doubled(handler: Callable[..., AsyncIterator[int]]) -> Callable[..., AsyncIterator[int]]:
    @functools.wraps(handler)
    async def inner(*args: Any, **kwargs: Any) -> AsyncIterator[int]:
        async for item in handler(*args, **kwargs):
            yield 2 * item

    return inner


@gateway("/chat")
class Chat:
    @on("say")
    async def say(self, room: str, message: Say, times: int = 1, *, loud: bool = False) -> str:
        text = f"{room}: {message.text * times}"
        return text.upper() if loud else text

    @on("wrapped")
    @plain
    async def wrapped(self, text: str) -> str:
        return text

    @on("count")
    @doubled
    async def count(self, to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number


@gateway("/chat")
class Bots:
    @on("ask")
    async def ask(self, text: str) -> str:
        return text[::-1]


async def test_a_generic_base_and_an_override() -> None:
    async with TestClient(Gatewright([Tasks])) as client, client.connect("/tasks") as ana:
        assert await ana.call("create", Task("write"), reply=int) == 1
        assert await ana.call("list", reply=list[Task]) == [Task("write")]
        with pytest.raises(EventError, match="untitled"):
            await ana.call("create", Task(""))
        with pytest.raises(EventError) as caught:
            await ana.call("create", {"title": 5})
        assert caught.value.details == {"path": "$.title"}


async def test_several_arguments_and_where_one_is_wrong() -> None:
    async with TestClient(Gatewright([Chat])) as client, client.connect("/chat") as ana:
        assert await ana.call("say", "lobby", Say("hi")) == "lobby: hi"
        assert await ana.call("say", "lobby", Say("hi"), 2, True) == "LOBBY: HIHI"
        with pytest.raises(EventError) as caught:
            await ana.call("say", "lobby", {"text": 5})
        error = caught.value
        assert (error.code, error.details) == ("invalid", {"path": "$[1].text"})
        with pytest.raises(EventError) as caught:
            await ana.call("say", "lobby")
        assert caught.value.message == "Expected `array` of at least length 2, got 1"


async def test_wrapped_handlers_and_streams() -> None:
    async with TestClient(Gatewright([Chat])) as client, client.connect("/chat") as ana:
        assert await ana.call("wrapped", "text") == "text"
        assert [item async for item in ana.stream("count", 3, item=int)] == [0, 2, 4]


async def test_two_gateways_in_one_namespace() -> None:
    async with TestClient(Gatewright([Chat, Bots])) as client, client.connect("/chat") as ana:
        assert await ana.call("wrapped", "text") == "text"
        assert await ana.call("ask", "text") == "txet"


async def test_one_class_in_two_applications() -> None:
    first, second = Gatewright([Tasks]), Gatewright([Tasks, Chat])
    async with (
        TestClient(first) as one,
        TestClient(second) as other,
        one.connect("/tasks") as ana,
        other.connect("/tasks") as ben,
    ):
        assert await ana.call("create", Task("write"), reply=int) == 1
        assert await ana.call("create", Task("read"), reply=int) == 2
        assert await ben.call("create", Task("sleep"), reply=int) == 1
        assert await ben.call("list", reply=list[Task]) == [Task("sleep")]


async def test_postponed_annotations() -> None:
    async def authenticate() -> Identity[postponed.User]:
        return Identity("ana", postponed.User("ana"))

    def modules(binder: Binder) -> None:
        binder.bind(postponed.Clock)

    app = Gatewright([postponed.Right], modules=[modules], authenticate=authenticate)
    async with TestClient(app) as client, client.connect("/right/7") as ana:
        assert await ana.call("say", "hi", 2) == "hihi"


async def test_what_is_injected_in_the_constructor_of_a_generic_base() -> None:
    class Store(Generic[T]):
        pass

    class Kept(Generic[T]):
        def __init__(self, store: Store[T], emitter: Inject[Emitter]) -> None:
            self.store = store
            self.emitter = emitter

        @on("count")
        async def count(self) -> int:
            return await self.emitter.count()

    @gateway("/kept")
    class KeptTasks(Kept[Task]):
        pass

    def modules(binder: Binder) -> None:
        binder.bind(Store[Task])

    app = Gatewright([KeptTasks], modules=[modules])
    async with TestClient(app) as client, client.connect("/kept") as ana:
        assert await ana.call("count") == 1
