"""A client's side of `gw.v1` against a server that keeps to the specification, cut at any frame."""

import random
from collections.abc import Iterable

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from msgspec import Raw

from gatewright.protocol.sessions.client import (
    CLIENT_CODECS,
    Asked,
    Backoff,
    CallEnded,
    CallFailed,
    ClientEvent,
    ClientSession,
    Closed,
    Delivered,
    Drop,
    ItemArrived,
    Lost,
    Missed,
    OpenCall,
    Opened,
    Question,
)
from tests.protocol.session_server import ROOMS, Link, SessionServer


class Conversation(RuleBasedStateMachine):
    """One client, one server, and a network that is cut wherever it hurts."""

    @initialize(wire=st.sampled_from(["json", "msgpack"]), seed=st.integers(0, 1000))
    def begin(self, wire: str, seed: int) -> None:
        self.codec = CLIENT_CODECS[wire]()
        self.read = msgspec.json.decode if wire == "json" else msgspec.msgpack.decode
        jitter = random.Random(seed).random
        self.client = ClientSession(backoff=Backoff(0.5, 4), queue=400, random=jitter)
        self.server = SessionServer()
        self.now = 100.0
        self.link: Link | None = None
        self.calls: dict[OpenCall, int] = {}
        self.ends: dict[OpenCall, ClientEvent] = {}
        self.cancelled: set[OpenCall] = set()
        self.next = 0
        self.emitted: dict[str, tuple[str, int]] = {}
        self.rooms: dict[str, str] = {}
        self.delivered: list[tuple[str, str, int]] = []
        self.seen: list[tuple[str, int]] = []
        self.excused: set[str] = set()
        self.asked: set[tuple[str, int | str]] = set()
        self.questions: list[Question] = []
        self.lossless = True
        self.session = ""

    # Moving frames

    def settle(self) -> None:
        """Take what the client has to send and to tell."""
        for frame in self.client.frames():
            assert self.link is not None, f"a frame without a socket: {frame}"
            self.link.up.append(self.codec.encode(frame))
        for event in self.client.events():
            self.told(event)

    def told(self, event: ClientEvent) -> None:
        match event:
            case Opened(session, resumed):
                assert resumed == (session == self.session)
                if not resumed:
                    # What was emitted to the session of before, or to none, is not for this one.
                    position = self.client.position
                    assert position is not None
                    self.excuse(position.epoch, position.seq)
                    self.questions.clear()
                self.session = session
            case Delivered("said", data, seq):
                text = self.read(bytes(data))
                assert seq is not None
                epoch, number = self.emitted[text]
                assert number == seq
                self.seen.append((text, seq))
                self.delivered.append((text, epoch, seq))
            case Delivered("typing", _, seq):
                assert seq is None
            case Asked(question):
                key = (self.session, question.id)
                assert key not in self.asked, "a question that was run twice"
                self.asked.add(key)
                self.questions.append(question)
            case ItemArrived(call, _):
                assert call not in self.ends
                assert call not in self.cancelled
            case CallEnded(call, _) | CallFailed(call, _):
                assert call not in self.ends, "a call that ended twice"
                assert call not in self.cancelled
                self.ends[call] = event
            case Missed(gap):
                self.excuse(gap.epoch, gap.seq, gap.rooms)
            case Drop():
                assert self.link is not None
                self.cut_now(0, 0, noticed=False)
            case Lost():
                self.link = None
            case Closed():
                raise AssertionError("it has ended")
            case other:
                raise AssertionError(f"unexpected: {other}")

    def excuse(self, epoch: str, seq: int, rooms: Iterable[str] = ROOMS) -> None:
        """What was emitted up to here, to these rooms, the client need not get."""
        for text, place in self.emitted.items():
            if self.rooms[text] in rooms and (place[0] != epoch or place[1] <= seq):
                self.excused.add(text)

    def up(self) -> bool:
        link = self.link
        if link is None or not link.up:
            return False
        self.server.receive(link, self.read(link.up.popleft()))
        return True

    def down(self) -> bool:
        link = self.link
        if link is None or not link.down:
            return False
        message = msgspec.json.encode(link.down.popleft())
        if self.codec.binary:
            message = msgspec.msgpack.encode(msgspec.json.decode(message))
        self.client.received(self.codec.read(message), self.now)
        self.settle()
        return True

    def cut_now(self, up: int, down: int, *, noticed: bool) -> None:
        link = self.link
        assert link is not None
        for _ in range(up):
            self.up()
        for _ in range(down):
            self.down()
        link.dead = True
        self.link = None
        if noticed and self.server.link is link:
            self.server.notice()

    # What may happen

    @rule(how_many=st.sampled_from([1, 1, 2, 5, 150]), event=st.sampled_from(["say", "count"]))
    def call(self, how_many: int, event: str) -> None:
        for _ in range(how_many if event == "say" else 1):
            if self.client.full:
                return
            self.next += 1
            data = Raw(self.codec.encode(self.next))
            call = self.client.call(event, data, stream=event == "count", size=20)
            self.calls[call] = self.next
        self.settle()

    @precondition(lambda self: self.client.calls)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.client.calls))
        self.cancelled.add(call)
        self.client.cancel(call)
        self.settle()

    @rule()
    def wave(self) -> None:
        self.client.message("wave")
        self.settle()

    @rule(frames=st.integers(1, 6))
    def some_go_up(self, frames: int) -> None:
        for _ in range(frames):
            self.up()

    @rule(frames=st.integers(1, 6))
    def some_come_down(self, frames: int) -> None:
        for _ in range(frames):
            self.down()

    @rule()
    def all_is_quiet(self) -> None:
        while self.up() or self.down():
            pass

    @precondition(lambda self: self.link is not None)
    @rule(up=st.integers(0, 4), down=st.integers(0, 4), noticed=st.booleans())
    def cut(self, up: int, down: int, noticed: bool) -> None:  # noqa: FBT001
        self.cut_now(up, down, noticed=noticed)
        self.client.lost(self.now, None if noticed else 1006)
        self.settle()

    @precondition(lambda self: self.client.until is not None)
    @rule()
    def connect(self) -> None:
        assert self.client.until is not None
        self.now = max(self.now, self.client.until)
        self.link = Link()
        self.client.connected(self.now)
        self.settle()

    @precondition(lambda self: self.client.until is not None)
    @rule()
    def cannot_connect(self) -> None:
        before = self.client.calls
        self.client.failed(self.now)
        self.settle()
        assert self.client.calls == before

    @precondition(lambda self: self.client.deadline is not None)
    @rule()
    def silence(self) -> None:
        assert self.client.deadline is not None
        self.now = self.client.deadline
        self.client.passed(self.now)
        self.settle()
        assert self.client.until is not None

    @rule(room=st.sampled_from(ROOMS), text=st.text(max_size=3))
    def emit(self, room: str, text: str) -> None:
        text = f"{len(self.emitted)} {text}"
        # Known before it is sent: the number is the server's.
        self.emitted[text] = (self.server.epoch, self.server.seq + 1 + len(text) % 2)
        self.rooms[text] = room
        self.server.emit(room, text)
        if self.server.session is None:
            self.excused.add(text)

    @rule()
    def emit_volatile(self) -> None:
        self.server.volatile("…")

    @rule()
    def ask(self) -> None:
        self.server.ask()

    @rule()
    def ping(self) -> None:
        self.server.ping()

    @precondition(lambda self: self.server.running())
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(self.server.running()))
        self.server.finish(id, id)

    @precondition(lambda self: self.server.session and self.server.session.streams)
    @rule(data=st.data(), end=st.booleans())
    def stream(self, data: st.DataObject, end: bool) -> None:  # noqa: FBT001
        assert self.server.session is not None
        id = data.draw(st.sampled_from(sorted(self.server.session.streams)))
        if end:
            self.server.end_stream(id)
        else:
            self.server.item(id)

    @precondition(lambda self: self.questions)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        question = data.draw(st.sampled_from(self.questions))
        self.questions.remove(question)
        self.client.answer(question, Raw(self.codec.encode(f"yes {question.id}")))
        self.settle()

    @rule(room=st.sampled_from(ROOMS))
    def trim(self, room: str) -> None:
        self.server.trim(room)

    @rule()
    def renumber(self) -> None:
        if self.server.link is None:
            self.server.renumber()

    @rule(sessions=st.booleans())
    def server_dies(self, sessions: bool) -> None:  # noqa: FBT001
        self.lossless = False
        if self.link is not None:
            self.cut_now(0, 0, noticed=False)
            self.client.lost(self.now)
            self.settle()
        if sessions:
            self.server.forget()
        else:
            self.server.restart()

    # What holds

    @invariant()
    def what_is_delivered_rises(self) -> None:
        if not hasattr(self, "delivered"):
            return
        numbers: dict[str, int] = {}
        for text, epoch, seq in self.delivered:
            assert seq > numbers.get(epoch, 0), f"{text!r} twice, or out of order"
            numbers[epoch] = seq

    @invariant()
    def nothing_is_executed_twice(self) -> None:
        if hasattr(self, "server"):
            assert all(times == 1 for times in self.server.executed.values())

    def teardown(self) -> None:
        if not hasattr(self, "client"):
            return
        self.healed()
        for call, number in self.calls.items():
            if call in self.cancelled:
                continue
            end = self.ends.get(call)
            times = self.server.executed[number]
            match end:
                case CallEnded():
                    assert times == 1
                case CallFailed(_, error):
                    assert call.stream or not self.lossless, f"{call} failed: {error}"
                    assert error.code == ("interrupted" if call.stream else "reply_lost")
                case _:
                    raise AssertionError(f"{call} has no end")
        missing = self.emitted.keys() - self.excused - {text for text, _ in self.seen}
        assert not missing, f"lost: {missing}"

    def healed(self) -> None:
        """Let the network heal, and everything come to its end."""
        for _ in range(1000):
            if self.client.until is not None:
                self.connect()
            self.all_is_quiet()
            for id in self.server.running():
                self.server.finish(id, id)
            assert self.server.session is not None
            for id in sorted(self.server.session.streams):
                self.server.end_stream(id)
            for question in self.questions:
                self.client.answer(question, Raw(self.codec.encode(f"yes {question.id}")))
            self.questions.clear()
            self.settle()
            self.server.ping()
            self.all_is_quiet()
            if not self.client.calls and not self.server.session.asked:
                break
        assert not self.client.calls
        assert self.client.position is not None
        assert (self.client.position.epoch, self.client.position.seq) == (
            self.server.epoch,
            self.server.seq,
        )
        assert self.server.session is not None
        assert not self.server.session.asked, "questions without an answer"


TestConversation = Conversation.TestCase
TestConversation.settings = settings(stateful_step_count=60, deadline=None)
