"""The tasks of one connection: its lanes, where events wait for each other, and its streams."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from gatewright.catching import forgive, stray
from gatewright.connection import Connection
from gatewright.di import Level
from gatewright.errors import ErrorCode, EventError
from gatewright.plans import Call
from gatewright.replies import Replies

__all__ = ["Lanes"]

logger: logging.Logger = logging.getLogger("gatewright")

_INTERNAL = EventError(ErrorCode.INTERNAL, "internal error")


class Lanes:
    """Handles calls in the order in which they came, some at a time, and streams beside them.

    `fallen` is called when a lane ends before its time, and nobody handles the rest.
    """

    __slots__ = (
        "_codec",
        "_connection",
        "_cut",
        "_ending",
        "_fallen",
        "_hush",
        "_idle",
        "_inbox",
        "_lanes",
        "_level",
        "_limit",
        "_outbox",
        "_replies",
        "_room",
        "_streams",
        "calls",
        "over",
    )

    def __init__(
        self,
        connection: Connection,
        level: Level,
        replies: Replies,
        limit: int,
        fallen: Callable[[], None],
        calls: dict[int, Call],
    ) -> None:
        """`limit` is how many calls may wait; `calls` are those that a former socket left."""
        self._connection = connection
        # Its client may return in another format, and what waits here is still in this one.
        self._codec = connection.codec
        self._outbox = connection.outbox
        self._level = level
        self._replies = replies
        self._limit = limit
        self._fallen = fallen
        self._inbox: deque[Call] = deque()
        self._lanes: list[asyncio.Task[None]] = []
        self._streams: dict[asyncio.Task[None], Call] = {}
        self._idle: deque[asyncio.Future[None]] = deque()
        self._room: asyncio.Future[None] | None = None
        self._hush: asyncio.Future[None] | None = None
        self._ending = False
        self._cut = False
        self.calls: dict[int, Call] = calls
        """What is under way and wants an answer, by id."""
        self.over: bool = False
        """Whether nothing new is begun: what waits is still handled, streams are not."""

    # Calls

    @property
    def full(self) -> bool:
        return len(self._inbox) >= self._limit

    @property
    def quiet(self) -> bool:
        """Whether nothing is handled and nothing waits for it, streams aside."""
        return not self._inbox and len(self._idle) >= sum(not each.done() for each in self._lanes)

    def hush(self) -> asyncio.Future[None]:
        """Is done when it is `quiet`; asked once."""
        self._hush = asyncio.get_running_loop().create_future()
        self._tell_quiet()
        return self._hush

    def _tell_quiet(self) -> None:
        if self._hush is not None and self.quiet:
            _wake(self._hush)

    def room(self) -> asyncio.Future[None]:
        """Is done when another call may wait, or none will be handled any more."""
        self._room = asyncio.get_running_loop().create_future()
        return self._room

    def add(self, call: Call) -> bool:
        """Take a call; False when there is no place for it to wait."""
        if len(self._inbox) >= self._limit:
            return False
        if call.call_id is not None:
            self.calls[call.call_id] = call
        self._inbox.append(call)
        if self._idle:
            _wake(self._idle.popleft())
        return True

    def _interrupt(self, call: Call) -> None:
        """End a call that nobody will handle; a message that is none is forgotten."""
        # One that was cancelled has its end, and another call its id, perhaps.
        if call.call_id is not None and self.calls.get(call.call_id) is call:
            self._end(call, EventError(ErrorCode.INTERRUPTED))

    def cancel(self, call_id: int) -> None:
        """End a call as `cancelled`; one that is not under way is passed over."""
        call = self.calls.get(call_id)
        # An unknown id is no error: the end of the call and its cancel crossed on the way.
        if call is not None and not call.cancelled:
            call.cancelled = True
            if call.task is not None:
                call.task.cancel()
            else:
                self._end(call, EventError(ErrorCode.CANCELLED))

    def _answer(self, call: Call, result: Any) -> None:
        if call.call_id is not None and self.calls.pop(call.call_id, None) is not None:
            self._replies.answer(call.call_id, call.event, result)

    def _end(self, call: Call, error: EventError) -> None:
        if call.call_id is None or self.calls.pop(call.call_id, None) is not None:
            self._replies.fail(call.call_id, call.event, error)

    # Beginning and end

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run the first lane, which does something else before it awaits `run`."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._lanes.append(task)
        task.add_done_callback(self._done)

    async def run(self, count: int) -> None:
        """Handle calls in `count` lanes, this task being one of them."""
        # A connection that was lost meanwhile ends with the lane that it has.
        for _ in range(0 if self.over else count - 1):
            self.start(self._work())
        await self._work()

    def clear(self) -> None:
        """Forget what waits, and begin nothing new."""
        self.over = True
        while self._inbox:
            self._interrupt(self._inbox.popleft())
        self._make_room()

    @property
    def busy(self) -> set[asyncio.Task[None]]:
        """The tasks that have not ended."""
        return {task for task in (*self._lanes, *self._streams) if not task.done()}

    def wind_up(self) -> None:
        """End the streams, handle what waits, and then no more."""
        self.over = self._ending = True
        self._make_room()
        for stream, call in self._streams.items():
            # A second cancel would break off the clean-up that the client's has begun.
            if not call.cancelled:
                stream.cancel()
        for waiting in self._idle:
            _wake(waiting)
        self._idle.clear()

    async def finish(self, limit: float) -> None:
        """Wind up; after `limit` seconds what is still running is cancelled."""
        self.wind_up()
        late = self.busy
        if late:
            _, late = await asyncio.wait(late, timeout=limit)
        if late:
            self._cut = True
            for task in late:
                task.cancel()
            logger.warning(
                "%r: %d handlers were still running %g s after the connection was lost",
                self._connection,
                len(late),
                limit,
            )
            await asyncio.wait(late, timeout=limit)

    def _done(self, task: asyncio.Task[None]) -> None:
        """A lane or a stream is over: before its time where one raised what is no `Exception`."""
        stream = self._streams.pop(task, None)
        if stream is not None:
            # It may have been cancelled before its first step.
            self._interrupt(stream)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("%r: a handler ended its task", self._connection, exc_info=error)
        if task in self._lanes:
            if not self.over:
                self._fallen()
            elif self._inbox and not self.busy:
                self.clear()
            self._tell_quiet()

    def _make_room(self) -> None:
        if self._room is not None:
            _wake(self._room)
            self._room = None

    # The work

    async def _work(self) -> None:
        inbox = self._inbox
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        while True:
            while inbox and not self._cut:
                call = inbox.popleft()
                if self._room is not None and not self.full:
                    self._make_room()
                if call.cancelled:
                    continue
                if call.plan.stream:
                    if self.over:
                        self._interrupt(call)
                        continue
                    stream = loop.create_task(self._stream(call))
                    self._streams[stream] = call
                    stream.add_done_callback(self._done)
                else:
                    call.task = task
                    await self._handle(call, task)
            if self.over:
                return
            waiting = loop.create_future()
            self._idle.append(waiting)
            if self._hush is not None:
                self._tell_quiet()
            await waiting

    async def _handle(self, call: Call, task: asyncio.Task[None]) -> None:
        plan, codec = call.plan, self._codec
        try:
            try:
                if plan.simple:
                    # What most handlers are: one coroutine less for each of their messages.
                    result = await plan.call(call, codec)
                else:
                    result = await plan.run(call, codec, self._level)
            except (Exception, asyncio.CancelledError) as raised:
                error = stray(raised) if isinstance(raised, asyncio.CancelledError) else raised
                if error is None:
                    raise
                self._end(call, await plan.end(error, call))
            else:
                self._answer(call, result)
        except asyncio.CancelledError:
            if not call.cancelled or self._cut:
                # Not the client's doing: the connection has ended, or the handler its own task.
                self._end(call, EventError(ErrorCode.INTERRUPTED))
                raise
            self._end(call, EventError(ErrorCode.CANCELLED))
        except BaseException:
            self._end(call, _INTERNAL)
            raise
        if task.cancelling() and not self._cut:
            await forgive(task)

    async def _stream(self, call: Call) -> None:
        plan, codec, outbox = call.plan, self._codec, self._outbox
        call_id = call.call_id
        if call_id is None or call_id not in self.calls:
            # Cancelled, and answered, before its first step.
            return
        call.task = asyncio.current_task()
        try:
            try:
                async with plan.items(call, codec, self._level) as items:
                    async for item in items:
                        if call.cancelled or self._ending:
                            # The generator swallowed it, and would go on for ever.
                            raise asyncio.CancelledError
                        frame = self._replies.item(call_id, plan.event, item)
                        position = self._connection.position
                        await outbox.room(frame.size)
                        if codec.positioned and self._connection.position != position:
                            # Others were sent meanwhile: a client's offset never goes back.
                            frame = self._replies.item(call_id, plan.event, item)
                        if outbox.closing:
                            # Nobody hears the rest, and not every generator ever waits.
                            break
                        outbox.push(frame)
                self._answer(call, None)
            except (Exception, asyncio.CancelledError) as raised:
                error = stray(raised) if isinstance(raised, asyncio.CancelledError) else raised
                if error is None:
                    raise
                self._end(call, await plan.end(error, call))
        except asyncio.CancelledError:
            if not call.cancelled:
                self._end(call, EventError(ErrorCode.INTERRUPTED))
                raise
            self._end(call, EventError(ErrorCode.CANCELLED))
        except BaseException:
            self._end(call, _INTERNAL)
            raise


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
