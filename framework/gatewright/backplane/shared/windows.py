"""What this node remembers of a namespace's entries, for the sessions that return to it."""

from collections.abc import Callable, Iterable, Sequence

from gatewright.backplane.base import Bounds, Entry
from gatewright.backplane.history import History

__all__ = ["Window"]


class Window:
    """The history of one namespace as this node has heard it, or read it from the log.

    It begins when a session asks for it; one that has to reach further back than it does makes the
    node read the log (`reaches`, `rebuild`). Every node judges by the same entries and bounds.
    """

    def __init__(self, namespace: str, bounds: Bounds, clock: Callable[[], float]) -> None:
        self._namespace = namespace
        self._bounds = bounds
        self._clock = clock
        self._since = 0
        self.history: History | None = None

    def begin(self, seq: int) -> None:
        """Remember what comes after entry `seq`, if that is not done already."""
        if self.history is None:
            self.history = History(self._namespace, self._bounds)
            self._since = seq
            self.history.floor = seq

    def forget(self) -> None:
        self.history = None

    def append(self, first: int, entries: Sequence[Entry], at: float) -> None:
        if self.history is not None and entries:
            self.history.append(first, entries, min(at, self._clock()))

    def reaches(self, seq: int) -> bool:
        """Whether everything after entry `seq` is here, or known to be lost."""
        return self.history is not None and self._since <= seq

    def rebuild(self, since: int, batches: Iterable[tuple[int, Sequence[Entry], float]]) -> None:
        """Remember what the log has: everything after entry `since`, up to now."""
        now = self._clock()
        history = History(self._namespace, self._bounds)
        history.floor = since
        for first, entries, at in batches:
            history.append(first, entries, min(at, now))
        history.trim(now)
        self.history = history
        # There is no more of it anywhere.
        self._since = 0
