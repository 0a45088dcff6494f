# ruff: noqa: T201 — it reports to whoever runs it
"""Connections come and go for a long time: memory must not grow, and at the end nothing is left.

    python -m tests.chaos.soak --minutes 60

Some stay and talk. Others come, fifty a second, and do a little of everything: most leave as they
should, some are cut off and return, some vanish. Exits with 1 when the server's memory grows, when
it holds anything a while after all have gone, or when it logs an error.

All come and go twice: first for a little while, so that what is made once is there. From then on
what the interpreter has allocated when nobody is there must not depend on how many were.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import httpx2
import msgspec
from msgspec import Struct

from gatewright import EventError
from gatewright.client import Client, connect
from tests._support.raw import RawClient
from tests.chaos.app import Asked, Figures, Said
from tests.chaos.commands import Short, report, stopped
from tests.chaos.processes import Server, server
from tests.chaos.proxy import Proxy, proxy

__all__ = ["Plan", "Sample", "growth", "judge", "judge_kept", "main", "run"]

EVERY = 2.0
"""Seconds between two looks at the server."""

LONG = 600.0
"""Seconds from which on the slope of the process's memory is judged.

Before that it is about the allocator, and about how many the machine let be there at once.
"""

PER_TEN_MINUTES = 0.01

KEPT = 0.15
"""Blocks of memory that a visitor may leave behind, on average."""

WARM = 0.5
"""Minutes of the first time at the most."""

# Everything that is kept for a while is kept for seconds, so that a short run sees it let go.
SETTINGS = '{"grace": 10, "history": 200, "history_age": 10, "finish_timeout": 1}'

GONE = {"interrupted", "reply_lost", "cancelled"}


class Plan(Struct, frozen=True):
    minutes: float
    rate: float = 50.0
    """Who comes in a second."""
    steady: int = 50
    """Who is there all the time."""
    seed: int = 1


class Sample(Struct):
    """What the server's process held at a time, in seconds and bytes."""

    at: float
    memory: int
    tasks: int


class Outcome(Struct):
    samples: list[Sample]
    visits: "Counter[str]"
    late: int
    """Of these, who was away for so long that its session had ended."""
    left: dict[str, int]
    """What was still there at the end, by name."""
    kept: float
    """How many blocks of memory each visitor has left behind."""
    errors: list[str]
    """What the server has logged as such; that it cancels who waits for the vanished is none."""


def growth(samples: Sequence[Sample]) -> float:
    """The slope of a line through the samples' memory, in bytes per second."""
    mean_at = sum(each.at for each in samples) / len(samples)
    mean = sum(each.memory for each in samples) / len(samples)
    spread = sum((each.at - mean_at) ** 2 for each in samples)
    return sum((each.at - mean_at) * (each.memory - mean) for each in samples) / spread


def judge(samples: Sequence[Sample]) -> str:
    """A sentence about the process's memory; raises `Short` with it when it grows in a long run.

    The first sixth of a run, a third of a short one, is for caches and the allocator.
    """
    whole = samples[-1].at - samples[0].at
    warm = samples[0].at + whole / (6 if whole > LONG else 3)
    judged = [each for each in samples if each.at >= warm]
    seconds = judged[-1].at - judged[0].at
    base = sum(each.memory for each in judged) / len(judged)
    slope = growth(judged) / base
    sentence = (
        f"memory about {base / 2**20:.1f} MiB, {slope * 600:+.2%} in ten minutes "
        f"({slope * seconds:+.2%} in the {seconds / 60:.1f} minutes that were judged)"
    )
    if seconds >= LONG and slope * 600 > PER_TEN_MINUTES:
        raise Short(f"memory grows: {sentence}")
    return sentence


def judge_kept(kept: float) -> str:
    """A sentence about what visitors leave behind; raises `Short` with it when it is something."""
    sentence = f"each visitor leaves {kept:.3f} blocks of memory behind"
    if kept > KEPT:
        raise Short(f"{sentence}; {KEPT:g} are allowed")
    return sentence


class Soak:
    def __init__(self, plan: Plan, served: Server, network: Proxy) -> None:
        self.plan = plan
        self.visits: Counter[str] = Counter()
        self.late = 0
        self._url = f"{served.url.ws}/chaos"
        self._served = served
        self._network = network
        self._random = random.Random(plan.seed)
        self._number = 0

    async def live(self, http: httpx2.AsyncClient, seconds: float) -> list[Sample]:
        """Let everybody come, for so long, and go; returns what the server held meanwhile."""
        async with AsyncExitStack() as stack:
            clients = [self._visitor(self._url) for _ in range(self.plan.steady)]
            for client in clients:
                await stack.enter_async_context(client)
            working = [asyncio.ensure_future(self.resident(each)) for each in clients]
            working.append(asyncio.ensure_future(self.visitors()))
            watching = asyncio.ensure_future(self.watch(http, seconds))
            try:
                await asyncio.wait([watching, *working], return_when=asyncio.FIRST_COMPLETED)
                for task in working:
                    if task.done():
                        task.result()
                return await watching
            finally:
                await stopped(watching, *working)

    # Who stays

    async def resident(self, client: Client) -> None:
        """Talks for ever, over connections that are cut at times."""
        await client.call("join", ["everyone", f"room {self._random.randrange(10)}"], list[str])
        while True:
            await asyncio.sleep(self._random.uniform(1, 3))
            room = f"room {self._random.randrange(10)}"
            await client.call("publish", [room, "resident", "hello"], int)

    # Who comes and goes

    async def visitors(self) -> None:
        """Let them come, at an even pace, until cancelled."""
        ways: list[tuple[str, Callable[[int], Awaitable[None]]]] = [
            ("leave", self._leaves),
            ("leave", self._leaves),
            ("are cut and return", self._returns),
            ("vanish", self._vanishes),
            ("vanish from plain sockets", self._vanishes_from_plain),
        ]
        async with asyncio.TaskGroup() as here:
            start, first = time.monotonic(), self._number
            while True:
                due = start + (self._number - first) / self.plan.rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                name, way = ways[self._number % len(ways)]
                here.create_task(self._visit(way, self._number))
                self._number += 1
                self.visits[name] += 1

    async def _visit(self, way: Callable[[int], Awaitable[None]], number: int) -> None:
        try:
            await way(number)
        except EventError as error:
            # On a busy machine one that is cut off may come back when its session has ended.
            if error.code not in GONE:
                raise
            self.late += 1

    async def _leaves(self, number: int) -> None:
        async with self._visitor(self._url) as client:
            await self._talk(client, number)

    async def _returns(self, number: int) -> None:
        async with self._visitor(f"{self._network.url.ws}/chaos") as client:
            await client.call("join", ["everyone", f"own {number}"], list[str])
            if self._network.wires:
                self._random.choice(self._network.wires).cut()
            await self._talk(client, number)

    def _visitor(self, url: str) -> Client:
        client = connect(url, timeout=60)
        client.on(Said)(lambda _: None)
        client.handle(Asked)(lambda asked: asked.question)
        return client

    async def _talk(self, client: Client, number: int) -> None:
        """A little of everything."""
        await client.call("join", ["everyone", f"own {number}"], list[str])
        await client.call("publish", [f"room {number % 10}", "visitor", "x" * 200], int)
        if await client.call("ask me", "who?", str) != "who?":
            raise Short("a call to a client got another one's answer")
        with contextlib.suppress(EventError):  # interrupted, if it was cut meanwhile
            async for _ in client.stream("count", 20, int):
                pass
        waiting = asyncio.create_task(client.call("wait"))
        try:
            await asyncio.sleep(self._random.uniform(0.2, 1))
        finally:
            await stopped(waiting)

    async def _vanishes(self, number: int) -> None:
        raw = await RawClient.open(self._served.url, "/chaos", subprotocol="gw.v1.json")
        try:
            await raw.send('{"op": "open"}')
            await raw.receive()
            await raw.send(f'{{"event": "join", "data": ["own {number}"], "id": 1}}')
            await raw.receive()
            await raw.send('{"event": "ask me", "data": "who?", "id": 2}')
            await raw.receive()
        finally:
            raw.reset()

    async def _vanishes_from_plain(self, number: int) -> None:
        raw = await RawClient.open(self._served.url, "/chaos")
        try:
            await raw.send(f'{{"event": "join", "data": ["own {number}"], "id": 1}}')
            await raw.receive()
            await raw.send('{"event": "wait", "id": 2}')
        finally:
            raw.reset()

    # What there is

    async def look(self, http: httpx2.AsyncClient) -> Figures:
        answer = await http.get(f"{self._served.url}/figures")
        return msgspec.json.decode(answer.content, type=Figures)

    async def blocks(self, http: httpx2.AsyncClient) -> int:
        """What its interpreter has allocated."""
        return int((await http.get(f"{self._served.url}/blocks")).text)

    async def watch(self, http: httpx2.AsyncClient, seconds: float) -> list[Sample]:
        """Look at the server from time to time until the time is over."""
        samples: list[Sample] = []
        start = time.monotonic()
        while (at := time.monotonic() - start) < seconds:
            figures = await self.look(http)
            samples.append(Sample(at, self._served.rss, figures.tasks))
            await asyncio.sleep(EVERY)
        return samples

    async def left(self, http: httpx2.AsyncClient, tasks: int) -> dict[str, int]:
        """Wait until the server holds nothing; returns what it holds after all."""
        end = time.monotonic() + 30
        while True:
            figures = msgspec.to_builtins(await self.look(http))
            del figures["pid"]
            figures["tasks"] = max(0, figures["tasks"] - tasks)
            left = {name: count for name, count in figures.items() if count}
            if not left or time.monotonic() > end:
                return left
            await asyncio.sleep(0.5)


async def run(plan: Plan) -> Outcome:
    async with (
        server("--settings", SETTINGS) as served,
        proxy(served.url) as network,
        # A connection each time: one that is kept may be closed just when it is used again.
        httpx2.AsyncClient(timeout=30, limits=httpx2.Limits(max_keepalive_connections=0)) as http,
    ):
        soak = Soak(plan, served, network)
        # The first request makes what stays.
        await soak.look(http)
        tasks = (await soak.look(http)).tasks
        first = min(WARM, plan.minutes / 4) * 60
        await soak.live(http, first)
        await soak.left(http, tasks)
        before, came = await soak.blocks(http), soak.visits.total()
        samples = await soak.live(http, plan.minutes * 60 - first)
        left = await soak.left(http, tasks)
        kept = (await soak.blocks(http) - before) / (soak.visits.total() - came)
        errors = [line for line in served.output.splitlines() if line.startswith(("ERROR", "CRIT"))]
        return Outcome(samples, soak.visits, soak.late, left, kept, errors)


async def command(plan: Plan) -> str:
    outcome = await run(plan)
    came = ", ".join(f"{count} {way}" for way, count in outcome.visits.items())
    print(
        f"in {plan.minutes:g} minutes {outcome.visits.total()} came: {came}; "
        f"{outcome.late} were cut off for too long"
    )
    if outcome.errors:
        raise Short(
            f"the server logged {len(outcome.errors)} errors, the first: {outcome.errors[0]}"
        )
    if outcome.left:
        raise Short(f"when all had gone there was left: {outcome.left}")
    return f"nothing is left; {judge_kept(outcome.kept)}; {judge(outcome.samples)}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Connections that come and go for long.")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--steady", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    return report(command(Plan(**vars(options))))


if __name__ == "__main__":
    sys.exit(main())
