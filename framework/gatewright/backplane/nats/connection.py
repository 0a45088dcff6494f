"""A connection to NATS that is whole or lost, and says so once: it never comes back by itself."""

import asyncio
import logging
import random
import re
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from gatewright.backplane.shared.log import Unreachable
from gatewright.errors import BackplaneError

__all__ = ["Connection", "Nobody", "Refused", "place"]

logger: logging.Logger = logging.getLogger("gatewright")

CONNECTED_WITHIN: Final = 2.0
ANSWERED_WITHIN: Final = 2.0
ECHO_EVERY: Final = 0.5
ECHOED_WITHIN: Final = 2.0
CLOSED_WITHIN: Final = 0.5
"""Seconds; a server that stands still is noticed after ECHO_EVERY + ECHOED_WITHIN."""

MOST_PENDING: Final = 64 * 1024
MOST_PENDING_BYTES: Final = 64 * 1024 * 1024
"""Messages of one subscription that may wait for our loop; with more they were dropped."""

ROOM_FOR_HEADERS: Final = 512

_DENIED: Final = re.compile(r'permissions violation for (publish|subscription) to "([^"]*)"')


@dataclass(eq=False)
class _Message(Msg):
    """Notes when it has arrived, among those of all subscriptions whose order matters."""

    def __post_init__(self) -> None:
        client = self._client
        if isinstance(client, _Client) and self._sid in client.ordered:
            client.arrived.append(self)


class _Client(Client):
    msg_class: type[Msg] = _Message

    def __init__(self) -> None:
        super().__init__()
        self.secure = False
        self.ordered: set[int] = set()
        self.arrived: deque[Msg] = deque()

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002
        # The client speaks TLS where the server asks for it, and says who it is in any case.
        if initial_connection and self.secure and not info.get("tls_required"):
            raise nats.errors.SecureConnWantedError
        await super()._process_info(info, initial_connection)


class Nobody(Unreachable):
    """Nobody listens to this subject: the stream is not there, or has no leader just now."""


class Refused(Unreachable):
    """The server does not let this user do it."""


class Connection:
    """One connection; `lost` is called once if it ends without having been closed."""

    def __init__(self, lost: Callable[["Connection", str], None]) -> None:
        self._client = _Client()
        self._lost = lost
        self._why: str | None = None
        self._closing: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._inbox = ""
        self._asked = 0
        self._waiting: dict[str, tuple[str, asyncio.Future[Msg]]] = {}
        self._overrun: dict[int, Callable[[], None]] = {}
        self._denied: dict[str, str] = {}
        self._error: Exception | None = None

    @classmethod
    async def open(
        cls,
        servers: Sequence[str],
        options: Mapping[str, Any],
        lost: Callable[["Connection", str], None],
    ) -> "Connection":
        """Connect to one of the servers; raises `Unreachable` with what each has answered."""
        failed: list[str] = []
        for server in random.sample(servers, len(servers)):
            connection = cls(lost)
            try:
                async with asyncio.timeout(CONNECTED_WITHIN):
                    await connection._connect(server, options)
            except (OSError, nats.errors.Error, Unreachable) as error:
                failed.append(f"{place(server)}: {connection._reason(error)}")
                await connection.close()
            except BaseException:
                await connection.close()
                raise
            else:
                return connection
        raise Unreachable("no NATS server can be reached: " + "; ".join(failed))

    async def _connect(self, server: str, options: Mapping[str, Any]) -> None:
        self._client.secure = server.startswith("tls:") or "tls" in options
        # To reconnect is ours: whatever was subscribed to must be known to be broken.
        await self._client.connect(
            **options,
            servers=[server],
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            flush_timeout=ANSWERED_WITHIN,
            error_cb=self._failed,
            closed_cb=self._closed,
        )
        # Its end is the one thing by which all ways to lose a connection are noticed.
        client: Any = self._client
        reading: asyncio.Task[None] = client._reading_task  # noqa: SLF001
        reading.add_done_callback(self._read)
        self._inbox = self._client.new_inbox() + "."
        await self.subscribe(self._inbox + "*", self._answered)
        await self.flush()
        self._watching = asyncio.create_task(self._watch(), name="nats: watch")

    def _reason(self, error: BaseException) -> str:
        # The client tries again, and says in the end that there is no server.
        if isinstance(error, TimeoutError | nats.errors.NoServersError):
            error = self._error or TimeoutError(f"no answer in {CONNECTED_WITHIN:g} s")
        return str(error).removeprefix("nats: ")

    @property
    def info(self) -> Mapping[str, Any]:
        """What the server told of itself."""
        return self._client._server_info  # noqa: SLF001

    @property
    def largest(self) -> int:
        """Bytes that a message may have, its headers included."""
        return self._client.max_payload

    @property
    def lost(self) -> bool:
        return self._why is not None

    @property
    def closed(self) -> bool:
        """Whether nothing of it is left."""
        return self._closing is not None and self._closing.done()

    async def close(self) -> None:
        """Disconnect; whoever waits for an answer gets none."""
        self._lose("the connection to NATS was closed", told=False)
        assert self._closing is not None
        await asyncio.shield(self._closing)

    # Asking

    async def request(
        self, subject: str, payload: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Msg:
        """Ask and get the answer; raises `Nobody`, `Refused` or another `Unreachable`."""
        async with self._answer(subject) as (reply, answer):
            await self.publish(subject, payload, reply=reply, headers=headers)
            try:
                async with asyncio.timeout(ANSWERED_WITHIN):
                    message = await answer
            except TimeoutError:
                raise Unreachable(f"no answer from NATS in {ANSWERED_WITHIN:g} s") from None
        if not message.data and message.headers and message.headers.get("Status") == "503":
            raise Nobody(f"nobody answers to {subject}")
        return message

    @asynccontextmanager
    async def _answer(
        self, subject: str | None = None
    ) -> AsyncGenerator[tuple[str, asyncio.Future[Msg]]]:
        """Where an answer may be sent to; to where one is asked by the `subject`, or by itself."""
        self._check()
        self._asked += 1
        name = str(self._asked)
        reply = self._inbox + name
        answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._waiting[name] = (subject or reply).lower(), answer
        try:
            yield reply, answer
        finally:
            del self._waiting[name]
            if answer.done() and not answer.cancelled():
                answer.exception()

    async def publish(
        self,
        subject: str,
        payload: bytes,
        *,
        reply: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send a message; raises `BackplaneError` for one that is too large for this server."""
        self._check()
        if len(payload) + ROOM_FOR_HEADERS > self.largest:
            raise BackplaneError(
                f"expected messages of at most {self.largest - ROOM_FOR_HEADERS} bytes, got one of "
                f"{len(payload)}: raise max_payload in the configuration of nats-server"
            )
        fields = dict(headers) if headers else None
        try:
            await self._client.publish(subject, payload, reply=reply, headers=fields)
        except nats.errors.Error as error:
            raise Unreachable(str(error)) from error

    async def flush(self) -> None:
        """Come back when the server has read all that was sent: what goes to oneself comes back."""
        async with self._answer() as (reply, answer):
            await self.publish(reply, b"")
            try:
                async with asyncio.timeout(ECHOED_WITHIN):
                    await answer
            except TimeoutError:
                raise Unreachable(f"no answer from NATS in {ECHOED_WITHIN:g} s") from None

    # Hearing

    async def subscribe(
        self,
        subject: str,
        heard: Callable[[Msg], Awaitable[None]],
        overrun: Callable[[], None] | None = None,
    ) -> Subscription:
        """Hear a subject; `overrun` is called when messages of it had to be dropped.

        Whether the server allows it is known after a `flush`, from `allowed`.
        """
        self._check()
        self._denied.pop(subject.lower(), None)
        try:
            client: Any = self._client  # one of its types is unknown
            subscription: Subscription = await client.subscribe(
                subject,
                cb=heard,
                pending_msgs_limit=MOST_PENDING,
                pending_bytes_limit=MOST_PENDING_BYTES,
            )
        except nats.errors.Error as error:
            raise Unreachable(str(error)) from error
        if overrun:
            self._overrun[subscription._id] = overrun  # noqa: SLF001
        return subscription

    async def subscribe_in_order(
        self, subjects: Sequence[str], heard: Callable[[bytes], None]
    ) -> None:
        """Hear several subjects in the one order in which their messages come."""
        client = self._client

        async def told(message: Msg) -> None:
            # Each subscription has a queue of its own, and all are told equally often.
            heard((client.arrived.popleft() if client.arrived else message).data)

        for subject in subjects:
            subscription = await self.subscribe(subject, told)
            client.ordered.add(subscription._id)  # noqa: SLF001
        await self.flush()
        self.allowed(*subjects)

    def allowed(self, *subjects: str) -> None:
        """Raise `Refused` for subjects that this user may not subscribe to."""
        for subject in map(str.lower, subjects):
            if subject in self._denied:
                raise Refused(self._denied[subject])

    async def unsubscribe(self, subscription: Subscription) -> None:
        self._overrun.pop(subscription._id, None)  # noqa: SLF001
        if self._why is None:
            try:
                await subscription.unsubscribe()
            except nats.errors.Error as error:
                raise Unreachable(str(error)) from error

    @asynccontextmanager
    async def inbox(self, heard: Callable[[Msg], Awaitable[None]]) -> AsyncGenerator[str]:
        """A subject of one's own for several answers."""
        subject = self._client.new_inbox()
        subscription = await self.subscribe(subject, heard)
        try:
            yield subject
        finally:
            await self.unsubscribe(subscription)

    # What the client tells

    async def _answered(self, message: Msg) -> None:
        waiting = self._waiting.get(message.subject.rpartition(".")[2])
        if waiting is not None and not waiting[1].done():
            waiting[1].set_result(message)

    async def _failed(self, error: Exception) -> None:
        self._error = error
        if isinstance(error, nats.errors.SlowConsumerError):
            overrun = self._overrun.get(error.sid)
            if overrun is not None:
                overrun()
            else:
                self._lose(f"messages to {error.subject} were dropped")
        elif (denied := _DENIED.search(str(error))) is not None:
            self._deny(*denied.groups())
        elif isinstance(error, OSError | nats.errors.Error) and self._watching is not None:
            self._lose(str(error))
        else:
            logger.debug("nats: %s", error)

    def _deny(self, what: str, subject: str) -> None:
        """The client tells it in lower case, and not whose request it was."""
        name = "publish to" if what == "publish" else "subscribe to"
        reason = f"this user has no right to {name} {subject!r}"
        if what != "publish":
            self._denied[subject] = reason
            return
        for asked, answer in self._waiting.values():
            if asked == subject and not answer.done():
                answer.set_exception(Refused(reason))

    async def _closed(self) -> None:
        self._lose(self._reason(self._error or Exception("the server has closed the connection")))

    def _read(self, reading: asyncio.Task[None]) -> None:
        error = None if reading.cancelled() else reading.exception()
        self._lose(str(error or self._error or "the server has closed the connection"))

    async def _watch(self) -> None:
        """A server that stands still acknowledges TCP and answers nothing."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(ECHO_EVERY)
            asked = loop.time()
            # Not by a timeout: the client swallows cancellations.
            flushing = asyncio.create_task(self.flush())
            _, late = await asyncio.wait([flushing], timeout=ECHOED_WITHIN + ECHO_EVERY)
            if late:
                flushing.cancel()
            elif flushing.exception() is None:
                continue
            if loop.time() - asked > ECHOED_WITHIN + 2 * ECHO_EVERY:
                continue  # it is we who stood still
            self._lose("the NATS server does not answer")
            return

    # The end

    def _check(self) -> None:
        if self._why is not None:
            raise Unreachable(self._why)

    def _lose(self, why: str, *, told: bool = True) -> None:
        if self._why is not None:
            return
        self._why = why
        for _, answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(Unreachable(why))
        self._closing = asyncio.create_task(self._end(), name="nats: close")
        if told and self._watching is not None:
            self._lost(self, why)

    async def _end(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        closing = asyncio.create_task(self._client.close())
        _, late = await asyncio.wait([closing], timeout=CLOSED_WITHIN)
        # It waits for what a server that stands still does not take, and so may its own tasks.
        transport = self._client._transport  # noqa: SLF001
        writer: asyncio.StreamWriter | None = getattr(transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()
        if late:
            _, late = await asyncio.wait(late, timeout=CLOSED_WITHIN)
            if late:
                closing.cancel()
                await asyncio.wait(late, timeout=CLOSED_WITHIN)
        if closing.done() and not closing.cancelled():
            closing.exception()


def place(server: str) -> str:
    """Where a server is, without who connects."""
    parts = urlsplit(server if "://" in server else f"nats://{server}")
    return parts.netloc.rpartition("@")[2] or server
