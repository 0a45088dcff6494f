"""Disks of all kinds under a running SQLite backplane."""

import resource
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

from gatewright.backplane import SQLite

__all__ = ["broken", "full", "held", "unreadable"]


@contextmanager
def held(backplane: SQLite) -> Generator[None]:
    """Let the disk take its time: nothing is written within the block."""
    written = threading.Event()
    backplane._journal._thread.submit(written.wait)
    try:
        yield
    finally:
        written.set()


@asynccontextmanager
async def full(backplane: SQLite) -> AsyncGenerator[None]:
    """A database that may not become any larger."""
    kept, connection = backplane._journal, backplane._journal._database.connection
    pages = "PRAGMA max_page_count = {}"

    def limit(count: int) -> None:
        connection.execute(pages.format(count)).fetchall()

    await kept._in_thread(lambda: limit(1))
    try:
        yield
    finally:
        if backplane._started is kept:
            await kept._in_thread(lambda: limit(2**30))


@asynccontextmanager
async def broken(backplane: SQLite) -> AsyncGenerator[None]:
    """A file system that takes no more bytes: writing is an I/O error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@asynccontextmanager
async def unreadable(backplane: SQLite) -> AsyncGenerator[None]:
    """A file that can be neither written nor read as it should be."""
    kept, connection = backplane._journal, backplane._journal._database.connection
    await kept._in_thread(lambda: connection.execute("ALTER TABLE sessions RENAME TO hidden"))
    try:
        yield
    finally:
        await kept._in_thread(lambda: connection.execute("ALTER TABLE hidden RENAME TO sessions"))
