"""How many publications per second the SQLite backplane acknowledges.

`python -m tests.backplane.sqlite_rate [folder]`: the folder decides which disk is measured.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import get_args

from gatewright.backplane import SQLite
from gatewright.backplane.base import Passing
from gatewright.backplane.database import Synchronous
from tests.backplane.lanes import Client

TEXT = "x" * 200


def passes(_: Passing) -> None:
    """What a node does with it is not measured."""


async def rate(path: Path, synchronous: Synchronous, publishers: int, seconds: float) -> float:
    """Acknowledged publications per second, to a room with one session in it."""
    backplane = SQLite(path, synchronous=synchronous)
    await backplane.start(passes)
    client = await Client.open(backplane, "lobby")
    start = time.perf_counter()
    done = 0

    async def publish() -> None:
        nonlocal done
        while time.perf_counter() - start < seconds:
            await client.say(TEXT, rooms=("lobby",))
            done += 1

    await asyncio.gather(*(publish() for _ in range(publishers)))
    taken = time.perf_counter() - start
    await backplane.stop()
    return done / taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    print("synchronous  publishers  acknowledged/s")  # noqa: T201
    for synchronous in get_args(Synchronous):
        for publishers in (1, 100):
            with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
                path = Path(folder) / "rate.db"
                found = asyncio.run(rate(path, synchronous, publishers, arguments.seconds))
            print(f"{synchronous:11}  {publishers:10}  {found:14,.0f}")  # noqa: T201


if __name__ == "__main__":
    main()
