"""Publishing on channels of Redis."""

import asyncio
import logging
import random
import time
from collections import deque
from typing import Any, Final

from gatewright.bridges.clients import BACKOFF, PATIENCE, Breaks
from gatewright.bridges.figures import Complaints, Figures
from gatewright.errors import BridgeError

__all__ = ["Teller"]

logger: logging.Logger = logging.getLogger("gatewright")

KEEP: Final = 5.0
"""Seconds for which a message may wait for a Redis that is lost: later it would be a surprise."""

LIMIT: Final = 8 * 1024 * 1024
"""Bytes that may wait for it."""

AT_ONCE: Final = 100
"""Messages of one write."""


class _Message:
    __slots__ = ("at", "channel", "content", "subscribers")

    def __init__(self, channel: str, content: bytes, *, counted: bool) -> None:
        self.channel = channel
        self.content = content
        self.at = time.monotonic()
        self.subscribers: asyncio.Future[int] | None = (
            asyncio.get_running_loop().create_future() if counted else None
        )

    def fail(self) -> None:
        if self.subscribers is not None and not self.subscribers.done():
            self.subscribers.set_exception(BridgeError("Redis is out of reach"))
            # Whoever waited may have given up.
            self.subscribers.exception()


class Teller:
    """One connection to Redis. Nothing is sent twice: what a break has swallowed is lost."""

    def __init__(
        self, redis: Any, figures: Figures, complaints: Complaints, breaks: Breaks
    ) -> None:
        self._redis = redis
        self._figures = figures
        self._complaints = complaints
        self._breaks = breaks
        self._waiting: deque[_Message] = deque()
        self._size = 0
        self._wanted = asyncio.Event()
        self.idle: asyncio.Event = asyncio.Event()
        """Whether everything has been told."""

    def tell(self, channel: str, message: bytes) -> None:
        """Publish a message soon."""
        self._add(_Message(channel, message, counted=False))

    async def ask(self, channel: str, message: bytes) -> int:
        """Publish one; returns how many have subscribed to its channel. Raises `BridgeError`."""
        if not self._breaks.none:
            raise BridgeError("Redis is out of reach")
        asked = _Message(channel, message, counted=True)
        assert asked.subscribers is not None
        self._add(asked)
        return await asked.subscribers

    def _add(self, message: _Message) -> None:
        self.idle.clear()
        self._waiting.append(message)
        self._size += len(message.content)
        while self._size > LIMIT and self._waiting:
            self._drop(self._waiting.popleft(), "too much waits for Redis")
        self._wanted.set()

    def _drop(self, message: _Message, reason: str) -> None:
        self._size -= len(message.content)
        self._complaints.lose(message.channel, reason)
        message.fail()

    def _take(self) -> list[_Message]:
        batch: list[_Message] = []
        oldest = time.monotonic() - KEEP
        while self._waiting and len(batch) < AT_ONCE:
            message = self._waiting.popleft()
            if message.at < oldest:
                self._drop(message, "Redis was out of reach")
            else:
                self._size -= len(message.content)
                batch.append(message)
        return batch

    async def write(self) -> None:
        """Publish what waits, in its order."""
        while True:
            batch = self._take()
            if not batch:
                self.idle.set()
                self._wanted.clear()
                await self._wanted.wait()
                continue
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._publish(batch)
            except Exception as error:
                # Some of it may have been heard: to send it again would be to say it twice.
                self._figures.lost += len(batch)
                for message in batch:
                    message.fail()
                self._breaks.begin("telling", error)
                await self._wait()

    async def _publish(self, batch: list[_Message]) -> None:
        # What counts its listeners must have exactly those.
        async with self._redis.pipeline(
            transaction=any(message.subscribers is not None for message in batch)
        ) as pipe:
            for message in batch:
                if message.subscribers is not None:
                    pipe.pubsub_numsub(message.channel)
                pipe.publish(message.channel, message.content)
            results = iter(await pipe.execute(raise_on_error=False))
        for message in batch:
            counted: Any = next(results) if message.subscribers is not None else None
            result: Any = next(results)
            if isinstance(result, Exception) or isinstance(counted, Exception):
                self._complaints.lose(message.channel, result)
                message.fail()
                continue
            self._figures.told += 1
            if message.subscribers is not None and not message.subscribers.done():
                message.subscribers.set_result(int(dict(counted).popitem()[1]))

    async def _wait(self) -> None:
        """Wait for Redis to be there again."""
        attempt = 0
        while True:
            await asyncio.sleep(BACKOFF.delay(attempt, random.random))
            attempt += 1
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._redis.ping()
            except Exception as error:
                logger.debug("Socket.IO bridge: Redis is still lost: %s", error)
            else:
                self._breaks.end("telling")
                return

    def give_up(self) -> None:
        """Nothing more is told."""
        for message in self._waiting:
            message.fail()
        self._waiting.clear()
