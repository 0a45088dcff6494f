"""One flusher for all outboxes of a node: what one turn of the loop produced leaves together."""

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gatewright.observing import Observer

if TYPE_CHECKING:
    from gatewright.outbox import Outbox

__all__ = ["Flusher"]

logger: logging.Logger = logging.getLogger("gatewright.outbox")


class Flusher:
    """Flushes a node's outboxes, once per turn of the event loop, and aborts stalled ones."""

    def __init__(self, stall: float, observers: Sequence[Observer] = ()) -> None:
        self.observers: Sequence[Observer] = observers
        self._stall = stall
        self._dirty: list[Outbox] = []
        self._watched: set[Outbox] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, outbox: "Outbox") -> None:
        self._dirty.append(outbox)
        if len(self._dirty) == 1:
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for outbox in dirty:
            try:
                outbox.flush()
            except Exception:
                # One socket's trouble must not keep the others of this tick from being served.
                logger.exception("a socket failed while it was written to")
                outbox.abort()

    def tell(self, frames: int, size: int) -> None:
        """A socket has taken so much."""
        for observer in self.observers:
            observer.written(frames, size)

    def watch(self, outbox: "Outbox") -> None:
        """See to it that a socket takes what it is given.

        Whoever sent something is watched until the next look finds that it has left: cheaper than
        to ask the server after every write.
        """
        self._watched.add(outbox)
        if self._timer is None:
            self._look_later()

    def _look_later(self) -> None:
        # One timer for all: a stalled socket is found at most a twentieth of the limit late, two
        # looks after its time.
        self._timer = asyncio.get_running_loop().call_later(self._stall / 40, self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for outbox in list(self._watched):
            if not outbox.stuck:
                self._unwatch(outbox)
            elif outbox.stillness(now) >= self._stall:
                self._unwatch(outbox)
                outbox.abort()
        if self._watched:
            self._look_later()

    def _unwatch(self, outbox: "Outbox") -> None:
        outbox.watched = False
        self._watched.discard(outbox)

    def stop(self) -> None:
        """The node is going away: nobody is left to watch what its peers do not take."""
        self._dirty.clear()
        for outbox in list(self._watched):
            self._unwatch(outbox)
            if outbox.stuck:
                outbox.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
