"""Connection state recovery of Socket.IO without one of its rules (R14)."""

from tests.recovery.mutations.mutant import Mutant

__all__ = ["IN_SOCKETIO"]

CHANNEL = "gatewright.transports.socketio.channel"
CLIENT = "gatewright.transports.socketio.client"
CODEC = "gatewright.protocol.socketio.codec"

TESTS = (
    "tests/recovery/test_rules.py",
    "tests/behaviours/test_returning.py",
    "tests/protocol/test_socketio_codec.py",
)

IN_SOCKETIO: tuple[Mutant, ...] = (
    Mutant(
        rule="R14",
        name="an-event-without-an-offset",
        module=CODEC,
        old="        return _with_offset(frame, position)\n\n    def answer",
        new="        return frame\n\n    def answer",
        tests=TESTS,
    ),
    Mutant(
        rule="R14",
        name="volatile-events-without-an-offset",
        module=CODEC,
        old="positions_volatile = True",
        new="positions_volatile = False",
        tests=TESTS,
    ),
    Mutant(
        rule="R14",
        name="any-text-is-an-offset",
        module="gatewright.types",
        old='epoch, dash, seq = text.rpartition("-")',
        new='epoch, dash, seq = (text if "-" in text else f"{text}-0").rpartition("-")',
        tests=TESTS,
    ),
    Mutant(
        rule="R14",
        name="another-pid-each-time",
        module=CLIENT,
        old='channel.body["pid"] = ticket.secret',
        new='channel.body["pid"] = new_secret()',
        tests=TESTS,
    ),
    Mutant(
        rule="R14",
        name="the-replay-before-connect",
        module=CHANNEL,
        old="        self._outbox.push(self._codec.connected(self.namespace, self.body))\n"
        "        for frame in (*self.replay, *held):\n            self._outbox.push(frame)\n",
        new="        for frame in (*self.replay, *held):\n            self._outbox.push(frame)\n"
        "        self._outbox.push(self._codec.connected(self.namespace, self.body))\n",
        tests=TESTS,
    ),
    Mutant(
        rule="R14",
        name="recovered-with-a-gap",
        module="gatewright.returns",
        old="tell = not resumption.gaps or way.tells_gaps",
        new="tell = True",
        tests=TESTS,
    ),
)
