"""A gateway that is injected things of every level, which log when they come and go."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from injector import Inject, Module, provider, singleton

from gatewright import (
    EventError,
    Handshake,
    app_scoped,
    connection_scoped,
    event_scoped,
    gateway,
    on,
    resource,
)

__all__ = ["Database", "Injected", "Log", "Transaction", "Visit", "Wiring"]


class Log(list[str]):
    pass


class Database:
    def __init__(self, log: Log) -> None:
        self.log = log


class Visit:
    """Lives as long as a connection."""

    def __init__(self, handshake: Handshake) -> None:
        self.name = handshake.query.get("name", "nobody")
        self.events = 0


class Transaction:
    """Lives as long as an event."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.fail_at_commit = False


class Repository:
    """Unscoped: made for whoever asks, from what is there."""

    def __init__(self, transaction: Transaction, database: Database) -> None:
        self.transaction = transaction
        self.database = database


class Wiring(Module):
    def __init__(self) -> None:
        self.log_of_test = Log()

    @singleton
    @provider
    def log(self) -> Log:
        return self.log_of_test

    @app_scoped
    @resource
    async def database(self, log: Log) -> AsyncIterator[Database]:
        log.append("database opens")
        yield Database(log)
        log.append("database closes")

    @connection_scoped
    @resource
    async def visit(self, handshake: Handshake, log: Log) -> AsyncIterator[Visit]:
        visit = Visit(handshake)
        log.append(f"{visit.name} comes")
        try:
            yield visit
        finally:
            log.append(f"{visit.name} leaves")

    @event_scoped
    @resource
    async def transaction(self, visit: Visit, log: Log) -> AsyncIterator[Transaction]:
        transaction = Transaction(visit)
        log.append("begin")
        try:
            yield transaction
        except BaseException as error:
            log.append(f"rollback {type(error).__name__}")
            raise
        if transaction.fail_at_commit:
            log.append("commit fails")
            raise EventError("conflict", "somebody was faster")
        log.append("commit")

    def configure(self, binder: Any) -> None:
        binder.bind(Repository)


@gateway("/i")
class Injected:
    def __init__(self, database: Database, log: Log) -> None:
        self.database = database
        self.log = log

    @on("app only")
    async def app_only(self, text: str, database: Inject[Database]) -> bool:
        return database is self.database

    @on("visit")
    async def visit(self, visit: Inject[Visit]) -> list[object]:
        visit.events += 1
        return [visit.name, visit.events]

    @on("work")
    async def work(self, repository: Inject[Repository], outcome: str) -> bool:
        self.log.append("work")
        if outcome == "raise":
            raise LookupError
        if outcome == "conflict":
            repository.transaction.fail_at_commit = True
        if outcome == "hang":
            await asyncio.Event().wait()
        return repository.database is self.database

    @on("same")
    async def same(self, one: Inject[Transaction], two: Inject[Repository]) -> bool:
        return one is two.transaction

    @on("stream")
    async def stream(self, repository: Inject[Repository], to: int) -> AsyncIterator[int]:
        try:
            for number in range(to):
                self.log.append(f"item {number}")
                yield number
            if to == 9:
                raise LookupError
        finally:
            self.log.append("stream ends")
