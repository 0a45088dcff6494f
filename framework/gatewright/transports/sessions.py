"""The WebSocket door's `gw.v1`: one socket of a session, from `open` to its loss."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import anyio
from msgspec import UNSET
from starlette.types import Receive, Scope, Send

from gatewright.connections import Way
from gatewright.dispatcher import Dispatcher
from gatewright.errors import ErrorCode, EventError
from gatewright.liveness import Heart
from gatewright.openings import Opening
from gatewright.outbox import Outbox
from gatewright.protocol.close import CloseCode, is_final
from gatewright.protocol.codecs import FrameError, decode_errors
from gatewright.protocol.frames import Envelope, ErrorBody
from gatewright.protocol.sessions.codecs import SessionCodec
from gatewright.protocol.sessions.frames import (
    Ack,
    Away,
    GapNotice,
    Heartbeat,
    Hello,
    Ping,
    Pong,
    Refreshed,
    SessionEnvelope,
)
from gatewright.recovery import Ticket, new_secret
from gatewright.session import Session, refusal_code
from gatewright.transports.links import Cut, make_link
from gatewright.transports.reading import payload_of, read, reason_of, size_of
from gatewright.types import DisconnectReason, Frame, Gap, Handshake, Identity, Position

__all__ = ["SessionSocket", "to_the_end"]

logger: logging.Logger = logging.getLogger("gatewright")

_UNREADABLE: tuple[type[Exception], ...] = (FrameError, *decode_errors)


class SessionOutlet:
    """Where a session's frames go: to its socket, but not before `hello`."""

    def __init__(self, outbox: Outbox, codec: SessionCodec) -> None:
        self._outbox = outbox
        self._codec = codec
        self._held: list[Frame] | None = []
        self._size = 0
        self.push: Callable[[Frame], None] = self._hold

    @property
    def closing(self) -> bool:
        return self._outbox.closing

    def _hold(self, frame: Frame) -> None:
        if self._held is None or self.closing:
            return
        self._held.append(frame)
        self._size += frame.size
        if self._size > self._outbox.limit:
            self._held = None
            self.close(CloseCode.SLOW_CONSUMER, "too much was sent before hello")

    def open(self, first: list[Frame]) -> None:
        """Send these, then what was held, and hold nothing any more."""
        held, self._held = self._held or [], None
        self.push = self._outbox.push
        for frame in (*first, *held):
            self._outbox.push(frame)

    def push_volatile(self, frame: Frame, key: str | None = None) -> bool:
        return self._held is None and self._outbox.push_volatile(frame, key)

    async def room(self, wanted: int = 0) -> None:
        await self._outbox.room(wanted)

    def away(self, after: float, reason: str) -> None:
        """Tell the client to connect again after so many seconds."""
        self.push(self._codec.control(Away(after, reason)))

    def close(self, code: int, reason: str = "") -> None:
        self._outbox.close(code, reason)

    def lose(self) -> None:
        self._outbox.lose()

    def abort(self) -> None:
        self._outbox.abort()

    async def aclose(self) -> None:
        await self._outbox.aclose()


class SessionSocket:
    """One WebSocket that speaks `gw.v1`, accepted but not yet opened."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        path: str,
        handshake: Handshake,
        converted: Mapping[tuple[str, Any], Any],
        codec: SessionCodec,
    ) -> None:
        self._dispatcher = dispatcher
        self._node = dispatcher.node
        self._path = path
        self._handshake = handshake
        self._converted = converted
        self._codec = codec
        self._token = new_secret()
        self._resumed = False
        self._missed: list[Frame] = []
        self._gap: Gap | None = None
        self._start: Position | None = None
        self._settled = False
        self._asking = False
        self._refreshing: asyncio.Task[None] | None = None
        self._outbox: Outbox
        self._outlet: SessionOutlet
        self._session: Session
        self._heart: Heart | None = None

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run it to its end."""
        if (await receive())["type"] != "websocket.connect":
            return
        try:
            await send({"type": "websocket.accept", "subprotocol": self._codec.name, "headers": []})
        except OSError:
            # The client left while it was let in.
            return
        cut = Cut()
        link = make_link(scope, receive, send, cut)
        self._outbox = Outbox(link, self._node.flusher, self._node.settings.outbox)
        self._outlet = SessionOutlet(self._outbox, self._codec)
        reason = DisconnectReason(CloseCode.GOING_AWAY)
        opened = False
        try:
            with cut:
                opened = await self._open(receive)
                if opened:
                    reason = await self._converse(scope, receive)
                else:
                    await self._leave(scope, receive)
        finally:
            if opened:
                await self._end(reason)
            with anyio.CancelScope(shield=True):
                await self._outbox.aclose()

    # Opening

    async def _open(self, receive: Receive) -> bool:
        """Read `open` and begin the session that it asks for; False when it was refused."""
        settings = self._node.settings
        try:
            async with asyncio.timeout(settings.open_timeout):
                message = await receive()
        except TimeoutError:
            self._outbox.close(CloseCode.OPEN_TIMEOUT, "expected the op open in time")
            return False
        payload = payload_of(message)
        if payload is None:
            self._outbox.lose()
            return False
        if size_of(payload) > settings.max_frame:
            reason = f"a message has at most {settings.max_frame} bytes"
            self._outbox.close(CloseCode.TOO_LARGE, reason)
            return False
        try:
            envelope = self._codec.envelope(payload)
            auth = self._auth(envelope)
        except _UNREADABLE as error:
            self._outbox.close(CloseCode.PROTOCOL_ERROR, f"expected the op open: {error}")
            return False
        if envelope.op != "open" or envelope.event is not UNSET:
            self._outbox.close(CloseCode.PROTOCOL_ERROR, "expected the op open first")
            return False
        assert isinstance(envelope, SessionEnvelope)
        self._handshake = _with_auth(self._handshake, auth)
        return await self._begin(envelope)

    async def _begin(self, envelope: SessionEnvelope) -> bool:
        dispatcher = self._dispatcher
        try:
            opening = await dispatcher.open(self._path, self._handshake, self._converted)
        except EventError as error:
            self._outbox.close(refusal_code(error), error.message or error.code)
            return False
        if dispatcher.stopping:
            await opening.level.aclose()
            self._outbox.close(CloseCode.RESTART, "the server stops")
            return False
        limit = asyncio.timeout(self._node.settings.open_timeout)
        try:
            async with limit:
                self._session = await self._take(opening, envelope)
        except BaseException as error:
            await opening.level.aclose(error)
            if not isinstance(error, Exception):
                raise
            if limit.expired():
                self._outbox.close(CloseCode.OPEN_TIMEOUT, "opening took too long")
            else:
                logger.exception("%s: no session could be made", self._handshake.namespace)
                self._outbox.close(CloseCode.INTERNAL, "internal error")
            return False
        return True

    async def _take(self, opening: Opening, envelope: SessionEnvelope) -> Session:
        """The session that the client asks for, or a new one."""
        way = Way(self._outlet, self._codec, self, self._control, calls_last=True, tells_gaps=True)
        asked = envelope.resume
        if asked is not UNSET:
            after = Position(asked.epoch, asked.seq)
            ticket = Ticket(asked.token, after, asked.session, int(asked.sent), self._token)
            resumed = await self._dispatcher.resume(self._path, opening, way, ticket)
            if resumed is not None:
                self._resumed = True
                self._missed, self._gap = resumed.missed, resumed.gap
                self._start = after
                return resumed.session
        session = await self._dispatcher.keep(self._path, opening, way, self._token)
        keeper = session.connection.keeper
        assert keeper is not None
        self._start = keeper.start
        return session

    async def _leave(self, scope: Scope, receive: Receive) -> None:
        """Wait for the client's own goodbye, as long as one waits for such."""
        try:
            async with asyncio.timeout(self._node.settings.open_timeout):
                await read(scope, receive, lambda _: None)
        except TimeoutError:
            self._outbox.abort()

    # As the entrance of the session

    def opened(self) -> None:
        """The hooks have let it in: say `hello`, then what it missed, then what was held."""
        connection, settings = self._session.connection, self._node.settings
        ledger = self._session.ledger
        assert ledger is not None
        assert self._start is not None
        hello = Hello(
            session=connection.id,
            token=self._token,
            resumed=self._resumed,
            epoch=self._start.epoch,
            seq=self._start.seq,
            last=ledger.window.last,
            heartbeat=Heartbeat(settings.ping_interval, settings.ping_timeout),
            grace=settings.grace,
            max=settings.max_frame,
            expires=UNSET if (left := _left(connection.identity)) is None else left,
        )
        first = [self._codec.control(hello), *self._missed]
        if (gap := self._gap) is not None:
            first.append(self._codec.control(GapNotice(gap.rooms, gap.epoch, gap.seq)))
        self._missed = []
        self._outlet.open(first)
        if self._resumed:
            self._node.calls.ask_again(connection)

    def refused(self, error: EventError) -> None:
        """A hook has not: the code that the socket is closed with says so."""

    # The conversation

    async def _converse(self, scope: Scope, receive: Receive) -> DisconnectReason:
        session, node = self._session, self._node
        self._heart = Heart(
            node.wheel,
            node.settings.ping_interval,
            node.settings.ping_timeout,
            ping=self._ping,
            dead=self._dead,
        )
        for observer in node.observers:
            observer.opened(session)
        session.start(resumed=self._resumed, gap=self._gap)
        return reason_of(await read(scope, receive, self._take_frame, self._wait))

    async def _end(self, reason: DisconnectReason) -> None:
        if self._heart is not None:
            self._heart.stop()
        if self._refreshing is not None:
            self._refreshing.cancel()
        reason = self._outcome(reason)
        for observer in self._node.observers:
            observer.closed(self._session, reason)
        await to_the_end(self._dispatcher.ending(self._session, reason))

    def _take_frame(self, payload: str | bytes) -> Session | None:
        session, outbox = self._session, self._outbox
        max_frame = self._node.settings.max_frame
        for observer in self._node.observers:
            observer.read(len(payload))
        if self._heart is not None:
            self._heart.heard()
        if outbox.closing:
            # Said goodbye already: read on only to see the client's own.
            return None
        # A character has at most four bytes, so most texts need no second look.
        if len(payload) * 4 > max_frame and size_of(payload) > max_frame:
            outbox.close(CloseCode.TOO_LARGE, f"a message has at most {max_frame} bytes")
            return None
        if not self._settled:
            self._settled = True
            keeper = session.connection.keeper
            if self._resumed and keeper is not None:
                keeper.settle()
        try:
            envelope = self._codec.envelope(payload)
        except FrameError as error:
            session.reject(str(error))
        else:
            session.feed(envelope)
        return session if session.full else None

    async def _wait(self, busy: Session) -> None:
        # Our own silence towards the client is no sign of its absence.
        assert self._heart is not None
        self._heart.pause()
        try:
            await busy.room()
        finally:
            self._heart.resume()

    def _outcome(self, reason: DisconnectReason) -> DisconnectReason:
        """Why the socket is lost, in our words if we have closed it, and whether it may return."""
        code, text = self._outbox.goodbye or (reason.code, reason.text)
        ours = self._outbox.goodbye is not None
        final = ours and (code == CloseCode.NORMAL or is_final(code))
        return DisconnectReason(code, text, resumable=not final)

    # Control frames

    def _control(self, envelope: Envelope) -> bool:
        session = self._session
        match envelope.op:
            case "pong":
                self._ponged()
            case "ping":
                session.tell(Pong())
            case "auth":
                self._refresh(envelope)
            case "bye":
                self._outbox.close(CloseCode.NORMAL, "bye")
            case _:
                return False
        return True

    def _ping(self) -> None:
        """Ask whether the client is there; what it confirms was sent before."""
        session = self._session
        connection, ledger = session.connection, session.ledger
        assert ledger is not None
        position = connection.position
        seq = position.seq if position is not None else 0
        if not self._asking and connection.keeper is not None:
            # The answer to a second one may be the late answer to the first.
            self._asking = True
            connection.keeper.sent(position)
            ledger.window.pinged()
        if ledger.window.running:
            session.tell(Ack(ledger.window.top))
        session.tell(Ping(seq))

    def _ponged(self) -> None:
        if not self._asking:
            return
        self._asking = False
        session = self._session
        if session.connection.keeper is not None:
            session.connection.keeper.confirm()
        if session.ledger is not None:
            session.ledger.window.ponged()

    def _dead(self) -> None:
        """Nobody answers: drop the socket without a goodbye, which nobody would read."""
        logger.debug("%r: no sign of life", self._session.connection)
        self._outbox.abort()

    def _refresh(self, envelope: Envelope) -> None:
        if self._refreshing is not None and not self._refreshing.done():
            error = ErrorBody(ErrorCode.TOO_MANY, "credentials are being looked at already")
            self._session.tell(Refreshed(error=error))
            return
        self._refreshing = asyncio.get_running_loop().create_task(self._renew(envelope))

    async def _renew(self, envelope: Envelope) -> None:
        session = self._session
        connection = session.connection
        try:
            async with asyncio.timeout(self._node.settings.open_timeout):
                await connection.renew(self._auth(envelope), same_user=True)
        except decode_errors as error:
            body = ErrorBody(ErrorCode.INVALID, str(error))
        except Exception as error:
            refusal = await session.hooks.refusal(error, session.opening)
            body = ErrorBody(refusal.code, refusal.message)
        else:
            session.tell(Refreshed(_left(connection.identity)))
            return
        session.tell(Refreshed(error=body))

    def _auth(self, envelope: Envelope) -> Any:
        assert isinstance(envelope, SessionEnvelope)
        return self._codec.decoder(Any)(envelope.auth) if envelope.auth else None


def _with_auth(handshake: Handshake, auth: Any) -> Handshake:
    return Handshake(
        namespace=handshake.namespace,
        path=handshake.path,
        headers=handshake.headers,
        cookies=handshake.cookies,
        query=handshake.query,
        auth=auth,
        client=handshake.client,
    )


def _left(identity: Identity[Any] | None) -> float | None:
    """Seconds until an identity expires; None for never."""
    if identity is None or identity.expires is None:
        return None
    return max(0.0, (identity.expires - datetime.now(UTC)).total_seconds())


async def to_the_end(ending: asyncio.Task[None]) -> None:
    """Await it whoever cancels us meanwhile; the cancellation goes on afterwards."""
    cancelled: asyncio.CancelledError | None = None
    # anyio cancels again and again until its scope is left; asyncio does so once.
    with anyio.CancelScope(shield=True):
        while not ending.done():
            try:
                await asyncio.wait([ending])
            except asyncio.CancelledError as error:
                cancelled = error
    ending.result()
    if cancelled is not None:
        raise cancelled
