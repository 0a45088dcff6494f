"""Calls without one of their rules (R12, R13), and volatile events (R11)."""

from tests.recovery.mutations.mutant import MACHINE, SCENARIOS, Mutant

__all__ = ["IN_CALLS"]

CALLS = "gatewright.calls"
CODECS = "gatewright.protocol.sessions.codecs"
CONVERSATION = "gatewright.transports.sessions.conversation"
OUTBOX = "gatewright.outbox"
OUTGOING = "gatewright.protocol.outgoing"
RETURNS = "gatewright.returns"
REPEATS = "gatewright.repeats"
SESSION = "gatewright.session"
WINDOW = "gatewright.protocol.sessions.window"

IN_CALLS: tuple[Mutant, ...] = (
    Mutant(
        rule="R11",
        name="volatile-events-have-numbers",
        module=OUTGOING,
        old="        if self.volatile and not codec.positions_volatile:\n"
        "            return self.prepare(codec)\n",
        new="",
    ),
    Mutant(
        rule="R11",
        name="what-has-a-number-may-be-dropped",
        module="gatewright.rooms",
        old="        member.outbox.push(frame)\n",
        new='        member.outbox.push_volatile(frame, "latest")\n',
        tests=("tests/test_rooms.py", *SCENARIOS, MACHINE),
    ),
    Mutant(
        rule="R12",
        name="no-dedup",
        module=WINDOW,
        old="        if id > self._top:",
        new="        if True:",
    ),
    Mutant(
        rule="R12",
        name="new-above-the-highest-that-ended",
        module=WINDOW,
        old="        if id > self._top:\n            self._top = id\n",
        new="        if id > max(self._ends, default=0):\n"
        "            self._top = max(id, self._top)\n",
    ),
    Mutant(
        rule="R12",
        name="what-runs-is-unknown",
        module=WINDOW,
        old="            return Taken.RUNNING",
        new="            return Taken.UNKNOWN",
    ),
    Mutant(
        rule="R12",
        name="what-runs-is-not-acknowledged",
        module=REPEATS,
        old="            self.tell(Ack(window.top))",
        new="            pass",
    ),
    Mutant(
        rule="R12",
        name="ends-are-not-kept",
        module=WINDOW,
        old="        self._ends[id] = frame\n        self._size += frame.size\n",
        new="        return\n",
    ),
    Mutant(
        rule="R12",
        name="ends-are-not-sent-again",
        module=REPEATS,
        old="            self._outbox.push(window.again(call_id))",
        new="            window.again(call_id)",
    ),
    Mutant(
        rule="R12",
        name="fewer-ends-than-a-window",
        module=WINDOW,
        old="self._drop_below(id - WINDOW)",
        new="self._drop_below(id - WINDOW // 2)",
    ),
    Mutant(
        rule="R12",
        name="ends-are-kept-for-ever",
        module=WINDOW,
        old="        for id in self._asked:\n            self._forget(id)\n",
        new="",
    ),
    Mutant(
        rule="R12",
        name="a-pong-confirms-all-ends",
        module=WINDOW,
        old="        for id in self._asked:\n",
        new="        for id in list(self._ends):\n",
    ),
    Mutant(
        rule="R12",
        name="a-pong-confirms-ends-on-other-sockets",
        module=WINDOW,
        old='may not have arrived."""\n        self._sent = set()\n        self._asked = set()\n',
        new='may not have arrived."""\n',
    ),
    Mutant(
        rule="R12",
        name="last-is-what-the-client-says",
        module=WINDOW,
        old="return self._top if self._known else None",
        new="return self._top",
    ),
    Mutant(
        rule="R12",
        name="what-was-sent-is-not-asked-for",
        module=WINDOW,
        old="self._top = sent if taken is None else taken",
        new="self._top = taken or 0",
    ),
    Mutant(
        rule="R12",
        name="what-was-taken-is-not-written-down",
        module=SESSION,
        old="kept = await keeper.release(taken)",
        new="kept = await keeper.release()",
    ),
    Mutant(
        rule="R12",
        name="what-nobody-knows-is-executed",
        module=REPEATS,
        old="(plan := self._plans.get(event)) is not None and plan.idempotent:",
        new="(plan := self._plans.get(event)) is not None:",
    ),
    Mutant(
        rule="R12",
        name="what-is-idempotent-is-lost",
        module=REPEATS,
        old="(plan := self._plans.get(event)) is not None and plan.idempotent:",
        new="False:",
    ),
    Mutant(
        rule="R12",
        name="a-new-socket-knows-no-calls",
        module=RETURNS,
        old="        known = absence.ledger if absence is not None else None\n",
        new="        known = None\n",
    ),
    Mutant(
        rule="R12",
        name="handlers-end-with-their-socket",
        module=SESSION,
        old="            await self._part(limit)\n",
        new="            await self._lanes.finish(0)\n",
    ),
    Mutant(
        rule="R13",
        name="questions-are-not-asked-again",
        module=CONVERSATION,
        old="        self._node.calls.ask_again(session.connection)\n",
        new="",
    ),
    Mutant(
        rule="R13",
        name="questions-end-with-their-socket",
        module=SESSION,
        old="        if not (kept and self.connection.patient):\n",
        new="        if True:\n",
    ),
    Mutant(
        rule="R13",
        name="questions-are-asked-for-ever",
        module=CALLS,
        old="            del self._pending[call_id]\n",
        new="            pass\n",
    ),
    Mutant(
        rule="R13",
        name="an-answer-is-any-processes",
        module=CODECS,
        old="elif mark == self.mark:",
        new="else:",
    ),
)
