"""What waits to be sent to other nodes."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from gatewright.backplane.base import Backplane
from gatewright.remote.letters import Letter, pack, size_of

__all__ = ["Post"]

logger: logging.Logger = logging.getLogger("gatewright")

TOGETHER: Final = 64 * 1024
"""Bytes of letters that travel as one where several wait for their turn; a larger one alone."""

Failed = Callable[[Exception], None]


class Post:
    """Sends letters one after the other, those that wait for the same node together.

    What cannot be sent now is not sent later: whoever has put it there is told, if it wants to.
    """

    def __init__(self, backplane: Backplane) -> None:
        self._backplane = backplane
        self._waiting: deque[tuple[str | None, Letter, Failed | None]] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._closed = False

    def put(self, node: str | None, letter: Letter, failed: Failed | None = None) -> None:
        """A letter for one node, or for all others."""
        if self._closed:
            return
        self._waiting.append((node, letter, failed))
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send())

    async def close(self) -> None:
        """Send what waits, and nothing more."""
        self._closed = True
        if self._sending is not None:
            await asyncio.wait([self._sending])

    async def _send(self) -> None:
        try:
            while self._waiting:
                node, letters, failed = self._take()
                try:
                    await self._backplane.send(pack(letters), node)
                except Exception as error:
                    logger.warning("%s cannot be told: %s", node or "the other nodes", error)
                    for each in failed:
                        each(error)
        finally:
            self._sending = None

    def _take(self) -> tuple[str | None, list[Letter], list[Failed]]:
        """The next letters that go together."""
        waiting = self._waiting
        node = waiting[0][0]
        letters: list[Letter] = []
        told: list[Failed] = []
        size = 0
        while waiting and waiting[0][0] == node:
            _, letter, failed = waiting[0]
            size += size_of(letter)
            if letters and size > TOGETHER:
                break
            waiting.popleft()
            letters.append(letter)
            if failed is not None:
                told.append(failed)
        return node, letters, told
