"""Calls that the server makes to clients, and the answers that come back."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from itertools import count
from typing import Any, Protocol

import msgspec
from msgspec import Raw, Struct
from typing_extensions import TypeForm, TypeVar

from gatewright.answers import Answers, Reply, failed, read, refer, reply_of
from gatewright.errors import CallTimeout, ErrorCode, EventError
from gatewright.protocol.codecs import Codec, EncHook
from gatewright.protocol.frames import Envelope
from gatewright.protocol.outgoing import Outgoing
from gatewright.protocol.stored import load
from gatewright.remote import Question, Remote
from gatewright.rooms import Member, send

__all__ = ["Answers", "Calls", "Others", "Said"]

logger: logging.Logger = logging.getLogger("gatewright")

T = TypeVar("T")


class Said(Struct, array_like=True):
    """From a node whose clients are asked: first whom it asks, then what they say."""

    asked: list[str] | None = None
    replies: list[Reply] = []


class _Answer(Struct, array_like=True):
    """From a node where a session is now: its client's answer to a call of where it was."""

    call_id: int
    reply: Reply


class Others(Protocol):
    """Asks the other nodes to ask their clients."""

    def __call__(
        self, *, part: Callable[[str, Raw], None], end: Callable[[str, Raw | Exception], None]
    ) -> Question: ...


_said = msgspec.msgpack.Decoder(Said).decode


class _Pending(ABC):
    """An open call: whom it waits for here."""

    def __init__(self, outgoing: Outgoing, waiting: set[str]) -> None:
        self.outgoing = outgoing
        self.waiting = waiting
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def open(self) -> bool:
        return bool(self.waiting)

    @abstractmethod
    def take(self, member: str, codec: Codec, envelope: Envelope) -> None:
        """A client of this node has answered."""

    @abstractmethod
    def refer(self, reply: Reply) -> None:
        """A client has answered at another node."""

    @abstractmethod
    def fail(self, member: str, error: EventError) -> None:
        """There will be no answer of this one."""

    def arrived(self, member: str) -> None:
        self.waiting.discard(member)
        self.settle()

    def settle(self) -> None:
        if not self.open and not self.finished.done():
            self.finished.set_result(None)


class _Collected(_Pending):
    """One whose answers are for a caller of this node."""

    def __init__(
        self,
        outgoing: Outgoing,
        waiting: set[str],
        kind: Any,
        codecs: Mapping[str, Codec],
        each: Callable[[Any], None] | None,
    ) -> None:
        super().__init__(outgoing, waiting)
        self._each = each
        self.kind = kind
        self.codecs = codecs
        self.answers: list[Any] = []
        self.errors: dict[str, EventError] = {}
        self.elsewhere: dict[str, set[str] | None] = {}
        """Whom other nodes wait for; None: they have not said yet whom they ask."""
        self.silent: set[str] = set()
        """Whom they do not wait for any longer."""

    @property
    def open(self) -> bool:
        return bool(self.waiting or self.elsewhere)

    @property
    def missing(self) -> list[str]:
        asked = (each for each in self.elsewhere.values() if each is not None)
        return sorted(self.waiting.union(self.silent, *asked))

    def take(self, member: str, codec: Codec, envelope: Envelope) -> None:
        self._collect(member, lambda: read(codec, envelope, self.kind))

    def refer(self, reply: Reply) -> None:
        self._collect(reply.member, lambda: refer(reply, self.codecs, self.kind))

    def _collect(self, member: str, read: Callable[[], Any]) -> None:
        try:
            answer = read()
        except EventError as error:
            answer = self.errors[member] = error
        else:
            self.answers.append(answer)
        if self._each is not None:
            self._each(answer)

    def fail(self, member: str, error: EventError) -> None:
        self.errors[member] = error

    def part(self, node: str, body: Raw) -> None:
        said = _said(body)
        if said.asked is not None:
            self.elsewhere[node] = set(said.asked)
        asked = self.elsewhere.get(node)
        for reply in said.replies if asked is not None else ():
            assert asked is not None
            if reply.member in asked:
                asked.discard(reply.member)
                self.refer(reply)

    def end(self, node: str, end: Raw | Exception) -> None:
        asked = self.elsewhere.pop(node, None)
        if not isinstance(end, Exception):
            self.silent.update(asked or ())
        elif isinstance(end, EventError) and end.code == ErrorCode.INTERRUPTED:
            gone = EventError(ErrorCode.INTERRUPTED, "the node of the connection has gone")
            self.errors.update(dict.fromkeys(asked or (), gone))
        elif not self.finished.done():
            # Nobody knows whom it would have asked.
            self.finished.set_exception(end)
        self.settle()


class _Relayed(_Pending):
    """One whose answers are for a caller of another node."""

    def __init__(self, outgoing: Outgoing, waiting: set[str], tell: Callable[[Said], None]) -> None:
        super().__init__(outgoing, waiting)
        self._tell = tell

    def take(self, member: str, codec: Codec, envelope: Envelope) -> None:
        self.refer(reply_of(member, codec, envelope))

    def refer(self, reply: Reply) -> None:
        self._tell(Said(replies=[reply]))

    def fail(self, member: str, error: EventError) -> None:
        self.refer(failed(member, error))


class Calls:
    """The node's open calls to clients. One id serves all receivers of a call."""

    def __init__(
        self, remote: Remote | None = None, codecs: Mapping[str, Codec] | None = None
    ) -> None:
        # Node-wide, so that a call to a room is one frame for everyone in it; a client sees its
        # ids count up, with holes.
        self._ids = count(1)
        self._pending: dict[int, _Pending] = {}
        self._readers: dict[str, asyncio.Future[None]] = {}
        self._remote = remote
        self._codecs = codecs or {}
        if remote is not None:
            remote.hear("answer", _Answer, self._referred)

    def __len__(self) -> int:
        return len(self._pending)

    async def call(
        self,
        namespace: str,
        members: Collection[Member],
        event: str,
        data: object,
        reply: TypeForm[T],
        timeout: float,
        each: Callable[[T | EventError], None] | None = None,
        *,
        others: Others | None = None,
    ) -> Answers[T]:
        """Ask every member and wait for all answers; raises `CallTimeout` with those that came.

        With `others` those of the other nodes are asked as well. `each` is called with every answer
        as it comes, and returns quickly.
        """
        if not members and others is None:
            return Answers()
        outgoing = Outgoing(event, data, next(self._ids), namespace=namespace)
        waiting = {member.id for member in members}
        pending = _Collected(outgoing, waiting, reply, self._codecs, each)
        question, late = None, False
        try:
            if others is not None and self._remote is not None:
                pending.elsewhere = dict.fromkeys(self._remote.nodes)
                question = others(part=pending.part, end=pending.end)
            await self._ask(pending, members, timeout)
        except TimeoutError:
            late = True
        finally:
            if question is not None:
                question.close()
        if late or pending.silent:
            unknown = [node for node, asked in pending.elsewhere.items() if asked is None]
            raise CallTimeout(timeout, pending.answers, pending.errors, pending.missing, unknown)
        return Answers(pending.answers, pending.errors)

    async def relay(
        self,
        namespace: str,
        members: Collection[Member],
        stored: bytes,
        timeout: float,
        tell: Callable[[Said], None],
    ) -> None:
        """Ask every member for another node, which is told whom, and what they say."""
        tell(Said([member.id for member in members]))
        if not members:
            return
        event, data = load(stored)
        outgoing = Outgoing(event, data, next(self._ids), namespace=namespace)
        pending = _Relayed(outgoing, {member.id for member in members}, tell)
        try:
            await self._ask(pending, members, timeout)
        except TimeoutError:
            return

    async def _ask(self, pending: _Pending, members: Collection[Member], timeout: float) -> None:
        call_id = pending.outgoing.call_id
        assert call_id is not None
        self._pending[call_id] = pending
        for id in pending.waiting & self._readers.keys():
            reader = self._readers.pop(id)
            if not reader.done():
                reader.set_result(None)
        try:
            send(members, pending.outgoing)
            for member in members:
                # Who has said goodbye already may be lost already, and will not be again.
                if member.outbox.closing and not member.patient:
                    self._lose(pending, member.id)
            pending.settle()
            async with asyncio.timeout(timeout):
                await pending.finished
        finally:
            del self._pending[call_id]
            # Looked at, so that nobody misses it where something else has failed.
            if pending.finished.done() and not pending.finished.cancelled():
                pending.finished.exception()

    def pause(self, member: str, reader: asyncio.Future[None]) -> bool:
        """Let the reader of a connection wait for a future, which the next call to it ends.

        False when its client is being asked already: the answer must be read.
        """
        if any(member in pending.waiting for pending in self._pending.values()):
            return False
        self._readers[member] = reader
        return True

    def answer(self, member: Member, envelope: Envelope) -> bool:
        """Take a client's answer; False when nobody here waits for it (any more)."""
        id: Any = envelope.id
        if isinstance(id, str):
            self._refer(member, id, envelope)
            return False
        pending = self._pending.get(id - member.codec.calls_after)
        if pending is None or member.id not in pending.waiting:
            return False
        pending.take(member.id, member.codec, envelope)
        pending.arrived(member.id)
        return True

    def _refer(self, member: Member, id: str, envelope: Envelope) -> None:
        """An answer to a call that another node has made, before its session came here (R13)."""
        number, _, node = id.partition(".")
        if self._remote is not None and node in self._remote.nodes:
            answer = _Answer(int(number), reply_of(member.id, member.codec, envelope))
            self._remote.tell("answer", answer, node)

    def _referred(self, sender: str, answer: _Answer) -> None:
        pending, member = self._pending.get(answer.call_id), answer.reply.member
        if pending is not None and member in pending.waiting:
            pending.refer(answer.reply)
            pending.arrived(member)

    def ask_again(self, member: Member) -> None:
        """A connection has returned: what it has not answered may never have reached it."""
        for pending in self._pending.values():
            if member.id in pending.waiting:
                member.outbox.push(pending.outgoing.frame(member.codec))

    def asked(self, member: str, enc_hook: EncHook | None) -> list[tuple[int, bytes]]:
        """What a client has not answered yet, by the ids of the calls, in a form that travels."""
        return [
            (id, pending.outgoing.store(enc_hook))
            for id, pending in self._pending.items()
            if member in pending.waiting
        ]

    def lost(self, member: str) -> None:
        """A connection is gone: nobody waits for it any longer."""
        self._readers.pop(member, None)
        for pending in self._pending.values():
            if member in pending.waiting:
                self._lose(pending, member)

    def _lose(self, pending: _Pending, member: str) -> None:
        pending.fail(
            member,
            EventError(ErrorCode.INTERRUPTED, "the connection was lost before it answered"),
        )
        pending.arrived(member)
