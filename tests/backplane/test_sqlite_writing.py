"""How the SQLite backplane writes: in order, before anybody is told, and what if it cannot."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gatewright.backplane import SQLite, journal
from gatewright.backplane.base import Batch, Bounds, Marker, Passing
from gatewright.errors import BackplaneError, NotStartedError
from tests.backplane.disks import broken, full, held, unreadable
from tests.backplane.lanes import Client, Lane, entry, key, started

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept.db"


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def asked(*operations: Awaitable[Any]) -> list[asyncio.Future[Any]]:
    return [asyncio.ensure_future(each) for each in operations]


# In order, before anybody is told


async def test_nobody_is_told_of_what_is_not_written(path: Path) -> None:
    async with started(backplane := SQLite(path)) as lane:
        ana = await Client.open(backplane)
        with held(backplane):
            waiting = asked(
                ana.say("one"),
                backplane.position("/a"),
                backplane.save("/a", ana.id, b"state"),
                ana.record(),
            )
            await turns()
            assert not any(each.done() for each in waiting)
            assert not lane.passed
        first, position, _, record = await asyncio.gather(*waiting)
        assert first == position.seq
        assert record.state == b"state"
        assert lane.heard("/a") == [(first, "one")]


async def test_everything_is_told_in_the_order_in_which_it_was_asked_for(path: Path) -> None:
    told: list[str] = []

    def lane(passing: Passing) -> None:
        if isinstance(passing, Marker):
            told.append(f"{passing.member} passes")
        elif isinstance(passing, Batch):
            told.extend(f"{each.outgoing.data} passes" for each in passing.entries)

    backplane = SQLite(path)
    await backplane.start(lane)

    async def ask(name: str, operation: Awaitable[object]) -> None:
        await operation
        told.append(f"{name} is told")

    operations: list[Awaitable[None]] = []
    for index in range(40):
        made: list[Callable[[str], Awaitable[object]]] = [
            lambda name: backplane.publish("/a", [entry(name)]),
            lambda name: backplane.mark("/a", "join", name, ["lobby"]),
            lambda name: backplane.open("/a", name, key(name), None),
            lambda name: backplane.find("/a", key(name)),
        ]
        name = f"~{index}"
        operations.append(ask(name, made[index % 4](name)))
    await asyncio.gather(*operations)
    await backplane.stop()
    passed = [each for each in told if each.endswith("passes")]
    assert passed == [f"~{index} passes" for index in range(40) if index % 4 < 2]
    assert [each for each in told if each.endswith("told")] == [
        f"~{index} is told" for index in range(40)
    ]
    for each in passed:
        assert told.index(each) < told.index(each.replace("passes", "is told"))


async def test_what_comes_together_is_written_together(path: Path) -> None:
    async with started(backplane := SQLite(path)) as lane:
        database, written = backplane._journal._database, list[int]()
        write = database.write

        def counted(writes: Any) -> None:
            written.append(len(lane.passed))
            write(writes)

        database.write = counted  # type: ignore[method-assign]
        await asyncio.gather(*(backplane.publish("/a", [entry(index)]) for index in range(200)))
        assert len(lane.heard("/a")) == 200
        assert len(written) == 1


@pytest.mark.parametrize("when", ["at once", "while it is written"])
async def test_whoever_is_cancelled_loses_and_reorders_nothing(path: Path, when: str) -> None:
    async with started(backplane := SQLite(path)) as lane:
        ana = await Client.open(backplane)
        with held(backplane):
            waiting = asked(*(ana.say(index) for index in range(5)))
            late = asked(*(ana.say(index) for index in range(5, 8))) if when == "at once" else []
            await turns(1 if when == "at once" else 20)
            late = late or asked(*(ana.say(index) for index in range(5, 8)))
            await turns(2)
            for each in (waiting[1], waiting[4], late[0]):
                each.cancel()
            await turns()
        numbers = await asyncio.gather(*waiting, *late, return_exceptions=True)
        await backplane.position("/a")
        assert lane.heard("/a") == [(index + 1, index) for index in range(8)]
        for index, number in enumerate(numbers):
            if index in (1, 4, 5):
                assert isinstance(number, asyncio.CancelledError)
            else:
                assert number == index + 1


async def test_a_stop_writes_what_was_asked_for(path: Path) -> None:
    backplane, lane = SQLite(path), Lane()
    await backplane.start(lane)
    ana = await Client.open(backplane)
    with held(backplane):
        waiting = asked(*(ana.say(index) for index in range(3)))
        await turns()
        waiting += asked(ana.say(3))
        await turns(2)
        (stopping,) = asked(backplane.stop())
        await turns()
        with pytest.raises(NotStartedError):
            await ana.say("too late")
        assert not stopping.done()
    await stopping
    assert await asyncio.gather(*waiting) == [1, 2, 3, 4]
    assert len(lane.heard("/a")) == 4
    async with started(backplane):
        assert await ana.missed() == [0, 1, 2, 3]


async def test_a_lane_that_fails_stops_nobody(path: Path) -> None:
    backplane = SQLite(path)

    def lane(_: object) -> None:
        raise RuntimeError("a bug")

    await backplane.start(lane)
    assert await backplane.publish("/a", [entry(1)]) == 1
    assert await backplane.publish("/a", [entry(2)]) == 2
    await backplane.stop()


async def test_a_loop_that_ends_by_force_leaves_nobody_waiting(path: Path) -> None:
    async with started(backplane := SQLite(path)):
        task = backplane._journal._task
        assert task is not None
        with held(backplane):
            waiting = asked(backplane.publish("/a", [entry(1)]), backplane.position("/a"))
            await turns()
            waiting += asked(backplane.position("/b"))
            await turns()
            task.cancel()
            ended = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(each) for each in ended] == [NotStartedError] * 3
        with pytest.raises(NotStartedError):
            await backplane.position("/a")


async def test_names_that_cannot_be_written_fail_alone(path: Path) -> None:
    async with started(backplane := SQLite(path)) as lane:
        good = asked(backplane.publish("/a", [entry(1)]))
        for bad in (
            backplane.publish("/\ud800", [entry(1)]),
            backplane.publish("/a", [entry(1, rooms=("\ud800",))]),
            backplane.publish("/a", [entry(1, users=("\ud800",))]),
            backplane.publish("/a", [entry(1, except_=("\ud800",))]),
            backplane.mark("/a", "join", "~ana", ["\ud800"]),
            backplane.open("/a", "~ana", b"key", "\ud800"),
            backplane.rename("/a", "~ana", "\ud800"),
            backplane.position("/\ud800"),
        ):
            with pytest.raises(ValueError, match="surrogates"):
                await bad
        with pytest.raises(TypeError):
            await backplane.publish("/a", [entry(1), entry(object())])
        assert await good[0] == 1
        assert await backplane.publish("/a", [entry(2)]) == 2
        assert lane.heard("/a") == [(1, 1), (2, 2)]


# What if it cannot be written


Failure = Callable[[SQLite], Any]

LARGE = "x" * 100_000


@pytest.fixture(params=[full, broken])
def failure(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Failure:
    monkeypatch.setattr(journal, "PAUSE", 0.05)
    made: Failure = request.param
    return made


async def test_what_cannot_be_written_is_raised_and_was_never_there(
    path: Path, failure: Failure, caplog: pytest.LogCaptureFixture
) -> None:
    async with started(backplane := SQLite(path)) as lane:
        ana = await Client.open(backplane, "lobby")
        last = await ana.say("before", rooms=("lobby",))
        passed, record = len(lane.passed), await ana.record()
        failed: list[Any] = []
        async with failure(backplane):
            for _ in range(3):
                failed[:] = await asyncio.gather(
                    ana.say(LARGE),
                    ana.leave("lobby"),
                    ana.join("attic"),
                    backplane.save("/a", ana.id, LARGE.encode()),
                    backplane.rename("/a", ana.id, "eve"),
                    backplane.open("/a", "~new", key("new"), None),
                    backplane.resume("/a", key(ana.id), None, renewed=key("renewed")),
                    return_exceptions=True,
                )
                assert [type(each) for each in failed] == [BackplaneError] * 7
            assert "expected a file that can be written" in str(failed[0])
            # What needs no writing is done, and shows what was there before.
            assert await ana.record() == record
            assert (await backplane.position("/a")).seq == last
            assert await backplane.find("/a", key("new")) is None
            assert await backplane.find("/a", key("renewed")) is None
        assert len(lane.passed) == passed
        assert await ana.say("after", rooms=("lobby",)) == last + 1
        assert await ana.missed() == ["before", "after"]
    assert "cannot be written" in caplog.text
    async with started(backplane):
        assert await ana.missed() == ["before", "after"]


async def test_members_without_a_session_come_and_go_meanwhile(
    path: Path, failure: Failure
) -> None:
    async with started(backplane := SQLite(path)) as lane:
        await Client.open(backplane, "lobby")
        await backplane.mark("/a", "join", "~first", ["lobby"])
        async with failure(backplane):
            joined, failed, left = await asyncio.gather(
                backplane.mark("/a", "join", "~plain", ["lobby"]),
                backplane.publish("/a", [entry(LARGE)]),
                backplane.mark("/a", "leave", "~first", ["lobby"]),
                return_exceptions=True,
            )
            assert isinstance(failed, BackplaneError)
            assert joined == left == 0
            assert [each.member for each in lane.passed if isinstance(each, Marker)][2:] == [
                "~plain",
                "~first",
            ]
        for name, rooms in (("~plain", ("lobby",)), ("~first", ())):
            await backplane.open("/a", name, key(name), None)
            record = await backplane.find("/a", key(name))
            assert record is not None
            assert record.rooms == rooms


async def test_whoever_leaves_meanwhile_has_left_afterwards(path: Path, failure: Failure) -> None:
    now = [1000.0]
    backplane = SQLite(path, clock=lambda: now[0])
    async with started(backplane, Bounds(grace=10.0)):
        away = await Client.open(backplane, "lobby", id="~away")
        over = await Client.open(backplane, "lobby", id="~over")
        async with failure(backplane):
            failed = await asyncio.gather(
                backplane.release("/a", away.id, 1),
                backplane.end("/a", over.id, 1),
                backplane.publish("/a", [entry(LARGE)]),
                return_exceptions=True,
            )
            assert [type(each) for each in failed] == [BackplaneError] * 3
        await backplane.publish("/a", [entry("after")])
        assert await backplane.find("/a", key(over.id)) is None
        now[0] += 11
        assert [record.id for record in await backplane.expired()] == [away.id]


async def test_a_stop_does_not_wait_for_a_disk_that_fails(path: Path, failure: Failure) -> None:
    backplane = SQLite(path)
    await backplane.start(Lane())
    ana = await Client.open(backplane)
    await ana.say("before")
    async with failure(backplane):
        waiting = asked(*(ana.say(LARGE) for _ in range(3)))
        await turns()
        async with asyncio.timeout(10):
            await backplane.stop()
        for each in waiting:
            with pytest.raises(BackplaneError):
                await each
    async with started(backplane):
        assert await ana.missed() == ["before"]


async def test_where_nothing_can_be_read_either_everything_fails_until_it_can(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "PAUSE", 0.05)
    async with started(backplane := SQLite(path)) as lane:
        ana = await Client.open(backplane)
        await ana.say("before")
        async with unreadable(backplane):
            for operation in (ana.join("lobby"), ana.record(), ana.say("lost")):
                with pytest.raises(BackplaneError, match="sessions"):
                    await operation
        assert await ana.say("after") == 2
        assert [data for _, data in lane.heard("/a")] == ["before", "after"]
        assert await ana.missed() == ["before", "after"]
