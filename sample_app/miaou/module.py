"""How Miaou is put together."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiosqlite
from injector import Binder, Module

from gatewright import app_scoped, resource
from sample_app.miaou.database import open_database
from sample_app.miaou.repositories import Messages, Persons, Rooms
from sample_app.miaou.services import Chat, People

__all__ = ["MiaouModule"]


class MiaouModule(Module):
    """One of each for the whole application; what each one needs, its constructor says."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def configure(self, binder: Binder) -> None:
        binder.bind(Persons, scope=app_scoped)
        binder.bind(Rooms, scope=app_scoped)
        binder.bind(Messages, scope=app_scoped)
        binder.bind(People, scope=app_scoped)
        binder.bind(Chat, scope=app_scoped)

    @app_scoped
    @resource
    async def database(self) -> AsyncIterator[aiosqlite.Connection]:
        async with open_database(self.path) as database:
            yield database
