"""What clients are told: `presence:state` and `presence:diff` (docs/protocol.md, "Presence")."""

from typing import Any, Final, Generic

from msgspec import Struct
from typing_extensions import TypeVar

__all__ = ["DIFF", "STATE", "Person", "PresenceDiff", "PresenceState"]

T = TypeVar("T", default=Any)

STATE: Final = "presence:state"
DIFF: Final = "presence:diff"


class Person(Struct, Generic[T], frozen=True):
    """Somebody in a room: a user with all their connections, or an anonymous connection.

    `id` is the user's name, or the connection's id; `meta` has what each connection has tracked, in
    the order in which they began to.
    """

    id: str
    meta: list[T]


class PresenceState(Struct, frozen=True):
    """Everybody in a room, those who came first standing first."""

    room: str
    people: list[Person]


class PresenceDiff(Struct, frozen=True):
    """What is different in a room since the state or the diff before.

    Who is in `changed` was there and still is, with other metas than before; in `left` the metas
    are the last ones.
    """

    room: str
    joined: list[Person]
    left: list[Person]
    changed: list[Person]
