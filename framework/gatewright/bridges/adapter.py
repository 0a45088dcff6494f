"""One namespace's share of a cluster: what is heard of it, in its order, and what is answered."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final

from msgspec import Struct

from gatewright.bridges.asking import Asking
from gatewright.bridges.figures import Complaints, Figures
from gatewright.bridges.line import Line
from gatewright.bridges.listening import Hear
from gatewright.bridges.local import Local
from gatewright.bridges.server_events import ServerEvents
from gatewright.bridges.wire import (
    Answer,
    Channels,
    Options,
    Request,
    RequestType,
    WireError,
    Writer,
    names,
    read_broadcast,
    read_request,
    read_response,
    without_content,
)

__all__ = ["Adapter", "Common"]

logger: logging.Logger = logging.getLogger("gatewright")

WAITING: Final = 10_000
"""Messages that may wait for a join before them; what comes then is lost."""

BUSY: Final = 1000
"""Calls and events of other servers that are under way at a time."""

MOVING: Final = 5.0
"""Seconds after which what comes next waits no longer for a join: as long as servers wait."""


class Common(Struct):
    """What all namespaces of a bridge share."""

    line: Line
    writer: Writer
    asking: Asking
    events: ServerEvents
    figures: Figures
    complaints: Complaints
    family: str
    """What the names of those servers begin with that share this one's backplane."""
    head: bytes
    """What their broadcasts begin with."""
    tasks: set[asyncio.Task[None]]


class Adapter:
    """Hears the other servers. What they want done is done in the order in which it came.

    Joins wait for the backplane, and what came behind them must find them done.
    """

    def __init__(self, common: Common, namespace: str, path: str, key: str, local: Local) -> None:
        """`path` is the namespace as it was declared."""
        self._common = common
        self._path = path
        self._local = local
        self._behind: deque[tuple[Hear, str, bytes]] | None = None
        self.namespace: str = namespace
        self.channels: Channels = Channels.of(key, namespace)
        self.holders: int = 0
        """How many need it: it ends with the last of them."""
        self.populated: bool = False
        """Whether those who are connected to the namespace are one of them."""

    def open(self) -> None:
        self._common.line.listener.follow(self._heard, (self.channels.pattern, self._broadcast))

    def close(self) -> None:
        self._common.line.listener.unfollow(self._heard, self.channels.pattern)

    @property
    def _heard(self) -> Mapping[str, Hear]:
        channels = self.channels
        return {
            channels.request: self._request,
            channels.response: self._response,
            channels.answers(self._common.writer.uid): self._response,
        }

    # What comes

    def _broadcast(self, channel: str, message: bytes) -> None:
        # Whoever says something hears it, too.
        if not message.startswith(self._common.head):
            self._in_order(self._emit, channel, message)

    def _request(self, channel: str, message: bytes) -> None:
        self._in_order(self._take, channel, message)

    def _response(self, channel: str, message: bytes) -> None:
        # Answers are waited for by what others may wait for: they go past the line.
        if not len(self._common.asking):
            return
        try:
            self._common.asking.answered(read_response(message))
        except WireError as error:
            self._common.complaints.refuse(channel, error)

    def _in_order(self, do: Hear, channel: str, message: bytes) -> None:
        if self._behind is None:
            self._do(do, channel, message)
        elif len(self._behind) < WAITING:
            self._behind.append((do, channel, message))
        else:
            self._common.complaints.refuse(channel, "too much waits for a join")

    def _do(self, do: Hear, channel: str, message: bytes) -> None:
        try:
            do(channel, message)
        except WireError as error:
            self._common.complaints.refuse(channel, error)
        except Exception:
            logger.exception("Socket.IO bridge: a message on %s could not be dealt with", channel)

    def _emit(self, channel: str, message: bytes) -> None:
        if not self._local.knows(channel[len(self.channels.broadcast) : -1]):
            # Most of what passes is for nobody here.
            return
        _, packet, options = read_broadcast(message)
        if packet.nsp == self.namespace:
            self._common.figures.heard += 1
            self._local.emit(packet, options)

    # What is asked

    def _take(self, channel: str, message: bytes) -> None:
        request, local = read_request(message), self._local
        if request.uid == self._common.writer.uid:
            return
        self._common.figures.heard += 1
        # Who has the same backplane asks there, and counts on an answer here nevertheless.
        ours = request.uid.startswith(self._common.family)
        id = request.request_id
        match request.type:
            case RequestType.SOCKETS:
                options = Options(rooms=request.rooms)
                sockets = [] if ours else [each.id for each in local.select(options)]
                self._answer(request, Answer(id, sockets=sockets))
            case RequestType.ALL_ROOMS:
                self._answer(request, Answer(id, rooms=[] if ours else local.rooms()))
            case RequestType.REMOTE_FETCH:
                options = _options_of(request)
                self._answer(request, Answer(id, sockets=[] if ours else local.describe(options)))
            case RequestType.REMOTE_JOIN | RequestType.REMOTE_LEAVE | RequestType.REMOTE_DISCONNECT:
                if not ours:
                    self._move(request)
            case RequestType.SERVER_SIDE_EMIT:
                if self._is_busy():
                    self._answer_event(request, None)
                else:
                    self._run(self._event(request))
            case RequestType.BROADCAST:
                self._call(request, ours=ours)
            case _:
                # What a later version has invented is not asked of us.
                pass

    def _move(self, request: Request) -> None:
        options, rooms = request.opts, names(request.rooms)
        if options is None:
            # As servers before 8 say it, who want an answer.
            if request.sid is None or not self._local.knows(request.sid):
                return
            options = Options(rooms=(request.sid,))
            rooms = () if request.room is None else names((request.room,))
            if request.request_id is not None:
                self._answer(request, Answer(request.request_id))
        match request.type:
            case RequestType.REMOTE_JOIN:
                self._later(partial(self._local.join, options, rooms))
            case RequestType.REMOTE_LEAVE:
                self._later(partial(self._local.leave, options, rooms))
            case _:
                close = bool(request.close)
                self._later(partial(self._local.disconnect, options, close=close))

    async def _event(self, request: Request) -> None:
        self._answer_event(request, await self._common.events.handle(self._path, request.data))

    def _answer_event(self, request: Request, result: Any) -> None:
        if request.request_id is not None:
            kind = RequestType.SERVER_SIDE_EMIT
            self._answer(request, Answer(request.request_id, kind, data=result))

    def _call(self, request: Request, *, ours: bool) -> None:
        packet, options, id = request.packet, _options_of(request), request.request_id
        if packet is None:
            raise WireError("expected a packet")

        def counted(count: int) -> None:
            kind = RequestType.BROADCAST_CLIENT_COUNT
            self._answer(request, Answer(id, kind, client_count=count))

        def answered(answer: Any) -> None:
            self._answer(request, Answer(id, RequestType.BROADCAST_ACK, packet=answer))

        if ours or self._is_busy():
            counted(0)
        else:
            self._run(self._local.call(packet, options, counted, answered))

    def _is_busy(self) -> bool:
        busy = len(self._common.tasks) >= BUSY
        if busy:
            self._common.complaints.refuse(self.channels.request, "too much is under way")
        return busy

    def _answer(self, request: Request, answer: Answer) -> None:
        common = self._common
        try:
            message = common.writer.answer(answer)
        except Exception as error:
            # Whoever asked counts the answers, whatever is in them.
            common.complaints.lose(f"an answer to {self.channels.request}", error)
            message = common.writer.answer(without_content(answer))
        common.line.teller.tell(self.channels.answers(request.uid), message)

    # In order

    def _later(self, move: Callable[[], Awaitable[None]]) -> None:
        """Do what others wait behind."""
        self._behind = deque()
        self._run(self._moving(move))

    async def _moving(self, move: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(MOVING):
                await move()
        except TimeoutError:
            self._common.complaints.refuse(self.channels.request, "a join took too long")
        except Exception:
            logger.exception("Socket.IO bridge: a request on %s failed", self.channels.request)
        behind, self._behind = self._behind or deque(), None
        while behind:
            self._do(*behind.popleft())
            if self._waits():
                # For another one: what is left waits behind that.
                self._behind = behind
                return

    def _waits(self) -> bool:
        return self._behind is not None

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        tasks = self._common.tasks
        task = asyncio.create_task(coroutine, name=f"bridge: {self.namespace}")
        tasks.add(task)
        task.add_done_callback(tasks.discard)


def _options_of(request: Request) -> Options:
    if request.opts is None:
        raise WireError("expected opts")
    return request.opts
