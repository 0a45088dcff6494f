"""What nodes tell each other about sessions that go from one to another."""

from typing import Any, TypeAlias

from msgspec import Struct

from gatewright.calls import HandedCall

__all__ = ["About", "CallEnded", "CallIds", "Ends", "Key", "Yield", "Yielded"]

Key: TypeAlias = tuple[str, str]
"""A session's namespace and id."""


class Yield(Struct, array_like=True):
    """Asks for a session: its socket is to be closed, and what is known of its calls told."""

    key: Key
    generation: int


class Ends(Struct, array_like=True):
    """Ends of calls, each its id, its bytes and whether they are binary; at first none."""

    ends: list[tuple[int, bytes, bool]] = []


class Yielded(Struct, array_like=True):
    """The end of the answer; unknown: the session is not, or not as asked for, at this node."""

    known: bool = False
    calls: bool = False
    """Whether there is something to know of its calls."""
    codec: str = ""
    taken: int | None = None
    running: list[int] = []
    busy: bool = False
    """Whether handlers of it still run."""
    asked: list[HandedCall] = []


class About(Struct, array_like=True):
    """About a session: that it was taken with a generation, is over, or its handlers are done."""

    key: Key
    generation: int = 0


class CallEnded(Struct, array_like=True):
    """A call of a session has ended where it was: with data as stored, or an error."""

    key: Key
    call_id: int
    data: bytes | None = None
    error: tuple[str, str, Any] | None = None


class CallIds(Struct, array_like=True):
    """Calls of a session: to cancel, or lost for good."""

    key: Key
    ids: list[int]
