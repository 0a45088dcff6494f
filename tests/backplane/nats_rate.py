"""What appending to a lane of NATS costs, and how long one takes.

`python -m tests.backplane.nats_rate [url]`: without a URL it starts a server of its own.
"""

import argparse
import asyncio
import contextlib
import time
from secrets import token_hex

from gatewright.backplane.base import DEFAULT_BOUNDS
from gatewright.backplane.nats.log import NatsLog
from gatewright.backplane.nats.streams import Layout, Storage
from tests._support.natses import server
from tests.backplane.redis_rate import Ears

ENTRY = b"x" * 200


async def rate(
    url: str, storage: Storage, batch: int, namespaces: int, seconds: float
) -> tuple[float, float, int, int]:
    """Messages per second, how long each took in ms, how many were appended and heard."""
    layout = Layout(token_hex(4), 1, storage)
    publisher, subscriber = NatsLog([url], layout), NatsLog([url], layout)
    ears = Ears()
    await publisher.start(token_hex(4), Ears(), DEFAULT_BOUNDS)
    await subscriber.start(token_hex(4), ears, DEFAULT_BOUNDS)
    names = [f"/{index}" for index in range(namespaces)]
    for name in names:
        await subscriber.subscribe(name)
        await publisher.head(name)
    body, done = ENTRY * batch, 0
    start = time.perf_counter()

    async def append(name: str) -> None:
        nonlocal done
        number = 0
        while time.perf_counter() - start < seconds:
            number += 1
            await publisher.append(name, body, batch, number)
            done += 1

    await asyncio.gather(*(append(name) for name in names))
    taken = time.perf_counter() - start
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            while ears.count < done:
                await asyncio.sleep(0.05)
    await publisher.stop()
    await subscriber.stop()
    return done / taken, taken * namespaces / done * 1e3, done, ears.count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as life:
        url = arguments.url or life.enter_context(server()).url
        print("storage  batch  namespaces  messages/s   entries/s  ms each  lost on the way")  # noqa: T201
        storages: tuple[Storage, ...] = ("file", "memory")
        for storage in storages:
            for batch in (1, 100):
                for namespaces in (1, 16):
                    found = rate(url, storage, batch, namespaces, arguments.seconds)
                    messages, each, done, heard = asyncio.run(found)
                    print(  # noqa: T201
                        f"{storage:7}  {batch:5}  {namespaces:10}  {messages:10,.0f}"
                        f"  {messages * batch:10,.0f}  {each:7.2f}  {done - heard:15}"
                    )


if __name__ == "__main__":
    main()
