"""Open calls to clients: whom each waits for, and what becomes of the answers."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from gatewright.answers import Reply, failed, read, refer, reply_of
from gatewright.errors import ErrorCode, EventError
from gatewright.protocol.codecs import Codec
from gatewright.protocol.frames import Envelope
from gatewright.protocol.outgoing import Outgoing

__all__ = ["Collected", "Pending", "Relayed", "Said"]


class Said(Struct, array_like=True):
    """From a node whose clients are asked: first whom it asks, then what they say."""

    asked: list[str] | None = None
    replies: list[Reply] = []


_said = msgspec.msgpack.Decoder(Said).decode


class Pending(ABC):
    """An open call: whom it waits for here."""

    def __init__(self, outgoing: Outgoing, waiting: set[str]) -> None:
        self.outgoing: Outgoing = outgoing
        self.waiting: set[str] = waiting
        self.until: float = 0.0
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


class Collected(Pending):
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


class Relayed(Pending):
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
