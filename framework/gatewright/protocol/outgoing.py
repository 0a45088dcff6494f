"""An event on its way out, encoded once per wire format however many receive it."""

from typing import Any

from msgspec import UNSET, UnsetType

from gatewright.protocol.codecs import Codec
from gatewright.protocol.frames import Message
from gatewright.types import Frame

__all__ = ["Outgoing"]


class Outgoing:
    """An event, its data and the frames made of it so far."""

    __slots__ = ("_frames", "data", "event", "id")

    def __init__(self, event: str, data: Any, id: int | UnsetType = UNSET) -> None:
        self.event: str = event
        self.data: Any = data
        self.id: int | UnsetType = id
        self._frames: dict[str, Frame] = {}

    @property
    def size(self) -> int:
        """Bytes of the largest frame made so far: what it costs to keep."""
        return max((frame.size for frame in self._frames.values()), default=0)

    def frame(self, codec: Codec) -> Frame:
        """The frame in one wire format; raises what the encoder raises, the first time only."""
        frame = self._frames.get(codec.name)
        if frame is None:
            frame = codec.encode(Message(self.event, self.data, self.id))
            self._frames[codec.name] = frame
        return frame
