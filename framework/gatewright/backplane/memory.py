"""The backplane of one process: nothing to install, gone with the process."""

import time
from collections.abc import Callable, Collection, Sequence
from typing import Literal

from gatewright.backplane.base import (
    DEFAULT_BOUNDS,
    Backplane,
    Bounds,
    Entry,
    Lane,
    Mail,
    Peers,
    Record,
    Resumption,
    ignore,
)
from gatewright.backplane.sequences import Sequences
from gatewright.errors import NotStartedError
from gatewright.types import Position

__all__ = ["Memory"]


class Memory(Backplane):
    """Numbers and delivers at once, within the call that publishes.

    A namespace's path parameters make as many sequences as clients care to name, so those without
    a member and without a session are kept only up to `idle`, the least recently used going first;
    one that comes back starts a new epoch. `clock` gives seconds.
    """

    def __init__(self, *, idle: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._idle = idle
        self._clock = clock
        self._started: Sequences | None = None

    @property
    def address(self) -> str:
        return "memory:"

    async def start(
        self,
        lane: Lane,
        bounds: Bounds = DEFAULT_BOUNDS,
        *,
        mail: Mail = ignore,
        peers: Peers = ignore,
    ) -> None:
        if self._started is not None:
            raise NotStartedError(
                "this Memory backplane already serves a running application; "
                "give each Gatewright its own Memory()"
            )
        self._started = Sequences(lane, bounds, idle=self._idle, clock=self._clock)

    async def stop(self) -> None:
        self._started = None

    async def publish(self, namespace: str, entries: Sequence[Entry]) -> int:
        return self._sequences.publish(namespace, entries)

    async def mark(
        self, namespace: str, action: Literal["join", "leave"], member: str, rooms: Collection[str]
    ) -> int:
        return self._sequences.mark(namespace, action, member, rooms)

    async def position(self, namespace: str) -> Position:
        return self._sequences.position(namespace)

    async def open(self, namespace: str, id: str, key: bytes, user: str | None) -> Position:
        return self._sequences.open(namespace, id, key, user)

    async def rename(self, namespace: str, id: str, user: str | None) -> None:
        self._sequences.rename(namespace, id, user)

    async def save(self, namespace: str, id: str, state: bytes) -> None:
        self._sequences.save(namespace, id, state)

    async def confirm(self, namespace: str, id: str, seq: int) -> None:
        self._sequences.confirm(namespace, id, seq)

    async def find(self, namespace: str, key: bytes) -> Record | None:
        return self._sequences.find(namespace, key)

    async def resume(
        self,
        namespace: str,
        key: bytes,
        after: Position | None,
        revoked: Collection[str] = (),
        *,
        renewed: bytes | None = None,
    ) -> Resumption | None:
        return self._sequences.resume(namespace, key, after, revoked, renewed)

    async def settle(self, namespace: str, id: str, generation: int) -> None:
        self._sequences.settle(namespace, id, generation)

    async def release(
        self, namespace: str, id: str, generation: int, *, taken: int | None = None
    ) -> bool:
        return self._sequences.release(namespace, id, generation, taken)

    async def end(self, namespace: str, id: str, generation: int) -> bool:
        return self._sequences.end(namespace, id, generation)

    async def expired(self) -> Sequence[Record]:
        return self._sequences.expired()

    @property
    def _sequences(self) -> Sequences:
        if self._started is None:
            raise NotStartedError("the application is not running: its lifespan has not started")
        return self._started
