"""Mutated frames into the codecs: only what is documented comes out.

    python -m tests.fuzz.codec --frames 1000000

Exits with 1, and says with which frame, when anything else is raised.
"""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, TypedDict, cast
from uuid import UUID

from msgspec import UNSET, Meta, Raw, Struct

from gatewright.errors import ErrorCode
from gatewright.protocol.codecs import (
    EnvelopeCodec,
    FrameError,
    JsonCodec,
    MsgpackCodec,
    decode_errors,
    describe,
)
from gatewright.protocol.frames import Answer, Envelope, ErrorBody, failure
from tests.fuzz.commands import command
from tests.fuzz.corpus import Mutator

__all__ = ["Fuzzer", "main"]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(Enum):
    LOW = 1
    HIGH = 2


class Point(NamedTuple):
    x: int
    y: int = 0


class Options(TypedDict, total=False):
    loud: bool
    colour: Colour


@dataclass
class Task:
    title: str
    done: bool = False


class Say(Struct):
    room: Annotated[str, Meta(min_length=1, max_length=64, pattern="^[a-z ]*$")]
    text: str = ""


class Moved(Struct, tag="moved"):
    at: datetime
    by: timedelta = timedelta(0)


class Added(Struct, tag="added", forbid_unknown_fields=True):
    task: Task
    price: Decimal = Decimal(0)


class Arguments(Struct, array_like=True):
    first: int
    second: str | None = None
    third: list[Point] = []


class Node(Struct):
    value: int
    children: "list[Node]" = []


class Money:
    """A type of the application's own, read by its `dec_hook`."""


KINDS: list[Any] = [
    Any,
    Raw,
    str,
    Annotated[int, Meta(ge=0, lt=1000)],
    float,
    bool,
    bytes,
    Say,
    Moved | Added,
    Arguments,
    Node,
    Task,
    Options,
    Colour | Level | None,
    dict[str, int | list[str]],
    dict[UUID, date],
    set[int],
    tuple[int, str, *tuple[float, ...]],
    frozenset[str],
    list[Point],
    Literal["a", 1] | None,
    datetime,
    Decimal,
    UUID,
    Money,
    ErrorBody,
]


def dec_hook(kind: type, value: Any) -> Any:
    if kind is Money:
        if not isinstance(value, int):
            raise ValueError("expected an amount in cents")
        return Money()
    raise NotImplementedError


class Fuzzer:
    """Reads frames as a connection does, and answers with whatever went wrong."""

    def __init__(self, codec: EnvelopeCodec) -> None:
        self.codec = codec
        self.ends: Counter[str] = Counter()
        self._decoders: list[Callable[[Any], Any]] = [codec.decoder(kind) for kind in KINDS]
        self._at = 0

    def take(self, message: str | bytes) -> None:
        """Read one frame and its payload as several types; raises only what is a finding."""
        try:
            envelope = self.codec.envelope(message)
        except FrameError as error:
            self._tell(ErrorCode.BAD_FRAME, str(error), None)
            self.ends["no frame"] += 1
            return
        self._check(envelope)
        if isinstance(envelope.event, str):
            # Its name comes back to the client in the errors that it makes.
            self._tell(ErrorCode.UNKNOWN_EVENT, f"no handler {envelope.event!r}", envelope.event)
        raw = envelope.data or envelope.error or Raw(cast(bytes, self.codec.null))
        for _ in range(3):
            self._at = (self._at + 1) % len(KINDS)
            try:
                value = self._decoders[self._at](raw)
            except decode_errors as error:
                self._tell(ErrorCode.INVALID, describe(error), None)
                self.ends["no payload"] += 1
            else:
                self.ends["payload"] += 1
                if self._at == 0:
                    # What came in as anything goes out again as the same.
                    self.codec.encode(Answer(1, value))
        try:
            array = self.codec.array(raw)
            self._decoders[KINDS.index(Arguments)](array)
        except decode_errors as error:
            self._tell(ErrorCode.INVALID, describe(error), None)

    def _check(self, envelope: Envelope) -> None:
        assert envelope.id is UNSET or 0 <= envelope.id < 2**53, envelope.id
        assert isinstance(envelope.event, str) or envelope.event is UNSET, envelope.event
        assert isinstance(envelope.op, str) or envelope.op is UNSET, envelope.op

    def _tell(self, code: str, text: str, event: str | None) -> None:
        assert text, "an error without words"
        self.codec.encode(failure(None if event else 1, event, ErrorBody(code, text)))


def run(frames: int, seed: int) -> Counter[str]:
    """Feed so many frames, half of them in each format; raises with the first finding."""
    total: Counter[str] = Counter()
    for codec in (JsonCodec(dec_hook), MsgpackCodec(dec_hook)):
        fuzzer, mutator = Fuzzer(codec), Mutator(seed, binary=codec.binary)
        for number in range(frames // 2):
            message = mutator.message()
            try:
                fuzzer.take(message)
            except BaseException as error:
                error.add_note(
                    f"{codec.name}, seed {seed}, frame {number}: {message[:2000]!r}"
                    f" (kind {KINDS[fuzzer._at]})"
                )
                raise
        total.update({f"{codec.name}: {end}": n for end, n in fuzzer.ends.items()})
        total["frames"] += frames // 2
    return total


def main(arguments: list[str] | None = None) -> int:
    return command(__doc__, "frames", run, arguments)


if __name__ == "__main__":
    sys.exit(main())
