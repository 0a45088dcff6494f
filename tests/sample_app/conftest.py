"""A real SQLite file for each test, and what is built upon it."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiosqlite
import pytest

from sample_app.miaou.database import open_database
from sample_app.miaou.repositories import Messages, Persons, Rooms
from sample_app.miaou.services import Chat, People


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "miaou.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[aiosqlite.Connection]:
    async with open_database(path) as opened:
        yield opened


@pytest.fixture
def persons(database: aiosqlite.Connection) -> Persons:
    return Persons(database)


@pytest.fixture
def rooms(database: aiosqlite.Connection) -> Rooms:
    return Rooms(database)


@pytest.fixture
def messages(database: aiosqlite.Connection) -> Messages:
    return Messages(database)


@pytest.fixture
def people(persons: Persons) -> People:
    return People(persons)


@pytest.fixture
def chat(persons: Persons, rooms: Rooms, messages: Messages) -> Chat:
    return Chat(persons, rooms, messages)
