# ruff: noqa: T201 — it reports to whoever runs it
"""A recovery storm: clients publish to each other while connections are cut and the server killed.

    python -m tests.chaos.storm --clients 100 --publications 20000 --cuts 100 --kills 10

Every acknowledged publication is on disk: it must reach every client once, in the order of the
numbers that were acknowledged, and nobody may be told of a gap. Exits with 1 otherwise.
"""

import argparse
import asyncio
import random
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from gatewright.client import Client
from tests.chaos.commands import Short, all_of, report
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


# A client that finds nobody waits longer each time, and may be away for ten seconds; what it misses
# meanwhile has to be kept.
SETTINGS = '{"history": 10000, "replay": 10000}'


class Storm:
    """One run."""

    def __init__(self, plan: Plan, served: Server, network: Proxy) -> None:
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
                await self._served.restart()
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
    with TemporaryDirectory() as folder:
        database = Path(folder) / "storm.db"
        async with (
            server("--backplane", str(database), "--settings", SETTINGS) as served,
            proxy(served.url) as network,
        ):
            storm = Storm(plan, served, network)
            verdict = await storm.run()
            listeners = storm.listeners
            happened = (
                f"{network.accepted} connections of {plan.clients} clients, {plan.cuts} cuts, "
                f"{served.starts - 1} kills, {listeners.unknown} publications of unknown fate said "
                f"again; nobody was away for more than {listeners.longest:.1f} s"
            )
            return verdict, happened


async def command(plan: Plan) -> str:
    verdict, happened = await run(plan)
    print(happened)
    if not verdict.good or verdict.acknowledged < plan.publications:
        raise Short(f"{verdict}")
    return f"{verdict}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="A recovery storm on one node with SQLite.")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--publications", type=int, default=20_000)
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    return report(command(Plan(**vars(options))))


if __name__ == "__main__":
    sys.exit(main())
