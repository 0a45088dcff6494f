"""A small server that does what the specification of `gw.v1` says, for one client.

It fails an assertion when the client does what the specification forbids.
"""

from collections import Counter, deque
from itertools import count
from typing import Any

__all__ = ["ROOMS", "Link", "SessionServer"]

ROOMS = ("lobby", "attic")

KEPT = 128
"""Ends of calls that are kept."""

Frame = dict[str, Any]


class Link:
    """One socket, with what is under way in both directions."""

    def __init__(self) -> None:
        self.up: deque[bytes] = deque()
        self.down: deque[Frame] = deque()
        self.dead = False
        self.opened = False
        """Whether `hello` was sent."""
        self.fresh = False
        """Whether it began the session."""
        self.spoken = False
        """Whether a frame has come after `open`."""
        self.ends: set[int] = set()
        """Ids whose end was sent here."""
        self.pings: deque[tuple[int, set[int]]] = deque()
        """Of each ping without a pong, its position and the ends that were sent before it."""
        self.latest = 0
        """The highest id that was called here."""


class Session:
    def __init__(self, id: str) -> None:
        self.id = id
        self.tokens: list[str] = []
        self.taken = 0
        self.calls: dict[int, Frame | None] = {}
        """By id: None while it runs, then its end."""
        self.streams: set[int] = set()
        self.asked: dict[str, Frame] = {}
        self.answers: dict[str, Any] = {}
        self.confirmed = 0
        """The position that the latest pong has confirmed, in the epoch that it was of."""
        self.epoch = ""
        self.lenient = 0
        """Ids up to here are of a process that is gone: what became of them is not known."""


class SessionServer:
    """`executed` counts what was called, by its data; `log` is the namespace's sequence."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.link: Link | None = None
        self.executed: Counter[int] = Counter()
        self.log: list[tuple[int, str, str]] = []
        self.seq = 0
        self.floors: dict[str, int] = {}
        """Of each room, up to where it is not kept any more."""
        self.epoch = "e1"
        self.left = False
        self.last_unknown = False
        self._names = count(1)
        self._questions = count(1)

    # What the test has it do

    def emit(self, room: str, text: str) -> int:
        self.seq += 1 + len(text) % 2  # what is for others has a number too
        self.log.append((self.seq, room, text))
        self._send({"event": "said", "data": text, "seq": self.seq})
        return self.seq

    def volatile(self, text: str) -> None:
        self._send({"event": "typing", "data": text})

    def ask(self) -> str | None:
        if self.session is None:
            return None
        id = f"q{next(self._questions)}"
        frame = {"event": "sure", "data": id, "id": id}
        self.session.asked[id] = frame
        self._send(frame)
        return id

    def ping(self) -> None:
        session, link = self.session, self.link
        if session is None or link is None or not link.opened:
            return
        if any(end is None for end in session.calls.values()):
            self._send({"op": "ack", "id": session.taken})
        link.pings.append((self.seq, set(link.ends)))
        self._send({"op": "ping", "seq": self.seq})

    def running(self) -> list[int]:
        session = self.session
        if session is None:
            return []
        return [
            id for id, end in session.calls.items() if end is None and id not in session.streams
        ]

    def finish(self, id: int, data: Any) -> None:
        self._end(id, {"id": id, "data": data})

    def item(self, id: int) -> None:
        self._send({"id": id, "item": id})

    def end_stream(self, id: int) -> None:
        assert self.session is not None
        self.session.streams.discard(id)
        del self.session.calls[id]  # nobody asks for the end of a stream again
        self._send({"id": id, "data": None})

    def trim(self, room: str) -> None:
        """Forget what was emitted to a room so far."""
        gone = [seq for seq, where, _ in self.log if where == room]
        if gone:
            self.floors[room] = gone[-1]
        self.log = [entry for entry in self.log if entry[1] != room]

    def renumber(self) -> None:
        """Begin a new epoch, as a backplane that has lost its numbers."""
        self.epoch = f"e{next(self._names)}"
        self.seq = 0
        self.floors.clear()
        self.log.clear()

    def forget(self) -> None:
        """Lose the process: sessions are on disk, what became of calls is not."""
        self.notice()
        if self.session is not None:
            self.session.calls.clear()
            self.session.streams.clear()
            self.last_unknown = True

    def restart(self) -> None:
        """Lose the process, and every session with it."""
        self.notice()
        self.session = None

    def notice(self) -> None:
        """See that the socket is lost."""
        self.link = None
        if self.session is not None:
            for id in self.session.streams:
                self.session.calls.pop(id, None)
            self.session.streams.clear()

    # What comes from the client

    def receive(self, link: Link, frame: Frame) -> None:
        assert not link.dead
        if link is not self.link:
            if not link.opened:
                self._open(link, frame)
            return  # of a socket that another one has taken over
        session = self.session
        assert session is not None
        if not link.spoken:
            link.spoken = True
            del session.tokens[:-1]
        match frame:
            case {"event": str(), "id": int(id)}:
                self._call(session, link, id, frame)
            case {"event": "wave"}:
                pass
            case {"op": "cancel", "id": int(id)}:
                if session.calls.get(id, ...) is None:
                    end = {"id": id, "error": {"code": "cancelled", "message": ""}}
                    if id in session.streams:
                        session.streams.discard(id)
                        del session.calls[id]
                        self._send(end)
                    else:
                        self._end(id, end)
            case {"op": "pong"}:
                assert link.pings, "a pong without a ping"
                session.confirmed, ends = link.pings.popleft()
                session.epoch = self.epoch
                for id in ends:
                    session.calls.pop(id, None)
            case {"op": "bye"}:
                self.left = True
                self.session = None
                self.link = None
            case {"id": str(id), "data": data}:
                known = session.answers.setdefault(id, data)
                assert known == data, "another answer to the same question"
                session.asked.pop(id, None)
            case _:
                raise AssertionError(f"no frame of a client: {frame}")

    def _open(self, link: Link, frame: Frame) -> None:
        assert frame["op"] == "open", f"the first frame is {frame}"
        resume = frame.get("resume")
        session = self.session
        resumed = False
        if resume is not None and session is not None and session.id == resume["session"]:
            assert resume["token"] in session.tokens, "a token that is not valid any more"
            assert resume["sent"] >= session.taken
            resumed = True
        last: int | None = 0
        if not resumed or session is None:
            session = self.session = Session(f"~{next(self._names)}")
            self._questions = count(1)  # ids are opaque, and may come again in another session
            epoch, seq = self.epoch, self.seq
            link.fresh = True
        else:
            assert resume is not None
            self.notice()
            epoch, seq = resume["epoch"], resume["seq"]
            assert epoch != session.epoch or seq >= session.confirmed, "an old position"
            last = session.taken
            if self.last_unknown:
                last, session.lenient = None, resume["sent"]
                session.taken = resume["sent"]
        self.last_unknown = False
        self.link, link.opened = link, True
        session.tokens.append(f"t{next(self._names)}")
        hello: Frame = {"op": "hello", "session": session.id, "token": session.tokens[-1]}
        hello |= {"resumed": resumed, "epoch": epoch, "seq": seq, "last": last}
        hello |= {"heartbeat": {"interval": 25, "timeout": 10}, "grace": 120, "max": 65536}
        self._send(hello)
        if resumed:
            self._replay(epoch, seq)
            for asked in session.asked.values():
                self._send(asked)

    def _replay(self, epoch: str, seq: int) -> None:
        known = epoch == self.epoch and seq <= self.seq
        gaps = [room for room in ROOMS if not known or self.floors.get(room, 0) > seq]
        if gaps:
            self._send({"op": "gap", "rooms": gaps, "epoch": self.epoch, "seq": self.seq})
        # From a little before, as a server may that goes by what was confirmed.
        for number, room, text in self.log:
            if room not in gaps and number > seq - 2:
                self._send({"event": "said", "data": text, "seq": number})

    def _call(self, session: Session, link: Link, id: int, frame: Frame) -> None:
        assert id > link.latest, "ids that do not rise on one socket"
        link.latest = id
        lowest = min(self.running(), default=id)
        assert id - lowest < KEPT, "over the window"
        if id > session.taken:
            # Holes are streams that never arrived; there can be none before the first.
            assert id == 1 or session.taken or not link.fresh, "ids that do not begin at 1"
            session.taken = id
            session.calls[id] = None
            if frame["event"] == "count":
                session.streams.add(id)
            self.executed[frame["data"]] += 1
        elif id in session.calls:
            end = session.calls[id]
            if end is None:
                self._send({"op": "ack", "id": id})
            else:
                self._say_end(id, end)
        else:
            assert id <= session.lenient, f"a call sent again that had ended for the client: {id}"
            self._end(id, {"id": id, "error": {"code": "reply_lost", "message": ""}})

    def _end(self, id: int, end: Frame) -> None:
        session = self.session
        assert session is not None
        session.calls[id] = end
        for old in [each for each in session.calls if each <= session.taken - KEPT]:
            if session.calls[old] is not None:
                del session.calls[old]
        self._say_end(id, end)

    def _say_end(self, id: int, end: Frame) -> None:
        if self.link is not None:
            self.link.ends.add(id)
        self._send(end)

    def _send(self, frame: Frame) -> None:
        link = self.link
        if link is not None and link.opened and not link.dead:
            link.down.append(frame)
