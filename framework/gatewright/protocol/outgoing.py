"""An event on its way out, encoded once per wire format however many receive it."""

from typing import Any

from gatewright.protocol.codecs import Codec, EncHook
from gatewright.protocol.stored import dump, load
from gatewright.types import Frame, Position

__all__ = ["Outgoing"]


class Outgoing:
    """An event, its data and the frames made of it so far.

    `position` is known once the event stands in its namespace's sequence. Formats that carry it
    get their frames finished then; `prepare` finds out before that whether it can be encoded.
    """

    __slots__ = (
        "_finished",
        "_frames",
        "_least",
        "call_id",
        "data",
        "event",
        "namespace",
        "position",
        "stored",
        "volatile",
    )

    def __init__(
        self, event: str, data: Any, call_id: int | None = None, *, namespace: str = "/"
    ) -> None:
        self.namespace: str = namespace
        self.event: str = event
        self.data: Any = data
        self.call_id: int | None = call_id
        self.position: Position | None = None
        self.volatile: bool = False
        """Whether it stands outside the sequence; `position` is then the last one before it."""
        self.stored: bytes | None = None
        """What `restore` makes the event of again; None unless `store` was called."""
        self._least = 0
        self._frames: dict[str, Frame] = {}
        self._finished: dict[str, Frame] = {}

    @property
    def size(self) -> int:
        """Bytes of the largest frame made so far: what it costs to keep."""
        return max((frame.size for frame in self._frames.values()), default=self._least)

    def store(self, enc_hook: EncHook | None = None) -> bytes:
        """The event in a form that outlives the process; raises what the encoder raises."""
        if self.stored is None:
            self.stored = dump(self.event, self.data, enc_hook)
        return self.stored

    @classmethod
    def restore(cls, stored: bytes, size: int, namespace: str) -> "Outgoing":
        """The event that was stored, as if it were emitted now; `size` is what it was then."""
        event, data = load(stored)
        outgoing = cls(event, data, namespace=namespace)
        outgoing._least = size
        return outgoing

    def prepare(self, codec: Codec) -> Frame:
        """The frame without a position; raises what the encoder raises, the first time only."""
        frame = self._frames.get(codec.name)
        if frame is None:
            frame = codec.event(self.namespace, self.event, self.data, self.call_id)
            self._frames[codec.name] = frame
        return frame

    def frame(self, codec: Codec) -> Frame:
        """The frame in one wire format, as it is sent."""
        if not codec.positioned or self.position is None or self.call_id is not None:
            return self.prepare(codec)
        if self.volatile and not codec.positions_volatile:
            return self.prepare(codec)
        frame = self._finished.get(codec.name)
        if frame is None:
            frame = codec.positioned_event(
                self.namespace, self.event, self.data, self.prepare(codec), self.position
            )
            self._finished[codec.name] = frame
        return frame
