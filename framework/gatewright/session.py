"""One connection's life: what it receives, its beginning and its end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from msgspec import UNSET

from gatewright.catching import stray
from gatewright.connection import Connection
from gatewright.context import Context, Place
from gatewright.di import Level
from gatewright.errors import ErrorCode, EventError
from gatewright.expiry import Expiry
from gatewright.lanes import Lanes
from gatewright.node import Node
from gatewright.plans import Call, EventPlan, Hooks
from gatewright.protocol.close import CloseCode
from gatewright.protocol.frames import Envelope
from gatewright.protocol.limits import Limits
from gatewright.replies import Replies
from gatewright.types import DisconnectReason

__all__ = ["Entrance", "Session"]

logger: logging.Logger = logging.getLogger("gatewright")

_REFUSALS: dict[str, CloseCode] = {
    ErrorCode.UNAUTHENTICATED: CloseCode.UNAUTHENTICATED,
    ErrorCode.INTERNAL: CloseCode.INTERNAL,
}
"""How a connect hook's error closes; all others are `FORBIDDEN`."""


class Entrance(Protocol):
    """What a door is told that answers an opening after its hooks have run."""

    def opened(self) -> None:
        """The hooks have let the connection in; its events are handled next."""
        ...

    def refused(self, error: EventError) -> None:
        """A hook has not; the connection is closed next."""
        ...


class Session:
    """Feeds a connection's messages to its plans, one after another (`concurrency` at a time).

    The transport calls `feed` for each message and never waits for a handler; while `full`, it
    reads no further.
    """

    def __init__(
        self,
        node: Node,
        connection: Connection,
        place: Place,
        level: Level,
        plans: Mapping[str, EventPlan],
        hooks: Hooks,
        concurrency: int,
        expiry: Expiry,
        entrance: Entrance | None = None,
    ) -> None:
        self.connection = connection
        self._node = node
        self.place: Place = place
        self._opening = Context(place)
        self._level = level
        self._plans = plans
        self.hooks: Hooks = hooks
        self._concurrency = concurrency
        self._expiry = expiry
        self._entrance = entrance
        self._begun = False
        self._observers = node.observers
        self._replies = Replies(connection, node.observers)
        settings = node.settings
        self._limits = limits = Limits(settings)
        self._allowed = limits.message
        self._max_calls = settings.max_calls
        self._lanes = Lanes(connection, level, self._replies, settings.inbox, self._fallen)

    # From the transport

    def start(self, *, resumed: bool = False) -> None:
        """Run the connect (or resume) hooks, then the events: from now on `feed` is served."""
        self._expiry.watch()
        self._begun = resumed
        hooks = self.hooks.resume if resumed else self.hooks.connect
        self._lanes.start(self._begin(hooks))

    @property
    def full(self) -> bool:
        return self._lanes.full

    async def room(self) -> None:
        """Wait until the inbox has room again, or a handler asks the client something."""
        while self.full and not self._lanes.over:
            room = self._lanes.room()
            if not self._node.calls.pause(self.connection.id, room):
                return
            await room

    def feed(self, envelope: Envelope) -> None:
        """Take one message of the client.

        Read even when it is over the rate: a call must learn that it was refused.
        """
        allowed = self._allowed()
        event, call_id = envelope.event, envelope.id
        if not allowed:
            # An answer has an id too, but it is ours: only a call is answered.
            named = event if isinstance(event, str) else None
            self._refuse_rate(
                call_id if isinstance(call_id, int) and named is not None else None, named
            )
        elif isinstance(event, str):
            self._event(event, call_id if isinstance(call_id, int) else None, envelope)
        elif envelope.op is not UNSET:
            self._control(envelope)
        elif call_id is not UNSET:
            # An answer nobody waits for has come too late: its caller was told so.
            self._node.calls.answer(self.connection, envelope)
        else:
            self._replies.fail(
                None, None, EventError(ErrorCode.BAD_FRAME, "expected event, id or op, got neither")
            )

    def reject(self, reason: str) -> None:
        """Take one message that is no frame, and tell the client why."""
        if self._allowed():
            self._replies.fail(None, None, EventError(ErrorCode.BAD_FRAME, reason))
        else:
            self._refuse_rate(None, None)

    async def end(self, reason: DisconnectReason) -> bool:
        """The socket is lost: finish what was received, run the hooks of the end, free everything.

        Streams end at once; handlers and hooks have `finish_timeout` seconds. True if the session
        is kept for its client's return: then it has not ended, and `@on_end` waits.
        """
        node, keeper = self._node, self.connection.keeper
        lasts = node.backplane.durable or not node.stopping
        # Whom a hook refused, or who never heard of being let in, has nothing to return to.
        kept = reason.resumable and lasts and keeper is not None and self._begun
        if reason.resumable != kept:
            reason = DisconnectReason(reason.code, reason.text, kept)
        self._expiry.stop()
        self.connection.outbox.lose()
        self._node.calls.lost(self.connection.id)
        limit = self._node.settings.finish_timeout
        await self._lanes.finish(limit)
        self._opening.reason = reason
        try:
            async with asyncio.timeout(limit):
                await self.hooks.finish("on_disconnect", self._opening, self._level)
                if not kept:
                    await self.hooks.finish("on_end", self._opening, self._level)
        except TimeoutError:
            logger.warning("%r: its hooks took longer than %g s", self.connection, limit)
        finally:
            kept = await self._free(kept=kept)
            for observer in self._observers:
                observer.disconnected(self.connection, reason)
        return kept

    async def _free(self, *, kept: bool) -> bool:
        connection, keeper = self.connection, self.connection.keeper
        try:
            if kept and keeper is not None:
                kept = await keeper.release()
            elif keeper is not None:
                await keeper.end()
            elif connection.joined:
                await self._node.backplane.mark(
                    connection.namespace, "leave", connection.id, list(connection.joined)
                )
        finally:
            rooms = connection.rooms
            self._node.namespaces.exit(connection.namespace, connection)
            if kept:
                connection.joined.update(rooms)
            try:
                await self._level.aclose()
            except Exception:
                logger.exception("%r: its resources failed to close", connection)
            await connection.outbox.aclose()
        return kept

    # What a frame is

    def _event(self, event: str, call_id: int | None, envelope: Envelope) -> None:
        plan = self._plans.get(event)
        if plan is None:
            message = f"no handler for the event {event[:64]!r}"
            self._replies.fail(call_id, event, EventError(ErrorCode.UNKNOWN_EVENT, message))
            return
        if self._observers:
            for observer in self._observers:
                observer.received(self.connection, event, envelope.data)
        # Known events only: a client's inventions must not fill a table.
        if not self._limits.event(event):
            self._refuse_rate(call_id, event)
            return
        if call_id is not None:
            calls = self._lanes.calls
            if call_id in calls:
                # Sent again before its end: the one answer serves both.
                return
            # Other calls wait for their turn, and reading with them; a stream would run at once.
            if plan.stream and len(calls) >= self._max_calls:
                message = f"more than {self._max_calls} calls under way"
                self._replies.fail(call_id, event, EventError(ErrorCode.TOO_MANY, message))
                return
        elif plan.stream:
            message = "expected a call with an id: this event answers with a stream"
            self._replies.fail(None, event, EventError(ErrorCode.INVALID, message))
            return
        if not self._lanes.add(Call(self.place, event, envelope.data, call_id, plan)):
            # Read only for the answer behind it, which a handler waits for.
            self._replies.fail(call_id, event, EventError(ErrorCode.TOO_MANY, "too many messages"))

    def _control(self, envelope: Envelope) -> None:
        if envelope.op != "cancel" or not isinstance(envelope.id, int):
            message = f"expected the op cancel with an id, got {str(envelope.op)[:64]!r}"
            self._replies.fail(None, None, EventError(ErrorCode.BAD_FRAME, message))
            return
        self._lanes.cancel(envelope.id)

    # Beginning, and closing

    async def _begin(self, hooks: Callable[[Context, Level], Awaitable[None]]) -> None:
        limit = asyncio.timeout(self._node.settings.open_timeout)
        try:
            async with limit:
                await hooks(self._opening, self._level)
        except Exception as error:
            if limit.expired() and isinstance(error, TimeoutError):
                self._close(CloseCode.OPEN_TIMEOUT, "the connect hooks took too long")
            else:
                await self._refuse(error)
            return
        except asyncio.CancelledError as error:
            if (lost := stray(error)) is None:
                raise
            await self._refuse(lost)
            return
        if self.connection.outbox.closing and not self._lanes.over:
            # A hook that disconnects has refused: nothing of it is handled.
            self._close(CloseCode.DISCONNECTED, "")
            return
        self._begun = True
        if self._entrance is not None:
            self._entrance.opened()
        for observer in self._observers:
            observer.connected(self.connection)
        await self._lanes.run(self._concurrency)

    async def _refuse(self, error: Exception) -> None:
        self._begun = False
        refusal = await self.hooks.refusal(error, self._opening)
        if self._entrance is not None:
            self._entrance.refused(refusal)
        code = _REFUSALS.get(refusal.code, CloseCode.FORBIDDEN)
        self._close(code, refusal.message or refusal.code)

    def _close(self, code: CloseCode, reason: str) -> None:
        self._lanes.clear()
        self.connection.outbox.close(code, reason)

    def _fallen(self) -> None:
        # Nobody would serve the connection any longer.
        self._close(CloseCode.INTERNAL, "internal error")

    def _refuse_rate(self, call_id: int | None, event: str | None) -> None:
        if self._limits.violation():
            self._close(CloseCode.TOO_MANY, "too many messages")
            return
        error = EventError(ErrorCode.TOO_MANY, "too many messages; slow down")
        self._replies.fail(call_id, event, error)
