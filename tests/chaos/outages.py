"""Redis or NATS is killed, restarted and emptied under several nodes: no loss is a silent one.

    python -m tests.chaos.outages --clients 50 --publications 5000 --outages 6 --backplane nats

The outages alternate between a server that comes back with what it had, one that comes back with
nothing, and one that lives on and has forgotten everything. Whoever has not heard a publication
that was acknowledged must have been told that something may be missing, after it was said. Exits
with 1 otherwise.
"""

import argparse
import asyncio
import sys
import time
from contextlib import AsyncExitStack
from functools import partial
from itertools import cycle
from typing import TypeAlias

from msgspec import Struct

from gatewright import EventError
from gatewright.client import Client
from tests.chaos.commands import Short, all_of, report, until
from tests.chaos.engines import Engine, Kind, engine
from tests.chaos.listeners import Listeners, Room
from tests.chaos.processes import server
from tests.chaos.proxy import proxy

__all__ = ["Outcome", "Plan", "main", "run"]


class Plan(Struct, frozen=True):
    """How much of everything."""

    clients: int
    publications: int
    outages: int
    nodes: int = 3
    rate: float = 200.0
    backplane: Kind = "redis"


class Outcome(Struct):
    """What became of it."""

    acknowledged: int
    lost: int
    silent: int
    """Losses of which nobody was told."""
    duplicated: int
    warnings: int
    failed: int
    """Publications that were refused, which is said to whoever made them."""

    def __str__(self) -> str:
        return (
            f"{self.acknowledged} acknowledged publications, {self.failed} refused; lost for a "
            f"client {self.lost}, of these in silence {self.silent}; heard twice "
            f"{self.duplicated}; {self.warnings} gaps and new sessions"
        )


Away: TypeAlias = tuple[float, float]
"""From when to when a client had a new session that had not joined yet."""


class Troubles:
    """One run."""

    def __init__(self, plan: Plan, kept: Engine, url: str) -> None:
        self.plan = plan
        self.listeners = Listeners(url, plan.clients)
        self.failed = 0
        self._kept = kept
        self._due = 0.0
        self._away: list[list[Away]] = [[] for _ in range(plan.clients)]
        self._joining: set[asyncio.Task[None]] = set()

    @property
    def room(self) -> Room:
        return self.listeners.rooms[0]

    async def run(self) -> Outcome:
        async with self.listeners.here() as clients:
            # A session that is not resumed is in no room: its client joins again, as a page does.
            for client, away in zip(clients, self._away, strict=True):
                client.on_open(partial(self._rejoin, client, away))
            warnings = sum(map(len, self.room.warned))
            publishing = [self._publish(number, client) for number, client in enumerate(clients)]
            await all_of(self._weather(), *publishing)
            await self._settle(clients)
        return self._judge(warnings)

    def _rejoin(self, client: Client, away: list[Away], resumed: bool) -> None:  # noqa: FBT001
        if not resumed:
            task = asyncio.create_task(self._join(client, away))
            self._joining.add(task)
            task.add_done_callback(self._joining.discard)

    async def _join(self, client: Client, away: list[Away]) -> None:
        since = time.monotonic()
        away.append((since, float("inf")))
        while True:
            try:
                await client.call("join", [self.room.name], list[str])
            except EventError:
                await asyncio.sleep(0.1)
            else:
                away.append((since, time.monotonic()))
                away.remove((since, float("inf")))
                return

    async def _publish(self, number: int, client: Client) -> None:
        share, rest = divmod(self.plan.publications, self.plan.clients)
        for each in range(share + (number < rest)):
            now = time.monotonic()
            self._due = max(now, self._due + 1 / self.plan.rate)
            await asyncio.sleep(self._due - now)
            await self._say(client, f"{number}.{each}")

    async def _say(self, client: Client, text: str) -> bool:
        try:
            return await self.listeners.publish(client, text)
        except EventError:
            # The backplane was away: its emitter knows.
            self.failed += 1
            return False

    async def _weather(self) -> None:
        troubles = cycle([self._restart, self._kept.flush, self._lose])
        for number in range(self.plan.outages):
            share = (number + 0.5) / self.plan.outages * self.plan.publications
            while len(self.room.asked) < share:
                await asyncio.sleep(0.01)
            await next(troubles)()

    async def _restart(self) -> None:
        await self._kept.kill()
        await self._kept.start()

    async def _lose(self) -> None:
        await self._kept.kill()
        self._kept.forget()
        await self._kept.start()

    async def _settle(self, clients: list[Client]) -> None:
        """Until everybody hears what is said now."""
        for number in range(100):
            text = f"end {number}"
            if not await self._say(clients[0], text):
                await asyncio.sleep(0.2)
                continue
            self.room.last = text
            try:
                await until(lambda: self.room.up_to_date, "everyone has heard the end", 3)
            except Short:
                continue
            return
        raise Short("the clients never got together again")

    def _judge(self, before: int) -> Outcome:
        room = self.room
        warned = sum(map(len, room.warned)) - before
        outcome = Outcome(len(room.acknowledged), 0, 0, 0, warned, self.failed)
        told = zip(room.heard, room.warned, self._away, strict=True)
        for heard, warnings, away in told:
            outcome.duplicated += len(heard) - len(set(heard))
            for text in room.acknowledged.keys() - set(heard):
                at = room.asked[text]
                if any(since <= at <= until for since, until in away):
                    # It knew that it was in no room.
                    continue
                outcome.lost += 1
                outcome.silent += not any(warning >= at for warning in warnings)
        return outcome


async def run(plan: Plan) -> Outcome:
    """Go through the outages."""
    async with AsyncExitStack() as stack:
        kept = await stack.enter_async_context(engine(plan.backplane))
        starting = (
            stack.enter_async_context(server("--backplane", kept.url)) for _ in range(plan.nodes)
        )
        served = [await each for each in starting]
        network = await stack.enter_async_context(proxy(*(each.url for each in served)))
        return await Troubles(plan, kept, f"{network.url.ws}/chaos").run()


async def command(plan: Plan) -> str:
    outcome = await run(plan)
    if outcome.silent or outcome.duplicated:
        raise Short(f"{outcome}")
    return f"{outcome}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Redis or NATS is killed, restarted and emptied.")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--publications", type=int, default=5000)
    parser.add_argument("--outages", type=int, default=6)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--backplane", choices=["redis", "nats"], default="redis")
    return report(command(Plan(**vars(parser.parse_args(arguments)))))


if __name__ == "__main__":
    sys.exit(main())
