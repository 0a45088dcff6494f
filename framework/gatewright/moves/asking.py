"""Asking the node that has a session to let go of it."""

import asyncio
import logging
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from gatewright.backplane.base import Record
from gatewright.moves.messages import Ends, Yield, Yielded
from gatewright.remote import Remote
from gatewright.types import Frame

__all__ = ["Asking", "HandOver"]

logger: logging.Logger = logging.getLogger("gatewright")

SIGN: Final = 1.0
"""Seconds in which a node that lives says that it has heard: a client waits meanwhile."""

SILENCE: Final = 15.0
"""Seconds for which one that did not is not asked again; by then it is known to be dead."""

_ends = msgspec.msgpack.Decoder(Ends).decode
_yielded = msgspec.msgpack.Decoder(Yielded).decode


class HandOver(Struct):
    """What another node has told of a session that it had."""

    node: str
    generation: int
    said: Yielded
    ends: list[tuple[int, Frame]]


class Asking:
    """Asks for sessions. `patience` is how many seconds an answer may take."""

    def __init__(self, remote: Remote, patience: float) -> None:
        self._remote = remote
        self._patience = patience
        self._silent: dict[str, float] = {}

    async def ask(self, record: Record) -> HandOver | None:
        """Have another node close a session's socket, and tell what it knows of it.

        None where it is this node's own, or the other is dead or says nothing, or knows nothing.
        """
        node = record.node
        if node is None or node == self._remote.name or node not in self._remote.nodes:
            return None
        loop = asyncio.get_running_loop()
        if self._silent.get(node, 0.0) > loop.time():
            return None
        ends: list[tuple[int, Frame]] = []
        sign: asyncio.Future[None] = loop.create_future()
        end: asyncio.Future[Yielded] = loop.create_future()

        def part(_: str, body: Raw) -> None:
            ends.extend((id, Frame(data, binary=binary)) for id, data, binary in _ends(body).ends)
            if not sign.done():
                sign.set_result(None)

        def ended(_: str, said: Raw | Exception) -> None:
            if isinstance(said, Exception):
                logger.warning("node %s does not hand %s over: %s", node, record.id, said)
            end.set_result(Yielded() if isinstance(said, Exception) else _yielded(said))

        message = Yield((record.namespace, record.id), record.generation)
        question = self._remote.question("yield", message, [node], part=part, end=ended)
        try:
            either: set[asyncio.Future[Any]] = {sign, end}
            await asyncio.wait(either, timeout=SIGN, return_when=asyncio.FIRST_COMPLETED)
            if not sign.done() and not end.done():
                self._silent[node] = loop.time() + SILENCE
                return None
            await asyncio.wait({end}, timeout=self._patience)
        finally:
            question.close()
        if not end.done() or not end.result().known:
            return None
        return HandOver(node, record.generation, end.result(), ends)

    def heard(self, node: str) -> None:
        """A node lives, or is gone: what it was silent about is forgotten."""
        self._silent.pop(node, None)
