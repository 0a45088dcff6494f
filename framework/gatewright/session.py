"""One connection's life: what it receives, its beginning and its end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from msgspec import UNSET

from gatewright.catching import stray
from gatewright.connection import Connection
from gatewright.context import Context, Place
from gatewright.di import Level
from gatewright.entrance import Entrance, refusal_code
from gatewright.errors import BackplaneError, ErrorCode, EventError
from gatewright.expiry import Expiry
from gatewright.lanes import Lanes
from gatewright.ledger import Ledger
from gatewright.node import Node
from gatewright.openings import Opening
from gatewright.outlets import Nowhere, Outlet
from gatewright.plans import Call, EventPlan, Hooks
from gatewright.protocol.close import CloseCode
from gatewright.protocol.frames import Envelope
from gatewright.protocol.limits import Limits
from gatewright.recovery import Keeper
from gatewright.repeats import Repeats
from gatewright.replies import Replies
from gatewright.types import DisconnectReason, Gap

__all__ = ["Session"]

logger: logging.Logger = logging.getLogger("gatewright")


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
        opening: Opening,
        plans: Mapping[str, EventPlan],
        hooks: Hooks,
        concurrency: int,
        expiry: Expiry,
        entrance: Entrance | None = None,
        ledger: Ledger | None = None,
        controls: Callable[[Envelope], bool] | None = None,
    ) -> None:
        """`controls` takes the control frames of the transport's own; False: it knows no such."""
        self.connection = connection
        # Its own: the connection has the next one's as soon as its client is back.
        self._outbox: Outlet = connection.outbox
        self.ledger: Ledger | None = ledger
        self._window = ledger.window if ledger is not None else None
        self._repeats = (
            Repeats(ledger, plans, connection.codec, connection.outbox)
            if ledger is not None
            else None
        )
        self._controls = controls
        self._serving = False
        self._leaving = False
        self.hurried: bool = False
        """Whether its client is back already, over another socket."""
        self._hurry: asyncio.Future[None] | None = None
        self.owes: bool = False
        """Whether its backplane does not know yet that its socket is lost, or that it is over."""
        self.ending: asyncio.Task[None] | None = None
        """Who ends it, from the moment on at which its socket is known to be lost."""
        self._node = node
        self.place: Place = place
        self.opening: Context = Context(place)
        self._opened = opening
        self._level = level = opening.level
        self._plans = plans
        self.hooks: Hooks = hooks
        self._concurrency = concurrency
        self._expiry = expiry
        self._entrance = entrance
        self._begun = False
        self._observers = node.observers
        if ledger is None:
            self._replies = Replies(connection, node.observers)
        else:
            self._replies = ledger.replies
            self._replies.move()
        settings = node.settings
        self._limits = limits = Limits(settings)
        self._allowed = limits.message
        self._max_calls = settings.max_calls
        calls = {} if ledger is None else ledger.calls
        # Of the sockets before this one: were it to wait for whoever trails, it would wait for
        # itself when it is the next to be lost.
        self._former = set[asyncio.Future[None]]() if ledger is None else ledger.trailing
        self._lanes = Lanes(connection, level, self._replies, settings.inbox, self._fallen, calls)

    # From the transport

    def start(self, *, resumed: bool = False, gap: Gap | None = None) -> None:
        """Run the connect (or resume) hooks, then the events: from now on `feed` is served."""
        self.opening.gap = gap
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
        event, call_id = envelope.event, envelope.id
        if self._leaving and event is not UNSET:
            # Not taken: a client that asks again asks the next process.
            return
        allowed = self._allowed()
        if (
            self._repeats is not None
            and isinstance(event, str)
            and isinstance(call_id, int)
            and self._repeats.known(event, call_id, envelope)
        ):
            # Told what has become of it, whatever the rate: else it would be taken for refused.
            if not allowed and self._limits.violation():
                self._close(CloseCode.TOO_MANY, "too many messages")
        elif not allowed:
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

    def leave(self) -> "asyncio.Future[None] | None":
        """Take no more events; returns what is done when those that were taken are, or None."""
        self._leaving = True
        return None if not self._serving or self._lanes.quiet else self._lanes.hush()

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
        if not self.hurried:
            # Else it says goodbye, and is its transport's affair from here on.
            self._outbox.lose()
        self.connection.final = not kept
        node.presence.lost(self.connection, kept=kept)
        if not (kept and self.connection.patient):
            node.calls.lost(self.connection.id)
        limit = node.settings.finish_timeout
        if kept and self.ledger is not None and not node.stopping:
            await self._part(limit)
        else:
            await self._lanes.finish(limit)
            if self.ledger is not None:
                await self.ledger.close(limit, over=not kept)
        self.opening.reason = reason
        try:
            async with asyncio.timeout(limit):
                await self.hooks.finish("on_disconnect", self.opening, self._level)
                if not kept:
                    await self.hooks.finish("on_end", self.opening, self._level)
        except TimeoutError:
            logger.warning("%r: its hooks took longer than %g s", self.connection, limit)
        finally:
            kept = await self._free(kept=kept)
            for observer in self._observers:
                observer.disconnected(self.connection, reason)
        return kept

    def hurry(self) -> None:
        """Its client is back: what still runs may go on, but nobody waits for it."""
        self.hurried = True
        if self._hurry is not None and not self._hurry.done():
            self._hurry.set_result(None)

    async def _part(self, limit: float) -> None:
        """Wait for the handlers, as long as nobody is in a hurry."""
        self._lanes.wind_up()
        self._hurry = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(limit):
                while (busy := self._lanes.busy) and not self.hurried:
                    waiting = {*busy, self._hurry}
                    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            pass

    async def _free(self, *, kept: bool) -> bool:
        connection, keeper = self.connection, self.connection.keeper
        try:
            if keeper is not None and not kept:
                await keeper.end()
            elif keeper is None and connection.joined:
                await self._node.backplane.mark(
                    connection.namespace, "leave", connection.id, list(connection.joined)
                )
        except BackplaneError as error:
            self._owe(error)
        finally:
            rooms = connection.rooms
            self._node.namespaces.exit(connection.namespace, connection)
            if kept:
                connection.joined.update(rooms)
                self._node.namespaces.away(connection.namespace, connection)
            else:
                connection.ended = True
            if self.ledger is not None and (busy := self._lanes.busy):
                self.ledger.trail(busy, self._close_level)
            else:
                await self._close_level()
            if not self.hurried:
                await self._outbox.aclose()
        return keeper is not None and kept and await self._release(keeper)

    async def _release(self, keeper: Keeper) -> bool:
        """Begin the grace, when nothing is left of the socket: it could pass meanwhile."""
        connection, kept = self.connection, False
        # A socket, its buffers and its compressor are not to be kept for as long as that.
        connection.outbox = Nowhere()
        self._replies.move()
        taken = self._window.last if self._window is not None else None
        try:
            kept = await keeper.release(taken)
        except BackplaneError as error:
            # Nobody else can have it, and it is said later.
            self._owe(error)
            kept = True
        finally:
            if not kept and connection.moved is None:
                # It has ended, or nobody knows where it is.
                connection.ended = True
                self._node.calls.lost(connection.id)
        return kept

    def _owe(self, error: BackplaneError) -> None:
        self.owes = True
        logger.warning(
            "%r: the backplane cannot be told of its end yet: %s", self.connection, error
        )

    async def _close_level(self) -> None:
        try:
            await self._opened.aclose()
        except Exception:
            logger.exception("%r: its resources failed to close", self.connection)

    # What a frame is

    def lose_calls(self, ids: Iterable[int]) -> None:
        """Calls that another node executed are lost with it."""
        if self._repeats is not None and not self._leaving:
            for event, call_id, envelope in self._repeats.lost(ids):
                self._event(event, call_id, envelope)

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
        if self._controls is not None and self._controls(envelope):
            return
        if envelope.op != "cancel" or not isinstance(envelope.id, int):
            others = "" if self._controls is None else "one of the ops auth, bye, ping, pong, or "
            message = f"expected {others}the op cancel with an id, got {str(envelope.op)[:64]!r}"
            self._replies.fail(None, None, EventError(ErrorCode.BAD_FRAME, message))
            return
        if self.ledger is not None and envelope.id in self.ledger.elsewhere:
            self.ledger.cancel(envelope.id)
        else:
            self._lanes.cancel(envelope.id)

    # Beginning, and closing

    async def _begin(self, hooks: Callable[[Context, Level], Awaitable[None]]) -> None:
        limit = asyncio.timeout(self._node.settings.open_timeout)
        try:
            async with limit:
                await hooks(self.opening, self._level)
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
        if self._outbox.closing and not self._lanes.over:
            # A hook that disconnects has refused: nothing of it is handled.
            self._close(CloseCode.DISCONNECTED, "")
            return
        self._begun = True
        self._serving = True
        if self._entrance is not None:
            self._entrance.opened()
        for observer in self._observers:
            observer.connected(self.connection)
        if self._former:
            await asyncio.wait(self._former)
            self._former.clear()
        await self._lanes.run(self._concurrency)

    async def _refuse(self, error: Exception) -> None:
        self._begun = False
        refusal = await self.hooks.refusal(error, self.opening)
        if self._entrance is not None:
            self._entrance.refused(refusal)
        self._close(refusal_code(refusal), refusal.message or refusal.code)

    def _close(self, code: CloseCode, reason: str) -> None:
        self._outbox.close(code, reason)
        # Their ends are kept for a client that returns, if it may; no goodbye waits for them.
        self._lanes.clear()

    def _fallen(self) -> None:
        # Nobody would serve the connection any longer.
        self._close(CloseCode.INTERNAL, "internal error")

    def _refuse_rate(self, call_id: int | None, event: str | None) -> None:
        if self._limits.violation():
            self._close(CloseCode.TOO_MANY, "too many messages")
            return
        error = EventError(ErrorCode.TOO_MANY, "too many messages; slow down")
        self._replies.fail(call_id, event, error)
