"""Sessions and their sockets without one of their rules (R5 to R7, tokens)."""

from tests.recovery.mutations.mutant import SCENARIOS, Mutant

__all__ = ["IN_SESSIONS"]

ABSENCES = "gatewright.absences"
CONVERSATION = "gatewright.transports.sessions.conversation"
OUTLET = "gatewright.transports.sessions.outlet"
PONGS = "gatewright.liveness"
RECOVERY = "gatewright.recovery"
RETURNS = "gatewright.returns"
ROOMS = "gatewright.rooms"
SEQUENCES = "gatewright.backplane.sequences"
SESSIONS = "gatewright.backplane.sessions"

IN_SESSIONS: tuple[Mutant, ...] = (
    Mutant(
        rule="R5",
        name="generation-stands-still",
        module=SEQUENCES,
        old="session.generation += 1",
        new="session.generation += 0",
        tests=(*SCENARIOS, "tests/backplane"),
    ),
    Mutant(
        rule="R5",
        name="released-whoever-has-it",
        module=SEQUENCES,
        old="        if session is None or session.generation != generation:\n"
        "            return False\n        if session.deadline",
        new="        if session is None:\n            return False\n        if session.deadline",
        tests=(*SCENARIOS, "tests/backplane"),
    ),
    Mutant(
        rule="R5",
        name="ended-whoever-has-it",
        module=SEQUENCES,
        old="        if session is None or session.generation != generation:\n"
        "            return False\n        self._end(",
        new="        if session is None:\n            return False\n        self._end(",
        tests=(*SCENARIOS, "tests/backplane"),
    ),
    Mutant(
        rule="R5",
        name="settled-whoever-has-it",
        module=SEQUENCES,
        old="if session is not None and session.generation == generation:",
        new="if session is not None:",
        tests=(*SCENARIOS, "tests/backplane"),
    ),
    Mutant(
        rule="R5",
        name="still-away-when-it-is-back",
        module=SEQUENCES,
        old="        session.deadline = None\n        self._away.pop(session, None)\n        left",
        new="        left",
    ),
    Mutant(
        rule="R5",
        name="the-older-socket-is-not-fenced",
        module=ABSENCES,
        old="await self._end_session(session, TAKEN_OVER)",
        new="pass",
    ),
    Mutant(
        rule="R5",
        name="the-older-socket-is-not-told",
        module=ABSENCES,
        old="        session.connection.outbox.close(TAKEN_OVER.code, TAKEN_OVER.text)\n",
        new="",
    ),
    Mutant(
        rule="R5",
        name="two-take-over-at-once",
        module=ABSENCES,
        old="            async with lock:\n                session = self._here",
        new="            if True:\n                session = self._here",
        tests=("tests/sessions/test_resuming.py", "tests/behaviours/test_returning.py"),
    ),
    Mutant(
        rule="R5",
        name="nothing-is-held-back",
        module=ROOMS,
        old="                held.append(passing)",
        new="                pass",
    ),
    Mutant(
        rule="R5",
        name="held-back-for-another-namespace",
        module=RETURNS,
        old="self._node.namespaces.holding(namespace) as held:\n                return await",
        new='self._node.namespaces.holding("") as held:\n                return await',
    ),
    Mutant(
        rule="R5",
        name="no-floor",
        module=ROOMS,
        old="if seq > floor.seq and any(",
        new="if any(",
    ),
    Mutant(
        rule="R5",
        name="hello-is-not-waited-for",
        module=OUTLET,
        old="self.push: Callable[[Frame], None] = self._hold",
        new="self.push: Callable[[Frame], None] = outbox.push",
    ),
    Mutant(
        rule="R5",
        name="what-was-held-goes-before-the-replay",
        module=OUTLET,
        old="for frame in (*first, *held):",
        new="for frame in (first[0], *held, *first[1:]):",
    ),
    Mutant(
        rule="R5",
        name="rooms-are-not-restored",
        module=RETURNS,
        old="        self._node.namespaces[namespace].restore(connection, record.rooms)\n",
        new="",
    ),
    Mutant(
        rule="R5",
        name="a-session-is-anybodys",
        module=RETURNS,
        old="if record is None or record.user != (None if identity is None else identity.user):",
        new="if record is None:",
    ),
    Mutant(
        rule="R5",
        name="forbidden-rooms-are-kept",
        module=RETURNS,
        old="                revoked.append(room)",
        new="                pass",
    ),
    Mutant(
        rule="R6",
        name="hello-says-the-head",
        module="gatewright.transports.sessions.socket",
        old="conversation.go_on(resumed.session, after, resumed.missed, resumed.gap)",
        new="conversation.go_on(resumed.session, resumed.session.connection.position or after,"
        " resumed.missed, resumed.gap)",
    ),
    Mutant(
        rule="R6",
        name="gaps-follow-the-replay",
        module=CONVERSATION,
        old="        self.outlet.open([*first, *self._missed])",
        new="        self.outlet.open([first[0], *self._missed, *first[1:]])",
    ),
    Mutant(
        rule="R6",
        name="gaps-are-not-told",
        module=CONVERSATION,
        old="first.append(self._codec.control(GapNotice(",
        new="(lambda _: None)(self._codec.control(GapNotice(",
    ),
    Mutant(
        rule="R7",
        name="pings-have-no-position",
        module=CONVERSATION,
        old="self._tell(Ping(seq))",
        new="self._tell(Ping(0))",
    ),
    Mutant(
        rule="R7",
        name="pings-are-ahead-of-what-was-sent",
        module=CONVERSATION,
        old="self._tell(Ping(seq))",
        new="self._tell(Ping(seq + 1))",
    ),
    Mutant(
        rule="R7",
        name="any-pong-confirms-the-latest-ping",
        module=PONGS,
        old="        if self.pongs != self._asked:\n            return False\n",
        new="",
    ),
    Mutant(
        rule="R7",
        name="pongs-confirm-nothing",
        module=RECOVERY,
        old="        self._confirmed = self._sent.seq\n",
        new="",
        tests=SCENARIOS,
    ),
    Mutant(
        rule="tokens",
        name="void-with-hello",
        module=SESSIONS,
        old="self.keys = (*own, *newer[-MOST_RENEWED:], renewed)",
        new="self.keys = (renewed,)",
    ),
    Mutant(
        rule="tokens",
        name="void-when-another-is-shown",
        module=SESSIONS,
        old="self.keys = (*own, *newer[-MOST_RENEWED:], renewed)",
        new="self.keys = (*own, renewed)",
    ),
    Mutant(
        rule="tokens",
        name="never-void",
        module=CONVERSATION,
        old="                keeper.settle()",
        new="                pass",
    ),
    Mutant(
        rule="tokens",
        name="void-before-hello-has-arrived",
        module=CONVERSATION,
        old="        self._greeted = True\n",
        new="        self._greeted = True\n        assert connection.keeper is not None\n"
        "        connection.keeper.settle()\n",
    ),
)
