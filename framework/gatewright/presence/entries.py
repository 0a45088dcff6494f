"""What is said of one connection."""

from typing import TypeAlias

from msgspec import Struct

__all__ = ["Entry", "Key"]

Key: TypeAlias = tuple[str, str]
"""A connection: its namespace and its id."""


class Entry(Struct, frozen=True, array_like=True):
    """A connection that is in some rooms, as its node announces it.

    `generation` counts the sockets of its session: where two nodes speak of the same connection,
    the later one is right. One that is `gone` outdoes what others may still say of it.
    """

    namespace: str
    id: str
    generation: int
    person: str
    since: float
    rooms: tuple[str, ...]
    meta: bytes
    gone: bool = False

    @property
    def key(self) -> Key:
        return self.namespace, self.id
