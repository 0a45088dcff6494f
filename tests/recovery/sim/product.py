"""The package's own client machine in the place of the client by the letter."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from gatewright.errors import EventError
from gatewright.protocol.sessions.client import (
    CLIENT_CODECS,
    Asked,
    CallEnded,
    CallFailed,
    ClientSession,
    Delivered,
    ItemArrived,
    OpenCall,
)
from tests.recovery.sim.client import Call, Hello, Shown
from tests.recovery.sim.network import Frame

__all__ = ["ProductClient"]


class ProductClient:
    """What `Client` is, by `ClientSession`: whose position, calls and answers are then its own."""

    def __init__(self, user: str | None, clock: Callable[[], float]) -> None:
        self.user = user
        self.calls: list[Call] = []
        self.shown: list[Shown] = []
        self.asked: list[int] = []
        self._clock = clock
        self._codec = CLIENT_CODECS["json"]()
        self._core = ClientSession()
        self._known: dict[OpenCall, Call] = {}
        self.up: list[Frame] = []

    # What it is

    @property
    def open(self) -> bool:
        return self._core.status == "open"

    @property
    def gone(self) -> bool:
        return self._core.status == "closed"

    @property
    def hello(self) -> Hello | None:
        hello = self._core.hello
        if hello is None:
            return None
        plain = msgspec.to_builtins(hello)
        return Hello(**{name: plain[name] for name in Hello.__struct_fields__})

    @property
    def epoch(self) -> str:
        position = self._core.position
        return position.epoch if position is not None else ""

    @property
    def seq(self) -> int:
        position = self._core.position
        return position.seq if position is not None else 0

    # What happens to it

    def connect(self) -> None:
        self._core.connected(self._clock(), {"user": self.user})
        self._done()

    def lost(self, code: int = 1006) -> None:
        self.up.clear()
        self._core.lost(self._clock(), None if code == 1006 else code)
        self._done()

    def receive(self, frame: Frame) -> None:
        self._core.received(self._codec.read(msgspec.json.encode(frame)), self._clock())
        self._done()

    # What its application wants

    def call(self, call: Call) -> None:
        data = Raw(msgspec.json.encode(call.data))
        self.calls.append(call)
        try:
            made = self._core.call(call.event, data, stream=call.stream)
        except EventError as error:
            call.end = {"error": {"code": error.code}}
            return
        self._known[made] = call
        self._done()

    def message(self, event: str, data: dict[str, Any]) -> bool:
        sent = self._core.message(event, Raw(msgspec.json.encode(data)))
        self._done()
        return sent

    def bye(self) -> None:
        self._core.bye()
        self._done()

    def again(self) -> None:
        """Come back after all, as somebody new."""
        self._core = ClientSession()
        self._known.clear()

    def _done(self) -> None:
        """Take what has come of it."""
        for event in self._core.events():
            self._take(event)
        for made, call in self._known.items():
            if made.id != call.id and self._core.hello is not None:
                call.id, call.session = made.id, self._core.hello.session
        for frame in self._core.frames():
            self.up.append(msgspec.json.decode(self._codec.frame(frame)))

    def _take(self, event: object) -> None:
        match event:
            case Delivered(name, data, seq):
                self.shown.append(Shown(self.epoch, seq, name, msgspec.json.decode(data)))
            case Asked(question):
                uid = msgspec.json.decode(question.data)["uid"]
                self.asked.append(uid)
                self._core.answer(question, Raw(msgspec.json.encode(uid)))
            case CallEnded(made, data):
                self._end(made, {"data": msgspec.json.decode(data)})
            case CallFailed(made, error):
                self._end(made, {"error": msgspec.to_builtins(error)})
            case ItemArrived(made, data):
                self._known[made].items.append(msgspec.json.decode(data))
            case _:
                pass

    def _end(self, made: OpenCall, end: Frame) -> None:
        call = self._known.pop(made)
        assert call.end is None, f"{call} ended twice"
        call.id = made.id
        call.end = {"id": made.id, **end}
