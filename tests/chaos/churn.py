# ruff: noqa: T201 — it reports to whoever runs it
"""Connections that come, join, wait for answers and vanish, again and again.

    python -m tests.chaos.churn --connections 1000 --rounds 20

Exits with 1 when a task, a room, a connection or a call is left after a round, when the server
logs an error, or when memory grows from the fifth round to the last.
"""

import argparse
import asyncio
import gc
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from msgspec import Struct

from gatewright import Connection, Event, Gatewright, Settings, gateway, on, on_disconnect
from tests._support.raw import RawClient
from tests._support.remains import journal, nothing_remains
from tests._support.server import Url, serve
from tests.chaos.commands import Short

__all__ = ["Round", "Short", "check", "main", "rss", "run"]

WARM = 5
"""Rounds that caches and the allocator need to reach their size."""


class Ask(Event, event="ask"):
    pass


class Said(Event, event="said"):
    text: str


@gateway("/crowd/{block}", emits=[Ask, Said])
class Crowd:
    def __init__(self) -> None:
        self.met = 0
        self.left = 0
        self.under_way = 0

    @on("join")
    async def join(self, connection: Connection, rooms: list[str]) -> int:
        await connection.join(*rooms)
        self.met += 1
        return len(connection.rooms)

    @on("wait")
    async def wait(self) -> None:
        await self._for_ever()

    @on("ask me")
    async def ask_me(self, connection: Connection) -> None:
        self.under_way += 1
        try:
            await connection.call(Ask(), int, timeout=3600)
        finally:
            self.under_way -= 1

    @on("stream")
    async def stream(self) -> AsyncIterator[str]:
        yield "one"
        await self._for_ever()

    @on("flood")
    async def flood(self) -> AsyncIterator[str]:
        self.under_way += 1
        try:
            while True:
                yield "x" * 10_000
        finally:
            self.under_way -= 1

    @on_disconnect
    async def leave(self, connection: Connection) -> None:
        self.left += 1

    async def _for_ever(self) -> None:
        self.under_way += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.under_way -= 1


WAYS = ["wait", "ask me", "stream", "flood"]


class Round(Struct):
    """What there was after a round."""

    seconds: float
    rss: int
    objects: int


async def run(
    connections: int, rounds: int, *, ws: str = "websockets-sansio"
) -> tuple[list[Round], int]:
    """Go through it, and return each round's figures and how many came; raises `Short`."""
    settings = Settings(finish_timeout=0.3, stall=8)
    realtime = Gatewright(gateways=[Crowd], settings=settings)
    done: list[Round] = []
    before = asyncio.all_tasks()
    async with journal(logging.ERROR) as entries, serve(realtime, ws=ws, backlog=2048) as url:
        crowd = _gateway(realtime)
        tasks = asyncio.all_tasks()
        for number in range(rounds):
            start = time.perf_counter()
            await _round(realtime, crowd, url, connections)
            if kept := await nothing_remains(realtime, tasks):
                raise Short(f"after round {number + 1} there is left: {kept}")
            expected = connections * (number + 1)
            if (crowd.met, crowd.left, crowd.under_way) != (expected, expected, 0):
                raise Short(
                    f"after round {number + 1} {expected} should have come and gone, but "
                    f"{crowd.met} came, {crowd.left} went, {crowd.under_way} handlers still run"
                )
            seconds = time.perf_counter() - start
            done.append(Round(seconds, rss(), len(gc.get_objects())))
    if entries:
        raise Short(f"{len(entries)} errors were logged, the first: {entries[0]}")
    if left := asyncio.all_tasks() - before:
        raise Short(f"{len(left)} tasks are left: {list(left)[:3]!r}")
    return done, crowd.met


async def _round(realtime: Gatewright, crowd: Crowd, url: Url, connections: int) -> None:
    at_once = asyncio.Semaphore(50)
    opened: list[RawClient] = []

    async def come(number: int) -> None:
        async with at_once:
            block = number % 10
            client = await RawClient.open(url, f"/crowd/{block}")
            opened.append(client)
            rooms = f'["everyone", "tens {number // 10}", "own {number}"]'
            await client.send(f'{{"event": "join", "data": {rooms}, "id": 1}}')
            _, answer = await client.receive()
            if answer != b'{"id":1,"data":3}':
                raise Short(f"expected to be in three rooms, got {answer!r}")
            await client.send(f'{{"event": "{WAYS[number % len(WAYS)]}", "id": 2}}')

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(connections):
                group.create_task(come(number))
        try:
            await _until(lambda: crowd.under_way == connections)
        except TimeoutError:
            raise Short(f"only {crowd.under_way} of {connections} calls are under way") from None
        if len(realtime) != connections:
            raise Short(f"expected {connections} connections, got {len(realtime)}")
        for block in range(10):
            emitter = realtime.emitter.of("/crowd/{block}", block=block)
            await emitter.to("everyone").emit(Said("all of you will be gone"))
    finally:
        for number, client in enumerate(opened):
            # Most vanish as a crashed peer does, some merely close their socket.
            if number % 10:
                client.reset()
            else:
                client.close()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def _gateway(realtime: Gatewright) -> Crowd:
    dispatcher = realtime._dispatcher
    assert dispatcher is not None
    (plan,) = dispatcher._namespaces.values()
    (found,) = plan.gateways
    assert isinstance(found.instance, Crowd)
    return found.instance


def rss() -> int:
    """The memory of this process, server and clients, in bytes; 0 where nobody tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * 4096


def check(done: Sequence[Round]) -> str:
    """A sentence about memory; raises `Short` when it grows."""
    if len(done) <= WARM:
        return "too few rounds to judge memory"
    first, last = done[WARM - 1], done[-1]
    rounds = len(done) - WARM
    grown, objects = last.rss - first.rss, last.objects - first.objects
    text = (
        f"memory {first.rss / 2**20:.1f} MiB after round {WARM}, {last.rss / 2**20:.1f} MiB after "
        f"round {len(done)}: {grown / rounds / 1024:+.1f} KiB a round; "
        f"{first.objects} objects, then {last.objects}"
    )
    # The allocator breathes by a few per cent; one object a round is a cache, one a connection a
    # leak.
    if grown > max(0.05 * first.rss, 2 * 2**20) or objects > 5 * rounds + 100:
        raise Short(f"memory grows: {text}")
    return text


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Connections that come and vanish.")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--ws", default="websockets-sansio", help="uvicorn's WebSocket class")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    try:
        done, met = asyncio.run(run(options.connections, options.rounds, ws=options.ws))
        verdict = check(done)
    except Short as short:
        print(short, file=sys.stderr)
        return 1
    seconds = time.perf_counter() - start
    print(f"{met} connections in {len(done)} rounds and {seconds:.0f} s: nothing is left")
    for number, each in enumerate(done, 1):
        print(f"  round {number}: {each.seconds:.1f} s, {each.rss / 2**20:.1f} MiB")
    print(verdict)
    return 0


if __name__ == "__main__":
    sys.exit(main())
