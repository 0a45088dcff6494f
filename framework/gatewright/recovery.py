"""What is kept of a connection, so that it can return after its socket was lost."""

import asyncio
import logging
from collections.abc import Coroutine
from hashlib import sha256
from secrets import token_urlsafe
from typing import Any, Final

import msgspec
from msgspec import Struct

from gatewright.backplane.base import Backplane, Resumption
from gatewright.presence import Tracked
from gatewright.protocol.codecs import Codec
from gatewright.types import Frame, Position

__all__ = ["Keeper", "Ticket", "hash_secret", "new_secret", "replay", "unpack"]

logger: logging.Logger = logging.getLogger("gatewright")

CONFIRM_EVERY = 60.0
"""Seconds between two writes of how far a client has read (rule R7 of the recovery model)."""


PACKED: Final = b"\xc1"
"""What a record's state begins with where there is more than the state: no MessagePack does."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Tracked, bytes]).decode


def pack(state: bytes, tracked: Tracked | None) -> bytes:
    """What a record keeps as the state of a connection."""
    return state if tracked is None else PACKED + _encode((tracked, state))


def unpack(kept: bytes) -> tuple[bytes, Tracked | None]:
    """The connection's own state, and what it has asked of presence; raises what decoders raise."""
    if not kept.startswith(PACKED):
        return kept, None
    tracked, state = _decode(memoryview(kept)[1:])
    return state, tracked


def new_secret() -> str:
    """128 bits that let whoever has them take a session over; only their hash is kept."""
    return token_urlsafe(16)


def hash_secret(secret: str) -> bytes:
    """What a session is found by."""
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


class Ticket(Struct, frozen=True):
    """What a client shows to get its session back: its secret, and how far it has read."""

    secret: str
    after: Position | None = None
    session: str | None = None
    """The id of the session; None where the secret alone names it."""
    sent: int = 0
    """The highest id of a call that it has sent."""
    renewed: str | None = None
    """The secret that will stand for the session beside this one, until it is settled."""


class Keeper:
    """One connection's record at the backplane, while the connection has a socket."""

    __slots__ = (
        "_backplane",
        "_confirmed",
        "_id",
        "_namespace",
        "_sent",
        "_state",
        "_tasks",
        "_written",
        "generation",
        "start",
        "tracked",
    )

    def __init__(
        self,
        backplane: Backplane,
        namespace: str,
        id: str,
        start: Position,
        generation: int = 1,
        kept: bytes = b"",
    ) -> None:
        """`kept` is the state that its record has."""
        self.start: Position = start
        """What its entitlement, of this socket, begins after."""
        self.generation: int = generation
        """Which of its sockets this is."""
        self._backplane = backplane
        self._namespace = namespace
        self._id = id
        self._state, tracked = unpack(kept)
        self.tracked: Tracked | None = tracked
        """What the connection has asked of presence."""
        self._sent: Position | None = None
        self._confirmed = 0
        self._written = asyncio.get_running_loop().time()
        self._tasks: set[asyncio.Task[None]] = set()

    async def save(self, state: bytes) -> None:
        """Keep the connection's state."""
        # At once: what is tracked while this is written is written with it.
        before, self._state = self._state, state
        try:
            await self._write()
        except BaseException:
            self._state = before
            raise

    async def track(self, tracked: Tracked | None) -> None:
        """Keep what the connection has asked of presence, for whoever resumes it."""
        before, self.tracked = self.tracked, tracked
        try:
            await self._write()
        except BaseException:
            self.tracked = before
            raise

    async def _write(self) -> None:
        state = pack(self._state, self.tracked)
        await self._backplane.save(self._namespace, self._id, state)

    async def rename(self, user: str | None) -> None:
        """The connection has another user now."""
        await self._backplane.rename(self._namespace, self._id, user)

    def sent(self, position: Position | None) -> None:
        """A heartbeat leaves, behind everything up to this position."""
        self._sent = position

    def confirm(self) -> None:
        """The client has answered the heartbeat, and so has read what stood before it."""
        if self._sent is None:
            return
        self._confirmed = self._sent.seq
        now = asyncio.get_running_loop().time()
        if now - self._written >= CONFIRM_EVERY:
            self._written = now
            self._later(self._confirm())

    async def _confirm(self) -> None:
        try:
            await self._backplane.confirm(self._namespace, self._id, self._confirmed)
        except Exception:
            # Nothing is lost by it: more is kept than is needed, until the next one.
            logger.exception("%s of %s: cannot confirm", self._id, self._namespace)

    def settle(self) -> None:
        """The client has got its renewed secret: the one before it is void."""
        self._later(self._settle())

    async def _settle(self) -> None:
        try:
            await self._backplane.settle(self._namespace, self._id, self.generation)
        except Exception:
            logger.exception("%s of %s: cannot settle", self._id, self._namespace)

    def _later(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def release(self, taken: int | None = None) -> bool:
        """The socket is lost; False where another socket has the session already.

        `taken` is the highest id of a call that was taken, where that is known.
        """
        if self._confirmed:
            await self._confirm()
        generation = self.generation
        return await self._backplane.release(self._namespace, self._id, generation, taken=taken)

    async def end(self) -> bool:
        """The session is over; False where another socket has it."""
        return await self._backplane.end(self._namespace, self._id, self.generation)


def replay(resumption: Resumption, codec: Codec) -> list[Frame] | None:
    """The frames that a connection has missed; None if one of them cannot be encoded for it."""
    frames: list[Frame] = []
    for seq, entry in resumption.entries:
        outgoing = entry.outgoing
        if outgoing.position is None:
            # Nobody was there when it was emitted.
            outgoing.position = Position(resumption.head.epoch, seq)
        try:
            frames.append(outgoing.frame(codec))
        except Exception:
            logger.exception("%.80r cannot be replayed", outgoing.event)
            return None
    return frames
