"""How calls end: answers and errors, encoded whatever is in them."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import UNSET

from gatewright.connection import Connection
from gatewright.errors import ErrorCode, EventError
from gatewright.observing import Observer
from gatewright.protocol.frames import ErrorBody
from gatewright.protocol.sessions.window import Window
from gatewright.types import Frame

__all__ = ["Replies"]

logger: logging.Logger = logging.getLogger("gatewright")


class Replies:
    """What one connection is told about its own messages; only `item` raises."""

    __slots__ = (
        "_codec",
        "_connection",
        "_namespace",
        "_observers",
        "_outbox",
        "_window",
        "forward",
    )

    def __init__(
        self,
        connection: Connection,
        observers: Sequence[Observer] = (),
        window: Window | None = None,
    ) -> None:
        """With a `window` the ends of calls are kept for a client that may not get them."""
        self._connection = connection
        self._observers = observers
        self._codec = connection.codec
        self._outbox = connection.outbox
        self._namespace = connection.namespace
        self._window = window
        self.forward: Callable[[int, Any], None] | None = None
        """Who tells another node how calls end, by result or `EventError`: the session may have
        gone there while they still ran."""

    def move(self) -> None:
        """The connection has another socket: ends of calls go there from now on."""
        self._codec = self._connection.codec
        self._outbox = self._connection.outbox

    def answer(self, call_id: int, event: str | None, result: Any) -> None:
        """End a call with its result, or as `internal` where that cannot be encoded."""
        try:
            frame = self._codec.answer(self._namespace, call_id, result)
        except Exception:
            logger.exception("the result of %.80r cannot be encoded", event)
            error = EventError(ErrorCode.INTERNAL, "the result cannot be encoded")
            self.fail(call_id, event, error)
            return
        if self._window is not None:
            self._window.end(call_id, frame, sent=not self._outbox.closing)
        self._outbox.push(frame)
        if self.forward is not None:
            self.forward(call_id, result)

    def item(self, call_id: int, event: str, item: Any) -> Frame:
        """A stream's item, not sent yet; raises what the encoder raises."""
        position = self._connection.position
        frame = self._codec.item(self._namespace, call_id, event, item, position)
        for observer in self._observers:
            observer.sent(self._namespace, (self._connection,), event, item)
        return frame

    def fail(self, call_id: int | None, event: str | None, error: EventError) -> None:
        """End a call with an error; without an id it becomes the event `exception`."""
        details = UNSET if error.details is None else error.details
        body = ErrorBody(error.code, error.message, details)
        position = self._connection.position
        try:
            frame = self._codec.failure(self._namespace, call_id, event, body, position)
        except Exception:
            logger.exception("%r cannot be encoded as it is", error)
            plain = ErrorBody(_plain(error.code), _plain(error.message))
            frame = self._codec.failure(self._namespace, call_id, event, plain, position)
        if self._window is not None and call_id is not None:
            self._window.end(call_id, frame, sent=not self._outbox.closing)
        self._outbox.push(frame)
        if self.forward is not None and call_id is not None:
            self.forward(call_id, error)
        if call_id is None:
            for observer in self._observers:
                observer.sent(self._namespace, (self._connection,), "exception", body)


def _plain(text: object) -> str:
    """Text that every format can carry: names of files, for one, may hold lone surrogates."""
    return str(text).encode("utf-8", "replace").decode()
