"""What happens on a node, for whoever watches it."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from gatewright.protocol.frames import Data
from gatewright.types import DisconnectReason

if TYPE_CHECKING:
    from gatewright.connection import Connection
    from gatewright.rooms import Member

__all__ = ["Observer"]


class Observer:
    """Is told while things happen, so its methods return quickly and never raise.

    `Node.observers` lists them. Whoever tells holds that list itself: to look whether it is empty
    is all that it costs while nobody watches.
    """

    def connected(self, connection: "Connection") -> None:
        """The hooks have let a connection in."""

    def disconnected(self, connection: "Connection", reason: DisconnectReason) -> None:
        """A connection has ended, even one that the hooks have not let in."""

    def joined(self, namespace: str, room: str, id: str) -> None:
        """A connection of this node is in a room from now on."""

    def left(self, namespace: str, room: str, id: str) -> None:
        """A connection of this node is in a room no longer."""

    def received(self, connection: "Connection", event: str, data: Data) -> None:
        """A client has sent an event that somebody handles."""

    def sent(self, namespace: str, members: "Collection[Member]", event: str, data: Any) -> None:
        """An event was queued for these connections."""

    def opened(self, socket: object) -> None:
        """A client's socket is open, or its Engine.IO session."""

    def upgraded(self, socket: object) -> None:
        """An Engine.IO session goes on with another transport."""

    def closed(self, socket: object, reason: DisconnectReason) -> None:
        """A client's socket is lost, or its Engine.IO session is over."""

    def read(self, size: int) -> None:
        """One packet came from a client; of text the size is in characters."""

    def written(self, packets: int, size: int) -> None:
        """Packets were handed to a client's socket; the size is in bytes."""
