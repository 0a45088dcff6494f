"""What a program works with: one session of one namespace, from `async with` to its end."""

import asyncio
import ssl as tls
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self, overload

from msgspec import UNSET, Raw
from typing_extensions import TypeForm, TypeVar

from gatewright.client.core import Core
from gatewright.client.handlers import Registrar, named
from gatewright.client.sockets import Options
from gatewright.client.streams import Feed, Stream
from gatewright.declare.events import Event
from gatewright.errors import ErrorCode, EventError, GatewrightError
from gatewright.protocol.codecs import DecHook, EncHook
from gatewright.protocol.sessions.client import (
    CLIENT_CODECS,
    Backoff,
    ClientSession,
    OpenCall,
    Status,
)
from gatewright.types import DisconnectReason, Gap

__all__ = ["Client", "connect"]

T = TypeVar("T")
R = TypeVar("R")
E = TypeVar("E", bound=Event)
F_open = TypeVar("F_open", bound=Callable[[bool], object])
F_status = TypeVar("F_status", bound=Callable[[Status], object])
F_gap = TypeVar("F_gap", bound=Callable[[Gap], object])


def connect(
    url: str,
    *,
    auth: object = None,
    format: Literal["json", "msgpack"] = "json",  # noqa: A002 - what it is
    timeout: float | None = 10.0,
    call_timeout: float | None = None,
    reconnect: Backoff = Backoff(),  # noqa: B008 - frozen
    queue: int = 1000,
    max_size: int | None = 16 * 1024 * 1024,
    ssl: tls.SSLContext | None = None,
    headers: Mapping[str, str] | None = None,
    origin: str | None = None,
    dec_hook: DecHook | None = None,
    enc_hook: EncHook | None = None,
) -> "Client":
    """A client of the namespace at `url`, as `ws://127.0.0.1:8000/chat`, for `async with`.

    `auth` is what the server's `authenticate` finds, or a function, async or not, that is asked for
    it at each attempt and before the identity expires. Times are in seconds, sizes in bytes.

    - `timeout`: for the first connection, over all attempts; None goes on for ever.
    - `call_timeout`: for calls that say nothing else; None waits as long as the session lives.
    - `queue`: calls that may wait while there is no connection; one more is `too_many`.
    - `max_size`: of a message of the server.
    """
    codec = CLIENT_CODECS[format](dec_hook, enc_hook)
    options = Options(
        url=url,
        subprotocol=codec.subprotocol,
        max_size=max_size,
        ssl=ssl,
        headers=dict(headers or {}),
        origin=origin,
    )
    session = ClientSession(backoff=reconnect, queue=queue)
    return Client(Core(session, codec, options, auth, timeout), call_timeout)


class Client:
    """One session of one namespace; `connect` makes it, `async with` opens and ends it.

    Functions that are registered before the block, or at its beginning, miss nothing. It raises
    `ConnectError` when the server refuses or is not reached in time.
    """

    def __init__(self, core: Core, call_timeout: float | None) -> None:
        self._core = core
        self._session = core.session
        self._call_timeout = call_timeout

    def __repr__(self) -> str:
        return f"<Client of {self._core.options.url}, {self.status}>"

    async def __aenter__(self) -> Self:
        await self._core.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._core.leave()

    # What it is

    @property
    def id(self) -> str:
        """The id of the connection at the server; another one after a new session."""
        hello = self._session.hello
        if hello is None:
            raise GatewrightError("expected a client that is connected; use it in `async with`")
        return hello.session

    @property
    def status(self) -> Status:
        """`connecting`, `open`, `resuming` or `closed`."""
        return self._session.status

    async def closed(self) -> DisconnectReason:
        """Wait until it is over for good; returns the close code and its reason."""
        await self._core.ended.wait()
        assert self._core.end is not None
        return self._core.end

    # To the server

    @overload
    async def call(
        self, event: str, data: object = ..., *, timeout: float | None = None
    ) -> Any: ...
    @overload
    async def call(
        self, event: str, data: object, reply: TypeForm[T], *, timeout: float | None = None
    ) -> T: ...
    @overload
    async def call(self, event: str, *, reply: TypeForm[T], timeout: float | None = None) -> T: ...
    async def call(
        self,
        event: str,
        data: object = UNSET,
        reply: Any = Any,
        *,
        timeout: float | None = None,
    ) -> Any:
        """Call a handler and return its answer, decoded as `reply`.

        It is executed once, over whatever drops and returns. A handler of several parameters takes
        a list. Raises the `EventError` that it ends with, of the server or `timeout`,
        `too_many`, `too_large`, `invalid` (an answer of another type), `reply_lost` (nobody knows
        whether it was executed), `closed` (the client has ended before).
        """
        core = self._core
        decode = core.decoder(reply)
        request = core.request(event, data)
        limit = self._call_timeout if timeout is None else timeout
        answer: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()
        call: OpenCall | None = None
        try:
            async with asyncio.timeout(limit):
                await core.room()
                call = core.begin(request, answer)
                result = await answer
        except TimeoutError:
            raise EventError(ErrorCode.TIMEOUT, f"no answer within {limit:g} s") from None
        finally:
            if call is not None:
                core.give_up(call)
            if answer.done() and not answer.cancelled():
                answer.exception()  # seen, also where this task was cancelled meanwhile
        return decode(result)

    async def emit(self, event: str, data: object = UNSET, *, volatile: bool = False) -> None:
        """Call a handler whose answer nobody needs; returns when it is queued.

        It is not lost over a drop. An error that it ends with is logged. With `volatile` it is a
        message that is lost where there is no connection, or a slow one.
        """
        request = self._core.request(event, data)
        if volatile:
            self._core.message(request)
            return
        await self._core.room()
        self._core.begin(request, None)

    @overload
    def stream(self, event: str, data: object = ...) -> Stream[Any]: ...
    @overload
    def stream(self, event: str, data: object, item: TypeForm[T]) -> Stream[T]: ...
    @overload
    def stream(self, event: str, *, item: TypeForm[T]) -> Stream[T]: ...
    def stream(self, event: str, data: object = UNSET, item: Any = Any) -> Stream[Any]:
        """Call a handler that answers with a stream, and iterate its items, decoded as `item`.

        To leave the loop cancels it. It ends with `interrupted` when the connection is lost.
        """
        core = self._core
        request = core.request(event, data)

        def begin(feed: Feed) -> Callable[[], None]:
            call = core.begin(request, feed)
            return lambda: core.give_up(call)

        return Stream(begin, core.decoder(item))

    # From the server

    @overload
    def on(self, event: type[E]) -> Registrar[E]: ...
    @overload
    def on(self, event: str) -> Registrar[Any]: ...
    @overload
    def on(self, event: str, kind: TypeForm[T]) -> Registrar[T]: ...
    def on(self, event: type[Event] | str, kind: Any = Any) -> Registrar[Any]:
        """Register a function, async or not, for an event; it takes the data as its one argument.

        By class, `@chat.on(Said)`, or by name, `@chat.on("said", Said)`. Functions run one after
        another, in the order of the events; what they raise is logged.
        """
        name, type_ = named(event, kind)
        return _registrar(lambda function: self._core.handlers.on(name, type_, function))

    def off(self, function: Callable[[Any], object]) -> None:
        """Take back every `on` of a function."""
        self._core.handlers.off(function)

    @overload
    def handle(self, event: type[E]) -> Registrar[E]: ...
    @overload
    def handle(self, event: str) -> Registrar[Any]: ...
    @overload
    def handle(self, event: str, kind: TypeForm[T]) -> Registrar[T]: ...
    def handle(self, event: type[Event] | str, kind: Any = Any) -> Registrar[Any]:
        """Register the function that answers a call of the server; what it returns is the answer.

        An `EventError` that it raises goes to the caller. Each call runs once, in its own task.
        """
        name, type_ = named(event, kind)
        return _registrar(lambda function: self._core.handlers.handle(name, type_, function))

    def on_open(self, function: F_open) -> F_open:
        """Register a function that is told of each connection whether it resumes the session.

        One that does not is in no room: calls in here, such as to join, go before all that waits.
        """
        self._session.hold = True
        self._core.handlers.opens.append(function)
        return function

    def on_status(self, function: F_status) -> F_status:
        """Register a function that is told each new status."""
        self._core.handlers.statuses.append(function)
        return function

    def on_gap(self, function: F_gap) -> F_gap:
        """Register a function that is told of rooms whose messages may be lost."""
        self._core.handlers.gaps.append(function)
        return function


def _registrar(register: Callable[[Callable[[Any], object]], None]) -> Registrar[Any]:
    def decorate(function: Callable[[Any], R]) -> Callable[[Any], R]:
        register(function)
        return function

    return decorate
