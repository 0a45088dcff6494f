"""How calls end: answers and errors, encoded whatever is in them."""

import logging
from typing import Any

from msgspec import UNSET, Struct

from gatewright.errors import ErrorCode, EventError
from gatewright.outbox import Outbox
from gatewright.protocol.codecs import Codec
from gatewright.protocol.frames import Answer, ErrorBody, failure

__all__ = ["Replies"]

logger: logging.Logger = logging.getLogger("gatewright")


class Replies:
    """What one connection is told about its own messages; neither method raises."""

    __slots__ = ("_codec", "_outbox")

    def __init__(self, codec: Codec, outbox: Outbox) -> None:
        self._codec = codec
        self._outbox = outbox

    def answer(self, call_id: int, event: str | None, result: Any) -> None:
        """End a call with its result, or as `internal` where that cannot be encoded."""
        try:
            frame = self._codec.encode(Answer(call_id, result))
        except Exception:
            logger.exception("the result of %.80r cannot be encoded", event)
            error = EventError(ErrorCode.INTERNAL, "the result cannot be encoded")
            self.fail(call_id, event, error)
            return
        self._outbox.push(frame)

    def fail(self, call_id: int | None, event: str | None, error: EventError) -> None:
        """End a call with an error; without an id it becomes the event `exception`."""
        details = UNSET if error.details is None else error.details
        body: Struct = failure(call_id, event, ErrorBody(error.code, error.message, details))
        try:
            frame = self._codec.encode(body)
        except Exception:
            logger.exception("%r cannot be encoded as it is", error)
            plain = ErrorBody(_plain(error.code), _plain(error.message))
            frame = self._codec.encode(failure(call_id, event, plain))
        self._outbox.push(frame)


def _plain(text: object) -> str:
    """Text that every format can carry: names of files, for one, may hold lone surrogates."""
    return str(text).encode("utf-8", "replace").decode()
