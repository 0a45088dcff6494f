"""What an engine does for a backplane that nodes share.

Of every namespace it keeps a *lane*: messages in one order for all, each with a number `n` of its
own. A message is a batch of `count` entries, or a marker (count 0); what it says is in its body,
which the engine never looks into. Entries have numbers too: those of a batch end at its `seq`, and
a marker stands after the entry `seq`. The lane is kept for a while, so that a node that has lost
touch can read what it did not hear. Numbers of an epoch only rise; whoever has lost what it had
said, begins another epoch.

Besides it keeps a record per session, replaced by whoever shows that nobody else has replaced it.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Protocol

from msgspec import Struct

from gatewright.backplane.base import Bounds
from gatewright.errors import BackplaneError

__all__ = ["Ears", "Head", "Log", "Message", "Page", "Replaced", "Stored", "Unreachable"]


class Unreachable(BackplaneError):
    """The engine could not be reached, or not be asked in time; what was asked may be done."""


class Head(Struct, frozen=True):
    """Where a lane ends: the numbers of its last message and of its last entry."""

    epoch: str
    n: int
    seq: int


class Message(Struct, frozen=True):
    """A message of a lane; `prev` is the number of the one before it in this lane.

    `floor` is the `seq` of that one, where numbers of entries have holes between them.
    """

    epoch: str
    n: int
    prev: int
    seq: int
    count: int
    body: bytes
    floor: int | None = None

    @property
    def before(self) -> int:
        """Where the lane ended before it: the `seq` of the message `prev`."""
        return self.seq - self.count if self.floor is None else self.floor


class Page(Struct, frozen=True):
    """Messages in their order, as far as the head of that moment or a page goes.

    Of what comes after the message `since` none is missing.
    """

    head: Head
    messages: Sequence[Message]
    since: int


class Stored(Struct, frozen=True):
    """A session's record, and the markers of its member that may not be in it yet.

    `version` stands for this text of the record and no other.
    """

    id: str
    record: bytes
    version: str
    marks: Sequence[Message]


class Replaced(Struct, frozen=True):
    """A record was replaced; its marker, if it had one, stands at `head`.

    `marks` are the member's markers up to there, its own too, as in `Stored`.
    """

    version: str
    head: Head
    marks: Sequence[Message]


class Ears(Protocol):
    """Who hears what an engine brings; nothing here waits or raises."""

    def heard(self, namespace: str, message: Message) -> None:
        """The next message of a lane that is subscribed to, or one further on or known already."""

    def cast(self, namespace: str, body: bytes) -> None:
        """Something outside the lane, from any node, this one too."""

    def mail(self, body: bytes) -> None:
        """Something for this node, or for all."""

    def broken(self, namespaces: Collection[str] | None) -> None:
        """Of these lanes, or of all and of the mail, messages may be missed from here on.

        They are not subscribed to any more.
        """


class Log(ABC):
    """An engine. Every method raises `Unreachable` within a few seconds rather than hang.

    Whatever may be repeated after that is safe to repeat: see each.
    """

    @abstractmethod
    async def start(self, node: str, ears: Ears, bounds: Bounds) -> None:
        """Connect, find out that all promises can be kept, and take mail.

        `StartupError` says which cannot, and why. Lanes are kept for at least `bounds.age` and
        `bounds.grace` seconds, as long as `bounds.namespace_bytes` allow it.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Disconnect; nothing is heard any more. Also after a start that has failed."""

    # Lanes

    @abstractmethod
    async def append(
        self, namespace: str, body: bytes, count: int, number: int, member: str | None = None
    ) -> Head:
        """Put a message in a lane and tell all who subscribe to it; returns where it stands.

        This node numbers what it appends to a namespace, upwards; the same number again is not
        appended again, and returns where it stands. A marker of a `member` that has a record is in
        the `marks` of that record from here on.
        """

    @abstractmethod
    async def head(self, namespace: str) -> Head:
        """Where a lane ends; one that is new begins here."""

    @abstractmethod
    async def subscribe(self, namespace: str) -> Head:
        """Hear all messages from here on, which is not before the returned head."""

    @abstractmethod
    async def unsubscribe(self, namespace: str) -> None:
        """Hear no more of a lane, after at most some that were under way."""

    @abstractmethod
    async def read(self, namespace: str, after: int) -> Page:
        """Messages that come after a number, as far as they are kept; call it again for more."""

    # Records; `keys` are SHA-256 by which a record is found as well. Each is a step that is done
    # whole or not at all, as seen from outside.

    @abstractmethod
    async def load(self, namespace: str, id: str) -> Stored | None: ...

    @abstractmethod
    async def find(self, namespace: str, key: bytes) -> Stored | None: ...

    @abstractmethod
    async def create(
        self, namespace: str, id: str, record: bytes, version: str, keys: Collection[bytes]
    ) -> Head | None:
        """A new record; None where the id or a key has one. The same version again is fine."""

    @abstractmethod
    async def replace(
        self,
        namespace: str,
        stored: Stored,
        record: bytes,
        version: str,
        *,
        folded: int,
        add: Collection[bytes] = (),
        drop: Collection[bytes] = (),
        marker: bytes | None = None,
    ) -> Replaced | None:
        """Put a record in the place of `stored`; None where that is not the newest any more.

        It has all marks up to the number `folded` in it. `marker` is put in the lane in the same
        step. The same version again is fine.
        """

    @abstractmethod
    async def remove(
        self, namespace: str, stored: Stored, keys: Collection[bytes], marker: bytes | None = None
    ) -> bool:
        """Take a record away, and put a marker in the lane; False as None of `replace`."""

    # When to look at a record again: no more than a hint, which may be told twice.

    @abstractmethod
    async def remind(self, namespace: str, id: str, at: float) -> None:
        """Have it told at this time, in seconds as `due` counts them, instead of the one before."""

    @abstractmethod
    async def due(self, now: float, limit: int) -> Sequence[tuple[str, str]]:
        """Namespace and id of what is to be looked at; to other nodes it is not told meanwhile.

        It is told again after a minute, unless `remind` or `forget` was called for it.
        """

    @abstractmethod
    async def forget(self, namespace: str, id: str) -> None:
        """There is nothing to be looked at any more."""

    # Nodes

    @abstractmethod
    async def listen(self) -> None:
        """Take mail again after all was broken."""

    @abstractmethod
    async def cast(self, namespace: str, body: bytes) -> None:
        """Tell all who subscribe to a namespace, outside the lane."""

    @abstractmethod
    async def send(self, body: bytes, node: str | None = None) -> None:
        """Tell one node, or all, this one too."""
