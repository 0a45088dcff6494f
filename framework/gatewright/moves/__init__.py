"""Sessions that go from one node to another, with what is known of their calls."""

from gatewright.moves.asking import HandOver
from gatewright.moves.moves import Moves

__all__ = ["HandOver", "Moves"]
