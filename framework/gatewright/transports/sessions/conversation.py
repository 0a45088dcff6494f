"""One socket of a session, from `hello` to its loss."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

from msgspec import UNSET, Struct
from starlette.types import Receive, Scope

from gatewright.catching import stray
from gatewright.dispatcher import Dispatcher
from gatewright.errors import ErrorCode, EventError
from gatewright.liveness import Heart, Pongs
from gatewright.node import Node
from gatewright.outbox import Outbox
from gatewright.protocol.close import CloseCode, is_final
from gatewright.protocol.codecs import FrameError, decode_errors, describe
from gatewright.protocol.frames import Envelope, ErrorBody
from gatewright.protocol.sessions.codecs import SessionCodec
from gatewright.protocol.sessions.frames import (
    Ack,
    GapNotice,
    Heartbeat,
    Hello,
    Ping,
    Pong,
    Refreshed,
    SessionEnvelope,
)
from gatewright.session import Session
from gatewright.transports.reading import read, reason_of, size_of, to_the_end
from gatewright.transports.sessions.outlet import SessionOutlet
from gatewright.types import DisconnectReason, Frame, Gap, Identity, Position

__all__ = ["Conversation", "read_auth"]

logger: logging.Logger = logging.getLogger("gatewright")


class Conversation:
    """What is said over one socket. It is there before its session, whose entrance it is."""

    def __init__(self, node: Node, outbox: Outbox, codec: SessionCodec, token: str) -> None:
        """`token` is what the client will return with."""
        self.outlet: SessionOutlet = SessionOutlet(outbox, codec, self._closed)
        self._node = node
        self._outbox = outbox
        self._codec = codec
        self._token = token
        self._session: Session
        self._start: Position
        self._resumed = False
        self._missed: list[Frame] = []
        self._gap: Gap | None = None
        self._greeted = False
        self._settled = False
        self._pongs = Pongs()
        self._over = False
        self._refreshing: asyncio.Task[None] | None = None
        self._heart: Heart | None = None

    def begin(self, session: Session, start: Position) -> None:
        """It is about a new session, whose client goes on from a position."""
        self._session = session
        self._start = start
        self._settled = True

    def go_on(
        self, session: Session, start: Position, missed: list[Frame], gap: Gap | None
    ) -> None:
        """It is about a session that has returned, and has missed something."""
        self._session = session
        self._start = start
        self._resumed = True
        self._missed = missed
        self._gap = gap
        # Held until all of that has been said; what is asked from here on comes by itself.
        self._node.calls.ask_again(session.connection)

    # As the entrance of the session

    def opened(self) -> None:
        """The hooks have let it in: say `hello`, then what it missed, then what was held."""
        if self._over or self._outbox.closing:
            # They were not done when the socket was lost.
            return
        connection, settings = self._session.connection, self._node.settings
        ledger = self._session.ledger
        assert ledger is not None
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
        first = [self._codec.control(hello)]
        if (gap := self._gap) is not None:
            # Before what was not lost: a client that is cut in the middle of that goes on behind
            # it, where nothing seems to be missing any more.
            first.append(self._codec.control(GapNotice(gap.rooms, gap.epoch, gap.seq)))
        self.outlet.open([*first, *self._missed])
        self._missed = []
        self._greeted = True
        if self._heart is not None:
            self._heart.resume()

    def refused(self, error: EventError) -> None:
        """A hook has not: the code that the socket is closed with says so."""

    # The conversation

    async def run(self, scope: Scope, receive: Receive) -> DisconnectReason:
        session, node = self._session, self._node
        self._heart = heart = Heart(
            node.wheel,
            node.settings.ping_interval,
            node.settings.ping_timeout,
            ping=self._ping,
            dead=self._dead,
            moving=self._outbox.moving,
        )
        # Until hello its client has nothing to say, and would be taken for lost.
        heart.pause()
        for observer in node.observers:
            observer.opened(session)
        session.start(resumed=self._resumed, gap=self._gap)
        return reason_of(await read(scope, receive, self._take_frame, heart))

    async def end(self, dispatcher: Dispatcher, reason: DisconnectReason) -> None:
        self._over = True
        if self._heart is not None:
            self._heart.stop()
        self._closed()
        reason = self._outcome(reason)
        for observer in self._node.observers:
            observer.closed(self._session, reason)
        await to_the_end(dispatcher.ending(self._session, reason))

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
        if self._greeted and not self._settled:
            self._settled = True
            keeper = session.connection.keeper
            if keeper is not None:
                keeper.settle()
        try:
            envelope = self._codec.envelope(payload)
        except FrameError as error:
            session.reject(str(error))
        else:
            session.feed(envelope)
        return session if session.full else None

    def _outcome(self, reason: DisconnectReason) -> DisconnectReason:
        """Why the socket is lost, in our words if we have closed it, and whether it may return."""
        code, text = self._outbox.goodbye or (reason.code, reason.text)
        ours = self._outbox.goodbye is not None
        final = ours and (code == CloseCode.NORMAL or is_final(code))
        return DisconnectReason(code, text, resumable=not final)

    # Control frames

    def control(self, envelope: Envelope) -> bool:
        match envelope.op:
            case "pong":
                self._ponged()
            case "ping":
                self._tell(Pong())
            case "auth":
                self._refresh(envelope)
            case "bye":
                self._outbox.close(CloseCode.NORMAL, "bye")
            case _:
                return False
        return True

    def _ping(self) -> None:
        """Ask whether the client is there; what it confirms was sent before."""
        if self._outbox.closing or not self._greeted:
            # The session may have another socket by now, and that one its own heart.
            return
        session = self._session
        connection, ledger = session.connection, session.ledger
        assert ledger is not None
        position = connection.position
        seq = position.seq if position is not None else 0
        if self._pongs.pinged() and connection.keeper is not None:
            connection.keeper.sent(position)
            ledger.window.pinged()
        if ledger.window.running:
            self._tell(Ack(ledger.window.top))
        self._outbox.mark()
        self._tell(Ping(seq))

    def _ponged(self) -> None:
        if not self._pongs.ponged():
            return
        session = self._session
        if session.connection.keeper is not None:
            session.connection.keeper.confirm()
        if session.ledger is not None:
            session.ledger.window.ponged()

    def _dead(self) -> None:
        """Nobody answers: drop the socket without a goodbye, which nobody would read."""
        logger.debug("%r: no sign of life", self._session.connection)
        self._outbox.abort(CloseCode.GOING_AWAY, "ping timeout")

    def _refresh(self, envelope: Envelope) -> None:
        if self._refreshing is not None and not self._refreshing.done():
            error = ErrorBody(ErrorCode.TOO_MANY, "credentials are being looked at already")
            self._tell(Refreshed(error=error))
            return
        self._refreshing = asyncio.get_running_loop().create_task(self._renew(envelope))

    async def _renew(self, envelope: Envelope) -> None:
        limit = asyncio.timeout(self._node.settings.open_timeout)
        try:
            async with limit:
                refreshed = await self._refreshed(envelope)
        except TimeoutError:
            error = ErrorBody(ErrorCode.TIMEOUT, "looking at the credentials took too long")
            refreshed = Refreshed(error=error)
        try:
            self._tell(refreshed)
        except Exception:
            logger.exception("%r: a refusal cannot be encoded", self._session.connection)
            self._tell(Refreshed(error=ErrorBody(ErrorCode.INTERNAL, "internal error")))

    async def _refreshed(self, envelope: Envelope) -> Refreshed:
        session = self._session
        connection = session.connection
        try:
            auth = read_auth(self._codec, envelope)
        except decode_errors as error:
            return Refreshed(error=ErrorBody(ErrorCode.INVALID, describe(error)))
        try:
            await connection.renew(auth, same_user=True)
        except (Exception, asyncio.CancelledError) as raised:
            failed = stray(raised) if isinstance(raised, asyncio.CancelledError) else raised
            if failed is None:
                raise
            refusal = await session.hooks.refusal(failed, session.opening)
            return Refreshed(error=ErrorBody(refusal.code, refusal.message))
        return Refreshed(_left(connection.identity))

    def _tell(self, control: Struct) -> None:
        """Say it over this socket; the session may have another one by now."""
        self.outlet.push(self._codec.control(control))

    def _closed(self) -> None:
        """Nothing more is said here: nor is anything asked any more."""
        if self._refreshing is not None:
            self._refreshing.cancel()


def read_auth(codec: SessionCodec, envelope: Envelope) -> Any:
    """The credentials in a frame; raises what a decoder raises."""
    assert isinstance(envelope, SessionEnvelope)
    return codec.decoder(Any)(envelope.auth) if envelope.auth else None


def _left(identity: Identity[Any] | None) -> float | None:
    """Seconds until an identity expires; None for never."""
    if identity is None or identity.expires is None:
        return None
    return max(0.0, (identity.expires - datetime.now(UTC)).total_seconds())
