"""A session's way out: what its socket is told, and when."""

from collections.abc import Callable

from gatewright.outbox import Outbox
from gatewright.protocol.close import CloseCode
from gatewright.protocol.sessions.codecs import SessionCodec
from gatewright.protocol.sessions.frames import Away
from gatewright.types import Frame

__all__ = ["SessionOutlet"]


class SessionOutlet:
    """Where a session's frames go: to its socket, but not before `hello`."""

    def __init__(self, outbox: Outbox, codec: SessionCodec, closed: Callable[[], None]) -> None:
        """`closed` is called when nothing passes any more; more than once, perhaps."""
        self._closed = closed
        self._outbox = outbox
        self._codec = codec
        self._held: list[Frame] | None = []
        self._size = 0
        self.push: Callable[[Frame], None] = self._hold

    @property
    def closing(self) -> bool:
        return self._outbox.closing

    def _hold(self, frame: Frame) -> None:
        if self._held is None or self.closing:
            return
        self._held.append(frame)
        self._size += frame.size
        if self._size > self._outbox.limit:
            self._held = None
            self.close(CloseCode.SLOW_CONSUMER, "too much was sent before hello")

    def open(self, first: list[Frame]) -> None:
        """Send these, then what was held, and hold nothing any more."""
        held, self._held = self._held or [], None
        self.push = self._outbox.push
        for frame in (*first, *held):
            self._outbox.push(frame)

    def push_volatile(self, frame: Frame, key: str | None = None) -> bool:
        return self._held is None and self._outbox.push_volatile(frame, key)

    async def room(self, wanted: int = 0) -> None:
        await self._outbox.room(wanted)

    def away(self, after: float, reason: str) -> None:
        """Tell the client to connect again after so many seconds."""
        self.push(self._codec.control(Away(after, reason)))

    def close(self, code: int, reason: str = "") -> None:
        self._outbox.close(code, reason)
        self._closed()

    def lose(self) -> None:
        self._outbox.lose()
        self._closed()

    def abort(self) -> None:
        self._outbox.abort()

    async def aclose(self) -> None:
        await self._outbox.aclose()
