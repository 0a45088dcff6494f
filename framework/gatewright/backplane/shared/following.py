"""A namespace's lane on this node: every message once, in order, or a break that says otherwise."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from gatewright.backplane.base import Batch, Bounds, Break, Entry, Lane, Marker, Moved
from gatewright.backplane.shared import bodies
from gatewright.backplane.shared.log import Head, Log, Message, Page, Unreachable
from gatewright.backplane.shared.windows import Window
from gatewright.errors import BackplaneError

__all__ = ["Follower"]

logger: logging.Logger = logging.getLogger("gatewright")

PATIENCE: Final = 2.0
"""Seconds without touch after which nobody here may go on as if nothing had happened (R2)."""

MOST_BUFFERED: Final = 10_000
"""Messages that are kept while earlier ones are read; the log has those beyond it too."""

FIRST_DELAY: Final = 0.05
LAST_DELAY: Final = 1.0

Own: TypeAlias = Mapping[int, Sequence[Entry]]
"""The batches of this node that are under way, by number."""


class Follower:
    """Hears the messages of one lane and hands them on when they follow the one before (R1, R2).

    When one is missing, or the engine has lost touch, what comes is held back until everything
    since has been read from the log. Where that cannot be done in time, or something is not there
    any more, the node's lane is told of a `Break`.
    """

    def __init__(
        self,
        log: Log,
        namespace: str,
        node: str,
        own: Own,
        lane: Lane,
        bounds: Bounds,
        clock: Callable[[], float],
    ) -> None:
        self._log = log
        self._namespace = namespace
        self._node = node
        self._own = own
        self._lane = lane
        self._head: Head | None = None
        self._subscribed = False
        self._live = False
        self._buffer: list[Message] = []
        self._catching: asyncio.Task[None] | None = None
        self._waiting: list[tuple[Head, asyncio.Future[None]]] = []
        self._reading = asyncio.Lock()
        self.window: Window = Window(namespace, bounds, clock)
        self.users: int = 0
        """How many need it."""
        self.idle_since: float = 0.0
        """When the last one did not any more, in the time of the event loop."""

    @property
    def head(self) -> Head | None:
        """What has been handed on last."""
        return self._head

    async def start(self) -> None:
        """Hear from here on; raises `Unreachable`."""
        self._head = await self._log.subscribe(self._namespace)
        self._subscribed = True
        self._live = True
        buffered, self._buffer = self._buffer, []
        for message in buffered:
            self.heard(message)

    async def stop(self) -> None:
        """Hear no more."""
        if self._catching is not None:
            self._catching.cancel()
            await asyncio.wait([self._catching])
        self._live = False
        for _, waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(self._behind())
                waiting.exception()
        self._waiting.clear()

    def heard(self, message: Message) -> None:
        """The engine brings a message."""
        head = self._head
        if not self._live or head is None:
            if len(self._buffer) < MOST_BUFFERED:
                self._buffer.append(message)
        elif message.epoch == head.epoch and message.prev == head.n:
            self._pass(message)
        elif message.epoch != head.epoch or message.n > head.n:
            self._buffer.append(message)
            self._catch_up()

    def broken(self) -> None:
        """The engine has lost touch, and the subscription with it."""
        self._subscribed = False
        if self._head is not None:
            self._catch_up()

    def compare(self, head: Head) -> None:
        """Where the lane ends, as of a while ago: a tail may have been lost (R2)."""
        own = self._head
        if self._live and own is not None and (own.epoch != head.epoch or own.n < head.n):
            self._catch_up()

    async def until(self, head: Head) -> None:
        """Wait until everything up to `head` was handed on; raises `BackplaneError`."""
        own = self._head
        if own is not None and own.epoch == head.epoch and own.n >= head.n:
            return
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[None] = loop.create_future()
        self._waiting.append((head, waiting))
        # Every emit may come by here, a hundred at once: a timer is cheaper than a timeout.
        timer = loop.call_later(2 * PATIENCE, self._give_up, waiting)
        try:
            await waiting
        finally:
            timer.cancel()

    def _give_up(self, waiting: asyncio.Future[None]) -> None:
        if not waiting.done():
            waiting.set_exception(self._behind())
        self._waiting = [each for each in self._waiting if not each[1].done()]

    async def reach(self, seq: int) -> None:
        """See to it that the window has what comes after entry `seq`, as far as anybody has."""
        async with self._reading:
            if self.window.reaches(seq):
                return
            pages: list[Message] = []
            since: int | None = None
            while True:
                after = pages[-1].n if pages else 0
                page = await self._read(after)
                if since is None or page.since > after:
                    # What was read before lies in front of what has gone meanwhile.
                    pages.clear()
                    since = _floor(page)
                pages.extend(page.messages)
                last = pages[-1].n if pages else page.head.n
                own = self._head
                if own is None or own.epoch != page.head.epoch:
                    raise self._behind()
                # No step between this and the swap: what the lane brings next is not in it.
                if last >= own.n or not page.messages:
                    break
            kept = (each for each in pages if each.count and each.n <= own.n)
            self.window.rebuild(since, [batch for each in kept if (batch := self._batch(each))])

    async def _read(self, after: int) -> Page:
        try:
            return await self._log.read(self._namespace, after)
        except Unreachable as error:
            raise self._behind() from error

    def _batch(self, message: Message) -> tuple[int, Sequence[Entry], float] | None:
        body = self._load(message)
        if not isinstance(body, bodies.Entries):
            return None
        return _first(message), bodies.load_entries(self._namespace, body), body.at

    def _behind(self) -> BackplaneError:
        return BackplaneError(f"{self._namespace}: this node has lost touch with its backplane")

    # Catching up

    def _catch_up(self) -> None:
        self._live = False
        if self._catching is None:
            self._catching = asyncio.create_task(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        began, delay, told = loop.time(), FIRST_DELAY, False
        try:
            while True:
                try:
                    async with asyncio.timeout(None if told else began + PATIENCE - loop.time()):
                        if await self._read_on():
                            return
                        continue
                except (Unreachable, TimeoutError):
                    pass
                except Exception:
                    logger.exception("%s: cannot catch up with the lane", self._namespace)
                if not told and loop.time() - began >= PATIENCE:
                    told = True
                    self._lane(Break(self._namespace))
                await asyncio.sleep(delay)
                delay = min(2 * delay, LAST_DELAY)
        finally:
            self._catching = None

    async def _read_on(self) -> bool:
        """One reading of what was missed; False if it must be done again."""
        if not self._subscribed:
            await self._log.subscribe(self._namespace)
            self._subscribed = True
        while True:
            head = self._head
            assert head is not None
            page = await self._log.read(self._namespace, head.n)
            if page.head.epoch != head.epoch or page.since > head.n:
                self._lost(page)
                continue
            for message in page.messages:
                if message.n > head.n:
                    self._pass(message)
            if not page.messages:
                break
        if not self._subscribed:
            return False
        buffered, self._buffer = self._buffer, []
        for message in buffered:
            own = self._head
            assert own is not None
            if message.epoch == own.epoch and message.n <= own.n:
                continue
            if message.epoch != own.epoch or message.prev != own.n:
                # A hole among them: the log has what is missing, and this one too.
                return False
            self._pass(message)
        self._live = True
        return True

    def _lost(self, page: Page) -> None:
        """What was missed is not there any more: begin with what is."""
        first = page.messages[0] if page.messages else None
        self._head = page.head if first is None else Head(first.epoch, first.prev, _floor(page))
        self.window.forget()
        logger.warning("%s: what this node has missed is not kept any more", self._namespace)
        self._lane(Break(self._namespace))
        self._wake()

    # Handing on

    def _pass(self, message: Message) -> None:
        self._head = Head(message.epoch, message.n, message.seq)
        body = self._load(message)
        if isinstance(body, bodies.Entries):
            own = self._own.get(body.number) if body.node == self._node else None
            entries = own if own is not None else bodies.load_entries(self._namespace, body)
            first = _first(message)
            self.window.append(first, entries, body.at)
            self._lane(Batch(self._namespace, message.epoch, first, entries))
        elif body is not None:
            marker = _marker(self._namespace, message.seq, body)
            if marker is not None:
                self._lane(marker)
            if isinstance(body, bodies.Resumed) and body.node != self._node:
                self._lane(Moved(self._namespace, body.member, body.generation, body.node))
        if self._waiting:
            self._wake()

    def _load(self, message: Message) -> bodies.Body | None:
        try:
            return bodies.load(message.body)
        except msgspec.MsgspecError:
            # The log has it as everybody got it: to read it again would help nobody.
            logger.exception("%s: message %s says nothing", self._namespace, message.n)
            return None

    def _wake(self) -> None:
        own = self._head
        assert own is not None
        still: list[tuple[Head, asyncio.Future[None]]] = []
        for head, waiting in self._waiting:
            if waiting.done():
                continue
            if head.epoch != own.epoch:
                waiting.set_exception(self._behind())
            elif head.n <= own.n:
                waiting.set_result(None)
            else:
                still.append((head, waiting))
        self._waiting = still


def _first(message: Message) -> int:
    return message.seq - message.count + 1


def _floor(page: Page) -> int:
    """The number of the last entry before those of a page."""
    if not page.messages:
        return page.head.seq
    return page.messages[0].before


def _marker(namespace: str, seq: int, body: bodies.Body) -> Marker | None:
    """What a node is told of a change of membership."""
    match body:
        case bodies.Joined():
            return Marker(namespace, seq, "join", body.member, body.rooms)
        case bodies.Left() | bodies.Ended() if body.rooms:
            return Marker(namespace, seq, "leave", body.member, body.rooms)
        case bodies.Resumed() if body.left:
            return Marker(namespace, seq, "leave", body.member, body.left)
        case _:
            return None
