"""The application's functions for what the server says, run in order by one task."""

import asyncio
import inspect
import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol, get_origin

from msgspec import Raw, Struct
from typing_extensions import TypeVar

from gatewright.declare.events import Event
from gatewright.errors import ErrorCode, EventError
from gatewright.protocol.codecs import decode_errors, describe
from gatewright.protocol.frames import ErrorBody
from gatewright.protocol.sessions.client import ClientCodec, Question, Status
from gatewright.types import Gap

__all__ = ["Handler", "Handlers", "Registrar", "entering", "named"]

logger: logging.Logger = logging.getLogger("gatewright.client")

T = TypeVar("T")
R = TypeVar("R")

Handler = Callable[[Any], object]


class Registrar(Protocol[T]):
    """A decorator for functions of one argument, which it gives back as they are."""

    def __call__(self, handler: Callable[[T], R], /) -> Callable[[T], R]: ...


class Entry:
    """Whether the functions that follow a new session are running; they go before what waits."""

    __slots__ = ("under_way",)

    def __init__(self) -> None:
        self.under_way: bool = True


_entry: ContextVar[Entry | None] = ContextVar("gatewright_client_entry", default=None)


def entering() -> bool:
    """Whether this is the doing of a function that follows a new session."""
    entry = _entry.get()
    return entry is not None and entry.under_way


class _Typed(Struct, frozen=True):
    decode: Callable[[Raw | bytes], Any]
    function: Handler


class Opening(Struct, frozen=True):
    session: str
    resumed: bool


class Said(Struct, frozen=True):
    event: str
    data: Raw


class Handlers:
    """All functions of one client, and what waits for them.

    `release` is told when the functions that follow a new session have run.
    """

    def __init__(self, codec: ClientCodec, release: Callable[[str], None]) -> None:
        self.opens: list[Callable[[bool], object]] = []
        self.statuses: list[Callable[[Status], object]] = []
        self.gaps: list[Callable[[Gap], object]] = []
        self._codec = codec
        self._release = release
        self._messages: dict[str, list[_Typed]] = {}
        self._calls: dict[str, _Typed] = {}
        self._queue: asyncio.Queue[Opening | Said | Gap | Status] = asyncio.Queue()

    def on(self, event: str, kind: Any, function: Handler) -> None:
        typed = _Typed(self._codec.decoder(kind), function)
        self._messages.setdefault(event, []).append(typed)

    def off(self, function: Handler) -> None:
        for functions in self._messages.values():
            functions[:] = [typed for typed in functions if typed.function is not function]

    def handle(self, event: str, kind: Any, function: Handler) -> None:
        if event in self._calls:
            raise ValueError(f"expected one function that answers {event!r}, got a second one")
        self._calls[event] = _Typed(self._codec.decoder(kind), function)

    def put(self, news: Opening | Said | Gap | Status) -> None:
        """Let something wait for its functions."""
        self._queue.put_nowait(news)

    async def run(self) -> None:
        """Call the functions, one after another, for ever."""
        while True:
            match await self._queue.get():
                case Opening(session, resumed):
                    await self._entered(session, resumed=resumed)
                case Said(event, data):
                    await self._said(event, data)
                case Gap() as gap:
                    if not self.gaps:
                        logger.warning("messages may be lost, in %s", ", ".join(gap.rooms))
                    for function in self.gaps:
                        await _run(function, gap)
                case status:
                    for observer in self.statuses:
                        await _run(observer, status)

    async def _entered(self, session: str, *, resumed: bool) -> None:
        entry = Entry()
        token = _entry.set(None if resumed else entry)
        try:
            for function in self.opens:
                await _run(function, resumed)
        finally:
            entry.under_way = False
            _entry.reset(token)
            if not resumed:
                self._release(session)

    async def _said(self, event: str, data: Raw) -> None:
        functions = self._messages.get(event)
        if not functions:
            if event == "exception":
                logger.warning("a message failed: %s", bytes(data).decode(errors="replace"))
            return
        for typed in tuple(functions):
            try:
                value = typed.decode(data or self._codec.null)
            except decode_errors as error:
                logger.warning("the event %r is not what its function takes: %s", event, error)
                continue
            await _run(typed.function, value)

    async def answer(self, question: Question) -> Raw | ErrorBody:
        """Run the function that answers a call of the server."""
        typed = self._calls.get(question.event)
        if typed is None:
            return ErrorBody(
                ErrorCode.UNKNOWN_EVENT, f"no handler for the event {question.event!r}"
            )
        try:
            value = typed.decode(question.data or self._codec.null)
        except decode_errors as error:
            return ErrorBody(ErrorCode.INVALID, describe(error))
        try:
            result = typed.function(value)
            if inspect.isawaitable(result):
                result = await result
            return Raw(self._codec.encode(result))
        except EventError as error:
            return self._failure(error)
        except Exception:
            logger.exception("the function that answers %r failed", question.event)
            return ErrorBody(ErrorCode.INTERNAL, "internal error")

    def _failure(self, error: EventError) -> ErrorBody:
        if error.details is None:
            return ErrorBody(error.code, error.message)
        try:
            details = Raw(self._codec.encode(error.details))
        except Exception:
            logger.exception("the details of an error cannot be encoded")
            return ErrorBody(ErrorCode.INTERNAL, "internal error")
        return ErrorBody(error.code, error.message, details)


async def _run(function: Handler, value: object) -> None:
    try:
        result = function(value)
        if inspect.isawaitable(result):
            await result
    except Exception:
        logger.exception("a function of the client failed: %r", function)


def named(event: type[Event] | str, kind: Any) -> tuple[str, Any]:
    """An event's name and the type of its data."""
    if isinstance(event, str):
        return event, kind
    name = (get_origin(event) or event).__event__
    if name is None:
        raise ValueError(
            f"expected an Event with a name, got {event.__name__}; "
            f'declare it as: class {event.__name__}(Event, event="…")'
        )
    return name, event
