"""What appending to a lane of Redis costs: the script alone, and as nodes do it.

`python -m tests.backplane.redis_rate [url]`: without a URL it starts a server of its own.
"""

import argparse
import asyncio
import contextlib
import time
from collections.abc import Callable
from secrets import token_hex
from typing import Any

from redis import Redis

from gatewright.backplane.base import DEFAULT_BOUNDS
from gatewright.backplane.redis.log import RedisLog
from tests._support.redises import redis_server

ENTRY = b"x" * 200


class Ears:
    """What a node does with what it hears is not measured."""

    def __init__(self) -> None:
        self.count = 0

    def heard(self, namespace: str, message: Any) -> None:
        self.count += 1

    def cast(self, namespace: str, body: bytes) -> None: ...

    def mail(self, body: bytes) -> None: ...

    def broken(self, namespaces: Any) -> None: ...


async def rate(
    url: str, batch: int, namespaces: int, seconds: float, cpu: Callable[[], float]
) -> tuple[float, float, int, int]:
    """Messages per second, CPU of the server in µs for each, how many were appended and heard."""
    publisher = RedisLog(url, prefix=token_hex(4))
    subscriber = RedisLog(url, prefix=publisher._options.prefix)
    ears = Ears()
    await publisher.start(token_hex(4), Ears(), DEFAULT_BOUNDS)
    await subscriber.start(token_hex(4), ears, DEFAULT_BOUNDS)
    names = [f"/{index}" for index in range(namespaces)]
    for name in names:
        await subscriber.subscribe(name)
    body, done = ENTRY * batch, 0
    start, used = time.perf_counter(), cpu()

    async def append(name: str) -> None:
        nonlocal done
        number = 0
        while time.perf_counter() - start < seconds:
            number += 1
            await publisher.append(name, body, batch, number)
            done += 1

    await asyncio.gather(*(append(name) for name in names))
    taken, used = time.perf_counter() - start, cpu() - used
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            while ears.count < done:
                await asyncio.sleep(0.05)
    await publisher.stop()
    await subscriber.stop()
    return done / taken, used / done * 1e6, done, ears.count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as life:
        url = arguments.url or life.enter_context(redis_server()).url
        server = life.enter_context(Redis.from_url(url))

        def cpu() -> float:
            info = server.info("cpu")
            assert isinstance(info, dict)
            return float(info["used_cpu_user_main_thread"] + info["used_cpu_sys_main_thread"])

        print("batch  namespaces  messages/s   entries/s  server µs/message  heard")  # noqa: T201
        for batch in (1, 100):
            for namespaces in (1, 16, 64):
                found, used, done, heard = asyncio.run(
                    rate(url, batch, namespaces, arguments.seconds, cpu)
                )
                print(  # noqa: T201
                    f"{batch:5}  {namespaces:10}  {found:10,.0f}  {found * batch:10,.0f}  "
                    f"{used:17.1f}  {heard}/{done}"
                )


if __name__ == "__main__":
    main()
