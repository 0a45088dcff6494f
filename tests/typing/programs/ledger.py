"""Accounts in a database: one transaction for each event, committed before the answer."""

from collections.abc import AsyncIterator
from typing import assert_type

from injector import Binder, Inject, Module
from msgspec import Struct
from sqlalchemy import CheckConstraint, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import StaticPool

from gatewright import (
    Context,
    EventError,
    Gatewright,
    app_scoped,
    catch,
    event_scoped,
    gateway,
    on,
    resource,
)


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    __table_args__ = (CheckConstraint("balance >= 0", name="covered"),)

    name: Mapped[str] = mapped_column(primary_key=True)
    balance: Mapped[int]


class Transfer(Struct):
    source: str
    target: str
    amount: int


class Accounts:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def open(self, name: str, balance: int) -> None:
        self.session.add(Account(name=name, balance=balance))

    async def add(self, name: str, amount: int) -> None:
        changed = update(Account).where(Account.name == name)
        await self.session.execute(changed.values(balance=Account.balance + amount))

    async def total(self) -> int:
        return await self.session.scalar(select(func.sum(Account.balance))) or 0

    async def balances(self) -> dict[str, int]:
        found = await self.session.scalars(select(Account).order_by(Account.name))
        return {account.name: account.balance for account in found}


class Storage(Module):
    def configure(self, binder: Binder) -> None:
        binder.bind(Accounts)

    @app_scoped
    @resource
    async def engine(self) -> AsyncIterator[AsyncEngine]:
        engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
        try:
            async with engine.begin() as connection:
                await connection.run_sync(Base.metadata.create_all)
            yield engine
        finally:
            await engine.dispose()

    @event_scoped
    @resource
    async def session(self, engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine) as session, session.begin():
            yield session


@gateway("/ledger")
class LedgerGateway:
    @on("open")
    async def open(self, accounts: Inject[Accounts], name: str, balance: int = 0) -> None:
        assert_type(accounts, Accounts)
        await accounts.open(name, balance)

    @on("transfer")
    async def transfer(self, accounts: Inject[Accounts], transfer: Transfer) -> None:
        await accounts.add(transfer.target, transfer.amount)
        await accounts.add(transfer.source, -transfer.amount)

    @on("balances")
    async def balances(self, accounts: Inject[Accounts]) -> dict[str, int]:
        return await accounts.balances()

    @on("total")
    async def total(self, accounts: Inject[Accounts], session: Inject[AsyncSession]) -> int:
        # One event, one session, whoever asks for it.
        if accounts.session is not session:
            raise EventError("two_sessions")
        return await accounts.total()

    @catch(IntegrityError)
    async def refused(self, error: IntegrityError, context: Context) -> EventError:
        return EventError("refused", "the database refused it")


app = Gatewright(gateways=[LedgerGateway], modules=[Storage()])
