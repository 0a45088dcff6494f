"""The file of the SQLite backplane: whose it is, who has it, and how it is written."""

import logging
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from gatewright.backplane.sequences import Sequences
from gatewright.backplane.tables import SCHEMA, TEMPORARY, Write, read, skip_numbers
from gatewright.errors import StartupError

__all__ = ["Database", "Synchronous"]

Synchronous = Literal["full", "normal"]

logger: logging.Logger = logging.getLogger("gatewright")

APPLICATION: Final = 0x67617465  # "gate"
VERSION: Final = 1
LARGEST_LOG: Final = 16 * 1024 * 1024
"""Bytes that the write-ahead log may keep on the disk after it was needed for more."""


class Database:
    """One file; everything but the making is done in one thread, the same for all of it."""

    def __init__(self, path: Path, synchronous: Synchronous) -> None:
        self._path = path
        self._synchronous = synchronous
        self._open: sqlite3.Connection | None = None

    @property
    def connection(self) -> sqlite3.Connection:
        assert self._open is not None
        return self._open

    def open(self) -> None:
        """Take the file, for this process alone; raises `StartupError`."""
        try:
            self._create()
            self._open = sqlite3.connect(self._path, timeout=0, isolation_level=None)
            self._take(self._open)
        except (OSError, sqlite3.Error) as error:
            self._give_up()
            raise self._unusable(error) from error
        except BaseException:
            self._give_up()
            raise

    def read(self, sequences: Sequences, *, restarted: bool) -> None:
        """Put what was written into sequences that are empty; raises `StartupError`."""
        try:
            read(self.connection, sequences, restarted=restarted)
        except (msgspec.MsgspecError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def write(self, writes: Sequence[Write]) -> None:
        """Write all or nothing; it has reached the disk, as far as `synchronous` says, then."""
        connection = self.connection
        if connection.in_transaction:
            # What an earlier failure could not undo.
            connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement, rows in writes:
                connection.executemany(statement, rows)
            connection.execute("COMMIT")
        except BaseException:
            self._roll_back(connection)
            raise

    def close(self) -> None:
        """Let the file go; what was written stays."""
        connection, self._open = self._open, None
        if connection is None:
            return
        try:
            connection.execute("DELETE FROM running")
        except sqlite3.Error as error:
            # The next start will take it for the end of a process that had no time for this.
            logger.warning("%s: cannot write that it was closed: %s", self._name, error)
        finally:
            connection.close()

    def _create(self) -> None:
        """Make the file if there is none, for its owner's eyes only."""
        # An existing one is not opened here: to close it would release SQLite's locks, if this
        # process has it already.
        try:
            made = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return
        os.close(made)

    def _take(self, connection: sqlite3.Connection) -> None:
        execute = connection.execute
        # Set before anything is read: then the first reading takes the lock, and holds it as long
        # as the process lives, however that ends. The log needs no shared memory either.
        execute("PRAGMA locking_mode = EXCLUSIVE")
        new = self._recognize(connection)
        (mode,) = execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StartupError(
                self._name,
                expected="a file system on which SQLite can keep a write-ahead log",
                got=f"one where it keeps {mode!r}",
                fix="Put the file on a local disk.",
            )
        execute("PRAGMA synchronous = FULL")
        execute(f"PRAGMA journal_size_limit = {LARGEST_LOG}")
        execute("PRAGMA temp_store = MEMORY")
        execute("BEGIN IMMEDIATE")
        if new:
            for statement in SCHEMA:
                execute(statement)
            execute(f"PRAGMA application_id = {APPLICATION}")
            execute(f"PRAGMA user_version = {VERSION}")
        boot = _boot()
        before = execute("SELECT boot, synchronous FROM running").fetchone()
        if before is not None and before[1] == "normal" and not (boot and before[0] == boot):
            # The machine may have lost power, and with it the last that was written, and told.
            skip_numbers(connection)
        execute("DELETE FROM running")
        execute("INSERT INTO running VALUES (?, ?)", (boot, self._synchronous))
        execute("COMMIT")
        execute(f"PRAGMA synchronous = {self._synchronous}")
        execute(TEMPORARY)

    def _recognize(self, connection: sqlite3.Connection) -> bool:
        """Whether the file is new; raises for one that is not ours to write."""
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application == APPLICATION:
            if version == VERSION:
                return False
            raise StartupError(
                self._name,
                expected=f"a file in version {VERSION} of its format",
                got=f"version {version}",
                fix="It was written by another gatewright: use that one, or another file.",
            )
        if application or version or tables:
            raise StartupError(
                self._name,
                expected="a new file, or one that a SQLite backplane has made",
                got="a database of another application",
                fix="Give the backplane a file of its own.",
            )
        return True

    @property
    def _name(self) -> str:
        return f"SQLite({str(self._path)!r})"

    def _unusable(self, error: Exception) -> StartupError:
        code = getattr(error, "sqlite_errorcode", None)
        primary = None if code is None else code & 0xFF
        got, fix = f"{error}", "Look at the path, its permissions and the disk."
        if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            got = "one that another process, or another backplane, has open"
            fix = "Each backplane needs a file of its own; end the process that has this one."
        elif primary in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT) or isinstance(
            error, msgspec.MsgspecError
        ):
            got = f"one that is damaged, or no SQLite database ({error})"
            fix = "Move it away: the next start makes a new one."
        return StartupError(self._name, expected="a file to keep sessions in", got=got, fix=fix)

    def _give_up(self) -> None:
        connection, self._open = self._open, None
        if connection is not None:
            connection.close()

    @staticmethod
    def _roll_back(connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            # The next one to write tries again, before anything else.
            return


def _boot() -> str:
    """Which life of the machine this is; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
