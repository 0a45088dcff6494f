"""What has happened, as an omniscient bystander would write it down."""

from collections import Counter
from collections.abc import Iterator

from msgspec import Struct, field

__all__ = ["Emitted", "Stay", "Story", "Stream", "Truth"]

Stream = tuple[str, str]


class Emitted(Struct, frozen=True):
    """One entry of the sequence, and whom it was for."""

    mark: int
    epoch: str
    seq: int
    rooms: tuple[str, ...] | None
    users: tuple[str, ...] | None
    except_: tuple[str, ...]

    @property
    def streams(self) -> set[Stream]:
        if self.rooms is None and self.users is None:
            return {("all", "*")}
        return {("room", room) for room in self.rooms or ()} | {
            ("user", user) for user in self.users or ()
        }


class Stay(Struct):
    since: int
    until: int | None = None
    revoked: bool = False

    def has(self, seq: int) -> bool:
        return self.since < seq and (self.until is None or seq <= self.until)


class Story(Struct, kw_only=True):
    """The life of one session, from the server's side."""

    id: str
    user: str | None
    epoch: str
    start: int
    stays: dict[str, list[Stay]] = field(default_factory=dict)
    hooks: list[str] = field(default_factory=lambda: ["connect"])
    taken: int | None = 0
    """The highest id of a call that the server has taken; None where it does not know."""
    kept: int | None = None
    """The same as it was when its last socket was lost, which is written down until it returns."""
    claimed: int | None = None
    """Up to which id the client has sent calls, as it told a server that does not know."""
    saved: int = 0
    """The state."""
    left: float = 0.0
    """When its last socket was lost."""
    over: bool = False

    @property
    def here(self) -> bool:
        """Whether it has a socket, as far as the server knows."""
        return self.hooks[-1] in {"connect", "resume"}

    @property
    def rooms(self) -> set[str]:
        return {room for room, stays in self.stays.items() if stays and stays[-1].until is None}

    def opened(self, sent: int) -> None:
        """Somebody asks for the session, and says how far its calls were sent."""
        if self.taken is None and self.claimed is None:
            self.claimed = sent

    def takes(self, call: int) -> None:
        """The server has got a call."""
        if self.taken is not None or call > (self.claimed or 0):
            self.taken = max(self.taken or 0, call)

    def moves(self) -> None:
        """Another process knows what was written down, and no more."""
        self.taken, self.claimed = self.kept, None

    def join(self, room: str, seq: int) -> None:
        if room not in self.rooms:
            self.stays.setdefault(room, []).append(Stay(seq))

    def leave(self, room: str, seq: int) -> None:
        if room in self.rooms:
            self.stays[room][-1].until = seq

    def revoke(self, room: str, seq: int) -> None:
        self.leave(room, seq)
        for stay in self.stays.get(room, ()):
            stay.revoked = True

    def reached_by(self, entry: Emitted) -> set[Stream]:
        """The streams that it is entitled to this entry by; none if it was not for it."""
        if entry.epoch != self.epoch or entry.seq <= self.start:
            return set()
        for room in entry.except_:
            if room == self.id or any(stay.has(entry.seq) for stay in self.stays.get(room, ())):
                return set()
        return {stream for stream in entry.streams if self._in(stream, entry.seq)}

    def _in(self, stream: Stream, seq: int) -> bool:
        kind, name = stream
        if kind == "all":
            return True
        if kind == "user":
            return name == self.user
        return name == self.id or any(
            stay.has(seq) and not stay.revoked for stay in self.stays.get(name, ())
        )


class Truth:
    """Everything that was emitted, everything that was done, and every session there was."""

    def __init__(self) -> None:
        self.log: list[Emitted] = []
        self.epoch: str = ""
        self.head: int = 0
        self.stories: dict[str, Story] = {}
        self.effects: Counter[int] = Counter()
        self.forbidden: set[str] = set()
        """Rooms that nobody may be in any more."""
        self.once_forbidden: set[str] = set()
        self.volatile: set[int] = set()
        """Marks of volatile events."""
        self.wrong: list[str] = []
        """What the application itself has noticed."""

    def emitted(self, entry: Emitted) -> None:
        assert entry.seq == self.head + 1, f"expected number {self.head + 1}, got {entry.seq}"
        self.head = entry.seq
        self.log.append(entry)

    def at(self, epoch: str, seq: int) -> Emitted | None:
        return next((e for e in self.log if (e.epoch, e.seq) == (epoch, seq)), None)

    def owed(self, story: Story, after: int, upto: int) -> Iterator[Emitted]:
        """What a session is entitled to above one number and up to another."""
        for entry in self.log:
            numbered = entry.epoch == story.epoch and after < entry.seq <= upto
            if numbered and story.reached_by(entry):
                yield entry

    def begin_epoch(self, epoch: str, seq: int) -> None:
        self.epoch, self.head = epoch, seq
