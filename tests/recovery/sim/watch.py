"""Looks at every frame that reaches a client, and knows what ought to be in it."""

from msgspec import UnsetType

from gatewright import Settings
from tests.recovery.sim.client import Call
from tests.recovery.sim.network import Frame
from tests.recovery.sim.truth import Emitted, Story, Truth

__all__ = ["Watch"]

ENDS = {"too_many", "reply_lost", "interrupted", "forbidden", "of_the_lab", "cancelled"}


class Watch:
    """What one client has been told, checked against the truth. It trusts no client's code."""

    def __init__(self, truth: Truth, settings: Settings, *, gaps: bool) -> None:
        """`gaps` says whether so little is kept that there may be some."""
        self.truth = truth
        self.settings = settings
        self.may_gap = gaps
        self.story: Story | None = None
        self.epoch = ""
        self.seq = 0
        self.gaps: list[Frame] = []
        self.tokens: set[str] = set()
        self.ends: dict[int, Frame] = {}
        """How the calls of this session have ended, by id."""
        self.calls: dict[int, Call] = {}
        """Those that were sent in this session, by id."""
        self.excused: set[int] = set()
        """Calls, by uid, of a process or a session that is gone."""
        self.typed: set[int] = set()
        self._opened: Frame = {}
        self._greeted = False

    def opens(self, frame: Frame) -> None:
        """A socket begins with this frame."""
        self._opened = frame
        self._greeted = False

    def sends(self, call: Call) -> None:
        assert call.id is not None
        self.calls[call.id] = call

    def sees(self, frame: Frame, now: float, last: int | UnsetType | None) -> None:
        """`last` is the highest call that the server had taken when it said `hello`."""
        if not self._greeted:
            assert frame.get("op") == "hello", f"expected hello first, got {frame}"
            assert frame["last"] == last, f"expected {last}: {frame}"
            self._hello(frame, now)
            self._greeted = True
        elif "event" in frame:
            self._event(frame)
        elif "op" not in frame:
            self._answer(frame)
        elif frame["op"] == "ping":
            self._passes(frame["seq"])
            # What a former process said may still come.
            assert frame["seq"] <= self.truth.head or self.epoch != self.truth.epoch
            self.seq = max(self.seq, frame["seq"])
        elif frame["op"] == "gap":
            self._gap(frame)
        elif frame["op"] == "ack":
            assert self.story is not None
            assert frame["id"] <= max(self.calls, default=0), f"{frame} for calls never sent"
        else:
            assert frame["op"] in {"pong", "away"}, f"did not expect {frame}"

    def process_ended(self) -> None:
        """What became of the calls that it had taken is not known any more."""
        taken = self.story.taken if self.story is not None else None
        if taken is not None:
            self.excused.update(call.uid for id, call in self.calls.items() if id <= taken)

    def _lost_its_past(self) -> None:
        """Nobody knows what became of any call until now."""
        self.excused.update(call.uid for call in self.calls.values())

    # Opening

    def _hello(self, frame: Frame, now: float) -> None:
        settings, asked = self.settings, self._opened.get("resume")
        assert frame["token"] not in self.tokens, "a token that was used before"
        self.tokens.add(frame["token"])
        heartbeat = {"interval": settings.ping_interval, "timeout": settings.ping_timeout}
        assert frame["heartbeat"] == heartbeat
        assert (frame["grace"], frame["max"]) == (settings.grace, settings.max_frame)
        if frame["resumed"]:
            assert asked is not None, "resumed without having asked for it"
            assert frame["session"] == asked["session"], "the session of somebody else"
            assert (frame["epoch"], frame["seq"]) == (asked["epoch"], asked["seq"])
            assert self.story is not None
            assert self.story.id == frame["session"]
            if frame["last"] is None:
                # Of all that was sent until now, to whomever.
                self._lost_its_past()
            return
        before = self.story
        if asked is not None and before is not None and not before.over:
            past = not before.here and now >= before.left + settings.grace
            assert past, f"{before.id} is forgotten: {before.hooks}"
        self._lost_its_past()
        self.calls.clear()
        self.ends.clear()
        self.gaps.clear()
        story = self.story = self.truth.stories[frame["session"]]
        assert (frame["epoch"], frame["seq"], frame["last"]) == (story.epoch, story.start, 0)
        self.epoch, self.seq = story.epoch, story.start

    # Positions

    def _event(self, frame: Frame) -> None:
        event, data = frame["event"], frame["data"]
        if event == "ask":
            assert isinstance(frame["id"], str)
            return
        assert event in {"said", "typing"}, f"did not expect {frame}"
        if event == "typing":
            assert "seq" not in frame, "a volatile event with a number"
            assert data["mark"] in self.truth.volatile
            assert data["mark"] not in self.typed, "a volatile event came twice"
            self.typed.add(data["mark"])
            return
        seq = frame["seq"]
        assert seq > self.seq, f"number {seq} came after {self.seq}"
        entry = self.truth.at(self.epoch, seq)
        assert entry is not None, f"number {seq} was never emitted"
        assert entry.mark == data["mark"], f"number {seq} is {entry}, not {data}"
        assert self.story is not None
        assert self.story.reached_by(entry), f"{entry} was not for {self.story}"
        self._passes(seq - 1)
        self.seq = seq

    def _passes(self, upto: int) -> None:
        """The client goes beyond a number: everything up to it has come, or is in a gap."""
        assert self.story is not None
        for entry in self.truth.owed(self.story, self.seq, upto):
            assert self._in_a_gap(self.story, entry), f"{entry} is lost to {self.story}"

    def _in_a_gap(self, story: Story, entry: Emitted) -> bool:
        names = {name for _, name in story.reached_by(entry)}
        told = {
            room
            for gap in self.gaps
            if gap["epoch"] == entry.epoch and entry.seq <= gap["seq"]
            for room in gap["rooms"]
        }
        return names <= told

    def _gap(self, frame: Frame) -> None:
        assert self.may_gap, f"nothing is missing, but there came {frame}"
        story = self.story
        assert story is not None
        known = {"*", story.id, story.user, *story.stays}
        assert set(frame["rooms"]) <= known, f"{frame} names what {story} is not in"
        assert frame["rooms"]
        assert frame["seq"] <= self.truth.head or frame["epoch"] != self.truth.epoch
        self.gaps.append(frame)
        if frame["epoch"] != self.epoch or frame["seq"] < self.seq:
            self.epoch, self.seq = frame["epoch"], frame["seq"]

    def at_rest(self) -> None:
        """Nothing is under way any more: what has not come yet never will."""
        if self.story is not None:
            self._passes(self.truth.head)

    # Calls

    def _answer(self, frame: Frame) -> None:
        call = self.calls.get(frame["id"])
        assert call is not None, f"an answer to what was never called: {frame}"
        before = self.ends.get(frame["id"])
        if "item" in frame:
            assert call.stream
            assert before is None, f"{frame} after the end of its stream"
            return
        assert before is None or before == frame, f"two ends: {before}, {frame}"
        self.ends[frame["id"]] = frame
        if "error" not in frame:
            self._good_end(call, frame)
            return
        code = frame["error"]["code"]
        assert code in ENDS, f"did not expect {frame}"
        if code == "reply_lost":
            assert call.uid in self.excused, f"{frame}, but the server knew"
            assert call.event != "redo", f"{frame} of a call that may be repeated"
        elif code == "too_many":
            assert call.stream
        elif code == "of_the_lab":
            assert self.truth.effects[call.uid]
            assert frame["error"]["message"] == f"call {frame['id']}"
        elif code == "forbidden":
            assert call.data["room"] in self.truth.once_forbidden

    def _good_end(self, call: Call, frame: Frame) -> None:
        if call.stream:
            assert frame["data"] is None
            return
        assert frame["data"] == call.uid, f"{frame} answers {call.uid}"
        effects = self.truth.effects[call.uid]
        assert effects, f"{frame}, but nothing was done"
