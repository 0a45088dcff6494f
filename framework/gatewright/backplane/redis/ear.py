"""A connection on which one server tells what is published."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

from redis.exceptions import ResponseError
from typing_extensions import override

from gatewright.backplane.redis.connections import EVERY, PATIENCE, Link
from gatewright.backplane.redis.options import Address, Options
from gatewright.backplane.shared.log import Unreachable

__all__ = ["Ear"]


class Ear(Link):
    """Subscribes to sharded channels, which exist without a cluster too; never again by itself.

    `brought` gets a channel and what was published there; `dropped` a channel that the server does
    not serve any more.
    """

    purpose: ClassVar[str] = "hearing"

    def __init__(
        self,
        options: Options,
        address: Address,
        ended: "Callable[[Ear], None]",
        brought: Callable[[bytes, bytes], None],
        dropped: "Callable[[Ear, bytes], None]",
    ) -> None:
        super().__init__(options, address, ended)
        self.channels: set[bytes] = set()
        """What it is subscribed to."""
        self._brought = brought
        self._dropped = dropped
        self._waiting: deque[tuple[int, bytes, bytes, asyncio.Future[None]]] = deque()
        self._heard_at = 0

    def subscribe(self, channel: bytes) -> asyncio.Future[None]:
        """Done when the server has heard it; raises `Unreachable` or its `ResponseError`."""
        return self._ask(b"ssubscribe", channel)

    def unsubscribe(self, channel: bytes) -> asyncio.Future[None]:
        """Likewise; what comes meanwhile is not told any more."""
        self.channels.discard(channel)
        return self._ask(b"sunsubscribe", channel)

    def _ask(self, kind: bytes, channel: bytes) -> asyncio.Future[None]:
        if self.failure is not None:
            raise self.unreachable
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((self.looks, kind, channel, future))
        self._send(kind, channel)
        return future

    @override
    def _look(self) -> None:
        if self._waiting and self.looks - self._waiting[0][0] > PATIENCE:
            self.end("it did not answer within 2 seconds")
        elif self.looks - self._heard_at > PATIENCE:
            self.end("it was silent for more than 2 seconds")
        elif self.looks % EVERY == 0:
            self._send("PING")

    @override
    def _took(self, reply: Any) -> None:
        self._heard_at = self.looks
        match reply:
            case [b"smessage", bytes(channel), bytes(body)]:
                if channel in self.channels:
                    self._brought(channel, body)
            case [b"ssubscribe" | b"sunsubscribe" as kind, bytes(channel), int()]:
                self._answered(kind, channel)
            case ResponseError():
                self._refused(reply)
            case _:
                pass  # the answer to a ping, in one form or another

    def _answered(self, kind: bytes, channel: bytes) -> None:
        first = self._waiting[0] if self._waiting else None
        if first is not None and first[1:3] == (kind, channel):
            if kind == b"ssubscribe":
                self.channels.add(channel)
            future = self._waiting.popleft()[3]
            if not future.done():
                future.set_result(None)
        elif kind == b"sunsubscribe" and channel in self.channels:
            # Nobody here wanted that: its slot has moved to another server.
            self.channels.discard(channel)
            self._dropped(self, channel)

    def _refused(self, error: ResponseError) -> None:
        if self._waiting:
            future = self._waiting.popleft()[3]
            if not future.done():
                future.set_exception(error)
                future.exception()
        else:
            self.end(f"it refused to answer: {error}")

    @override
    def _fail(self, error: Unreachable) -> None:
        waiting, self._waiting = self._waiting, deque()
        for *_, future in waiting:
            if not future.done():
                future.set_exception(error)
                future.exception()
