"""Between what a program asks for and the session: what is waited for, and by whom."""

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType

from gatewright.client.driver import Driver
from gatewright.client.errors import ConnectError
from gatewright.client.handlers import Handlers, Opening, Said, entering
from gatewright.client.sockets import Options
from gatewright.client.streams import Feed
from gatewright.errors import ErrorCode, EventError, GatewrightError
from gatewright.protocol.codecs import decode_errors, describe
from gatewright.protocol.frames import ErrorBody
from gatewright.protocol.sessions.client import (
    Asked,
    CallEnded,
    CallFailed,
    ClientCodec,
    ClientEvent,
    ClientSession,
    Closed,
    Delivered,
    ItemArrived,
    Missed,
    OpenCall,
    Opened,
    Question,
    Status,
)
from gatewright.types import DisconnectReason

__all__ = ["Core", "Request"]

logger: logging.Logger = logging.getLogger("gatewright.client")

_FRAME = 40
"""Bytes of a call's frame at the most, beside its event and its data."""


class Request(Struct, frozen=True):
    """A call that is encoded, ready to be sent; `size` is what its frame has at the most."""

    event: str
    data: Raw | UnsetType
    size: int


class Core:
    """One client's session, its tasks, and everything that waits for something."""

    def __init__(
        self,
        session: ClientSession,
        codec: ClientCodec,
        options: Options,
        auth: object,
        timeout: float | None,
    ) -> None:
        self.session: ClientSession = session
        self.handlers: Handlers = Handlers(codec, self._release)
        self.options: Options = options
        self.ended: asyncio.Event = asyncio.Event()
        self.end: DisconnectReason | None = None
        self._codec = codec
        self._auth = auth
        self._timeout = timeout
        self._waiting: dict[OpenCall, asyncio.Future[Raw] | Feed] = {}
        self._status: Status = "connecting"
        self._driver: Driver | None = None
        self._dispatching: asyncio.Task[None] | None = None
        self._opened = asyncio.Event()
        self._moved = asyncio.Event()

    # Opening and leaving

    async def open(self) -> None:
        """Connect for the first time; raises `ConnectError`."""
        if self._driver is not None:
            raise GatewrightError("expected a new client, got one that was opened before")
        driver = Driver(self.session, self._codec, self.options, self._ask, self._tell)
        self._driver = driver
        opening = asyncio.create_task(self._opened.wait(), name="gatewright client: opening")
        try:
            try:
                await asyncio.wait(
                    {driver.task, opening},
                    timeout=self._timeout,
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                opening.cancel()
                await asyncio.wait({opening})
            if not self._opened.is_set():
                self._refused(driver)
        except BaseException:
            # Also where it was cancelled only then, when the connection was there.
            self.session.bye()
            await driver.abort()
            raise
        # From here to the program's next await nothing is dispatched: it may register first.
        self._dispatching = asyncio.create_task(
            self.handlers.run(), name="gatewright client: functions"
        )

    async def leave(self) -> None:
        """Say `bye` and end all tasks."""
        dispatching = self._dispatching
        assert dispatching is not None
        try:
            await self.driver.leave()
        finally:
            dispatching.cancel()
            await asyncio.wait({dispatching})

    @property
    def driver(self) -> Driver:
        if self._driver is None:
            raise GatewrightError("expected a client that was opened; use it in `async with`")
        return self._driver

    def _refused(self, driver: Driver) -> None:
        """Raise why there is no connection."""
        url = self.options.url
        if self.end is not None:
            raise ConnectError(url, self.end.code, self.end.text)
        if driver.task.done():
            driver.task.result()
        last = driver.failure
        why = f": {last.reason}" if last is not None else ""
        error = ConnectError(url, None, f"no connection within {self._timeout:g} s{why}")
        raise error from last

    async def _ask(self) -> Raw | None:
        auth = self._auth
        if callable(auth):
            auth = auth()
            if inspect.isawaitable(auth):
                auth = await auth
        return None if auth is None else Raw(self._codec.encode(auth))

    # What a program asks for

    def request(self, event: str, data: object) -> Request:
        """Encode a call, once, so that it is what it was when it is sent again."""
        name = self._codec.encode(event)
        if data is UNSET:
            return Request(event, UNSET, len(name) + _FRAME)
        raw = self._codec.encode(data)
        return Request(event, Raw(raw), len(raw) + len(name) + _FRAME)

    def decoder(self, kind: Any) -> Callable[[Raw], Any]:
        """A decoder that raises `EventError`, code `invalid`."""
        decode, null = self._codec.decoder(kind), self._codec.null

        def decoded(data: Raw) -> Any:
            try:
                return decode(data or null)
            except decode_errors as error:
                raise EventError(ErrorCode.INVALID, describe(error)) from None

        return decoded

    async def room(self) -> None:
        """Wait until one more call may wait; without a connection there is no waiting."""
        while self.session.full and self.session.status == "open" and not entering():
            self._moved.clear()
            await self._moved.wait()

    def begin(self, request: Request, waiter: "asyncio.Future[Raw] | Feed | None") -> OpenCall:
        """Call; what comes of it goes to the waiter."""
        driver = self.driver
        call = self.session.call(
            request.event,
            request.data,
            stream=isinstance(waiter, Feed),
            size=request.size,
            first=entering(),
        )
        if waiter is not None:
            self._waiting[call] = waiter
        driver.pump()
        return call

    def give_up(self, call: OpenCall) -> None:
        """Nobody waits for it any more: cancel it."""
        if self._waiting.pop(call, None) is not None:
            self.session.cancel(call)
            self.driver.pump()

    def message(self, request: Request) -> None:
        """Send a message, unless it would have to wait."""
        driver, hello = self.driver, self.session.hello
        if hello is not None and request.size > hello.max:
            raise EventError(ErrorCode.TOO_LARGE, _too_large(hello.max, request.size))
        if not driver.congested:
            self.session.message(request.event, request.data)
            driver.pump()

    # What comes of it

    def _tell(self, event: ClientEvent) -> None:
        match event:
            case Delivered(name, data):
                self.handlers.put(Said(name, data))
            case ItemArrived(call, data):
                feed = self._waiting.get(call)
                if isinstance(feed, Feed):
                    feed.put(data)
            case CallEnded(call, data):
                self._end_call(call, data)
            case CallFailed(call, error):
                details = None if error.details is UNSET else error.details
                self._end_call(call, EventError(error.code, error.message, details))
            case Asked(question):
                self.driver.start(self._answer(question), "an answer")
            case Opened(session, resumed):
                self._opened.set()
                self._changed()
                self.handlers.put(Opening(session, resumed))
            case Missed(gap):
                self.handlers.put(gap)
            case Closed(code, reason):
                self.end = DisconnectReason(code, reason)
                self.ended.set()
            case _:
                pass  # the driver's
        self._changed()
        self._moved.set()

    def _changed(self) -> None:
        status = self.session.status
        if status != self._status:
            self._status = status
            self.handlers.put(status)

    def _end_call(self, call: OpenCall, result: Raw | EventError) -> None:
        waiter = self._waiting.pop(call, None)
        error = result if isinstance(result, EventError) else None
        if isinstance(waiter, Feed):
            waiter.end(error)
        elif waiter is None:
            if error is not None:
                logger.warning("the event %r failed: %s", call.event, error)
        elif waiter.done():
            pass  # cancelled in this turn of the loop
        elif isinstance(result, EventError):
            waiter.set_exception(result)
        else:
            waiter.set_result(result)

    async def _answer(self, question: Question) -> None:
        result = await self.handlers.answer(question)
        hello = self.session.hello
        assert hello is not None
        size = len(self._codec.encode(result)) + len(self._codec.encode(question.id)) + _FRAME
        if size > hello.max:
            # It would close the connection, and again whenever the server asks again.
            result = ErrorBody(ErrorCode.TOO_LARGE, _too_large(hello.max, size))
        self.session.answer(question, result)
        self.driver.pump()

    def _release(self, session: str) -> None:
        self.session.release(session)
        self.driver.pump()


def _too_large(maximum: int, size: int) -> str:
    return f"expected a message of at most {maximum} bytes, got {size}"
