"""Calls that the server makes to clients, and the answers that come back."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from itertools import count
from typing import Any, Generic, cast, get_origin

import msgspec
from typing_extensions import TypeForm, TypeVar

from gatewright.errors import CallTimeout, ErrorCode, EventError
from gatewright.protocol.codecs import Codec, decode_errors, describe
from gatewright.protocol.frames import Envelope, ErrorBody
from gatewright.protocol.outgoing import Outgoing
from gatewright.rooms import Member, send

__all__ = ["Answers", "Calls"]

logger: logging.Logger = logging.getLogger("gatewright")

T = TypeVar("T")


class Answers(list[T], Generic[T]):
    """The receivers' answers in the order of their arrival.

    `errors` holds, by connection id, those who answered with an error or left meanwhile.
    """

    def __init__(
        self, answers: Iterable[T] = (), errors: dict[str, EventError] | None = None
    ) -> None:
        super().__init__(answers)
        self.errors: dict[str, EventError] = errors if errors is not None else {}


class _Pending:
    __slots__ = ("answers", "each", "errors", "finished", "kind", "outgoing", "waiting")

    def __init__(
        self,
        kind: Any,
        outgoing: Outgoing,
        waiting: set[str],
        finished: asyncio.Future[None],
        each: Callable[[Any], None] | None,
    ) -> None:
        self.outgoing = outgoing
        self.kind = kind
        self.waiting = waiting
        self.finished = finished
        self.each = each
        self.answers: list[Any] = []
        self.errors: dict[str, EventError] = {}


class Calls:
    """The node's open calls to clients. One id serves all receivers of a call."""

    def __init__(self) -> None:
        # Node-wide, so that a call to a room is one frame for everyone in it; a client sees its
        # ids count up, with holes.
        self._ids = count(1)
        self._pending: dict[int, _Pending] = {}
        self._readers: dict[str, asyncio.Future[None]] = {}

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
    ) -> Answers[T]:
        """Ask every member and wait for all answers; raises `CallTimeout` with those that came.

        `each` is called with every answer as it comes, and returns quickly.
        """
        if not members:
            return Answers()
        call_id = next(self._ids)
        finished = asyncio.get_running_loop().create_future()
        outgoing = Outgoing(event, data, call_id, namespace=namespace)
        pending = _Pending(reply, outgoing, {member.id for member in members}, finished, each)
        self._pending[call_id] = pending
        for id in pending.waiting & self._readers.keys():
            reader = self._readers.pop(id)
            if not reader.done():
                reader.set_result(None)
        try:
            send(members, outgoing)
            for member in members:
                # Who has said goodbye already may be lost already, and will not be again.
                if member.outbox.closing and not member.patient:
                    self._lose(pending, member.id)
            async with asyncio.timeout(timeout):
                await finished
        except TimeoutError:
            raise CallTimeout(
                timeout, pending.answers, pending.errors, sorted(pending.waiting)
            ) from None
        finally:
            del self._pending[call_id]
        return Answers(pending.answers, pending.errors)

    def pause(self, member: str, reader: asyncio.Future[None]) -> bool:
        """Let the reader of a connection wait for a future, which the next call to it ends.

        False when its client is being asked already: the answer must be read.
        """
        if any(member in pending.waiting for pending in self._pending.values()):
            return False
        self._readers[member] = reader
        return True

    def answer(self, member: Member, envelope: Envelope) -> bool:
        """Take a client's answer; False when nobody waits for it (any more)."""
        pending = self._pending.get(envelope.id) if isinstance(envelope.id, int) else None
        if pending is None or member.id not in pending.waiting:
            return False
        try:
            if envelope.error:
                body = _decoder(member.codec, ErrorBody)(envelope.error)
                details = None if body.details is msgspec.UNSET else body.details
                pending.errors[member.id] = EventError(body.code, body.message, details)
            else:
                data = envelope.data or member.codec.null
                pending.answers.append(_decoder(member.codec, pending.kind)(data))
        except decode_errors as error:
            pending.errors[member.id] = EventError(ErrorCode.INVALID, describe(error))
        except Exception:
            # A dec_hook's bug is the application's own: it must not end the client's connection.
            logger.exception("the answer of connection %s could not be decoded", member.id)
            pending.errors[member.id] = EventError(
                ErrorCode.INTERNAL, "the answer could not be decoded"
            )
        if pending.each is not None:
            failure = pending.errors.get(member.id)
            pending.each(pending.answers[-1] if failure is None else failure)
        self._arrived(pending, member.id)
        return True

    def ask_again(self, member: Member) -> None:
        """A connection has returned: what it has not answered may never have reached it."""
        for pending in self._pending.values():
            if member.id in pending.waiting:
                member.outbox.push(pending.outgoing.frame(member.codec))

    def lost(self, member: str) -> None:
        """A connection is gone: nobody waits for it any longer."""
        self._readers.pop(member, None)
        for pending in self._pending.values():
            if member in pending.waiting:
                self._lose(pending, member)

    def _lose(self, pending: _Pending, member: str) -> None:
        pending.errors[member] = EventError(
            ErrorCode.INTERRUPTED, "the connection was lost before it answered"
        )
        self._arrived(pending, member)

    def _arrived(self, pending: _Pending, member: str) -> None:
        pending.waiting.discard(member)
        if not pending.waiting and not pending.finished.done():
            pending.finished.set_result(None)


@lru_cache(maxsize=1024)
def _cached(codec: Any, kind: Any) -> Callable[[Any], Any]:
    decoder: Callable[[Any], Any] = codec.decoder(kind, several=_is_tuple(kind))
    return decoder


def _decoder(codec: Codec, kind: Any) -> Callable[[Any], Any]:
    try:
        return _cached(cast(Any, codec), kind)
    except TypeError:
        # An unhashable type, such as Annotated with a mutable argument.
        return codec.decoder(kind, several=_is_tuple(kind))


def _is_tuple(kind: Any) -> bool:
    """Whether an answer of several arguments is wanted, where a format knows such."""
    return get_origin(kind) is tuple
