"""Opened when first needed, closed in reverse, whatever fails."""

import asyncio
import contextvars
from collections.abc import AsyncGenerator, AsyncIterator

import anyio
import pytest
from injector import Binder, Injector, Module, provider

from gatewright.di import (
    Container,
    Level,
    app_scoped,
    connection_scoped,
    event_scoped,
    resource,
)
from tests.di.database import Database, Pool, Service, Session, User

pytestmark = pytest.mark.anyio


async def test_nothing_is_opened_until_it_is_needed() -> None:
    module = Database()
    async with Container([module]) as app, app.connection() as connection:
        async with connection.event():
            assert module.log == []
        async with connection.event() as event:
            service = await event.aget(Service)
            assert await event.aget(Session) is service.session
            assert module.log == ["pool+", "session+", "user+"]
        async with connection.event() as event:
            assert (await event.aget(Service)).session.pool is service.session.pool
    assert module.log == [
        *("pool+", "session+", "user+", "session-"),
        *("session+", "session-", "user-", "pool-"),
    ]


async def test_the_error_of_an_event_reaches_what_it_opened() -> None:
    async def handle(event: Level) -> None:
        async with event:
            await event.aget(Service)
            raise ValueError("handler")

    module = Database()
    app = Container([module])
    async with app.connection() as connection:
        with pytest.raises(ValueError, match="handler"):
            await handle(connection.event())
    assert module.log == ["pool+", "session+", "user+", "rollback ValueError", "user-"]
    await app.aclose()
    assert module.log[-1] == "pool-"


async def test_events_that_need_the_same_at_once_open_it_once() -> None:
    opened, go = 0, asyncio.Event()

    class Slow(Module):
        @connection_scoped
        @resource
        async def user(self) -> AsyncIterator[User]:
            nonlocal opened
            opened += 1
            await go.wait()
            yield User()

    async with Container([Slow()]).connection() as connection:
        events = [connection.event() for _ in range(5)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each.aget(User)) for each in events]
            await anyio.wait_all_tasks_blocked()
            go.set()
        assert len({task.result() for task in tasks}) == 1
    assert opened == 1


async def test_when_the_first_to_open_fails_the_next_one_tries() -> None:
    attempts, go = 0, asyncio.Event()

    class Flaky(Module):
        @connection_scoped
        @resource
        async def user(self) -> AsyncIterator[User]:
            nonlocal attempts
            attempts += 1
            mine = attempts
            await go.wait()
            if mine == 1:
                raise OSError("no network")
            yield User()

    async with Container([Flaky()]).connection() as connection:
        tasks = [asyncio.create_task(connection.event().aget(User)) for _ in range(3)]
        await anyio.wait_all_tasks_blocked()
        go.set()
        first, second, third = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(first, OSError)
    assert isinstance(second, User)
    assert second is third
    assert attempts == 2


async def test_what_was_open_before_a_failure_is_closed() -> None:
    class Failing(Database):
        @connection_scoped
        @resource
        async def user(self) -> AsyncGenerator[User, None]:
            self.log.append("user+")
            if self.log:
                raise OSError("no network")
            yield User()

    module = Failing()
    with pytest.raises(OSError, match="no network"):
        async with Container([module]) as app, app.connection().event() as event:
            await event.aget(Service)
    assert module.log == ["pool+", "session+", "user+", "rollback OSError", "pool-"]


async def test_an_event_resource_may_span_a_cancel_scope_and_a_task_group() -> None:
    done: list[str] = []

    class Scoped(Module):
        @event_scoped
        @resource
        async def user(self) -> AsyncIterator[User]:
            async with anyio.create_task_group() as group:
                group.start_soon(self.work)
                with anyio.CancelScope():
                    yield User()
                group.cancel_scope.cancel()
            done.append("group")

        async def work(self) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                done.append("work")

    async with Container([Scoped()]).connection().event() as event:
        await event.aget(User)
        await anyio.wait_all_tasks_blocked()
    assert done == ["work", "group"]


async def test_an_event_resource_runs_in_the_task_and_the_context_that_asks() -> None:
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant")
    tasks: list[object] = []

    class Tenant(Module):
        @event_scoped
        @resource
        async def user(self) -> AsyncIterator[User]:
            tasks.append(asyncio.current_task())
            token = tenant.set("acme")
            yield User()
            await asyncio.sleep(0)
            tenant.reset(token)
            tasks.append(asyncio.current_task())

    async with Container([Tenant()]).connection().event() as event:
        await event.aget(User)
        assert tenant.get() == "acme"
    assert tasks == [asyncio.current_task()] * 2
    with pytest.raises(LookupError):
        tenant.get()


async def test_resources_of_free_functions() -> None:
    log: list[str] = []

    @resource
    async def session(pool: Pool) -> AsyncIterator[Session]:
        yield Session(pool)
        log.append("session-")

    def configure(binder: Binder) -> None:
        binder.bind(Pool)
        binder.bind(Session, to=session, scope=event_scoped)

    async with Container([configure]).connection().event() as event:
        assert isinstance((await event.aget(Session)).pool, Pool)
    assert log == ["session-"]


async def test_what_cannot_await_says_so() -> None:
    class Asking(Module):
        @provider
        def user(self, injector: Injector) -> User:
            injector.get(Session)
            return User()

    module = Database()
    event = Container([module, Asking()]).connection().event()
    for ask in (lambda: event.get(Session), lambda: event.get(User), lambda: event.build(Service)):
        with pytest.raises(RuntimeError) as raised:
            ask()
        assert str(raised.value) in {
            f"expected {name} to be open on the {level} level, got a resource that nobody awaited. "
            "Ask with `await level.aget(…)`, or declare it as a parameter; ProviderOf[…].get() and "
            "Injector.get() cannot await"
            for name, level in (("Session", "event"), ("Pool", "application"))
        }
    session = await event.aget(Session)
    assert event.get(Session) is session
    assert isinstance(event.get(User), User)
    await event.aclose()


async def test_only_the_container_opens_resources() -> None:
    app = Container([Database()])
    binding, _ = app.get(Binder).get_binding(Pool)
    with pytest.raises(RuntimeError, match="expected the container to make <gatewright"):
        binding.provider.get(app.get(Injector))


async def test_closing_waits_for_what_is_being_opened() -> None:
    module, go = Database(), asyncio.Event()

    class Slow(Module):
        @app_scoped
        @resource
        async def user(self, pool: Pool) -> AsyncIterator[User]:
            module.log.append("user+")
            await go.wait()
            yield User()
            module.log.append("user-")

    app = Container([module], overrides=[Slow()])
    asking = asyncio.create_task(app.aget(User))
    await anyio.wait_all_tasks_blocked()
    closing = asyncio.create_task(app.aclose())
    await anyio.wait_all_tasks_blocked()
    assert not closing.done()
    with pytest.raises(RuntimeError, match="got one that is closed"):
        await app.aget(User)
    go.set()
    await closing
    assert module.log == ["pool+", "user+", "user-", "pool-"]
    assert isinstance(await asking, User)


async def test_nothing_is_opened_on_a_level_that_is_closed() -> None:
    app = Container([Database()])
    event = app.connection().event()
    await app.aclose()
    with pytest.raises(RuntimeError) as raised:
        await event.aget(Session)
    assert str(raised.value) == (
        "expected an open application level to ask for Pool, got one that is closed"
    )


async def test_a_connection_that_was_never_used_is_closed_at_once() -> None:
    level: Level = Container([Database()]).connection()
    closing = level.aclose()
    with pytest.raises(StopIteration):  # it never had to wait
        closing.send(None)
