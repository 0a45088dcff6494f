"""What the SQLite backplane promises of its file: whose it is, who has it, how large it becomes."""

import asyncio
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatewright.backplane import SQLite
from gatewright.backplane.base import Bounds
from gatewright.backplane.tables import SKIPPED
from gatewright.errors import StartupError
from tests.backplane.lanes import Client, Lane, entry, heard, key, started

pytestmark = pytest.mark.anyio

KIB = 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept.db"


def died(path: Path) -> Path:
    """The files as they would be if the process that has them were killed now."""
    copy = path.with_name("died.db")
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", f"{copy}{end}")
    return copy


def rows(path: Path, table: str) -> list[tuple[Any, ...]]:
    copy = died(path)
    connection = sqlite3.connect(copy)
    try:
        return connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
    finally:
        connection.close()


# Whose file it is


async def test_it_is_made_for_its_owner_alone(path: Path) -> None:
    async with started(SQLite(path)):
        for file in (path, Path(f"{path}-wal")):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_stop_leaves_one_file_and_nothing_else(path: Path) -> None:
    async with started(backplane := SQLite(str(path))):
        await backplane.publish("/a", [entry(1)])
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("path", ["", ":memory:"])
def test_it_wants_a_file(path: str) -> None:
    with pytest.raises(StartupError, match=r"the path of a file.*Memory\(\)"):
        SQLite(path)


def test_it_knows_two_ways_to_write(path: Path) -> None:
    with pytest.raises(StartupError, match="'full' or 'normal', got 'off'"):
        SQLite(path, synchronous="off")  # type: ignore[arg-type]


def other_application(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE todo (text TEXT)")
    connection.execute("INSERT INTO todo VALUES ('milk')")
    connection.commit()
    connection.close()


def marked_by_another(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA application_id = 42")
    connection.close()


def no_database(path: Path) -> None:
    path.write_text("no database at all\n" * 100)


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (other_application, "a database of another application"),
        (marked_by_another, "a database of another application"),
        (no_database, "no SQLite database"),
        (a_folder, "Look at the path"),
    ],
)
async def test_a_file_that_is_not_its_own_is_left_alone(
    path: Path, made: Callable[[Path], None], message: str
) -> None:
    made(path)
    before = content(path)
    backplane = SQLite(path)
    with pytest.raises(StartupError, match=message):
        await backplane.start(Lane())
    assert before == content(path)
    await backplane.stop()


async def test_a_folder_that_is_not_there(path: Path) -> None:
    with pytest.raises(StartupError, match="No such file or directory"):
        await SQLite(path / "missing" / "kept.db").start(Lane())


async def test_a_newer_version_of_the_format_is_not_touched(path: Path) -> None:
    async with started(SQLite(path)):
        pass
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(StartupError, match=r"version 1 of its format, got version 7"):
        await SQLite(path).start(Lane())


@pytest.mark.parametrize("table", ["sessions", "entries"])
async def test_a_row_that_nobody_can_read_is_told(path: Path, table: str) -> None:
    async with started(backplane := SQLite(path)):
        ana = await Client.open(backplane)
        await ana.say("said")
    column = {"sessions": "session", "entries": "event"}[table]
    connection = sqlite3.connect(path)
    connection.execute(f"UPDATE {table} SET {column} = x'c1'")  # noqa: S608
    connection.commit()
    connection.close()
    with pytest.raises(StartupError, match=r"damaged.*Move it away"):
        await SQLite(path).start(Lane())


# Who has it


async def test_it_belongs_to_one_backplane_at_a_time(path: Path) -> None:
    async with started(first := SQLite(path)):
        await Client.open(first)
        second = SQLite(path)
        with pytest.raises(StartupError, match="another process, or another backplane"):
            await second.start(Lane())
        # The attempt took nothing from the one that has it.
        with pytest.raises(StartupError, match="another process, or another backplane"):
            await second.start(Lane())
        await first.publish("/a", [entry(1)])
    async with started(second):
        assert await second.find("/a", key("~ana-1")) is not None


OTHER = """
import asyncio, sys
from gatewright.backplane import SQLite
from gatewright.errors import StartupError

async def main():
    try:
        await SQLite(sys.argv[1]).start(print)
    except StartupError as error:
        print(error)

asyncio.run(main())
"""


async def test_it_belongs_to_one_process_at_a_time(path: Path) -> None:
    async with started(backplane := SQLite(path)):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", OTHER, path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        told, _ = await process.communicate()
        assert process.returncode == 0, told
        assert b"got one that another process, or another backplane, has open" in told
        await backplane.publish("/a", [entry(1)])


# How large it becomes


async def test_what_memory_lets_go_goes_from_the_file(path: Path) -> None:
    bounds = Bounds(per_room=10)
    async with started(backplane := SQLite(path, synchronous="normal"), bounds):
        ana = await Client.open(backplane, "lobby")
        for index in range(50):
            await ana.say(index, rooms=("lobby",))
        assert [seq for _, seq, *_ in rows(path, "entries")] == list(range(41, 51))
        assert rows(path, "trimmed") == [("/a", "room", "lobby", 40)]
        await backplane.end("/a", ana.id, 1)
        assert rows(path, "entries") == rows(path, "trimmed") == rows(path, "sessions") == []
        assert [row[:1] + row[2:3] for row in rows(path, "sequences")] == [("/a", 50)]


async def test_namespaces_that_are_forgotten_go_from_the_file(path: Path) -> None:
    async with started(backplane := SQLite(path, synchronous="normal", idle=3)):
        for index in range(10):
            await backplane.publish(f"/{index}", [entry(1)])
        assert {row[0] for row in rows(path, "sequences")} == {"/7", "/8", "/9"}
        await Client.open(backplane)
        assert await backplane.publish("/8", [entry(2)]) == 2
    async with started(backplane := SQLite(path, idle=1)):
        assert await backplane.publish("/7", [entry(3)]) == 1
        assert await backplane.find("/a", key("~ana-1")) is not None


async def test_marks_of_what_was_lost_go_when_nobody_can_ask(path: Path) -> None:
    async with started(backplane := SQLite(path, synchronous="normal"), Bounds(per_room=0)):
        ana = await Client.open(backplane)
        rooms = [f"room-{index}" for index in range(1100)]
        await backplane.publish("/a", [entry(1, rooms=(room,)) for room in rooms[:1000]])
        assert len(rows(path, "trimmed")) == 1000
        await ana.confirm(1000)
        await backplane.publish("/a", [entry(1, rooms=(room,)) for room in rooms[1000:]])
        assert {name for _, _, name, _ in rows(path, "trimmed")} == set(rooms[1000:])


async def test_the_file_does_not_grow_with_what_passes_through_it(path: Path) -> None:
    def size() -> int:
        return path.stat().st_size + Path(f"{path}-wal").stat().st_size

    async with started(backplane := SQLite(path, synchronous="normal"), Bounds(per_room=50)):
        ana = await Client.open(backplane, "lobby")
        sizes: list[int] = []
        for _ in range(6):
            for _ in range(20):
                entries = [entry("x" * 4 * KIB, rooms=("lobby",)) for _ in range(50)]
                await backplane.publish("/a", entries)
            sizes.append(size())
        # Four megabytes pass in each round, and 200 kB of them are kept.
        assert max(sizes[1:]) <= 1.5 * sizes[0]
        assert sizes[-1] < 12 * KIB * KIB
        await ana.confirm(6000)


# What a crash leaves


async def test_a_killed_process_leaves_what_it_has_told(path: Path) -> None:
    async with started(backplane := SQLite(path)) as lane:
        ana = await Client.open(backplane, "lobby")
        last = await ana.say("told", rooms=("lobby",))
        await backplane.save("/a", ana.id, b"state")
        copy = died(path)
        await ana.say("after the crash", rooms=("lobby",))
        assert len(lane.heard("/a")) == 2
    async with started(other := SQLite(copy)):
        ana.backplane = other
        assert await ana.missed() == ["told"]
        assert (await ana.record()).state == b"state"
        assert await ana.say("next") == last + 1


@pytest.mark.parametrize("power", [True, False])
async def test_where_the_disk_was_not_waited_for_a_power_failure_is_a_gap(
    path: Path, *, power: bool
) -> None:
    async with started(backplane := SQLite(path, synchronous="normal")):
        ana = await Client.open(backplane, "lobby")
        last = await ana.say("told", rooms=("lobby",))
        copy = died(path)
    if power:
        connection = sqlite3.connect(copy)
        connection.execute("UPDATE running SET boot = 'another life of the machine'")
        connection.commit()
        connection.close()
    async with started(other := SQLite(copy, synchronous="normal")):
        ana.backplane = other
        ana.sees(last)
        resumption = await ana.resume()
        if not power:
            assert (resumption.gaps, resumption.head.seq) == ((), last)
            return
        # What was told may be lost, and more: its number is never given again.
        assert {"lobby", ana.id, "*"} <= set(resumption.gaps)
        assert resumption.head.seq == last + SKIPPED
        ana.after = None
        assert (await ana.resume()).gaps
        ana.sees(await ana.say("live", rooms=("lobby",)))
        assert await ana.missed() == []


async def test_a_clean_stop_is_no_power_failure(path: Path) -> None:
    async with started(backplane := SQLite(path, synchronous="normal")):
        ana = await Client.open(backplane)
        await ana.say("told")
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT * FROM running").fetchall() == []
    connection.close()
    async with started(backplane):
        assert await ana.missed() == ["told"]


async def test_a_clock_that_was_put_back_makes_nothing_immortal(path: Path) -> None:
    bounds = Bounds(grace=10.0, age=10.0)
    now = [5000.0]
    async with started(backplane := SQLite(path, clock=lambda: now[0]), bounds):
        ana = await Client.open(backplane, "lobby")
        await ana.say("said", rooms=("lobby",))
        await backplane.release("/a", ana.id, 1)
    now[0] = 1000.0
    async with started(backplane, bounds):
        assert heard(await ana.resume()) == ["said"]
        await backplane.release("/a", ana.id, 2)
        now[0] += 10.5
        assert [record.id for record in await backplane.expired()] == [ana.id]
