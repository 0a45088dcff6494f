"""Hearing what is published on channels of Redis."""

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from gatewright.bridges.clients import BACKOFF, PATIENCE, Breaks
from gatewright.errors import BridgeError

__all__ = ["Hear", "Listener"]

logger: logging.Logger = logging.getLogger("gatewright")

Hear: TypeAlias = Callable[[str, bytes], None]
"""What is done with a message of a channel; it neither waits nor raises."""

AT_ONCE: Final = 100
"""Messages that are heard in one turn of the event loop."""


class Listener:
    """One connection to Redis for all channels; it is made anew, with all of them, when it breaks.

    What was published meanwhile is not heard.
    """

    def __init__(self, redis: Any, lifeline: str, breaks: Breaks) -> None:
        """`lifeline` is a channel that is always listened to: Redis wants one at least."""
        self._redis = redis
        self._lifeline = lifeline
        self._breaks = breaks
        # The package tells the types of a part of it.
        self._pubsub: Any = None
        self._channels: dict[str, Hear] = {}
        self._patterns: dict[str, Hear] = {}
        self._confirmed: dict[str, asyncio.Future[None]] = {}
        self._changes: deque[tuple[str, tuple[str, ...]]] = deque()
        self._changed = asyncio.Event()

    def follow(self, channels: Mapping[str, Hear], pattern: tuple[str, Hear]) -> None:
        """Hear these channels, and those that match a pattern, from soon on."""
        self._channels |= channels
        self._patterns[pattern[0]] = pattern[1]
        # In the order in which servers of Socket.IO do it: who is counted hears everything.
        self._change("psubscribe", (pattern[0],))
        self._change("subscribe", channels)

    def unfollow(self, channels: Iterable[str], pattern: str) -> None:
        names = tuple(channels)
        for name in names:
            self._channels.pop(name, None)
            self._confirmed.pop(name, None)
        self._patterns.pop(pattern, None)
        self._change("unsubscribe", names)
        self._change("punsubscribe", (pattern,))

    async def heard(self, channel: str) -> None:
        """Wait until a channel that is followed is heard; raises `BridgeError`."""
        if not self._breaks.none:
            raise BridgeError("Redis is out of reach")
        confirmed = self._confirmed.setdefault(channel, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.shield(confirmed)
        except TimeoutError:
            raise BridgeError("Redis is out of reach") from None

    def _change(self, command: str, names: Iterable[str]) -> None:
        self._changes.append((command, tuple(names)))
        self._changed.set()

    async def subscribe(self) -> Any:
        """A new connection that hears everything that is followed."""
        channels, patterns = [self._lifeline, *self._channels], list(self._patterns)
        self._changes.clear()
        self._confirmed.clear()
        pubsub = self._redis.pubsub()
        try:
            async with asyncio.timeout(PATIENCE):
                if patterns:
                    await pubsub.psubscribe(*patterns)
                await pubsub.subscribe(*channels)
                missing = len(channels) + len(patterns)
                while missing:
                    message = await pubsub.get_message(timeout=PATIENCE)
                    if message is not None:
                        missing -= message["type"] in {"subscribe", "psubscribe"}
                        self._hear(message)
        except BaseException:
            await pubsub.aclose()
            raise
        self._pubsub = pubsub
        # What has been followed since has waited for this.
        self._changed.set()
        return pubsub

    async def listen(self, pubsub: Any) -> None:
        """Read a connection to its end, and those that come after it."""
        attempt, loop = 0, asyncio.get_running_loop()
        while True:
            since = loop.time()
            try:
                if pubsub is None:
                    pubsub = await self.subscribe()
                    self._breaks.end("listening")
                await self._read(pubsub)
            except Exception as error:
                self._breaks.begin("listening", error)
            pubsub = None
            with contextlib.suppress(Exception):
                await self.hang_up()
            await asyncio.sleep(BACKOFF.delay(attempt, random.random))
            # One that ends as soon as it has begun is not begun ever faster.
            attempt = attempt + 1 if loop.time() - since < BACKOFF.maximum else 0

    async def _read(self, pubsub: Any) -> None:
        quiet, heard = False, 0
        while True:
            message = await pubsub.get_message(timeout=PATIENCE)
            if message is None:
                if quiet:
                    raise TimeoutError(f"no sign of life for {2 * PATIENCE:g} s")
                quiet = True
                await pubsub.ping()
                continue
            quiet = False
            self._hear(message)
            heard += 1
            if heard % AT_ONCE == 0:
                # What is buffered already is read without a pause.
                await asyncio.sleep(0)

    def _hear(self, message: Mapping[str, Any]) -> None:
        kind = message["type"]
        if kind == "pmessage":
            hear = self._patterns.get(message["pattern"].decode())
        elif kind == "message":
            hear = self._channels.get(message["channel"].decode())
        else:
            if kind == "subscribe":
                channel = message["channel"].decode()
                confirmed = self._confirmed.setdefault(
                    channel, asyncio.get_running_loop().create_future()
                )
                if not confirmed.done():
                    confirmed.set_result(None)
            return
        if hear is None:
            # Unsubscribed meanwhile.
            return
        try:
            hear(message["channel"].decode(errors="replace"), message["data"])
        except Exception:
            logger.exception("Socket.IO bridge: a message could not be dealt with")

    async def follow_changes(self) -> None:
        """Tell Redis what is to be heard, and what no longer."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._changes and (pubsub := self._pubsub) is not None:
                command, names = self._changes.popleft()
                try:
                    await getattr(pubsub, command)(*names)
                except Exception as error:
                    # Who listens finds it broken, too, and subscribes to everything anew.
                    logger.debug("Socket.IO bridge: %s failed: %s", command, error)

    async def hang_up(self) -> None:
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            await pubsub.aclose()
