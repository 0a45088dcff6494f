"""Sockets, time and the state machine of a session, brought together in one task."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from msgspec import Raw
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gatewright.client.errors import ConnectError
from gatewright.client.sockets import Options, Unreachable, closing, open_with
from gatewright.protocol.codecs import FrameError
from gatewright.protocol.sessions.client import (
    ClientCodec,
    ClientEvent,
    ClientSession,
    Drop,
    RefreshDue,
    RefreshEnded,
)

__all__ = ["Driver"]

logger: logging.Logger = logging.getLogger("gatewright.client")

_FAREWELL = 2.0
"""Seconds that a server may take to close after `bye`."""

_BACKLOG = 256
"""Frames that wait for the socket at which those that may be lost are."""

_TOO_LARGE = 1009


class Driver:
    """Keeps a session connected until it ends; `tell` is given what comes of it."""

    def __init__(
        self,
        session: ClientSession,
        codec: ClientCodec,
        options: Options,
        ask: Callable[[], Awaitable[Raw | None]],
        tell: Callable[[ClientEvent], None],
    ) -> None:
        self.failure: ConnectError | None = None
        """Of the latest attempt that came to nothing."""
        self._session = session
        self._codec = codec
        self._options = options
        self._ask = ask
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._socket: ClientConnection | None = None
        self._outgoing: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._timer: asyncio.Handle | None = None
        self._rings = 0.0
        """When the timer does; uvloop's does not tell where that is at once."""
        self._aside: set[asyncio.Task[None]] = set()
        self.task: asyncio.Task[None] = self._loop.create_task(
            self._run(), name=f"gatewright client: {options.url}"
        )

    @property
    def congested(self) -> bool:
        """Whether the socket takes less than it is given."""
        return len(self._outgoing) >= _BACKLOG

    def pump(self) -> None:
        """Pass on what the session has to send and to tell; called after whatever it is told."""
        for frame in self._session.frames():
            self._outgoing.append(self._codec.encode(frame))
        if self._outgoing:
            self._wake.set()
        for event in self._session.events():
            match event:
                case Drop(code, why):
                    self._drop(code, why)
                case RefreshDue():
                    self.start(self._refresh(), "a refresh")
                case RefreshEnded(error=error) if error is not None:
                    logger.warning("the identity was not refreshed: %s", error)
                case _:
                    pass
            self._tell(event)
        self._watch()

    def start(self, work: Coroutine[Any, Any, None], what: str) -> None:
        """Run something beside, until the end of the client at the latest."""
        task = self._loop.create_task(work, name=f"gatewright client: {what}")
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    async def leave(self) -> None:
        """Say `bye` where somebody hears it, and end all tasks."""
        heard = self._session.status == "open"
        self._session.bye()
        self.pump()
        try:
            if heard:
                await asyncio.wait({self.task}, timeout=_FAREWELL)
        finally:
            await self.abort()

    async def abort(self) -> None:
        """End all tasks without a word."""
        if self._timer is not None:
            self._timer.cancel()
        tasks = {self.task, *self._aside} - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    # The task

    async def _run(self) -> None:
        try:
            while (until := self._session.until) is not None:
                # asyncio.sleep takes a negative time as none.
                await asyncio.sleep(until - self._loop.time())
                await self._attempt()
        except Exception as error:
            if self._session.hello is None:
                raise
            logger.exception("the client failed")
            self._session.end(1011, f"the client failed: {error!r}")
            self.pump()

    async def _attempt(self) -> None:
        try:
            auth = await self._ask()
            socket = await open_with(self._options)
        except Unreachable as unreachable:
            self.failure = unreachable.error
            # Later a proxy in front of a server that restarts may say what it likes.
            if unreachable.final and self._session.hello is None:
                raise unreachable.error from unreachable.__cause__
            self._failed(str(unreachable))
            return
        except Exception:
            # The application's `auth` failed. At first that is for its caller.
            if self._session.hello is None:
                raise
            logger.exception("no credentials for the next attempt")
            self._failed("no credentials")
            return
        self._outgoing.clear()
        self._socket = socket
        writing = self._loop.create_task(self._write(socket), name="gatewright client: writing")
        try:
            if auth is None:
                self._session.connected(self._loop.time())
            else:
                self._session.connected(self._loop.time(), auth)
            self.pump()
            await self._read(socket)
        finally:
            self._socket = None
            writing.cancel()
            socket.transport.abort()
            await asyncio.wait({writing})

    def _failed(self, reason: str) -> None:
        logger.info("connecting failed: %s", reason)
        self._session.failed(self._loop.time(), reason)
        self.pump()

    async def _read(self, socket: ClientConnection) -> None:
        code: int | None = None
        reason = ""
        try:
            while True:
                message = await socket.recv(decode=False)
                self._session.received(self._codec.read(message), self._loop.time())
                self.pump()
        except ConnectionClosed as closed:
            code, reason, own = closing(closed)
            if own and code == _TOO_LARGE:
                # It would come again after each return.
                self._session.end(code, f"a message is larger than {self._options.max_size} bytes")
            elif own:
                code = None
        except FrameError as error:
            logger.warning("the server sent what is no frame: %s", error)
            reason = str(error)
        if self._session.until is None:
            logger.info("connection lost: %s %s", "no close code" if code is None else code, reason)
        self._session.lost(self._loop.time(), code, reason)
        self.pump()

    async def _write(self, socket: ClientConnection) -> None:
        text = not self._codec.binary
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._outgoing:
                    await socket.send(self._outgoing.popleft(), text=text)
        except ConnectionClosed:
            pass  # the reader has seen it too

    async def _refresh(self) -> None:
        try:
            auth = await self._ask()
        except Exception:
            logger.exception("no credentials to refresh the identity with")
            return
        self._session.refresh(auth)
        self.pump()

    def _drop(self, code: int | None, why: str) -> None:
        logger.info("connection dropped: %s", why)
        socket = self._socket
        self._outgoing.clear()
        if socket is None:
            return
        if code is None:
            socket.transport.abort()
        else:
            self.start(socket.close(code, why), "closing")

    # Time

    def _watch(self) -> None:
        deadline = self._session.deadline
        if deadline is None:
            return
        if self._timer is not None:
            # One that comes too early looks again; most deadlines only move on.
            if self._rings <= deadline:
                return
            self._timer.cancel()
        self._rings = deadline
        self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._session.passed(self._loop.time())
        self.pump()
