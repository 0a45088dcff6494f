# ruff: noqa: T201 — it reports to whoever runs it
"""A server is told to stop and started again under thousands of clients: nothing may be lost, and
nobody may be trampled.

    python -m tests.chaos.drain --clients 3000

Somebody speaks to them all the time, before, during and after. Exits with 1 when a client
has missed something that was acknowledged or was told of a gap, or when one bucket of 100 ms holds
more than 3 % of the clients that came back, by when they reached the next server.
"""

import argparse
import asyncio
import gc
import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import AsyncExitStack, contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
from msgspec import Struct

from tests.chaos.commands import Short, report, stopped, until
from tests.chaos.listeners import Listeners
from tests.chaos.processes import server
from tests.chaos.verdicts import Verdict

__all__ = ["Outcome", "Plan", "main", "run"]

BUCKET = 0.1
MOST = 0.03
ROOMS = 20
"""Where who speaks goes round: what is said to thousands of clients of one process at once keeps
that process from everything else for longer than a bucket."""

PACE = 0.1
"""Seconds between two things that are said."""


class Plan(Struct, frozen=True):
    clients: int = 3000
    window: float = 10.0
    """The server's `drain`, in seconds."""


class Outcome(Struct):
    verdict: Verdict
    returned: int
    """Clients that were back."""
    arrived: list[float]
    """When the next server was reached, in seconds since the first was told to stop."""
    stopped: float
    """When the server had ended."""
    started: float
    """When the next one listened."""

    @property
    def fullest(self) -> float:
        """The share of the clients that came in the fullest bucket."""
        buckets = Counter(int(each / BUCKET) for each in self.arrived)
        return max(buckets.values()) / self.returned


@contextmanager
def _without_garbage_collection() -> Generator[None]:
    """To look through thousands of clients takes longer than a bucket, and they share a process."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _speak(listeners: Listeners) -> None:
    """Say something in one room after another, for ever."""
    for number in count():
        room = number % ROOMS
        await listeners.publish(listeners.clients[0], str(number), room)
        await asyncio.sleep(PACE)


async def run(plan: Plan) -> Outcome:
    with TemporaryDirectory() as folder:
        database = Path(folder) / "drain.db"
        options = ("--backplane", str(database), "--settings", f'{{"drain": {plan.window}}}')
        async with server(*options, timeout=60) as served, AsyncExitStack() as stack:
            listeners = Listeners(f"{served.url.ws}/chaos", plan.clients, ROOMS)
            clients = await stack.enter_async_context(listeners.here())
            stack.enter_context(_without_garbage_collection())
            speaking = asyncio.create_task(_speak(listeners))
            try:
                said = listeners.rooms[-1].acknowledged
                await until(lambda: bool(said), "something was said in all rooms")
                listeners.opened.clear()
                told = time.monotonic()
                await served.terminate(timeout=60)
                ended = time.monotonic() - told
                await served.start()
                started = time.monotonic() - told
                await until(
                    lambda: len(listeners.opened) >= plan.clients,
                    "all clients are back",
                    3 * plan.window + 30,
                )
            finally:
                await stopped(speaking)
            verdict = await listeners.verdict(clients[0])
            async with httpx2.AsyncClient(timeout=30) as http:
                times = (await http.get(f"{served.url}/arrivals")).json()
            arrived = sorted(each - told for each in times)
            return Outcome(verdict, len(listeners.opened), arrived, ended, started)


async def command(plan: Plan) -> str:
    outcome = await run(plan)
    print(
        f"the server ended after {outcome.stopped:.1f} s, the next one listened after "
        f"{outcome.started:.1f} s; clients came between {outcome.arrived[0]:.1f} and "
        f"{outcome.arrived[-1]:.1f} s, {outcome.fullest:.1%} of them in the fullest 100 ms"
    )
    if not outcome.verdict.good or outcome.fullest > MOST or outcome.returned != plan.clients:
        raise Short(f"{outcome.returned} of {plan.clients} clients are back; {outcome.verdict}")
    return f"{plan.clients} clients: {outcome.verdict}; at most {outcome.fullest:.1%} in 100 ms"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="A server that drains and comes back.")
    parser.add_argument("--clients", type=int, default=3000)
    parser.add_argument("--window", type=float, default=10)
    options = parser.parse_args(arguments)
    return report(command(Plan(**vars(options))))


if __name__ == "__main__":
    sys.exit(main())
