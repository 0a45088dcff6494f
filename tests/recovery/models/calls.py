"""Calls with ids over sockets that are cut and a process that restarts: each is executed once."""

from collections.abc import Iterator
from typing import ClassVar

from msgspec import Struct

from tests.recovery.models.calls_state import (
    Asked,
    Call,
    Down,
    Link,
    Rules,
    Scope,
    Server,
    State,
    Up,
)
from tests.recovery.models.checker import Action, Model, Study, Violation

__all__ = ["CALLS"]


class Calls(Model[State, Rules]):
    state: ClassVar[type[Struct]] = State

    def __init__(self, rules: Rules, scope: Scope) -> None:
        super().__init__(rules)
        self.scope = scope

    def initial(self) -> State:
        left = {name: getattr(self.scope, name) for name in Scope.__struct_fields__}
        return State(left, server=Server(), link=Link())

    # What may happen

    def chances(self, s: State) -> Iterator[Action]:
        left = s.left
        if left["calls"]:
            yield ("call",)
        if left["idempotent"]:
            yield ("call idempotent",)
        if s.link is not None:
            if left["cuts"]:
                yield ("cut",)
            if left["pings"]:
                yield ("ping",)
        elif left["expiries"]:
            yield ("session expires",)
        if left["restarts"]:
            yield ("server restarts",)

    def duties(self, s: State) -> Iterator[Action]:
        link = s.link
        for asked in s.server.calls:
            if asked.end is None:
                yield ("end" if asked.effect else "effect of", asked.id)
        if link is None:
            yield ("resume",)
            return
        if link.up:
            yield ("server receives",)
        if link.down:
            yield ("client receives",)
        if link.greeted and self._next(s) is not None:
            yield ("client sends",)

    def do(self, s: State, action: Action) -> None:
        left = s.left
        match action:
            case ("call",):
                left["calls"] -= 1
                s.calls.append(Call())
            case ("call idempotent",):
                left["idempotent"] -= 1
                s.calls.append(Call(idempotent=True))
            case ("cut",):
                left["cuts"] -= 1
                s.link = None
            case ("session expires",):
                left["expiries"] -= 1
                s.server = Server(session=s.server.session + 1)
                self._excuse(s)
            case ("server restarts",):
                left["restarts"] -= 1
                s.link = None
                s.server = Server(session=s.server.session, last=None)
                self._excuse(s)
            case ("resume",):
                self._resume(s)
            case ("ping",):
                left["pings"] -= 1
                self._ping(s)
            case ("server receives",):
                self._server_receives(s)
            case ("client receives",):
                self._client_receives(s)
            case ("client sends",):
                self._send(s)
            case ("effect of", int(id)):
                self._effect(s, s.server.find(id))
            case ("end", int(id)):
                asked = s.server.find(id)
                asked.end = "ok"
                self._answer(s, asked)
                self._drop_old(s)
            case _:
                raise AssertionError(action)

    def _excuse(self, s: State) -> None:
        """What was sent before this may end as `reply_lost`."""
        for call in s.calls:
            if call.id:
                call.excused = True

    # The client

    def _next(self, s: State) -> Call | None:
        """What the client sends next: calls again that have not ended, then new ones."""
        link = s.link
        assert link is not None
        again = [call for call in s.calls if call.id in link.again]
        new = [call for call in s.calls if not call.id and call.end is None]
        if not new:
            return again[0] if again else None
        if again and self.rules.in_order:
            return again[0]
        low = min((call.id for call in s.calls if call.id and call.end is None), default=None)
        if self.rules.window and low is not None and s.sent + 1 - low >= self.scope.window:
            return again[0] if again else None
        return new[0]

    def _send(self, s: State) -> None:
        link, call = s.link, self._next(s)
        assert link is not None
        assert call is not None
        if call.id:
            link.again.remove(call.id)
        else:
            s.sent += 1
            call.id = s.sent
        which = next(number for number, each in enumerate(s.calls) if each is call)
        link.up.append(Up("call", call.id, which))

    def _client_receives(self, s: State) -> None:
        link = s.link
        assert link is not None
        frame = link.down.pop(0)
        if frame.kind == "ping":
            link.up.append(Up("pong"))
        elif frame.kind == "hello":
            link.greeted = True
            if s.session == frame.id:
                link.again = [call.id for call in s.calls if call.id and call.end is None]
                return
            s.session = frame.id
            s.sent = 0
            for call in s.calls:
                if call.id and call.end is None and self.rules.ends_alone:
                    call.end = "reply_lost"
                # Ids begin anew: what has ended has none, what has not gets another one.
                call.id = 0 if call.end is None else -1
        else:
            ended = next((each for each in s.calls if each.id == frame.id), None)
            if ended is None or ended.end is not None:
                return
            ended.end = frame.kind
            if ended.end == "reply_lost" and not ended.excused:
                raise Violation(f"call {frame.id} ended with reply_lost, but the server knew")
            if ended.end == "ok" and not ended.effects:
                raise Violation(f"call {frame.id} ended well and was never executed")

    # The server

    def _resume(self, s: State) -> None:
        server = s.server
        s.link = Link(greeted=False)
        if server.last is None:
            # The process that knew is gone: what the client has sent may have been executed.
            resumed = server.session == s.session
            server.last = s.sent if resumed and self.rules.sent else 0
        for asked in server.calls:
            asked.written = None
        s.link.down.append(Down("hello", server.session))

    def _server_receives(self, s: State) -> None:
        link, server, rules = s.link, s.server, self.rules
        assert link is not None
        frame = link.up.pop(0)
        if frame.kind == "pong":
            self._confirm(s, link)
            return
        assert server.last is not None
        known = next((each for each in server.calls if each.id == frame.id), None)
        last = server.last
        if not rules.taken:
            # The highest id that has ended, where it should be the highest that was taken.
            last = max((each.id for each in server.calls if each.end is not None), default=0)
        if frame.id > last or not rules.dedup:
            server.last = max(server.last, frame.id)
            server.calls.append(Asked(frame.id, frame.call))
        elif known is None:
            self._unknown(s, link, frame)
        elif known.end is not None:
            self._answer(s, known)
        elif not rules.attach:
            link.down.append(Down("reply_lost", frame.id))

    def _unknown(self, s: State, link: Link, frame: Up) -> None:
        if s.calls[frame.call].idempotent or not self.rules.reply_lost:
            s.server.calls.append(Asked(frame.id, frame.call))
        else:
            link.down.append(Down("reply_lost", frame.id))

    def _effect(self, s: State, asked: Asked) -> None:
        asked.effect = True
        call = s.calls[asked.call]
        call.effects += 1
        if call.effects > 1 and not call.idempotent:
            raise Violation(f"call {asked.id} was executed twice")

    def _answer(self, s: State, asked: Asked) -> None:
        if s.link is not None:
            s.link.down.append(Down("ok", asked.id))
            asked.written = s.link.pinged

    def _drop_old(self, s: State) -> None:
        """Keep the ends of the last ids: as many as a client may be ahead of its lowest call."""
        server = s.server
        if not self.rules.keep_ends:
            server.calls = [each for each in server.calls if each.end is None]
        low = (server.last or 0) - self.scope.window
        server.calls = [each for each in server.calls if each.end is None or each.id > low]

    def _ping(self, s: State) -> None:
        assert s.link is not None
        s.link.down.append(Down("ping"))
        s.link.pinged += 1

    def _confirm(self, s: State, link: Link) -> None:
        """The client has all answers that were written to this socket before this ping."""
        link.ponged += 1
        rules = self.rules

        def has(asked: Asked) -> bool:
            if asked.end is None:
                return False
            if not rules.confirm_before:
                return True
            if asked.written is None:
                return not rules.confirm_here
            return asked.written < link.ponged

        s.server.calls = [each for each in s.server.calls if not has(each)]

    # What must be so

    def judge(self, s: State) -> None:
        for number, call in enumerate(s.calls, 1):
            if call.end is None:
                raise Violation(f"call number {number} never ended")


CALLS = Study(
    Calls,
    Rules(),
    small={
        "cut": Scope(calls=1, cuts=2),
        "ping": Scope(calls=1, cuts=2, pings=1),
        "two": Scope(calls=2, cuts=1),
        "window": Scope(calls=3, cuts=1),
        "restart": Scope(calls=1, idempotent=1, restarts=1),
        "expiry": Scope(calls=2, cuts=1, expiries=1),
    },
    full={
        "cut": Scope(calls=2, cuts=3),
        "ping": Scope(calls=2, cuts=2, pings=2),
        "window": Scope(calls=4, cuts=2),
        "restart": Scope(calls=2, idempotent=1, cuts=1, restarts=2),
        "expiry": Scope(calls=2, idempotent=1, cuts=2, expiries=1, restarts=1),
        "all": Scope(calls=2, cuts=2, pings=1, restarts=1, expiries=1),
    },
    shown_by={
        "dedup": "cut",
        "taken": "cut",
        "attach": "cut",
        "keep_ends": "cut",
        "confirm_before": "ping",
        "confirm_here": "ping",
        "window": "window",
        "in_order": "two",
        "sent": "restart",
        "reply_lost": "restart",
        "ends_alone": "expiry",
    },
)
