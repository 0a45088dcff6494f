"""A namespace's lane: a stream of its own, in which every message has the next number.

What the stream has stored the server tells on to whoever listens (`republish`), with its number:
like any message of NATS it may get lost on its way, and then the next one does not follow the one
before. The stream knows its last number however old that is, so it is always known whether
something is missing.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from gatewright.backplane.base import Bounds
from gatewright.backplane.nats.connection import Connection, Nobody
from gatewright.backplane.nats.jetstream import Info, JetStream, Kept, Missing
from gatewright.backplane.nats.sizes import Sizes
from gatewright.backplane.nats.streams import Layout, life, provide
from gatewright.backplane.shared.log import Ears, Head, Message, Page, Unreachable

__all__ = ["MOST_ENTRIES", "Lane", "Lanes", "message_at"]

logger: logging.Logger = logging.getLogger("gatewright")

MOST_ENTRIES: Final = 1024
"""Of one message: it has so many numbers, of which its entries are the last."""

PAGE: Final = 500
PAGE_BYTES: Final = 1024 * 1024
"""What is read at once, at least one message; none is larger than what a server takes."""

MOST_LANES: Final = 10_000
"""Lanes to remember beside those that are heard."""

ATTEMPTS: Final = 5

_COUNT: Final = 2
"""Bytes in front of a body, which say how many entries it has."""


def message_at(epoch: str, n: int, count: int, body: bytes) -> Message:
    """The message with a number; those of its entries are the last of the ones it has."""
    before = n - 1
    return Message(epoch, n, before, n * MOST_ENTRIES, count, body, floor=before * MOST_ENTRIES)


class _Hearing:
    """The subscriptions to one lane, until they are ended or broken."""

    def __init__(self, connection: Connection) -> None:
        self.on: bool = True
        self.connection: Connection = connection
        self.subscriptions: list[Subscription] = []

    async def stop(self) -> None:
        self.on = False
        while self.subscriptions:
            await self.connection.unsubscribe(self.subscriptions.pop())


class Lane:
    """A lane in one life of its stream, in one epoch."""

    def __init__(self, namespace: str, stream: str, life: str, epoch: str, sizes: Sizes) -> None:
        self.namespace = namespace
        self.stream = stream
        self.life = life
        self.epoch = epoch
        self.top = 0
        """The highest number that this node knows to have been given."""
        self.sizes = sizes
        self.hearing: _Hearing | None = None

    def head(self, n: int) -> Head:
        return Head(self.epoch, n, n * MOST_ENTRIES)

    def message(self, n: int, data: bytes) -> Message:
        count = int.from_bytes(data[:_COUNT], "big")
        return message_at(self.epoch, n, count, data[_COUNT:])


class Lanes:
    """The lanes that this node has to do with."""

    def __init__(
        self,
        js: JetStream,
        reach: Callable[[], Awaitable[Connection]],
        layout: Layout,
        ears: Ears,
        bounds: Bounds,
        epoch: Callable[[str], Awaitable[str]],
    ) -> None:
        """`epoch` makes one of what a stream is known by."""
        self._js = js
        self._reach = reach
        self._layout = layout
        self._ears = ears
        self._bounds = bounds
        self._epoch = epoch
        self._lanes: dict[str, Lane] = {}
        self._broken: list[_Hearing] = []

    # Streams

    async def known(self, namespace: str) -> Lane:
        """The lane as this node knows it; it may be there no more."""
        return self._lanes.get(namespace) or (await self._open(namespace))[0]

    async def forget(self, namespace: str) -> None:
        """What this node knows of a lane has turned out to be wrong: look again."""
        await self._open(namespace)

    async def _open(self, namespace: str) -> tuple[Lane, Info]:
        """The lane as it is now, which is made if it is not there."""
        before = self._lanes.get(namespace)
        top = before.top if before is not None else 0
        while True:
            make = partial(self._layout.new_lane, namespace, self._bounds)
            stream = self._layout.lane(namespace)
            info = await provide(self._js, stream, make)
            found = life(info) or ""
            epoch = await self._epoch(f"{found} {info.created}")
            last = info.state.last_seq
            if before is None or (before.life, before.epoch) != (found, epoch) or last >= top:
                break
            await self._begin_anew(before, last)
        lane = self._lanes.get(namespace)
        if lane is None or (lane.life, lane.epoch) != (found, epoch):
            if lane is not None:
                self._end(lane)
            lane = Lane(namespace, stream, found, epoch, Sizes(self._bounds.namespace_bytes))
            self._remember(lane)
        lane.top = max(lane.top, info.state.last_seq)
        return lane, info

    async def _begin_anew(self, lane: Lane, last: int) -> None:
        """A stream that has lost what it had said would say something else by the same number."""
        logger.warning(
            "%s: the NATS stream %s ends at %s and had reached %s: it begins anew",
            lane.namespace,
            lane.stream,
            last,
            lane.top,
        )
        await self._js.delete(lane.stream)

    def _end(self, lane: Lane) -> None:
        """This life of the lane is over."""
        if lane.hearing is not None:
            logger.warning("%s: its NATS stream is another one now", lane.namespace)
            self._break(lane, lane.hearing)

    def _break(self, lane: Lane, hearing: _Hearing) -> None:
        lane.hearing = None
        hearing.on = False
        self._broken.append(hearing)
        self._ears.broken([lane.namespace])

    def _remember(self, lane: Lane) -> None:
        self._lanes.pop(lane.namespace, None)
        if len(self._lanes) >= MOST_LANES:
            unheard = (name for name, each in self._lanes.items() if each.hearing is None)
            self._lanes.pop(next(unheard, ""), None)
        self._lanes[lane.namespace] = lane

    # The lane

    async def append(
        self, namespace: str, body: bytes, count: int, id: str, member: str | None
    ) -> Head:
        """Put a message in the lane, or learn where the one with this id stands."""
        if count > MOST_ENTRIES:
            raise ValueError(f"expected at most {MOST_ENTRIES} entries in a batch, got {count}")
        lane = await self.known(namespace)
        if member is None:
            subject = self._layout.appended(lane.life)
        else:
            subject = self._layout.marked(lane.life, member)
        before = lane.top
        try:
            ack = await self._js.publish(subject, count.to_bytes(_COUNT, "big") + body, id=id)
        except Nobody:
            await self.forget(namespace)
            raise
        if ack.seq <= before and not ack.duplicate:
            await self.forget(namespace)
            raise Unreachable(f"{namespace}: NATS has lost a part of this lane")
        lane.top = max(lane.top, ack.seq)
        lane.sizes.add(ack.seq, len(body))
        below = lane.sizes.excess()
        if below is not None:
            await self._trim(lane, below)
        return lane.head(ack.seq)

    async def _trim(self, lane: Lane, below: int) -> None:
        """Forget entries; markers stay for as long as records may need them."""
        try:
            await self._js.purge(lane.stream, self._layout.appended(lane.life), below)
        except Unreachable as error:
            # What was appended is appended. The next time there will be more to forget.
            logger.debug("%s: not trimmed: %s", lane.namespace, error)

    async def head(self, namespace: str) -> Head:
        lane, info = await self._open(namespace)
        return lane.head(info.state.last_seq)

    async def read(self, namespace: str, after: int) -> Page:
        for _ in range(ATTEMPTS):
            try:
                page = await self._read(namespace, after)
            except Missing:
                continue
            if page is not None:
                return page
        raise Unreachable(f"{namespace}: what NATS has of this lane goes while it is read")

    async def _read(self, namespace: str, after: int) -> Page | None:
        lane, info = await self._open(namespace)
        last = info.state.last_seq
        since = info.state.first_seq - 1 if info.state.messages else last
        if info.state.num_deleted:
            # Entries were forgotten from between markers: those that are there follow.
            first = await self._js.next(lane.stream, self._layout.appended(lane.life), 1)
            since = max(since, first.seq - 1 if first is not None else last)
        start = max(after, since) + 1
        if start > last:
            return Page(lane.head(last), (), max(0, since))
        count = min(PAGE, last - start + 1)
        found = await self._js.read(lane.stream, start, count, PAGE_BYTES)
        for before, each in zip((start - 1, *(each.seq for each in found)), found, strict=False):
            if each.seq != before + 1:
                since = each.seq - 1
        messages = [lane.message(each.seq, each.data) for each in found if since < each.seq <= last]
        return Page(lane.head(last), messages, max(0, since)) if messages else None

    async def marks(
        self, lane: Lane, member: str, after: int, last: Kept | None
    ) -> list[tuple[Message, str]]:
        """The markers of a member after a number, with their ids; `last` is its last one."""
        subject = self._layout.marked(lane.life, member)
        found: list[tuple[Message, str]] = []
        while last is not None and last.seq > after:
            each = await self._js.next(lane.stream, subject, after + 1)
            if each is None:
                break
            found.append((lane.message(each.seq, each.data), each.id))
            after = each.seq
        return found

    async def last_mark(self, lane: Lane, member: str) -> Kept | None:
        try:
            return await self._js.last(lane.stream, self._layout.marked(lane.life, member))
        except Missing:
            return None

    # Hearing

    async def subscribe(self, namespace: str) -> Head:
        while self._broken:
            await self._broken.pop().stop()
        for _ in range(ATTEMPTS):
            lane, info = await self._open(namespace)
            if lane.hearing is None:
                hearing = _Hearing(await self._reach())
                try:
                    await self._listen(lane, hearing)
                    now, info = await self._open(namespace)
                except BaseException:
                    await hearing.stop()
                    raise
                if hearing.connection.lost:
                    raise Unreachable(f"{namespace}: the connection was lost meanwhile")
                if now is not lane or lane.hearing is not None:
                    await hearing.stop()
                    continue
                lane.hearing = hearing
            return lane.head(info.state.last_seq)
        raise Unreachable(f"{namespace}: its NATS stream comes and goes")

    async def _listen(self, lane: Lane, hearing: _Hearing) -> None:
        async def heard(message: Msg) -> None:
            if not hearing.on:
                return
            seq = int((message.headers or {})["Nats-Sequence"])
            lane.top = max(lane.top, seq)
            lane.sizes.add(seq, len(message.data))
            self._ears.heard(lane.namespace, lane.message(seq, message.data))

        async def cast(message: Msg) -> None:
            if message.reply:
                # Somebody asks whether the lane is in use.
                await hearing.connection.publish(message.reply, b"")
            elif hearing.on:
                self._ears.cast(lane.namespace, message.data)

        def overrun() -> None:
            if lane.hearing is hearing:
                self._break(lane, hearing)

        connection = hearing.connection
        subjects = self._layout.heard(lane.life), self._layout.cast(lane.namespace)
        for subject, told in zip(subjects, (heard, cast), strict=True):
            hearing.subscriptions.append(await connection.subscribe(subject, told, overrun))
        await connection.flush()
        connection.allowed(*subjects)

    async def unsubscribe(self, namespace: str) -> None:
        lane = self._lanes.pop(namespace, None)
        if lane is not None and lane.hearing is not None:
            hearing, lane.hearing = lane.hearing, None
            await hearing.stop()

    def silence(self) -> None:
        """The connection is lost, and all subscriptions with it."""
        for lane in self._lanes.values():
            if lane.hearing is not None:
                lane.hearing.on = False
                lane.hearing = None
        self._broken.clear()
