"""What a server remembers of one session's calls, so that each is executed once (rule R12)."""

from collections import OrderedDict
from collections.abc import Iterable
from enum import Enum, auto

from gatewright.protocol.sessions.frames import WINDOW
from gatewright.types import Frame

__all__ = ["Taken", "Window"]


class Taken(Enum):
    """What the call of an id is when its frame comes in."""

    NEW = auto()
    RUNNING = auto()
    ENDED = auto()
    UNKNOWN = auto()
    """It may have been executed, and its end is not there any more."""


class Window:
    """The calls of one session over all its sockets: those that run, and ends not yet confirmed.

    A client's ids rise, and it is never `WINDOW` ids ahead of a call that has not ended. So a call
    confirms the ends below its own window, and a pong those that were sent before the ping.
    """

    __slots__ = ("_asked", "_ends", "_known", "_limit", "_running", "_sent", "_size", "_top")

    def __init__(self, limit: int, taken: int | None = 0, sent: int = 0) -> None:
        """`limit` is how many bytes of ends are kept, `taken` the highest id that was taken.

        Where nobody knows that, which None says, it may have been any up to the id `sent`.
        """
        self._limit = limit
        self._top = sent if taken is None else taken
        self._known = taken is not None
        self._running: set[int] = set()
        self._ends: OrderedDict[int, Frame] = OrderedDict()
        self._size = 0
        self._sent: set[int] = set()
        self._asked: set[int] = set()

    @classmethod
    def handed_over(
        cls,
        limit: int,
        taken: int | None,
        sent: int,
        running: Iterable[int],
        ends: Iterable[tuple[int, Frame]],
    ) -> "Window":
        """What another node has known, and still executes."""
        window = cls(limit, taken, sent)
        window._running.update(running)
        for id, frame in ends:
            window.end(id, frame, sent=False)
        return window

    @property
    def last(self) -> int | None:
        """The highest id that was taken; None before the first where nobody knows."""
        return self._top if self._known else None

    @property
    def top(self) -> int:
        return self._top

    @property
    def running(self) -> bool:
        """Whether a call has been taken that has not ended."""
        return bool(self._running)

    @property
    def under_way(self) -> list[int]:
        """The calls that have been taken and have not ended."""
        return sorted(self._running)

    @property
    def ends(self) -> list[tuple[int, Frame]]:
        """The ends that are kept, in the order in which the calls ended."""
        return list(self._ends.items())

    def take(self, id: int) -> Taken:
        """A call has come in; a new one runs from here on."""
        if id > self._top:
            self._top = id
            self._known = True
            self._running.add(id)
            if self._ends:
                self._drop_below(id - WINDOW)
            return Taken.NEW
        if id in self._running:
            return Taken.RUNNING
        return Taken.ENDED if id in self._ends else Taken.UNKNOWN

    def take_again(self, id: int) -> None:
        """Execute a call of which nobody knows whether it was executed before."""
        self._running.add(id)

    def end(self, id: int, frame: Frame, *, sent: bool) -> None:
        """A call has ended; `sent` says whether its client has a socket to be told by."""
        self._running.discard(id)
        if (before := self._ends.pop(id, None)) is not None:
            self._size -= before.size
        self._ends[id] = frame
        self._size += frame.size
        if sent:
            self._sent.add(id)
        while self._size > self._limit:
            self._forget(next(iter(self._ends)))

    def lose(self, ids: Iterable[int]) -> None:
        """Nobody will tell how these end: whoever executed them is gone."""
        self._running.difference_update(ids)

    def again(self, id: int) -> Frame:
        """The end of a call that has `ENDED`; it is sent once more."""
        self._sent.add(id)
        return self._ends[id]

    def pinged(self) -> None:
        """A ping leaves, behind all ends that were sent on this socket."""
        self._asked.update(self._sent)

    def ponged(self) -> None:
        """The client has answered it, and so has got those ends."""
        for id in self._asked:
            self._forget(id)
        self._asked = set()

    def moved(self) -> None:
        """The session has another socket: what the old one was given may not have arrived."""
        self._sent = set()
        self._asked = set()

    def forget_ends(self) -> None:
        """The ends are in a format that the client does not speak any more."""
        self._ends.clear()
        self._size = 0
        self.moved()

    def _drop_below(self, id: int) -> None:
        # Ends stand in the order in which the calls ended, which is nearly that of their ids.
        while self._ends and (oldest := next(iter(self._ends))) <= id:
            self._forget(oldest)

    def _forget(self, id: int) -> None:
        frame = self._ends.pop(id, None)
        if frame is not None:
            self._size -= frame.size
        self._sent.discard(id)
