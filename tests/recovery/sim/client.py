"""A client of `gw.v1`, by the letter of its specification and by nothing else."""

from typing import Any

from msgspec import Struct, field

from tests.recovery.sim.network import Frame

__all__ = ["Call", "Client", "Hello", "Shown"]

WINDOW = 128
TAKEN_OVER = 4009


class Hello(Struct, frozen=True, kw_only=True):
    """What the latest `hello` said."""

    session: str
    token: str
    resumed: bool
    epoch: str
    seq: int
    last: int | None
    heartbeat: dict[str, float]
    grace: float
    max: int


class Call(Struct, kw_only=True):
    uid: int
    event: str
    data: dict[str, Any]
    stream: bool = False
    id: int | None = None
    """None until it is sent."""
    session: str | None = None
    items: list[Any] = field(default_factory=list)
    end: Frame | None = None

    @property
    def frame(self) -> Frame:
        return {"event": self.event, "data": self.data, "id": self.id}


class Shown(Struct, frozen=True):
    """A message that got through to the application."""

    epoch: str
    seq: int | None
    event: str
    data: dict[str, Any]


class Client:
    """The state of a client; `up` is what it wants to send on its present socket."""

    def __init__(self, user: str | None) -> None:
        self.user = user
        self.hello: Hello | None = None
        self.epoch: str = ""
        self.seq: int = 0
        self.sent: int = 0
        self.calls: list[Call] = []
        self.shown: list[Shown] = []
        self.answers: dict[str, Frame] = {}
        self.asked: list[int] = []
        """The questions that its application was asked, each once."""
        self.opening: bool = False
        self.open: bool = False
        self.gone: bool = False
        """Whether it was told not to come back, or has said goodbye."""
        self.up: list[Frame] = []

    # What happens to it

    def connect(self) -> None:
        assert not self.opening
        assert not self.open
        assert not self.gone
        self.opening = True
        frame: Frame = {"op": "open", "auth": {"user": self.user}}
        if (hello := self.hello) is not None:
            frame["resume"] = {
                "session": hello.session,
                "token": hello.token,
                "epoch": self.epoch,
                "seq": self.seq,
                "sent": self.sent,
            }
        self.up.append(frame)

    def lost(self, code: int = 1006) -> None:
        """Its socket has ended, or it has given it up."""
        self.opening = self.open = False
        self.up.clear()
        for call in self.calls:
            if call.stream and call.id is not None and call.end is None:
                call.end = {"error": {"code": "interrupted"}}
        if code == 1000 or 4500 <= code <= 4999:
            self.gone = True

    def receive(self, frame: Frame) -> None:
        if self.opening:
            assert frame.get("op") == "hello", f"expected hello first, got {frame}"
            self._hello(Hello(**{k: v for k, v in frame.items() if k != "op"}))
        elif "event" in frame:
            self._event(frame)
        elif "op" in frame:
            self._control(frame)
        else:
            self._end(frame)

    # What its application wants

    def call(self, call: Call) -> None:
        self.calls.append(call)
        self._send_new()

    def message(self, event: str, data: dict[str, Any]) -> bool:
        if self.open:
            self.up.append({"event": event, "data": data})
        return self.open

    def bye(self) -> None:
        self.up.append({"op": "bye"})
        self.open = False
        self.gone = True

    def again(self) -> None:
        """Come back after all, as somebody new."""
        self.gone = False
        self.hello = None
        self._forget("interrupted")

    # Frames

    def _hello(self, hello: Hello) -> None:
        before, self.hello = self.hello, hello
        self.opening, self.open = False, True
        if hello.resumed:
            assert before is not None
            for call in self.calls:
                if call.id is not None and call.end is None:
                    self.up.append(call.frame)
        else:
            self.epoch, self.seq = hello.epoch, hello.seq
            self._forget("reply_lost")
        self._send_new()

    def _forget(self, code: str) -> None:
        """What was called in a session that is over."""
        self.sent = 0
        self.answers.clear()
        for call in self.calls:
            if call.id is not None and call.end is None:
                call.end = {"error": {"code": code}}

    def _send_new(self) -> None:
        if not self.open or self.hello is None:
            return
        for call in self.calls:
            if call.id is None and call.end is None:
                waiting = [
                    each.id
                    for each in self.calls
                    if each.id is not None and each.end is None and not each.stream
                ]
                if waiting and self.sent + 1 - min(waiting) >= WINDOW:
                    return
                self.sent += 1
                call.id = self.sent
                call.session = self.hello.session
                self.up.append(call.frame)

    def _event(self, frame: Frame) -> None:
        if "id" in frame:
            id = frame["id"]
            if id not in self.answers:
                uid = frame["data"]["uid"]
                self.asked.append(uid)
                self.answers[id] = {"id": id, "data": uid}
            self.up.append(self.answers[id])
            return
        seq = frame.get("seq")
        if seq is not None:
            if seq <= self.seq:
                return
            self.seq = seq
        self.shown.append(Shown(self.epoch, seq, frame["event"], frame["data"]))

    def _control(self, frame: Frame) -> None:
        match frame["op"]:
            case "ping":
                self.seq = max(self.seq, frame["seq"])
                self.up.append({"op": "pong"})
            case "gap":
                if frame["epoch"] != self.epoch or frame["seq"] < self.seq:
                    self.epoch, self.seq = frame["epoch"], frame["seq"]
            case _:
                pass

    def _end(self, frame: Frame) -> None:
        session = self.hello.session if self.hello is not None else None
        for call in self.calls:
            if call.session == session and call.id == frame["id"] and call.end is None:
                if "item" in frame:
                    call.items.append(frame["item"])
                else:
                    call.end = frame
        self._send_new()
