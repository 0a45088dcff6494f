"""What an application starts and stops along with itself."""

from abc import ABC, abstractmethod
from collections.abc import Collection

from gatewright.node import Node

__all__ = ["Bridge"]


class Bridge(ABC):
    """Joins an application's connections with those of servers of another kind.

    What is emitted here it hears as one of `Node.relays`.
    """

    @abstractmethod
    async def start(self, node: Node, namespaces: Collection[str]) -> None:
        """Begin; `namespaces` are the application's own, as declared. Raises `StartupError`."""

    @abstractmethod
    async def stop(self) -> None:
        """Tell what is still to be told, and end."""
