"""Where a client stands in its namespace's sequence: rules 1 to 4 of the protocol's "Positions"."""

from gatewright.types import Position

__all__ = ["Place"]


class Place:
    """The one position that a client keeps."""

    __slots__ = ("position",)

    def __init__(self) -> None:
        self.position: Position | None = None

    def begin(self, epoch: str, seq: int) -> None:
        """A new session sets it."""
        self.position = Position(epoch, seq)

    def move(self, seq: int) -> bool:
        """A message or a ping moves it up; False for what was there before."""
        position = self.position
        assert position is not None
        if seq <= position.seq:
            return False
        self.position = Position(position.epoch, seq)
        return True

    def gap(self, epoch: str, seq: int) -> None:
        """A gap moves it to another epoch or down, never up: other rooms may still be replayed."""
        position = self.position
        if position is None or position.epoch != epoch or seq < position.seq:
            self.position = Position(epoch, seq)
