"""The calls of a client over several sockets: their ids, their window, and what is sent again."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain

from msgspec import UNSET, Raw, UnsetType

from gatewright.errors import ErrorCode
from gatewright.protocol.sessions.frames import WINDOW

__all__ = ["CLOSED", "OpenCall", "OpenCalls"]

CLOSED = "closed"
"""The code of a call that never left: it came after the end, or the end came before it."""


class OpenCall:
    """One call or stream that has not ended; the same object from its beginning to its end."""

    __slots__ = ("abandoned", "data", "event", "id", "size", "stream")

    def __init__(
        self, event: str, data: Raw | UnsetType = UNSET, *, stream: bool = False, size: int = 0
    ) -> None:
        self.event: str = event
        self.data: Raw | UnsetType = data
        self.stream: bool = stream
        self.size: int = size
        """Bytes that its frame has at the most."""
        self.id: int | None = None
        """Its id on the wire, given when it is sent first."""
        self.abandoned: bool = False
        """Nobody waits for its end any more."""

    @property
    def code_at_the_end(self) -> str:
        """What it fails with when the session ends before it."""
        if self.id is None:
            return CLOSED
        return ErrorCode.INTERRUPTED if self.stream else ErrorCode.REPLY_LOST

    def __repr__(self) -> str:
        return f"<OpenCall {self.id} {self.event!r}>"


class OpenCalls:
    """What has been called and has not ended."""

    def __init__(self) -> None:
        self.sent: int = 0
        """The highest id that was sent in this session."""
        self._calls: dict[int, OpenCall] = {}
        # Apart, since they are never sent again: no end of theirs has to be kept by the server, so
        # one that runs for days must not hold the window.
        self._streams: dict[int, OpenCall] = {}
        self._waiting: deque[OpenCall] = deque()
        self._first: deque[OpenCall] = deque()

    @property
    def waiting(self) -> int:
        """How many have not been sent yet."""
        return len(self._waiting) + len(self._first)

    def __len__(self) -> int:
        return len(self._calls) + len(self._streams) + self.waiting

    def __iter__(self) -> Iterator[OpenCall]:
        """Those that were sent, in the order of their ids, then the others."""
        sent = sorted([*self._calls.items(), *self._streams.items()], key=lambda pair: pair[0])
        return chain((call for _, call in sent), self._first, self._waiting)

    def add(self, call: OpenCall, *, first: bool) -> None:
        """Let a call wait for its turn; `first` puts it before those that are held."""
        (self._first if first else self._waiting).append(call)

    def next(self, maximum: int, *, held: bool) -> OpenCall | None:
        """The next one to be sent, under its new id, if the window is open.

        One of more than `maximum` bytes comes without an id: it has ended. `held` leaves all but
        the first ones.
        """
        queue = self._first or (None if held else self._waiting)
        if not queue:
            return None
        if queue[0].size > maximum:
            return queue.popleft()
        lowest = next(iter(self._calls), None)
        if lowest is not None and self.sent + 1 - lowest >= WINDOW:
            return None
        call = queue.popleft()
        self.sent += 1
        call.id = self.sent
        (self._streams if call.stream else self._calls)[self.sent] = call
        return call

    def get(self, id: int) -> OpenCall | None:
        """The call that was sent under an id and has not ended."""
        return self._calls.get(id) or self._streams.get(id)

    def end(self, call: OpenCall) -> bool:
        """Forget a call; False if it has ended before."""
        if call.id is None:
            for queue in (self._first, self._waiting):
                # Not by equality: two calls may say the same.
                for place, other in enumerate(queue):
                    if other is call:
                        del queue[place]
                        return True
            return False
        table = self._streams if call.stream else self._calls
        if table.get(call.id) is not call:
            return False
        del table[call.id]
        return True

    def interrupt(self) -> list[OpenCall]:
        """End the streams of a socket that was lost."""
        streams = list(self._streams.values())
        self._streams.clear()
        return streams

    def resume(self, last: int | None) -> tuple[list[int], list[OpenCall]]:
        """What to cancel and what to send again in a resumed session.

        A call that was abandoned meanwhile is not sent again, only cancelled if it was taken.
        """
        abandoned = [call for call in self._calls.values() if call.abandoned]
        for call in abandoned:
            self.end(call)
        ids = [call.id for call in abandoned if call.id is not None]
        return [id for id in ids if last is None or id <= last], list(self._calls.values())

    def restart(self) -> list[OpenCall]:
        """Begin a new session; returns the calls whose replies are lost."""
        lost = list(self._calls.values())
        self._calls.clear()
        self.sent = 0
        return lost

    def clear(self) -> Iterable[OpenCall]:
        """Forget all, and return them."""
        every = list(self)
        self._calls.clear()
        self._streams.clear()
        self._waiting.clear()
        self._first.clear()
        return every
