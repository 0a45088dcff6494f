"""Who is in a room: every node says it of its own connections, and all merge what they hear.

`own` is what this node says, `others` what the other nodes have said, `letters` what passes between
them; `roster` merges it. `audience` tells a room's members what has changed, and `tracker` lets all
of that run.
"""

from gatewright.presence.events import Person, PresenceDiff, PresenceState
from gatewright.presence.tracker import Tracked, Tracker

__all__ = ["Person", "PresenceDiff", "PresenceState", "Tracked", "Tracker"]
