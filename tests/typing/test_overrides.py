"""The seventh program: a user's own test, with what the database does replaced."""

from collections.abc import AsyncIterator
from typing import assert_type

import pytest
from injector import Binder, Module
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from gatewright import EventError, event_scoped, resource
from gatewright.testing import TestClient, TestConnection
from tests.typing.programs.ledger import Accounts, app

pytestmark = pytest.mark.anyio


class FakeAccounts(Accounts):
    """Holds one account that nobody can change."""

    def __init__(self, session: AsyncSession) -> None:
        super().__init__(session)
        self.opened: list[str] = []

    async def total(self) -> int:
        return 42

    async def balances(self) -> dict[str, int]:
        return {"fake": 42}


class Fakes(Module):
    def configure(self, binder: Binder) -> None:
        binder.bind(Accounts, to=FakeAccounts)


class BrokenStorage(Module):
    @event_scoped
    @resource
    async def session(self, engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
        if engine.dialect.name == "sqlite":
            raise EventError("offline", "the database is away")
        yield AsyncSession(engine)


async def total(connection: TestConnection) -> int:
    return assert_type(await connection.call("total", reply=int), int)


async def test_what_is_injected_is_replaced() -> None:
    async with TestClient(app, overrides=[Fakes()]) as client, client.connect("/ledger") as ana:
        assert await total(ana) == 42
        balances = await ana.call("balances", reply=dict[str, int])
        assert assert_type(balances, dict[str, int]) == {"fake": 42}


async def test_a_resource_is_replaced() -> None:
    async with (
        TestClient(app, overrides=[BrokenStorage()]) as client,
        client.connect("/ledger") as ana,
    ):
        with pytest.raises(EventError, match="offline: the database is away"):
            await total(ana)


async def test_the_application_is_left_as_it_was() -> None:
    async with TestClient(app) as client, client.connect("/ledger") as ana:
        assert await total(ana) == 0
