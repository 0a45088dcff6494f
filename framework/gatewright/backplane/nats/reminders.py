"""When to look at sessions: each node knows of all of them, and one of them gets to do it.

A reminder is the last message of its subject. A node that finds it due puts a later one in its
place, by the number of the one it knows: the first to do so is told, the others are not. So none
is ever taken out before somebody says `forget`.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from gatewright.backplane.nats.jetstream import Info, JetStream, WrongLast
from gatewright.backplane.nats.streams import Layout
from gatewright.backplane.shared.log import Unreachable

__all__ = ["Reminders"]

AGAIN_AFTER: Final = 60.0

PAGE: Final = 10_000
PAGE_BYTES: Final = 4 * 1024 * 1024
AT_ONCE: Final = 50


class _Reminder(Struct, array_like=True, frozen=True):
    at: float
    namespace: str
    id: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Reminder).decode


class Reminders:
    """What this node knows of the reminders, and what it does to them."""

    def __init__(
        self, js: JetStream, layout: Layout, life: Callable[[Info], Awaitable[str]]
    ) -> None:
        """`life` says of the stream what changes when it may have lost something."""
        self._js = js
        self._layout = layout
        self._life = life
        self._living = ""
        self._read = 0
        """Everything up to this number is known."""
        self._all: dict[str, tuple[int, _Reminder]] = {}
        self._heap: list[tuple[float, int, str]] = []
        """When, which message and of which subject; those that were replaced since are skipped."""
        self._reading = asyncio.Lock()

    async def remind(self, namespace: str, id: str, at: float) -> None:
        subject = self._layout.reminder(namespace, id)
        await self._js.publish(subject, _encode(_Reminder(at, namespace, id)))

    async def forget(self, namespace: str, id: str) -> None:
        # The empty message tells the other nodes; those that do not read it in time are told by
        # its absence, when they want to replace what they know.
        ack = await self._js.publish(self._layout.reminder(namespace, id), b"")
        await self._js.take_away(self._layout.reminders, ack.seq)

    async def due(self, now: float, limit: int) -> Sequence[tuple[str, str]]:
        async with self._reading:
            await self._read_on()
        told: list[_Reminder] = []
        while len(told) < limit:
            found = self._pop(now, min(AT_ONCE, limit - len(told)))
            if not found:
                break
            taken = await asyncio.gather(*(self._take(now, *each) for each in found))
            told += [each for each in taken if each is not None]
        return [(each.namespace, each.id) for each in told]

    def _pop(self, now: float, limit: int) -> list[tuple[str, int, _Reminder]]:
        found: list[tuple[str, int, _Reminder]] = []
        while self._heap and len(found) < limit and self._heap[0][0] <= now:
            _, seq, subject = heapq.heappop(self._heap)
            known = self._all.get(subject)
            if known is not None and known[0] == seq:
                found.append((subject, *known))
        return found

    async def _take(
        self, now: float, subject: str, seq: int, reminder: _Reminder
    ) -> _Reminder | None:
        """Put a reminder off by a minute; None if another node, or another time, was first."""
        later = msgspec.structs.replace(reminder, at=now + AGAIN_AFTER)
        try:
            ack = await self._js.publish(subject, _encode(later), last=seq)
        except WrongLast:
            # What is there instead comes with the next reading, if anything is.
            known = self._all.get(subject)
            if known is not None and known[0] == seq:
                del self._all[subject]
            return None
        except Unreachable:
            self._know(subject, seq, reminder)
            return None
        self._know(subject, ack.seq, later)
        return reminder

    def _know(self, subject: str, seq: int, reminder: _Reminder) -> None:
        known = self._all.get(subject)
        if known is None or known[0] <= seq:
            self._all[subject] = seq, reminder
            heapq.heappush(self._heap, (reminder.at, seq, subject))

    async def _read_on(self) -> None:
        """Read what the stream has got since the last time."""
        info = await self._js.info(self._layout.reminders)
        if info is None:
            raise Unreachable(f"the stream {self._layout.reminders} has gone")
        living = await self._life(info)
        if living != self._living or info.state.last_seq < self._read:
            self._living, self._read = living, 0
            self._all.clear()
            self._heap.clear()
        while self._read < info.state.last_seq:
            start = max(self._read + 1, info.state.first_seq)
            count = min(PAGE, info.state.last_seq - start + 1)
            found = []
            if info.state.messages and count > 0:
                found = await self._js.read(self._layout.reminders, start, count, PAGE_BYTES)
            for each in found:
                if each.data:
                    self._know(each.subject, each.seq, _decode(each.data))
                else:
                    self._all.pop(each.subject, None)
            # Where nothing is left in front of the last number there is nothing to know.
            self._read = found[-1].seq if found else info.state.last_seq
        if len(self._heap) > 2 * len(self._all) + 1000:
            self._heap = [(each.at, seq, subject) for subject, (seq, each) in self._all.items()]
            heapq.heapify(self._heap)
