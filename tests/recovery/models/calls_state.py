"""The states of the model of calls: one client and one process."""

from msgspec import Struct, field

__all__ = ["Asked", "Call", "Down", "Link", "Rules", "Scope", "Server", "State", "Up"]


class Rules(Struct, frozen=True):
    """R12 in pieces."""

    dedup: bool = True
    """What was taken before is not executed again."""
    taken: bool = True
    """An id is new above the highest that was taken, whether or not that has ended."""
    attach: bool = True
    """What is sent again while it runs gets the one end when there is one."""
    keep_ends: bool = True
    """Ends are kept until they are confirmed."""
    confirm_before: bool = True
    """A pong confirms the answers that were sent before its ping, no later ones."""
    confirm_here: bool = True
    """It confirms those that were sent over its socket, none that went over another before."""
    window: bool = True
    """A client does not run ahead of its lowest open call by more than the server keeps."""
    in_order: bool = True
    """A client that resumes sends its open calls again before any new one."""
    sent: bool = True
    """It says up to which id it has sent, for a process that does not know."""
    reply_lost: bool = True
    """What may have been executed, and nobody knows, is not executed again."""
    ends_alone: bool = True
    """In a new session the calls of the old one are over; they are not sent again."""


class Scope(Struct, frozen=True, kw_only=True):
    calls: int = 1
    idempotent: int = 0
    cuts: int = 0
    pings: int = 0
    restarts: int = 0
    expiries: int = 0
    window: int = 2
    """128 in the protocol."""


class Call(Struct):
    """A call as its caller sees it."""

    idempotent: bool = False
    id: int = 0
    """0 until it is sent, -1 if it belongs to a session that is over."""
    end: str | None = None
    effects: int = 0
    excused: bool = False
    """Whether the process or the session that had taken it is gone."""


class Asked(Struct):
    """A call as the server keeps it."""

    id: int
    call: int
    """Which of the client's."""
    effect: bool = False
    end: str | None = None
    written: int | None = None
    """How many pings of the present socket came before its end; None if that was not sent on it."""


class Server(Struct):
    """What the process knows of the session."""

    session: int = 1
    last: int | None = 0
    """The highest id that was taken."""
    calls: list[Asked] = field(default_factory=list)

    def find(self, id: int) -> Asked:
        """The one under this id that has not ended."""
        return next(each for each in self.calls if each.id == id and each.end is None)


class Up(Struct, frozen=True, array_like=True):
    kind: str
    id: int = 0
    call: int = 0


class Down(Struct, frozen=True, array_like=True):
    """A frame of the server; the `id` of a hello is that of its session."""

    kind: str
    id: int = 0


class Link(Struct):
    greeted: bool = True
    """Whether the client has got `hello`."""
    up: list[Up] = field(default_factory=list)
    down: list[Down] = field(default_factory=list)
    again: list[int] = field(default_factory=list)
    """Ids that are still to be sent again."""
    pinged: int = 0
    ponged: int = 0


class State(Struct):
    left: dict[str, int]
    server: Server
    link: Link | None
    session: int = 1
    """The client's."""
    sent: int = 0
    """The highest id that it has used in this session."""
    calls: list[Call] = field(default_factory=list)
