"""Calls that the server makes to clients, and the answers that come back."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import count
from typing import Any, Protocol

from msgspec import Raw, Struct
from typing_extensions import TypeForm, TypeVar

from gatewright.answers import Answers, Reply, reply_of
from gatewright.errors import CallTimeout, ErrorCode, EventError
from gatewright.pending import Collected, Pending, Relayed, Said
from gatewright.protocol.codecs import Codec, EncHook
from gatewright.protocol.frames import Envelope
from gatewright.protocol.outgoing import Outgoing
from gatewright.protocol.sessions.codecs import SessionCodec
from gatewright.protocol.stored import load
from gatewright.remote import Question, Remote
from gatewright.rooms import Member, send

__all__ = ["Answers", "Calls", "HandedCall", "Others"]

logger: logging.Logger = logging.getLogger("gatewright")

T = TypeVar("T")


class _Answer(Struct, array_like=True):
    """From a node where a session is now: its client's answer to a call of where it was."""

    call_id: int
    reply: Reply


class HandedCall(Struct, array_like=True):
    """A call that a client has not answered, when its session goes to another node."""

    id: str
    """As the client knows it."""
    stored: bytes
    left: float
    """Seconds for which somebody still waits."""


class Others(Protocol):
    """Asks the other nodes to ask their clients."""

    def __call__(
        self, *, part: Callable[[str, Raw], None], end: Callable[[str, Raw | Exception], None]
    ) -> Question: ...


class Calls:
    """The node's open calls to clients. One id serves all receivers of a call."""

    def __init__(
        self,
        remote: Remote | None = None,
        codecs: Mapping[str, Codec] | None = None,
        enc_hook: EncHook | None = None,
    ) -> None:
        # Node-wide, so that a call to a room is one frame for everyone in it; a client sees its
        # ids count up, with holes.
        self._ids = count(1)
        self._pending: dict[int, Pending] = {}
        self._readers: dict[str, asyncio.Future[None]] = {}
        self._remote = remote
        self._codecs = codecs or {}
        self._enc_hook = enc_hook
        self._handed: dict[str, dict[str, HandedCall]] = {}
        """By member, what nodes have asked that its session was at before; `left` is when nobody
        waits any more."""
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
        pending = Collected(outgoing, waiting, reply, self._codecs, each)
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
        pending = Relayed(outgoing, {member.id for member in members}, tell)
        try:
            await self._ask(pending, members, timeout)
        except TimeoutError:
            return

    async def _ask(self, pending: Pending, members: Collection[Member], timeout: float) -> None:
        call_id = pending.outgoing.call_id
        assert call_id is not None
        self._pending[call_id] = pending
        pending.until = asyncio.get_running_loop().time() + timeout
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
        if self._still_asked(member):
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
            self._handed.get(member.id, {}).pop(id, None)

    def _referred(self, sender: str, answer: _Answer) -> None:
        pending, member = self._pending.get(answer.call_id), answer.reply.member
        if pending is not None and member in pending.waiting:
            pending.refer(answer.reply)
            pending.arrived(member)

    def ask_again(self, member: Member) -> None:
        """A connection has returned: what it has not answered may never have reached it."""
        codec = member.codec
        for call in self._still_asked(member.id) if isinstance(codec, SessionCodec) else ():
            assert isinstance(codec, SessionCodec)
            member.outbox.push(codec.call(*load(call.stored), call.id))
        for pending in self._pending.values():
            if member.id in pending.waiting:
                member.outbox.push(pending.outgoing.frame(member.codec))

    def hand_over(self, member: str) -> list[HandedCall]:
        """What a client has not answered yet, for the node that has its session next."""
        now, name = asyncio.get_running_loop().time(), self._name
        return [
            *(
                HandedCall(call.id, call.stored, call.left - now)
                for call in self._still_asked(member)
            ),
            *(
                HandedCall(
                    f"{id}.{name}", pending.outgoing.store(self._enc_hook), pending.until - now
                )
                for id, pending in self._pending.items()
                if member in pending.waiting
            ),
        ]

    def take_over(self, member: str, asked: Sequence[HandedCall]) -> None:
        """A session has come here, whose client has not answered what it was asked elsewhere."""
        now, name = asyncio.get_running_loop().time(), self._name
        handed = {
            call.id: HandedCall(call.id, call.stored, now + call.left)
            for call in asked
            # Those of this node it has not forgotten.
            if call.id.partition(".")[2] != name
        }
        if handed:
            self._handed[member] = handed

    def gone(self, member: str) -> None:
        """Its session is another node's, and with it what is still asked."""
        self._readers.pop(member, None)
        self._handed.pop(member, None)

    @property
    def _name(self) -> str:
        return "" if self._remote is None else self._remote.name

    def _still_asked(self, member: str) -> list[HandedCall]:
        handed = self._handed.get(member)
        if handed is None:
            return []
        now = asyncio.get_running_loop().time()
        for id in [id for id, call in handed.items() if call.left <= now]:
            del handed[id]
        return list(handed.values())

    def lost(self, member: str) -> None:
        """A connection is gone: nobody waits for it any longer."""
        self._readers.pop(member, None)
        self._handed.pop(member, None)
        for pending in self._pending.values():
            if member in pending.waiting:
                self._lose(pending, member)

    def _lose(self, pending: Pending, member: str) -> None:
        pending.fail(
            member,
            EventError(ErrorCode.INTERRUPTED, "the connection was lost before it answered"),
        )
        pending.arrived(member)
