"""What has changed in memory, for a backplane that writes it down as well."""

from typing import Literal

__all__ = ["Changes", "Stream"]

Stream = tuple[Literal["room", "user", "all"], str]
"""What an entry lies in: a room, the messages for a user, or those for everyone."""


class Changes:
    """Names of things that are not any more what was written last.

    What they are now is looked up when they are written, so that whatever happened to one of them
    meanwhile is one row.
    """

    __slots__ = ("cleared", "durable", "entries", "heads", "members", "sessions", "streams")

    def __init__(self) -> None:
        self.heads: set[str] = set()
        """Namespaces whose position has changed, or that were forgotten."""
        self.cleared: set[str] = set()
        """Namespaces whose history has ended."""
        self.entries: set[tuple[str, int]] = set()
        self.streams: set[tuple[str, Stream]] = set()
        """Streams that have lost entries, or of which that was forgotten."""
        self.sessions: set[tuple[str, str]] = set()
        self.members: set[tuple[str, str]] = set()
        """Members without a session: they end with the process."""
        self.durable: bool = False
        """Whether there was anything that has to outlive the process, since this was reset."""

    def reset(self) -> None:
        """Everything is written."""
        self.heads.clear()
        self.cleared.clear()
        self.entries.clear()
        self.streams.clear()
        self.sessions.clear()
        self.members.clear()

    def head(self, namespace: str) -> None:
        self.heads.add(namespace)
        self.durable = True

    def clear(self, namespace: str) -> None:
        self.cleared.add(namespace)
        self.durable = True

    def entry(self, namespace: str, seq: int) -> None:
        self.entries.add((namespace, seq))
        self.durable = True

    def stream(self, namespace: str, stream: Stream) -> None:
        self.streams.add((namespace, stream))
        self.durable = True

    def session(self, namespace: str, id: str) -> None:
        self.sessions.add((namespace, id))
        self.durable = True

    def member(self, namespace: str, id: str) -> None:
        self.members.add((namespace, id))
