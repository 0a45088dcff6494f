"""What the end of a level does to its resources, and what they make of it."""

from collections.abc import AsyncIterator, Callable

import pytest
from injector import Module

from gatewright.di import Container, event_scoped, resource
from tests.di.database import Pool, Session, User

pytestmark = pytest.mark.anyio


class Steps(Module):
    """Three resources of an event, each needing the one before; `ends` says what they do last."""

    def __init__(self, **ends: Callable[[BaseException | None], BaseException | None]) -> None:
        self.ends = ends
        self.seen: list[tuple[str, BaseException | None]] = []

    def end(self, name: str, error: BaseException | None) -> None:
        self.seen.append((name, error))
        raising = self.ends[name](error) if name in self.ends else error
        if raising is not None:
            raise raising

    @event_scoped
    @resource
    async def one(self) -> AsyncIterator[Pool]:
        error: BaseException | None = None
        try:
            yield Pool()
        except BaseException as raised:
            error = raised
        self.end("one", error)

    @event_scoped
    @resource
    async def two(self, pool: Pool) -> AsyncIterator[Session]:
        error: BaseException | None = None
        try:
            yield Session(pool)
        except BaseException as raised:
            error = raised
        self.end("two", error)

    @event_scoped
    @resource
    async def three(self, session: Session) -> AsyncIterator[User]:
        error: BaseException | None = None
        try:
            yield User()
        except BaseException as raised:
            error = raised
        self.end("three", error)


async def run(module: Steps, error: BaseException | None = None) -> None:
    async with Container([module]).connection().event() as event:
        await event.aget(User)
        if error is not None:
            raise error


async def test_one_failed_clean_up_is_raised_as_it_is_and_the_others_still_run() -> None:
    failure = OSError("commit")
    module = Steps(three=lambda _: failure)
    with pytest.raises(OSError, match="commit") as raised:
        await run(module)
    assert raised.value is failure
    assert module.seen == [("three", None), ("two", failure), ("one", failure)]


async def test_several_failed_clean_ups_are_a_group() -> None:
    first, last = OSError("commit"), ValueError("pool")
    module = Steps(three=lambda _: first, one=lambda _: last)
    with pytest.raises(ExceptionGroup) as raised:
        await run(module)
    assert raised.value.message == "2 resources of the event level failed to close"
    assert raised.value.exceptions == (first, last)
    assert module.seen == [("three", None), ("two", first), ("one", first)]


async def test_an_error_may_be_translated() -> None:
    original, conflict = KeyError("key"), ValueError("conflict")

    def translate(error: BaseException | None) -> BaseException:
        conflict.__cause__ = error
        return conflict

    module = Steps(two=translate)
    with pytest.raises(ValueError, match="conflict") as raised:
        await run(module, original)
    assert raised.value is conflict
    assert module.seen == [("three", original), ("two", original), ("one", conflict)]

    failure = OSError("commit")
    module = Steps(three=lambda _: failure, two=translate)
    with pytest.raises(ValueError, match="conflict") as raised:
        await run(module)
    assert raised.value is conflict


@pytest.mark.parametrize("error", [KeyError("key"), StopAsyncIteration(), StopIteration(3)])
async def test_an_error_cannot_be_swallowed(error: Exception) -> None:
    module = Steps(three=lambda _: None, two=lambda _: None)
    level = Container([module]).connection().event()
    await level.aget(User)
    await level.aclose(error)
    assert [name for name, _ in module.seen] == ["three", "two", "one"]
    assert all(seen is error for _, seen in module.seen)

    if not isinstance(error, StopIteration):  # which a coroutine cannot raise
        with pytest.raises(type(error)) as raised:
            await run(Steps(), error)
        assert raised.value is error


async def test_the_traceback_of_the_error_does_not_grow() -> None:
    error = KeyError("key")
    with pytest.raises(KeyError):
        raise error
    before = error.__traceback__
    level = Container([Steps()]).connection().event()
    await level.aget(User)
    await level.aclose(error)
    assert error.__traceback__ is before


async def test_a_resource_that_never_yields() -> None:
    class Empty(Module):
        @event_scoped
        @resource
        async def user(self) -> AsyncIterator[User]:
            for user in list[User]():
                yield user

    async with Container([Empty()]).connection().event() as event:
        with pytest.raises(RuntimeError) as raised:
            await event.aget(User)
    assert str(raised.value) == (
        "resource User: expected exactly one yield, got none. "
        "Yield the value once, between what opens it and what closes it"
    )


@pytest.mark.parametrize("error", [None, KeyError("key")])
async def test_a_resource_that_yields_twice(error: Exception | None) -> None:
    ended: list[str] = []

    class Twice(Module):
        @event_scoped
        @resource
        async def user(self) -> AsyncIterator[User]:
            try:
                try:
                    yield User()
                finally:
                    yield User()
            finally:
                ended.append("user")

    event = Container([Twice()]).connection().event()
    await event.aget(User)
    with pytest.raises(RuntimeError) as raised:
        await event.aclose(error)
    assert str(raised.value) == (
        "resource User: expected exactly one yield, got a second one. "
        "Yield the value once, between what opens it and what closes it"
    )
    assert ended == ["user"]


async def test_the_clean_up_of_one_that_yields_twice_may_fail() -> None:
    class Twice(Module):
        @event_scoped
        @resource
        async def user(self) -> AsyncIterator[User]:
            yield User()
            try:
                yield User()
            finally:
                raise OSError("worse")

    event = Container([Twice()]).connection().event()
    await event.aget(User)
    with pytest.raises(OSError, match="worse"):
        await event.aclose()
