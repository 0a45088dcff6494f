"""A gateway, what it needs, and how to ask for the error of a declaration."""

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest
from injector import Binder, Module

from gatewright.di import event_scoped, resource
from gatewright.errors import StartupError

T = TypeVar("T")


class Connection:
    pass


class Session:
    pass


class Repository:
    def __init__(self, session: Session) -> None:
        self.session = session


class ChatGateway:
    def __init__(self, repository: Repository) -> None:
        self.repository = repository


class Database(Module):
    @event_scoped
    @resource
    async def session(self) -> AsyncIterator[Session]:
        yield Session()


def bind(*classes: type, scope: Any = None) -> Callable[[Binder], None]:
    def configure(binder: Binder) -> None:
        for each in classes:
            binder.bind(each, scope=scope)

    return configure


def message(ask: Callable[[], object]) -> str:
    with pytest.raises(StartupError) as raised:
        ask()
    return str(raised.value)
