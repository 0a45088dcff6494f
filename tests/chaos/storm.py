# ruff: noqa: T201 — it reports to whoever runs it
"""A recovery storm: clients publish to each other while connections are cut and servers killed.

    python -m tests.chaos.storm --clients 100 --publications 20000 --cuts 100 --kills 10
    python -m tests.chaos.storm --nodes 3 --backplane redis

Every acknowledged publication is kept: it must reach every client once, in the order of the
numbers that were acknowledged, and nobody may be told of a gap. Exits with 1 otherwise.
"""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from msgspec import Struct

from gatewright.client import Client
from tests.chaos.commands import Short, all_of, report
from tests.chaos.engines import engine
from tests.chaos.listeners import Listeners
from tests.chaos.processes import Server, server
from tests.chaos.proxy import Proxy, proxy
from tests.chaos.verdicts import Verdict

__all__ = ["Plan", "main", "run"]


class Plan(Struct, frozen=True):
    """How much of everything."""

    clients: int
    publications: int
    cuts: int
    kills: int
    rate: float = 200.0
    """Publications a second at the most."""
    seed: int = 1
    nodes: int = 1
    backplane: Literal["sqlite", "redis", "nats"] = "sqlite"


# A client that finds nobody waits longer each time, and may be away for ten seconds; what it misses
# meanwhile has to be kept.
SETTINGS = '{"history": 10000, "replay": 10000}'


class Storm:
    """One run."""

    def __init__(self, plan: Plan, served: Sequence[Server], network: Proxy) -> None:
        self.plan = plan
        self.listeners = Listeners(f"{network.url.ws}/chaos", plan.clients)
        self._served = served
        self._network = network
        self._random = random.Random(plan.seed)
        self._due = 0.0

    async def run(self) -> Verdict:
        listeners = self.listeners
        async with listeners.here() as clients:
            publishing = [self._publish(number, client) for number, client in enumerate(clients)]
            await all_of(self._weather(), *publishing)
            return await listeners.verdict(clients[0])

    @property
    def done(self) -> int:
        """How many publications were acknowledged."""
        return len(self.listeners.rooms[0].acknowledged)

    async def _publish(self, number: int, client: Client) -> None:
        share, rest = divmod(self.plan.publications, self.plan.clients)
        for each in range(share + (number < rest)):
            attempt = 0
            await self._pace()
            # What nobody knows the fate of is said again, under a name of its own.
            while not await self.listeners.publish(client, f"{number}.{each}.{attempt}"):
                attempt += 1

    async def _pace(self) -> None:
        # Time that was lost is not made up for.
        now = time.monotonic()
        self._due = max(now, self._due + 1 / self.plan.rate)
        await asyncio.sleep(self._due - now)

    async def _weather(self) -> None:
        """Cuts and kills, spread evenly over the publications."""
        plan = self.plan
        cuts = [((n + 0.5) / plan.cuts, False) for n in range(plan.cuts)]
        kills = [((n + 0.5) / plan.kills, True) for n in range(plan.kills)]
        for share, kill in sorted(cuts + kills):
            while self.done < share * plan.publications:
                await asyncio.sleep(0.005)
            if kill:
                await self._random.choice(self._served).restart()
            else:
                await self._cut()

    async def _cut(self) -> None:
        """One connection, in one of the ways in which connections end."""
        while not self._network.wires:
            await asyncio.sleep(0.005)
        wire = self._random.choice(self._network.wires)
        match self._random.randrange(4):
            case 0:
                wire.close()
            case 1:
                wire.cut_after("down", size=self._random.randrange(1, 200))
            case 2:
                wire.cut_after("up", size=self._random.randrange(1, 200))
            case _:
                wire.cut()


async def run(plan: Plan) -> tuple[Verdict, str]:
    """Go through the storm; returns the verdict and what happened on the way."""
    async with AsyncExitStack() as stack:
        backplane = await stack.enter_async_context(_backplane(plan.backplane))
        starting = (
            stack.enter_async_context(server("--backplane", backplane, "--settings", SETTINGS))
            for _ in range(plan.nodes)
        )
        served = [await each for each in starting]
        network = await stack.enter_async_context(proxy(*(each.url for each in served)))
        storm = Storm(plan, served, network)
        verdict = await storm.run()
        listeners = storm.listeners
        kills = sum(each.starts - 1 for each in served)
        happened = (
            f"{network.accepted} connections of {plan.clients} clients to {plan.nodes} server(s) "
            f"over {plan.backplane}, {plan.cuts} cuts, {kills} kills, {listeners.unknown} "
            f"publications of unknown fate said again; nobody was away for more than "
            f"{listeners.longest:.1f} s"
        )
        return verdict, happened


@asynccontextmanager
async def _backplane(kind: Literal["sqlite", "redis", "nats"]) -> AsyncGenerator[str]:
    if kind == "sqlite":
        with TemporaryDirectory() as folder:
            yield str(Path(folder) / "storm.db")
    else:
        async with engine(kind) as running:
            yield running.url


async def command(plan: Plan) -> str:
    verdict, happened = await run(plan)
    print(happened)
    if not verdict.good or verdict.acknowledged < plan.publications:
        raise Short(f"{verdict}")
    return f"{verdict}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="A recovery storm.")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--publications", type=int, default=20_000)
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=1, help="more than one need another backplane")
    parser.add_argument("--backplane", choices=["sqlite", "redis", "nats"], default="sqlite")
    options = parser.parse_args(arguments)
    return report(command(Plan(**vars(options))))


if __name__ == "__main__":
    sys.exit(main())
