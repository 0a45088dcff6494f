"""Sessions' records: the last message of a subject each, replaced by whoever knows its number.

JetStream does not change two subjects in one step. So what a record says is what counts: the keys
it names are its keys, and their own entries only say where to look. And a marker that is to stand
in the lane with a record is named in the record first. Whoever loads a record whose marker is not
in the lane puts it there, before anybody is told of either: it has an id, and is not put there
twice. Between the two steps nobody can see more than that the marker comes a moment later; if the
node dies there it is put in when the session is looked at, a minute later at most.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from gatewright.backplane.nats.jetstream import JetStream, Kept, WrongLast
from gatewright.backplane.nats.lanes import Lane, Lanes, message_at
from gatewright.backplane.nats.streams import Layout
from gatewright.backplane.shared.log import Head, Message, Replaced, Stored, Unreachable

__all__ = ["Records"]

ATTEMPTS: Final = 8
MOST_KNOWN: Final = 2000

NEVER: Final = ""
"""The version of what stands in the place of a record that was kept from its beginning."""

PATIENCE: Final = 0.02
"""Seconds between two looks at whether another node gets done what it has begun."""


class _Record(Struct, array_like=True, frozen=True):
    """What is kept; `folded` is a number of `epoch`.

    One that is `gone` is no record any more, and waits for its marker to be put in the lane.
    """

    id: str
    version: str
    record: bytes
    keys: tuple[bytes, ...]
    epoch: str
    folded: int
    marker: bytes | None = None
    gone: bool = False


class _Known(Struct, frozen=True):
    """A record as it was found, and the number of its message."""

    kept: _Record
    seq: int


Marks = list[tuple[Message, str]]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode


class Records:
    """Records of all namespaces, in one stream."""

    def __init__(self, js: JetStream, layout: Layout, lanes: Lanes) -> None:
        self._js = js
        self._layout = layout
        self._lanes = lanes
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        """What was loaded lately: a change needs not ask for it again."""

    # Reading

    async def load(self, namespace: str, id: str) -> Stored | None:
        found = await self._load(namespace, id)
        return None if found is None else found[0]

    async def find(self, namespace: str, key: bytes) -> Stored | None:
        entry = await self._last(self._layout.key(namespace, key))
        if entry is None:
            return None
        found = await self._load(namespace, entry.data.decode())
        return found[0] if found is not None and key in found[1] else None

    async def _load(self, namespace: str, id: str) -> tuple[Stored, Collection[bytes]] | None:
        """A record, and its keys."""
        lane = await self._lanes.known(namespace)
        known, last = await asyncio.gather(
            self._fetch(namespace, id), self._lanes.last_mark(lane, id)
        )
        if known is None:
            return None
        kept = known.kept
        if kept.gone:
            if kept.version != NEVER:
                await self._finish(namespace, kept, ())
                await self._js.take_away(self._layout.records, known.seq)
            return None
        marks = await self._marks(namespace, lane, kept, last)
        self._remember(namespace, known)
        told = tuple(mark for mark, _ in marks)
        return Stored(kept.id, kept.record, kept.version, told), kept.keys

    async def _fetch(self, namespace: str, id: str) -> _Known | None:
        found = await self._last(self._layout.record(namespace, id))
        return None if found is None else _Known(_decode(found.data), found.seq)

    async def _last(self, subject: str) -> Kept | None:
        return await self._js.last(self._layout.records, subject)

    def _remember(self, namespace: str, known: _Known) -> None:
        name = namespace, known.kept.id
        self._known[name] = known
        self._known.move_to_end(name)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    async def _marks(self, namespace: str, lane: Lane, kept: _Record, last: Kept | None) -> Marks:
        """The marks that may not be in a record, its own marker among them.

        Those of another epoch have numbers that say nothing: all that are there are told, which
        leads to the same end if some are in the record already.
        """
        after = kept.folded if kept.epoch == lane.epoch else 0
        marks = await self._lanes.marks(lane, kept.id, after, last)
        own = await self._finish(namespace, kept, marks)
        if own is not None and all(mark.n != own.n for mark, _ in marks):
            marks.append((own, kept.version))
        return marks

    async def _finish(
        self, namespace: str, kept: _Record, marks: Sequence[tuple[Message, str]]
    ) -> Message | None:
        """See to it that a record's marker is in the lane; returns it."""
        if kept.marker is None:
            return None
        for mark, id in marks:
            if id == kept.version:
                return mark
        head = await self._lanes.append(namespace, kept.marker, 0, kept.version, kept.id)
        return message_at(head.epoch, head.n, 0, kept.marker)

    # Changing

    async def create(
        self, namespace: str, id: str, record: bytes, version: str, keys: Collection[bytes]
    ) -> Head | None:
        head = await self._lanes.head(namespace)
        kept = _Record(id, version, record, tuple(keys), head.epoch, head.n)
        last = 0
        for _ in range(ATTEMPTS):
            if not await self._claim(namespace, id, keys):
                return None
            known = await self._put(namespace, kept, last)
            if known is not None:
                self._remember(namespace, known)
                return head
            there = await self._fetch(namespace, id)
            if there is None:
                last = 0
            elif there.kept.version == version:
                return head
            elif not there.kept.gone:
                return None
            else:
                await self._finish(namespace, there.kept, ())
                last = there.seq
        raise Unreachable(f"{namespace}: the session {id} changes while it begins")

    async def replace(
        self,
        namespace: str,
        stored: Stored,
        record: bytes,
        version: str,
        folded: int,
        add: Collection[bytes],
        drop: Collection[bytes],
        marker: bytes | None,
    ) -> Replaced | None:
        known = self._known.get((namespace, stored.id))
        for _ in range(2):
            if known is None or known.kept.version not in {stored.version, version}:
                known = await self._fetch(namespace, stored.id)
            if known is None or known.kept.gone:
                return None
            if known.kept.version == version:
                return await self._replaced(namespace, known.kept)
            if known.kept.version != stored.version:
                return None
            if not await self._claim(namespace, stored.id, add):
                return None
            keys = *(key for key in known.kept.keys if key not in {*add, *drop}), *add
            # The number is that of a mark which was told with the record, or the one it had.
            epochs = (mark.epoch for mark in stored.marks if mark.n == folded)
            epoch = next(epochs, known.kept.epoch)
            kept = _Record(stored.id, version, record, keys, epoch, folded, marker)
            put = await self._put(namespace, kept, known.seq)
            if put is not None:
                self._remember(namespace, put)
                replaced, _ = await asyncio.gather(
                    self._replaced(namespace, kept), self._let_go(namespace, stored.id, drop)
                )
                return replaced
            known = None
        return None

    async def _replaced(self, namespace: str, kept: _Record) -> Replaced:
        """How a lane stands behind a change: at its marker, if it has one."""
        lane = await self._lanes.known(namespace)
        if kept.marker is None:
            head, last = await asyncio.gather(
                self._lanes.head(namespace), self._lanes.last_mark(lane, kept.id)
            )
        else:
            own = await self._finish(namespace, kept, ())
            assert own is not None
            head, last = Head(own.epoch, own.n, own.seq), Kept(seq=own.n)
        marks = [mark for mark, _ in await self._marks(namespace, lane, kept, last)]
        return Replaced(kept.version, head, tuple(mark for mark in marks if mark.n <= head.n))

    async def remove(
        self, namespace: str, stored: Stored, keys: Collection[bytes], marker: bytes | None
    ) -> bool:
        known = self._known.pop((namespace, stored.id), None)
        for _ in range(2):
            if known is None or known.kept.version != stored.version:
                known = await self._fetch(namespace, stored.id)
            if known is None or known.kept.version != stored.version or known.kept.gone:
                return False
            was = known.kept
            gone = _Record(was.id, f"{was.version}-", b"", (), was.epoch, was.folded, marker, True)
            put = await self._put(namespace, gone, known.seq)
            if put is not None:
                await asyncio.gather(
                    self._finish(namespace, gone, ()),
                    self._let_go(namespace, stored.id, {*keys, *was.keys}),
                )
                await self._js.take_away(self._layout.records, put.seq)
                return True
            known = None
        return False

    async def _put(self, namespace: str, kept: _Record, last: int) -> _Known | None:
        """Put a record in the place of the message with this number; None if there is another."""
        subject = self._layout.record(namespace, kept.id)
        try:
            ack = await self._js.publish(subject, _encode(kept), last=last)
        except WrongLast:
            return None
        return _Known(kept, ack.seq)

    # Keys

    async def _claim(self, namespace: str, id: str, keys: Collection[bytes]) -> bool:
        """Have these keys lead to a session; False if one of them is another's."""
        claimed = await asyncio.gather(*(self._claim_one(namespace, id, key) for key in keys))
        return all(claimed)

    async def _claim_one(self, namespace: str, id: str, key: bytes) -> bool:
        subject, last = self._layout.key(namespace, key), 0
        for _ in range(ATTEMPTS):
            try:
                await self._js.publish(subject, id.encode(), last=last)
            except WrongLast:
                entry = await self._last(subject)
            else:
                return True
            if entry is None:
                last = 0
                continue
            other, last = entry.data.decode(), entry.seq
            if other == id:
                return True
            if await self._has(namespace, other, key):
                return False
        raise Unreachable(f"{namespace}: the keys of a session change while it begins")

    async def _has(self, namespace: str, id: str, key: bytes) -> bool:
        """Whether a session has a key that leads to it.

        One that is not there may be about to begin. If it does not in a while it is kept from it:
        it has to look again whose its keys are.
        """
        for _ in range(ATTEMPTS):
            known = await self._fetch(namespace, id)
            if known is not None:
                return key in known.kept.keys
            await asyncio.sleep(PATIENCE)
        never = _Record(id, NEVER, b"", (), "", 0, gone=True)
        return await self._put(namespace, never, 0) is None and await self._has(namespace, id, key)

    async def _let_go(self, namespace: str, id: str, keys: Collection[bytes]) -> None:
        """Forget keys that lead to a session; whoever has them now keeps them."""
        await asyncio.gather(*(self._let_go_one(namespace, id, key) for key in keys))

    async def _let_go_one(self, namespace: str, id: str, key: bytes) -> None:
        entry = await self._last(self._layout.key(namespace, key))
        if entry is not None and entry.data.decode() == id:
            await self._js.take_away(self._layout.records, entry.seq)
