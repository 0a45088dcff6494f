"""What can be wrong with a connection: the switches of `tests.chaos.proxy`."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from tests.chaos.frames import Frame

__all__ = ["Direction", "Faults", "Switches", "Trigger"]

Direction = Literal["up", "down"]
"""Up is from the client to the server."""


class Trigger:
    """Waits for its moment, and cuts one connection there; `fired` tells that it has.

    One that is given to a proxy watches all its connections and cuts the first that gets there.
    """

    def __init__(
        self,
        *,
        size: int | None = None,
        frames: int | None = None,
        when: Callable[[Frame], bool] | None = None,
        instead: bool = False,
    ) -> None:
        self.fired = asyncio.Event()
        self._size = size
        self._frames = frames
        self._when = when
        self._instead = instead

    def cut(self, data: bytes, ends: Sequence[tuple[int, Frame]]) -> int | None:
        """Where in `data` the connection is cut, or None if it is not."""
        if self._size is not None:
            self._size -= len(data)
            return len(data) + self._size if self._size <= 0 else None
        start = 0
        for end, frame in ends:
            if frame.is_data and self._is_it(frame):
                return start if self._instead else end
            start = end
        return None

    @property
    def looks_at_frames(self) -> bool:
        return self._size is None

    def _is_it(self, frame: Frame) -> bool:
        if self._when is not None and not self._when(frame):
            return False
        if self._frames is not None:
            self._frames -= 1
            return self._frames <= 0
        return True


class Faults:
    """What is wrong with one direction."""

    def __init__(self, like: "Faults | None" = None) -> None:
        self.flowing = asyncio.Event()
        if like is None or like.flowing.is_set():
            self.flowing.set()
        self.swallows: bool = like.swallows if like else False
        self.piece: int | None = like.piece if like else None
        self.delay: float = like.delay if like else 0.0
        self.trigger: Trigger | None = like.trigger if like else None

    def heal(self) -> None:
        self.flowing.set()
        self.swallows = False
        self.piece = None
        self.delay = 0.0
        self.trigger = None


class Switches:
    """The faults of a proxy or of one connection."""

    def _faults(self, direction: Direction | None) -> Iterable[Faults]:
        raise NotImplementedError

    def stall(self, direction: Direction | None = None) -> None:
        """Stop reading, so that buffers fill and the sender's window closes: backpressure."""
        for faults in self._faults(direction):
            faults.flowing.clear()

    def blackhole(self, direction: Direction | None = None) -> None:
        """Take everything and pass on nothing, not even an end; TCP goes on acknowledging."""
        for faults in self._faults(direction):
            faults.swallows = True

    def slice(self, size: int, direction: Direction | None = None) -> None:
        """Pass on at most `size` bytes at a time, a millisecond apart."""
        for faults in self._faults(direction):
            faults.piece = size

    def delay(self, seconds: float, direction: Direction | None = None) -> None:
        """Hold back what was read at once, up to 64 KiB, for so long."""
        for faults in self._faults(direction):
            faults.delay = seconds

    def heal(self, direction: Direction | None = None) -> None:
        """End all of these, and disarm triggers. What was swallowed stays lost."""
        for faults in self._faults(direction):
            faults.heal()

    def cut_after(
        self, direction: Direction, *, size: int | None = None, frames: int | None = None
    ) -> Trigger:
        """Cut as soon as `size` bytes, or so many data frames, have passed from now."""
        assert (size is None) != (frames is None), "expected either size or frames"
        return self._arm(direction, Trigger(size=size, frames=frames))

    def cut_instead(
        self, direction: Direction, *, nth: int = 1, when: Callable[[Frame], bool] | None = None
    ) -> Trigger:
        """Cut in place of the n-th data frame from now, or the n-th that `when` is true for.

        With "down" and the answer to a call: between the effect and the reply. Frames are as they
        travel; a client that compresses offers `when` what it cannot read.
        """
        return self._arm(direction, Trigger(frames=nth, when=when, instead=True))

    def _arm(self, direction: Direction, trigger: Trigger) -> Trigger:
        for faults in self._faults(direction):
            faults.trigger = trigger
        return trigger
