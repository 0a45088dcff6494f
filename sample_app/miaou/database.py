"""The SQLite file: its tables, and how it is opened."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite

__all__ = ["open_database"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS person (
    id       INTEGER PRIMARY KEY,
    secret   BLOB NOT NULL UNIQUE,      -- a hash: who reads this file cannot become somebody
    nickname TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS room (
    id     INTEGER PRIMARY KEY,
    folded TEXT NOT NULL UNIQUE,        -- the name without case: "Sofa" and "sofa" are one room
    name   TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS message (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    room      INTEGER REFERENCES room,
    recipient INTEGER REFERENCES person,
    sender    INTEGER NOT NULL REFERENCES person,
    nickname  TEXT NOT NULL,            -- the sender's at that time
    text      TEXT NOT NULL,
    at        INTEGER NOT NULL,
    key       TEXT NOT NULL,
    UNIQUE (sender, key),
    CHECK ((room IS NULL) <> (recipient IS NULL))
);
CREATE INDEX IF NOT EXISTS message_room ON message (room, id);
CREATE INDEX IF NOT EXISTS message_talk ON message (recipient, sender, id);
-- Kept, and not yet emitted. A trigger, so that no crash comes between a message and its entry.
CREATE TABLE IF NOT EXISTS untold (
    message INTEGER PRIMARY KEY REFERENCES message
);
CREATE TRIGGER IF NOT EXISTS message_untold AFTER INSERT ON message BEGIN
    INSERT INTO untold VALUES (new.id);
END;
CREATE TABLE IF NOT EXISTS member (
    room   INTEGER NOT NULL REFERENCES room,
    person INTEGER NOT NULL REFERENCES person,
    read   INTEGER NOT NULL DEFAULT 0,  -- the last message seen
    PRIMARY KEY (room, person)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS talk (
    person INTEGER NOT NULL REFERENCES person,
    peer   INTEGER NOT NULL REFERENCES person,
    read   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (person, peer)
) WITHOUT ROWID;
INSERT OR IGNORE INTO room (id, folded, name) VALUES (1, 'the sofa', 'The sofa');
"""


@asynccontextmanager
async def open_database(path: Path) -> AsyncGenerator[aiosqlite.Connection, None]:
    """Open the file, make what is missing in it, close it at the end."""
    # Without isolation level every statement is its own transaction. That is what lets many
    # handlers share one connection: no one's commit carries half of another's work.
    async with aiosqlite.connect(path, isolation_level=None) as database:
        await database.execute("PRAGMA journal_mode = WAL")
        await database.execute("PRAGMA foreign_keys = ON")
        await database.executescript(SCHEMA)
        yield database
