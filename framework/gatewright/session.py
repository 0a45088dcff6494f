"""One connection's life: its inbox, the lane of its events, its streams, its end."""

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Mapping
from typing import Any

from msgspec import UNSET

from gatewright.catching import stray
from gatewright.connection import Connection
from gatewright.context import Context, Place
from gatewright.di import Level
from gatewright.errors import ErrorCode, EventError
from gatewright.expiry import Expiry
from gatewright.node import Node
from gatewright.plans import Call, EventPlan, Hooks
from gatewright.protocol.close import CloseCode
from gatewright.protocol.codecs import FrameError
from gatewright.protocol.frames import Envelope, Item
from gatewright.protocol.limits import Limits
from gatewright.replies import Replies
from gatewright.types import DisconnectReason

__all__ = ["Session"]

logger: logging.Logger = logging.getLogger("gatewright")

_REFUSALS: dict[str, CloseCode] = {
    ErrorCode.UNAUTHENTICATED: CloseCode.UNAUTHENTICATED,
    ErrorCode.INTERNAL: CloseCode.INTERNAL,
}
"""How a connect hook's error closes; all others are `FORBIDDEN`."""

_INTERNAL = EventError(ErrorCode.INTERNAL, "internal error")


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
    ) -> None:
        self.connection = connection
        self._node = node
        self._place = place
        self._opening = Context(place)
        self._level = level
        self._plans = plans
        self._hooks = hooks
        self._concurrency = concurrency
        self._expiry = expiry
        self._replies = Replies(connection.codec, connection.outbox)
        settings = node.settings
        self._limits = Limits(settings)
        self._max_calls = settings.max_calls
        self._max_inbox = settings.inbox
        self._inbox: deque[Call] = deque()
        self._open: dict[int, Call] = {}
        self._streams: set[asyncio.Task[None]] = set()
        self._workers: list[asyncio.Task[None]] = []
        self._idle: deque[asyncio.Future[None]] = deque()
        self._room: asyncio.Future[None] | None = None
        self._over = False

    # From the transport

    def start(self) -> None:
        """Run the connect hooks, then the events: from now on `feed` is served."""
        self._expiry.watch()
        self._lane(self._begin())

    @property
    def full(self) -> bool:
        return len(self._inbox) >= self._max_inbox

    async def room(self) -> None:
        """Wait until the inbox has room again, or a handler asks the client something."""
        while self.full and not self._over:
            self._room = asyncio.get_running_loop().create_future()
            if not self._node.calls.pause(self.connection.id, self._room):
                return
            await self._room

    def feed(self, message: str | bytes) -> None:
        """Take one message of the client."""
        allowed = self._limits.message()
        try:
            # Read even when it is over the rate: a call must learn that it was refused.
            envelope = self.connection.codec.envelope(message)
        except FrameError as error:
            if allowed:
                self._replies.fail(None, None, EventError(ErrorCode.BAD_FRAME, str(error)))
            else:
                self._refuse_rate(None, None)
            return
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

    async def end(self, reason: DisconnectReason) -> None:
        """The socket is lost: finish what was received, run the hooks of the end, free everything.

        Streams end at once; handlers and hooks have `finish_timeout` seconds.
        """
        self._over = True
        self._expiry.stop()
        self.connection.outbox.lose()
        self._node.calls.lost(self.connection.id)
        for stream in self._streams:
            stream.cancel()
        for waiting in self._idle:
            _wake(waiting)
        self._idle.clear()
        limit = self._node.settings.finish_timeout
        tasks = [*self._workers, *self._streams]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=limit)
            for task in late:
                task.cancel()
            if late:
                logger.warning(
                    "%r: %d handlers were still running %g s after the connection was lost",
                    self.connection,
                    len(late),
                    limit,
                )
                await asyncio.wait(late, timeout=limit)
        self._opening.reason = reason
        try:
            async with asyncio.timeout(limit):
                await self._hooks.disconnect(self._opening, self._level)
        except TimeoutError:
            logger.warning("%r: its hooks took longer than %g s", self.connection, limit)
        finally:
            await self._free()

    async def _free(self) -> None:
        connection = self.connection
        try:
            if connection.joined:
                await self._node.backplane.mark(
                    connection.namespace, "leave", connection.id, list(connection.joined)
                )
        finally:
            self._node.namespaces.exit(connection.namespace, connection)
            try:
                await self._level.aclose()
            except Exception:
                logger.exception("%r: its resources failed to close", connection)
            await connection.outbox.aclose()

    # What a frame is

    def _event(self, event: str, call_id: int | None, envelope: Envelope) -> None:
        plan = self._plans.get(event)
        if plan is None:
            message = f"no handler for the event {event[:64]!r}"
            self._replies.fail(call_id, event, EventError(ErrorCode.UNKNOWN_EVENT, message))
            return
        # Known events only: a client's inventions must not fill a table.
        if not self._limits.event(event):
            self._refuse_rate(call_id, event)
            return
        if self.full:
            # Read only for the answer behind it: there is no place for it to wait.
            self._replies.fail(call_id, event, EventError(ErrorCode.TOO_MANY, "too many messages"))
            return
        if call_id is not None:
            if call_id in self._open:
                # Sent again before its end: the one answer serves both.
                return
            if len(self._open) >= self._max_calls:
                message = f"more than {self._max_calls} calls under way"
                self._replies.fail(call_id, event, EventError(ErrorCode.TOO_MANY, message))
                return
        elif plan.stream:
            message = "expected a call with an id: this event answers with a stream"
            self._replies.fail(None, event, EventError(ErrorCode.INVALID, message))
            return
        call = Call(self._place, event, envelope.data, call_id, plan)
        if call_id is not None:
            self._open[call_id] = call
        self._inbox.append(call)
        if self._idle:
            _wake(self._idle.popleft())

    def _control(self, envelope: Envelope) -> None:
        if envelope.op != "cancel" or not isinstance(envelope.id, int):
            message = f"expected the op cancel with an id, got {str(envelope.op)[:64]!r}"
            self._replies.fail(None, None, EventError(ErrorCode.BAD_FRAME, message))
            return
        call = self._open.get(envelope.id)
        # An unknown id is no error: the end of the call and its cancel crossed on the way.
        if call is not None and not call.cancelled:
            call.cancelled = True
            if call.task is not None:
                call.task.cancel()
            else:
                self._end(call, EventError(ErrorCode.CANCELLED))

    # The lane

    async def _begin(self) -> None:
        limit = asyncio.timeout(self._node.settings.open_timeout)
        try:
            async with limit:
                await self._hooks.connect(self._opening, self._level)
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
        if self.connection.outbox.closing and not self._over:
            # A hook that disconnects has refused: nothing of it is handled.
            self._close(CloseCode.DISCONNECTED, "")
            return
        # A connection that was lost meanwhile ends with the lane that it has.
        for _ in range(0 if self._over else self._concurrency - 1):
            self._lane(self._work())
        await self._work()

    def _lane(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._workers.append(task)
        task.add_done_callback(self._fallen)

    def _fallen(self, task: asyncio.Task[None]) -> None:
        """A lane or a stream is over: before its time where one raised what is no `Exception`."""
        self._streams.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("%r: a handler ended its task", self.connection, exc_info=error)
        if task in self._workers and not self._over:
            # Nobody would serve the connection any longer.
            self._close(CloseCode.INTERNAL, "internal error")

    async def _refuse(self, error: Exception) -> None:
        refusal = await self._hooks.refusal(error, self._opening)
        code = _REFUSALS.get(refusal.code, CloseCode.FORBIDDEN)
        self._close(code, refusal.message or refusal.code)

    def _close(self, code: CloseCode, reason: str) -> None:
        self._inbox.clear()
        self._over = True
        if self._room is not None:
            # A reader that waits for room goes on to see the client's goodbye.
            _wake(self._room)
            self._room = None
        self.connection.outbox.close(code, reason)

    async def _work(self) -> None:
        inbox = self._inbox
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        while True:
            while inbox:
                call = inbox.popleft()
                if self._room is not None and not self.full:
                    _wake(self._room)
                    self._room = None
                if call.cancelled:
                    continue
                if call.plan.stream:
                    if self._over:
                        continue
                    stream = loop.create_task(self._stream(call))
                    self._streams.add(stream)
                    stream.add_done_callback(self._fallen)
                else:
                    call.task = task
                    await self._handle(call, task)
            if self._over:
                return
            waiting = loop.create_future()
            self._idle.append(waiting)
            await waiting

    async def _handle(self, call: Call, task: asyncio.Task[None]) -> None:
        plan = call.plan
        try:
            try:
                if plan.simple:
                    # What most handlers are: one coroutine less for each of their messages.
                    result = await plan.call(call, self.connection.codec)
                else:
                    result = await plan.run(call, self.connection.codec, self._level)
            except Exception as error:
                self._end(call, await plan.end(error, call))
            else:
                self._answer(call, result)
        except asyncio.CancelledError as error:
            if (lost := stray(error)) is not None:
                self._end(call, await plan.end(lost, call))
            # Ours to swallow only if the client's cancel was the sole reason.
            elif not call.cancelled or task.uncancel() > 0:
                self._end(call, EventError(ErrorCode.INTERRUPTED))
                raise
            else:
                self._end(call, EventError(ErrorCode.CANCELLED))
        except BaseException:
            self._end(call, _INTERNAL)
            raise
        else:
            if call.cancelled and task.cancelling():
                # The handler swallowed its cancellation, or ended in the same moment.
                task.uncancel()

    async def _stream(self, call: Call) -> None:
        plan, codec, outbox = call.plan, self.connection.codec, self.connection.outbox
        call_id = call.call_id
        if call_id is None or call_id not in self._open:
            # Cancelled, and answered, before its first step.
            return
        call.task = task = asyncio.current_task()
        assert task is not None
        try:
            try:
                async with plan.items(call, codec, self._level) as items:
                    async for item in items:
                        if task.cancelling():
                            # The generator swallowed it, and would go on for ever.
                            raise asyncio.CancelledError
                        frame = codec.encode(Item(call_id, item))
                        await outbox.room(frame.size)
                        if outbox.closing:
                            # Nobody hears the rest, and not every generator ever waits.
                            break
                        outbox.push(frame)
                self._answer(call, None)
            except Exception as error:
                self._end(call, await plan.end(error, call))
        except asyncio.CancelledError as error:
            if (lost := stray(error)) is not None:
                self._end(call, await plan.end(lost, call))
                return
            code = ErrorCode.CANCELLED if call.cancelled else ErrorCode.INTERRUPTED
            self._end(call, EventError(code))
            if not call.cancelled:
                raise
        except BaseException:
            self._end(call, _INTERNAL)
            raise

    # Answers

    def _answer(self, call: Call, result: Any) -> None:
        if call.call_id is not None and self._open.pop(call.call_id, None) is not None:
            self._replies.answer(call.call_id, call.event, result)

    def _end(self, call: Call, error: EventError) -> None:
        if call.call_id is None or self._open.pop(call.call_id, None) is not None:
            self._replies.fail(call.call_id, call.event, error)

    def _refuse_rate(self, call_id: int | None, event: str | None) -> None:
        if self._limits.violation():
            self._close(CloseCode.TOO_MANY, "too many messages")
            return
        error = EventError(ErrorCode.TOO_MANY, "too many messages; slow down")
        self._replies.fail(call_id, event, error)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
