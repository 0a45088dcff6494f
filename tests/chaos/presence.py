"""Who is there, while connections are cut, a node is killed and another one partitioned.

    python -m tests.chaos.presence --people 300 --cuts 60

Within ten seconds of each trouble's end everybody must see the same list, and nobody may be seen
leaving who was not away, or was back in time. Exits with 1 otherwise.
"""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from msgspec import Struct

from gatewright.client import Client, Status, connect
from tests.chaos.commands import Short, report, until
from tests.chaos.engines import Kind, engine
from tests.chaos.listeners import AT_ONCE
from tests.chaos.processes import Server, server
from tests.chaos.proxy import Proxy, proxy

__all__ = ["Outcome", "Plan", "main", "run"]

LIMIT = 10.0
"""Seconds after which all see the same again."""

PARTITION = 12.0
"""Seconds for which a node is cut off."""

ROOM = "everybody"


class Plan(Struct, frozen=True):
    """How much of everything."""

    people: int
    cuts: int
    nodes: int = 3
    backplane: Kind = "redis"
    seed: int = 1


class Outcome(Struct):
    """What became of it: seconds until all lists were equal, after each trouble."""

    here: float = 0.0
    cut: float = 0.0
    killed: float = 0.0
    healed: float = 0.0
    moved: int = 0
    """Who had to return because their node was killed."""
    parted: int = 0
    """Who was on the node that was cut off."""
    flickers: int = 0
    """Times that somebody was seen leaving who had not been away, or was back."""

    @property
    def good(self) -> bool:
        return self.flickers == 0 and max(self.cut, self.killed, self.healed) <= LIMIT

    def __str__(self) -> str:
        return (
            f"all lists were equal {self.here:.1f} s after everybody had come, {self.cut:.1f} s "
            f"after the cuts, {self.killed:.1f} s after a node with {self.moved} people was killed "
            f"and {self.healed:.1f} s after the partition of one with {self.parted} was healed; "
            f"{self.flickers} flickers"
        )


class Person:
    """A client, and the list that its page would show."""

    def __init__(self, url: str) -> None:
        self.client: Client = connect(url, timeout=60)
        self.listed: set[str] = set()
        self.left: list[tuple[float, str]] = []
        """Who was seen leaving, and when."""
        self.away: float | None = None
        """Since when it has no connection."""
        self.back = 0.0
        self.node = 0
        self.renewed = -1
        self.client.on("presence:state")(self._state)
        self.client.on("presence:diff")(self._diff)
        self.client.on_status(self._status)
        self.client.on_open(self._opened)

    def _state(self, state: dict[str, Any]) -> None:
        self.listed = {person["id"] for person in state["people"]}

    def _diff(self, diff: dict[str, Any]) -> None:
        self.listed |= {person["id"] for person in diff["joined"]}
        gone = {person["id"] for person in diff["left"]}
        self.listed -= gone
        now = time.monotonic()
        self.left += [(now, id) for id in gone]

    def _status(self, status: Status) -> None:
        if status == "open":
            self.away = None
            self.back = time.monotonic()
        elif self.away is None:
            self.away = time.monotonic()

    def _opened(self, resumed: bool) -> None:  # noqa: FBT001 - what a client tells
        self.renewed += not resumed

    async def enter(self) -> None:
        await self.client.call("present", ROOM)


class Gathering:
    """One run."""

    def __init__(
        self, plan: Plan, served: list[Server], ways: Mapping[str, Proxy], network: Proxy
    ) -> None:
        self.plan = plan
        self.outcome = Outcome()
        self.people = [Person(f"{network.url.ws}/chaos") for _ in range(plan.people)]
        self._served = served
        self._ways = ways
        """From each node, by its address, to the backplane."""
        self._network = network
        self._random = random.Random(plan.seed)

    async def run(self) -> Outcome:
        async with AsyncExitStack() as stack:
            await self._come(stack)
            outcome = self.outcome
            outcome.here = await self._equal("everybody has come")
            outcome.cut = await self._cut()
            outcome.killed = await self._kill()
            outcome.healed = await self._part()
            if any(person.renewed for person in self.people):
                raise Short("a session was lost: whoever it was is somebody else now")
            return outcome

    async def _come(self, stack: AsyncExitStack) -> None:
        at_once = asyncio.Semaphore(AT_ONCE)

        async def come(person: Person) -> None:
            async with at_once:
                await stack.enter_async_context(person.client)
                await person.enter()

        async with asyncio.TaskGroup() as group:
            for person in self.people:
                group.create_task(come(person))

    async def _equal(self, what: str) -> float:
        """How many seconds it takes until everybody is here and sees all others."""
        start = time.monotonic()
        truth = {person.client.id for person in self.people}

        def equal() -> bool:
            return all(each.away is None and each.listed == truth for each in self.people)

        await until(equal, f"all {len(truth)} lists are equal: {what}", 60)
        return time.monotonic() - start

    async def _settled(self, since: float) -> float:
        """How many seconds after `since` lists were still different; watches for long enough."""
        last = since
        while (now := time.monotonic()) < since + LIMIT + 2:
            truth = {person.client.id for person in self.people}
            if any(each.away is not None or each.listed != truth for each in self.people):
                last = now
            await asyncio.sleep(0.05)
        return last - since + await self._equal("the trouble is over")

    async def _cut(self) -> float:
        """Cut connections; whoever had one returns, and is missed by nobody."""
        self._forget()
        for _ in range(self.plan.cuts):
            self._random.choice(self._network.wires).cut()
            await asyncio.sleep(0.02)
        took = await self._settled(time.monotonic())
        self._judge(lambda _, __, ___: True)
        return took

    async def _kill(self) -> float:
        """Kill a node for good."""
        self._forget()
        nodes = await self._where()
        victim = self._random.choice(self._served)
        pid, start = victim.pid, time.monotonic()
        self.outcome.moved = nodes.count(pid)
        await victim.kill()
        self._served.remove(victim)
        took = await self._settled(start)
        back = {each.client.id: each.back for each in self.people if each.node == pid}
        # Who was not back when the others learned that it is dead, had left.
        self._judge(lambda _, id, at: back.get(id, start) < at)
        return took

    async def _part(self) -> float:
        """Cut a node off from the backplane until the others think that it is dead, and heal it."""
        self._forget()
        nodes = await self._where()
        alone = self._random.choice(self._served)
        pid, way = alone.pid, self._ways[alone.url]
        self.outcome.parted = nodes.count(pid)
        there = {each.client.id for each in self.people if each.node == pid}
        outside = [each for each in self.people if each.node != pid]
        way.blackhole()
        # Until it is dead to the others: its clients are sent away, and most are back elsewhere.
        await asyncio.sleep(PARTITION)
        way.heal()
        way.cut()
        healed = time.monotonic()
        took = await self._settled(healed)
        # Each side saw its own people all the time, and since then both see all.
        self._judge(lambda who, id, at: at > healed or (who in outside and id not in there))
        return took

    async def _where(self) -> list[int]:
        async def ask(person: Person) -> int:
            person.node = await person.client.call("where", reply=int)
            return person.node

        return list(await asyncio.gather(*(ask(person) for person in self.people)))

    def _forget(self) -> None:
        for person in self.people:
            person.left.clear()

    def _judge(self, counts: Callable[[Person, str, float], bool]) -> None:
        """Count who was seen leaving and need not have been."""
        for person in self.people:
            self.outcome.flickers += sum(counts(person, id, at) for at, id in person.left)


async def run(plan: Plan) -> Outcome:
    """Go through it all; `Short` where something never happens."""
    async with AsyncExitStack() as stack:
        backplane = await stack.enter_async_context(engine(plan.backplane))
        ways: dict[str, Proxy] = {}
        served: list[Server] = []
        for _ in range(plan.nodes):
            way = await stack.enter_async_context(proxy(f"http://127.0.0.1:{backplane.port}"))
            url = f"{plan.backplane}://127.0.0.1:{way.port}"
            served.append(await stack.enter_async_context(server("--backplane", url)))
            ways[served[-1].url] = way
        network = await stack.enter_async_context(proxy(*(each.url for each in served)))
        return await Gathering(plan, served, ways, network).run()


async def command(plan: Plan) -> str:
    outcome = await run(plan)
    sentence = f"{plan.people} people on {plan.nodes} nodes over {plan.backplane}: {outcome}"
    if not outcome.good:
        raise Short(sentence)
    return sentence


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Who is there, while nodes die and are cut off.")
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--cuts", type=int, default=60)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--backplane", choices=["redis", "nats"], default="redis")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    return report(command(Plan(**vars(options))))


if __name__ == "__main__":
    sys.exit(main())
