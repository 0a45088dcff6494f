"""Calls over connections that are cut: each has its effect once, and gets its own answer.

    python -m tests.chaos.calls --calls 10000 --cuts 200 --between 50

So many of the cuts are made between an effect and its reply. Exits with 1 when a call has had no
effect or two, or was answered with what another one should have got.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from msgspec import Struct

from gatewright.client import Client, connect
from tests.chaos.app import Effects
from tests.chaos.commands import Short, all_of, report
from tests.chaos.frames import Frame
from tests.chaos.processes import server
from tests.chaos.proxy import Proxy, proxy

__all__ = ["Outcome", "Plan", "is_reply", "main", "run"]

AT_ONCE = 8
"""Calls that one client has under way."""


class Plan(Struct, frozen=True):
    """How much of everything; `between` of the cuts are made in place of a reply."""

    calls: int
    cuts: int
    between: int
    clients: int = 20
    seed: int = 1


class Outcome(Struct):
    """What became of the calls."""

    effects: int
    missing: int
    repeated: int
    wrong: int
    """Answers that were not their call's."""
    cuts: int
    between: int

    @property
    def good(self) -> bool:
        return not (self.missing or self.repeated or self.wrong)

    def __str__(self) -> str:
        return (
            f"{self.effects} effects, {self.missing} missing, {self.repeated} repeated, "
            f"{self.wrong} wrong answers; {self.cuts} cuts, {self.between} of them between effect "
            "and reply"
        )


def is_reply(frame: Frame) -> bool:
    """Whether it is the good end of a call."""
    decode = msgspec.json.decode if frame.opcode == 1 else msgspec.msgpack.decode
    fields: dict[str, Any] = decode(frame.payload)
    return "id" in fields and "data" in fields and "event" not in fields


class Run:
    def __init__(self, plan: Plan, network: Proxy) -> None:
        self.plan = plan
        self.answers: dict[str, int] = {}
        self.cuts = 0
        self.between = 0
        self._network = network
        self._random = random.Random(plan.seed)
        self._done = asyncio.Event()

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            url = f"{self._network.url.ws}/chaos"
            clients = [
                await stack.enter_async_context(connect(url)) for _ in range(self.plan.clients)
            ]
            keys = iter([f"call {number}" for number in range(self.plan.calls)])
            callers = [self._call(client, keys) for client in clients for _ in range(AT_ONCE)]
            await all_of(self._cut(), *callers)

    async def _call(self, client: Client, keys: Iterator[str]) -> None:
        for key in keys:
            self.answers[key] = await client.call("effect", key, int)

    async def _cut(self) -> None:
        plan = self.plan
        ways = ["between"] * plan.between + ["else"] * (plan.cuts - plan.between)
        self._random.shuffle(ways)
        for number, way in enumerate(ways):
            due = (number + 0.5) / len(ways) * plan.calls
            while len(self.answers) < due:
                await asyncio.sleep(0.002)
            if way == "between":
                # Whoever is answered next loses this answer, and the connection with it.
                trigger = self._network.cut_instead("down", when=is_reply)
                await trigger.fired.wait()
                self._network.heal()
                self.between += 1
            else:
                await self._cut_anywhere()
            self.cuts += 1

    async def _cut_anywhere(self) -> None:
        while not self._network.wires:
            await asyncio.sleep(0.002)
        match self._random.randrange(5):
            case 0:
                self._random.choice(self._network.wires).cut()
                return
            case 1:
                self._random.choice(self._network.wires).close()
                return
            case 2:
                trigger = self._network.cut_instead("up")
            case 3:
                trigger = self._network.cut_after("up", frames=1)
            case _:
                trigger = self._network.cut_after("down", size=self._random.randrange(1, 60))
        await trigger.fired.wait()
        self._network.heal()


async def run(plan: Plan) -> Outcome:
    """Make all the calls, and count."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "effects"
        async with server("--effects", str(file)) as served, proxy(served.url) as network:
            calling = Run(plan, network)
            await calling.run()
        done = Effects.read(file)
    # The server answers with how many effects there were by then: each number was one call's.
    order = {key: number for number, key in enumerate(done, 1)}
    return Outcome(
        effects=sum(done.values()),
        missing=sum(f"call {number}" not in done for number in range(plan.calls)),
        repeated=sum(count - 1 for count in done.values()),
        wrong=sum(order.get(key) != answer for key, answer in calling.answers.items()),
        cuts=calling.cuts,
        between=calling.between,
    )


async def command(plan: Plan) -> str:
    outcome = await run(plan)
    if not outcome.good or outcome.effects != plan.calls:
        raise Short(f"of {plan.calls} calls: {outcome}")
    return f"{plan.calls} calls: {outcome}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Calls over connections that are cut.")
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--between", type=int, default=50)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    return report(command(Plan(**vars(options))))


if __name__ == "__main__":
    sys.exit(main())
