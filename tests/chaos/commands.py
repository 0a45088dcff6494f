# ruff: noqa: T201 — it reports to whoever runs it
"""What the commands of this folder share: how they end, and figures."""

import asyncio
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

__all__ = ["Short", "all_of", "many_files", "percentile", "report", "stopped", "until"]


class Short(Exception):
    """Something is missing, or too much; the message has the figures."""


def report(run: Coroutine[Any, Any, str]) -> int:
    """Run a command to its end and print its sentence; returns the exit code, 1 for `Short`."""
    many_files()
    # As Ctrl+C: the servers that it has started end with it.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    start = time.perf_counter()
    try:
        sentence = asyncio.run(run)
    except Short as short:
        print(f"SHORT: {short}", file=sys.stderr)
        return 1
    print(f"{sentence} ({time.perf_counter() - start:.0f} s)")
    return 0


def many_files() -> int:
    """Let this process open as many files as it may; returns how many these are."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which this part of them is."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


async def until(condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
    """Wait for a condition; raises `Short` naming it after `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout):
            while not condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise Short(f"after {timeout:g} s still not so: {what}") from None


async def stopped(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks and wait for them."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def all_of(*awaitables: Awaitable[None]) -> None:
    """Like a task group, with its first failure as it is and not in a group of one."""
    tasks = [asyncio.ensure_future(each) for each in awaitables]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        await stopped(*tasks)
