"""A client's side of one session, over as many sockets as it takes.

It is told what happened, and when: `connected`, `received`, `lost`, `failed`, `passed`, and what
the application wants: `call`, `cancel`, `message`, `answer`, `refuse`, `refresh`, `bye`. After
each of these `frames()` has what is to be sent and `events()` what has come of it. Times are
seconds of one clock that does not go back. While there is no socket, `until` says when to open one;
`deadline` says when `passed` is to be called at the latest.

```python
session = ClientSession()
session.connected(now, auth)
send(session.frames())                      # Open
session.received(hello, now)                # session.events() == [Opened(…)]
call = session.call("say", Raw(b'"hi"'))
send(session.frames())                      # Message("say", …, id=1)
session.lost(now, 1006)                     # [Lost(…)]; the call waits for the next hello
```
"""

import random
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Raw, UnsetType

from gatewright.errors import ErrorCode, EventError
from gatewright.protocol.close import CloseCode
from gatewright.protocol.frames import ErrorBody, Message
from gatewright.protocol.sessions import frames as wire
from gatewright.protocol.sessions.client import events
from gatewright.protocol.sessions.client.asked import Question, Questions
from gatewright.protocol.sessions.client.backoff import Backoff
from gatewright.protocol.sessions.client.calls import CLOSED, OpenCall, OpenCalls
from gatewright.protocol.sessions.client.frames import (
    ClientFrame,
    ServerEnvelope,
    ServerFrame,
)
from gatewright.protocol.sessions.client.place import Place
from gatewright.protocol.sessions.client.renewal import Renewal
from gatewright.protocol.sessions.client.returning import Returning, reconnects
from gatewright.types import Gap, Position

__all__ = ["ClientSession", "Status"]

Status: TypeAlias = Literal["connecting", "open", "resuming", "closed"]
"""`connecting` until the first `hello`, `resuming` from a loss to the next one."""


class ClientSession:
    """The state machine of a client; see the module for how it is driven.

    `queue` is how many calls may wait while none can be sent. `open_timeout` is how long a server
    may take for its `hello`. With `hold` a new session sends what waits only after `release`, so
    that calls with `first=True` can enter rooms before it.
    """

    def __init__(
        self,
        *,
        backoff: Backoff | None = None,
        queue: int = 1000,
        open_timeout: float = 20.0,
        hold: bool = False,
        random: Callable[[], float] = random.random,
    ) -> None:
        self.hold: bool = hold
        self.hello: wire.Hello | None = None
        """The latest one."""
        self._queue = queue
        self._open_timeout = open_timeout
        self._phase: Literal["waiting", "opening", "open", "closed"] = "waiting"
        self._since = 0.0
        self._heard = 0.0
        self._returning = Returning(Backoff() if backoff is None else backoff, random)
        self._renewal = Renewal(random)
        self._place = Place()
        self._held = False
        self._ended = ""
        self._calls = OpenCalls()
        self._questions = Questions()
        self._frames: list[ClientFrame] = []
        self._events: list[events.ClientEvent] = []

    # What it is

    @property
    def status(self) -> Status:
        if self._phase in {"open", "closed"}:
            return "open" if self._phase == "open" else "closed"
        return "connecting" if self.hello is None else "resuming"

    @property
    def position(self) -> Position | None:
        """What it has got of the namespace's sequence; None before the first `hello`."""
        return self._place.position

    @property
    def until(self) -> float | None:
        """When to open the next socket; None while there is one, and when all is over."""
        return self._returning.until if self._phase == "waiting" else None

    @property
    def deadline(self) -> float | None:
        """When `passed` has to be called; None if nothing depends on time."""
        if self._phase == "opening":
            return self._since + self._open_timeout
        if self._phase != "open":
            return None
        times = (self._silent_at, self._returning.away, self._renewal.due)
        return min(time for time in times if time is not None)

    @property
    def full(self) -> bool:
        """Whether a further call would be too many."""
        return self._calls.waiting >= self._queue

    @property
    def calls(self) -> list[OpenCall]:
        """What has been called and has not ended: sent ones by their ids, then the others."""
        return list(self._calls)

    def frames(self) -> list[ClientFrame]:
        """Take what is to be sent, in order."""
        frames, self._frames = self._frames, []
        return frames

    def events(self) -> list[events.ClientEvent]:
        """Take what has happened, in order."""
        events, self._events = self._events, []
        return events

    # What happens to it

    def connected(self, now: float, auth: Any = UNSET) -> None:
        """A socket is open: begin with `open`."""
        assert self._phase == "waiting", f"expected no socket, got one while {self._phase}"
        self._phase = "opening"
        self._since = self._heard = now
        hello, position = self.hello, self.position
        resume: wire.Resume | UnsetType = UNSET
        if hello is not None and position is not None:
            resume = wire.Resume(
                session=hello.session,
                token=hello.token,
                epoch=position.epoch,
                seq=position.seq,
                sent=self._calls.sent,
            )
        self._frames.append(wire.Open(auth, resume))

    def failed(self, now: float, reason: str = "") -> None:
        """No socket came of an attempt."""
        if self._phase == "waiting":
            self._retry(now, None, reason)

    def lost(self, now: float, code: int | None = None, reason: str = "") -> None:
        """The socket has ended, with a close code or without; nothing if it was given up before."""
        if self._phase in {"waiting", "closed"}:
            return
        if code is not None and not reconnects(code):
            self.end(code, reason)
            return
        lasted = now - self._since if self._phase == "open" else 0.0
        self._phase = "waiting"
        self._frames.clear()
        for stream in self._calls.interrupt():
            self._fail(stream, ErrorCode.INTERRUPTED, "the connection was lost before the end")
        self._retry(now, code, reason, lasted)

    def received(self, frame: ServerFrame, now: float) -> None:
        """A frame has come."""
        self._heard = now
        if self._phase == "opening" and isinstance(frame, wire.Hello):
            self._welcome(frame, now)
        elif self._phase == "open":
            self._heed(frame, now)

    def passed(self, now: float) -> None:
        """Time has passed, at least up to `deadline`."""
        if self._phase == "opening" and now >= self._since + self._open_timeout:
            self._drop(now, None, f"no hello within {self._open_timeout:g} s")
        if self._phase != "open":
            return
        if now >= self._silent_at:
            self._drop(now, None, f"nothing heard for {now - self._heard:g} s")
        elif self._returning.away is not None and now >= self._returning.away:
            self._drop(now, CloseCode.GOING_AWAY, "the server goes away")
        elif self._renewal.due is not None and now >= self._renewal.due:
            self._events.append(events.RefreshDue())
            self._renewal.repeat(now)

    # What the application wants

    def call(
        self,
        event: str,
        data: Raw | UnsetType = UNSET,
        *,
        stream: bool = False,
        size: int = 0,
        first: bool = False,
    ) -> OpenCall:
        """Call the server, now or as soon as there is one; `data` is encoded already.

        `size`: bytes of its frame at the most. Raises `EventError`: `closed`, `too_many`.
        """
        if self._phase == "closed":
            raise EventError(CLOSED, self._ended)
        if self.full and not first:
            raise EventError(ErrorCode.TOO_MANY, f"{self._queue} calls wait for the connection")
        call = OpenCall(event, data, stream=stream, size=size)
        self._calls.add(call, first=first)
        self._send()
        return call

    def cancel(self, call: OpenCall) -> None:
        """Nobody waits for a call any more; no event tells of its end."""
        if call.id is None:
            self._calls.end(call)
            self._send()
        elif self._calls.get(call.id) is call and not call.abandoned:
            call.abandoned = True
            if self._phase == "open":
                self._frames.append(wire.Cancel(call.id))

    def message(self, event: str, data: Raw | UnsetType = UNSET) -> bool:
        """Send a message that may be lost; False if there is no connection to lose it on."""
        if self._phase != "open":
            return False
        self._frames.append(Message(event, data))
        return True

    def answer(self, question: Question, result: Raw | ErrorBody) -> None:
        """Answer a call of the server, with data or with an error."""
        answer = self._questions.answer(question, result)
        # Without a connection it is kept: the server asks again.
        if answer is not None and self._phase == "open":
            self._frames.append(answer)

    def refresh(self, auth: Any) -> None:
        """Send new credentials of the same user."""
        if self._phase == "open":
            self._frames.append(wire.Refresh(auth))

    def release(self, session: str) -> None:
        """Let what waits go, in the session that is held."""
        if self.hello is not None and self.hello.session == session:
            self._held = False
            self._send()

    def bye(self) -> None:
        """Leave for good."""
        heard = self._phase == "open"
        self.end(CloseCode.NORMAL, "the client has left")
        self._frames += [wire.Bye()] if heard else []

    def end(self, code: int, reason: str) -> None:
        """It is over for good."""
        if self._phase == "closed":
            return
        self._phase = "closed"
        self._frames.clear()
        self._ended = f"the connection has ended: {code} {reason}".rstrip()
        for call in self._calls.clear():
            self._fail(call, call.code_at_the_end, self._ended)
        self._questions.clear()
        self._events.append(events.Closed(code, reason))

    # Opening

    def _welcome(self, hello: wire.Hello, now: float) -> None:
        self._phase = "open"
        self._since = now
        self.hello = hello
        self._renewal.plan(now, None if hello.expires is UNSET else hello.expires)
        self._events.append(events.Opened(hello.session, hello.resumed))
        if hello.resumed:
            cancelled, again = self._calls.resume(hello.last)
            self._frames.extend(wire.Cancel(id) for id in cancelled)
            for call in again:
                self._send_again(call, hello.max)
        else:
            self._place.begin(hello.epoch, hello.seq)
            self._held = self.hold
            self._questions.clear()
            for call in self._calls.restart():
                self._fail(
                    call,
                    ErrorCode.REPLY_LOST,
                    "the session it was called in has ended; it may have been executed or not",
                )
        self._send()

    def _send_again(self, call: OpenCall, maximum: int) -> None:
        assert call.id is not None
        if call.size <= maximum:
            self._frames.append(Message(call.event, call.data, call.id))
            return
        self._calls.end(call)
        self._fail(call, ErrorCode.REPLY_LOST, f"the server takes {maximum} bytes by now, no more")

    def _send(self) -> None:
        """Send what may be sent of what waits."""
        hello = self.hello
        if self._phase != "open" or hello is None:
            return
        while (call := self._calls.next(hello.max, held=self._held)) is not None:
            if call.id is None:
                # It would close the connection, again after each return.
                self._fail(
                    call,
                    ErrorCode.TOO_LARGE,
                    f"expected a message of at most {hello.max} bytes, got {call.size}",
                )
            else:
                self._frames.append(Message(call.event, call.data, call.id))

    # Receiving

    def _heed(self, frame: ServerFrame, now: float) -> None:
        match frame:
            case ServerEnvelope():
                self._take(frame)
            case wire.Ping(seq):
                self._place.move(seq)
                self._frames.append(wire.Pong())
            case wire.GapNotice(rooms, epoch, seq):
                self._place.gap(epoch, seq)
                self._events.append(events.Missed(Gap(rooms, epoch, seq)))
            case wire.Refreshed():
                self._refreshed(frame, now)
            case wire.Away(after):
                self._returning.away = now + after
            case wire.Pong() | wire.Ack() | wire.Hello():
                pass

    def _take(self, frame: ServerEnvelope) -> None:
        if frame.event is not UNSET:
            seq = None if frame.seq is UNSET else frame.seq
            if frame.id is not UNSET:
                self._ask(frame.id, frame.event, frame.data)
            elif seq is None or self._place.move(seq):
                self._events.append(events.Delivered(frame.event, frame.data, seq))
        elif frame.op is UNSET and isinstance(frame.id, int):
            call = self._calls.get(frame.id)
            # An end that crossed with a cancel, or of a call that was given up before a loss.
            if call is not None:
                self._progress(call, frame)

    def _ask(self, id: int | str, event: str, data: Raw) -> None:
        asked = self._questions.ask(id, event, data)
        if isinstance(asked, Question):
            self._events.append(events.Asked(asked))
        elif asked is not None:
            self._frames.append(asked)

    def _progress(self, call: OpenCall, frame: ServerEnvelope) -> None:
        if frame.item:
            if not call.abandoned:
                self._events.append(events.ItemArrived(call, frame.item))
            return
        self._calls.end(call)
        if not call.abandoned:
            if frame.error is not UNSET:
                self._events.append(events.CallFailed(call, frame.error))
            else:
                self._events.append(events.CallEnded(call, frame.data))
        self._send()

    def _fail(self, call: OpenCall, code: str, message: str) -> None:
        if not call.abandoned:
            self._events.append(events.CallFailed(call, ErrorBody(code, message)))

    # Time

    @property
    def _silent_at(self) -> float:
        assert self.hello is not None
        heartbeat = self.hello.heartbeat
        return self._heard + heartbeat.interval + heartbeat.timeout

    def _refreshed(self, frame: wire.Refreshed, now: float) -> None:
        if frame.error is not UNSET:
            self._events.append(events.RefreshEnded(None, frame.error))
            return
        seconds = None if frame.expires is UNSET else frame.expires
        self._renewal.plan(now, seconds)
        self._events.append(events.RefreshEnded(seconds, None))

    # Endings

    def _drop(self, now: float, code: int | None, why: str) -> None:
        self._events.append(events.Drop(code, why))
        self.lost(now, None, why)

    def _retry(self, now: float, code: int | None, reason: str, lasted: float = 0.0) -> None:
        self._returning.plan(now, lasted=lasted)
        self._events.append(events.Lost(code, reason, self._returning.until))
