# ruff: noqa: T201 — it reports to whoever runs it
"""Some readers stall: what that costs the others, how soon they are freed, and what they hold.

    python -m tests.chaos.stalled --readers 1000 --stalled 50

First all read; then some stop. Broadcasts reach everyone, and each of those who will stop is sent
something of its own all the time, so that what waits for it is shared with nobody. Exits with 1
when the 99th percentile of the others' delays rises by more than 20 %, when one of the stalled is
not freed within 11 s, or when they cost the server more than 1.4 MiB each.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct

from gatewright.client import Client, connect
from tests._support.raw import RawClient
from tests.chaos.app import Said
from tests.chaos.commands import Short, percentile, report, stopped, until
from tests.chaos.kernel import send_queues
from tests.chaos.processes import Server, server

__all__ = ["Plan", "Round", "judge", "main", "run"]

PACE = 0.2
"""Seconds between two broadcasts."""

FEED_PACE = 0.1
FEED = 20_000
"""Characters of what each of the stalled is sent every time: its outbox is full after 5 s."""

MOST = 1.2
FREED = 11.0
EACH = 1.4 * 2**20

# What is kept for sessions that return would hide what the stalled hold, and it is not for missing
# pongs that they are to be dropped.
SETTINGS = '{"history": 1, "history_total": 65536, "grace": 3, "ping_interval": 60}'


class Plan(Struct, frozen=True):
    readers: int = 1000
    stalled: int = 50
    rounds: int = 5
    seconds: float = 10.0
    """How long each round looks at readers that all read."""


class Round(Struct):
    """One round's figures: delays in seconds, memory in bytes."""

    before: float
    """The 99th percentile while all read."""
    during: float
    """The same while some did not."""
    freed: float
    """How long the last of them was kept, in seconds since its socket took its last byte."""
    each: float


def judge(rounds: list[Round]) -> str:
    """A sentence; raises `Short` with it when it is too much."""
    ratio = statistics.median(each.during / each.before for each in rounds)
    freed = max(each.freed for each in rounds)
    most = max(each.each for each in rounds)
    sentence = (
        f"others' p99 × {ratio:.2f} (median of {len(rounds)} rounds), the stalled freed within "
        f"{freed:.1f} s, {most / 2**20:.2f} MiB each"
    )
    if ratio > MOST or freed > FREED or most > EACH:
        raise Short(f"{sentence}; allowed: × {MOST}, {FREED:g} s, {EACH / 2**20:.1f} MiB")
    return sentence


class Readers:
    """Who reads all the time, and how long what was said took to reach them."""

    def __init__(self) -> None:
        self.delays: list[float] = []

    @asynccontextmanager
    async def here(self, url: str, count: int) -> AsyncGenerator[Client]:
        """Connect them; the first one is who speaks as well."""
        async with AsyncExitStack() as stack:
            clients = [connect(url) for _ in range(count)]
            for client in clients:
                client.on(Said)(self._heard)
                await stack.enter_async_context(client)
                await client.call("join", ["everyone"], list[str])
            yield clients[0]

    def _heard(self, said: Said) -> None:
        self.delays.append(time.monotonic() - float(said.text))


class Slow:
    """Sockets that read until they are told to stop."""

    def __init__(self) -> None:
        self.sockets: list[RawClient] = []
        self._reading: list[asyncio.Task[None]] = []

    async def connect(self, served: Server, count: int) -> None:
        for number in range(count):
            # A segment as large as an Ethernet's: over loopback they have 64 KiB, and the kernel
            # would take megabytes for each before the server notices anything.
            client = await RawClient.open(
                served.url, "/chaos", subprotocol="gw.v1.json", buffer=4096, segment=1400
            )
            self.sockets.append(client)
            await client.send('{"op": "open"}')
            await client.receive()
            await client.send(f'{{"event": "join", "data": ["everyone", "{number}"], "id": 1}}')
        self._reading = [asyncio.create_task(each.until_gone()) for each in self.sockets]

    async def stop(self) -> None:
        await stopped(*self._reading)
        self._reading = []

    async def close(self) -> None:
        await self.stop()
        for each in self.sockets:
            each.close()


async def _say(client: Client) -> None:
    while True:
        await client.call("publish", ["everyone", "", repr(time.monotonic())], int)
        await asyncio.sleep(PACE)


async def _feed(client: Client, rooms: list[str]) -> None:
    while True:
        await client.call("feed", [rooms, FEED])
        await asyncio.sleep(FEED_PACE)


class Watch:
    """Looks at the server four times a second: at its memory, and what its sockets take."""

    def __init__(self, served: Server, slow: Slow) -> None:
        self.highest = 0
        """The most memory that it has had, in bytes."""
        self.kept: dict[int, float] = {}
        """How long those that are gone were kept after their last byte, by port."""
        self._served = served
        self._slow = slow
        self._port = int(served.url.rpartition(":")[2])
        self._last: dict[int, tuple[int, float]] = {}

    async def look(self) -> None:
        """Look on for ever."""
        while True:
            self.highest = max(self.highest, self._served.rss)
            now, queues = time.monotonic(), send_queues(self._port)
            for client in self._slow.sockets:
                port, before = client.port, self._last.get(client.port)
                size = queues.get(port)
                if size is not None:
                    if before is None or before[0] != size:
                        self._last[port] = size, now
                elif before is not None and port not in self.kept:
                    self.kept[port] = now - before[1]
            await asyncio.sleep(0.25)


async def _round(served: Server, readers: Readers, speaker: Client, plan: Plan) -> Round:
    slow = Slow()
    await slow.connect(served, plan.stalled)
    watch = Watch(served, slow)
    tasks = [
        asyncio.create_task(watch.look()),
        asyncio.create_task(_feed(speaker, [str(n) for n in range(plan.stalled)])),
    ]
    try:
        readers.delays.clear()
        await asyncio.sleep(plan.seconds)
        before, memory = percentile(readers.delays, 0.99), served.rss
        await slow.stop()
        readers.delays.clear()
        watch.highest = memory
        await until(lambda: len(watch.kept) == plan.stalled, "the stalled are all freed")
        during = percentile(readers.delays, 0.99)
    finally:
        await stopped(*tasks)
        await slow.close()
    each = (watch.highest - memory) / plan.stalled
    return Round(before, during, max(watch.kept.values()), each)


async def run(plan: Plan) -> list[Round]:
    """Go through the rounds."""
    readers = Readers()
    async with (
        server("--settings", SETTINGS) as served,
        readers.here(f"{served.url.ws}/chaos", plan.readers - plan.stalled) as speaker,
    ):
        saying = asyncio.create_task(_say(speaker))
        try:
            return [await _round(served, readers, speaker, plan) for _ in range(plan.rounds)]
        finally:
            await stopped(saying)


async def command(plan: Plan) -> str:
    rounds = await run(plan)
    for number, each in enumerate(rounds, 1):
        print(
            f"round {number}: p99 {each.before * 1000:.1f} ms, then {each.during * 1000:.1f} ms; "
            f"freed after {each.freed:.1f} s; {each.each / 2**20:.2f} MiB each"
        )
    return f"{plan.stalled} of {plan.readers} readers stalled: {judge(rounds)}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Readers that stall among others that do not.")
    parser.add_argument("--readers", type=int, default=1000)
    parser.add_argument("--stalled", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args(arguments)
    return report(command(Plan(**vars(options))))


if __name__ == "__main__":
    sys.exit(main())
