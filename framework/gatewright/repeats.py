"""Calls that have come before: a client that has no answer sends them again (rule R12)."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from gatewright.errors import ErrorCode, EventError
from gatewright.ledger import Ledger
from gatewright.outlets import Outlet
from gatewright.plans import EventPlan
from gatewright.protocol.codecs import Codec
from gatewright.protocol.frames import Envelope
from gatewright.protocol.sessions.codecs import SessionCodec
from gatewright.protocol.sessions.frames import Ack
from gatewright.protocol.sessions.window import Taken

__all__ = ["Repeats"]


class Repeats:
    """What one socket's client is told of the calls that it sends again."""

    __slots__ = ("_attached", "_codec", "_ledger", "_outbox", "_plans", "_replies", "_window")

    def __init__(
        self, ledger: Ledger, plans: Mapping[str, EventPlan], codec: Codec, outbox: Outlet
    ) -> None:
        self._ledger = ledger
        self._window = ledger.window
        self._replies = ledger.replies
        self._plans = plans
        self._codec = codec
        self._outbox = outbox
        self._attached: dict[int, tuple[str, Envelope]] = {}
        """Calls that another node still executes, as they were sent again."""

    def known(self, event: str, call_id: int, envelope: Envelope) -> bool:
        """Whether a call has come before; its client is told what has become of it."""
        window = self._window
        taken = window.take(call_id)
        if taken is Taken.NEW:
            return False
        if taken is Taken.ENDED:
            self._outbox.push(window.again(call_id))
        elif taken is Taken.RUNNING:
            if call_id in self._ledger.elsewhere:
                self._attached[call_id] = event, envelope
            self.tell(Ack(window.top))
        elif (plan := self._plans.get(event)) is not None and plan.idempotent:
            window.take_again(call_id)
            return False
        else:
            message = "nobody knows any more whether it was executed"
            self._replies.fail(call_id, event, EventError(ErrorCode.REPLY_LOST, message))
        return True

    def lost(self, ids: Iterable[int]) -> list[tuple[str, int, Envelope]]:
        """Calls were lost with the node that executed them; returns those to execute again."""
        again: list[tuple[str, int, Envelope]] = []
        for id in ids:
            sent = self._attached.pop(id, None)
            if sent is not None and not self.known(sent[0], id, sent[1]):
                again.append((sent[0], id, sent[1]))
        return again

    def tell(self, control: Struct) -> None:
        """Send a control frame, where the format has such."""
        assert isinstance(self._codec, SessionCodec)
        self._outbox.push(self._codec.control(control))
