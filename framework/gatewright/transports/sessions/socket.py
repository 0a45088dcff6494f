"""A WebSocket that speaks `gw.v1`, from its handshake on."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import anyio
from msgspec import UNSET, structs
from starlette.types import Message, Receive, Scope, Send

from gatewright.connections import Way
from gatewright.dispatcher import Dispatcher
from gatewright.entrance import refusal_code
from gatewright.errors import BackplaneError, EventError
from gatewright.openings import Opening
from gatewright.outbox import Outbox
from gatewright.protocol.close import CloseCode
from gatewright.protocol.codecs import FrameError, decode_errors
from gatewright.protocol.sessions.codecs import SessionCodec
from gatewright.protocol.sessions.frames import SessionEnvelope
from gatewright.recovery import Ticket, new_secret
from gatewright.rooms import LOST_TOUCH
from gatewright.transports.links import Cut, make_link
from gatewright.transports.reading import payload_of, read, size_of
from gatewright.transports.sessions.conversation import Conversation, read_auth
from gatewright.types import DisconnectReason, Handshake, Position

__all__ = ["SessionSocket"]

logger: logging.Logger = logging.getLogger("gatewright")

_UNREADABLE: tuple[type[Exception], ...] = (FrameError, *decode_errors)


class SessionSocket:
    """Waits for `open`, finds the session that it asks for, and lets them talk."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        path: str,
        handshake: Handshake,
        converted: Mapping[tuple[str, Any], Any],
        codec: SessionCodec,
    ) -> None:
        self._dispatcher = dispatcher
        self._settings = dispatcher.node.settings
        self._path = path
        self._handshake = handshake
        self._converted = converted
        self._codec = codec
        self._token = new_secret()
        self._outbox: Outbox
        self._conversation: Conversation
        self._gone = False

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Accept the handshake, and run the socket to its end."""
        if (await receive())["type"] != "websocket.connect":
            return
        accept: Message = {
            "type": "websocket.accept",
            "subprotocol": self._codec.name,
            "headers": [],
        }
        try:
            await send(accept)
        except OSError:
            # The client left while it was let in.
            return
        cut, node = Cut(), self._dispatcher.node
        link = make_link(scope, receive, send, cut)
        self._outbox = Outbox(link, node.flusher, node.settings.outbox)
        self._conversation = Conversation(node, self._outbox, self._codec, self._token)
        reason = DisconnectReason(CloseCode.GOING_AWAY)
        opened = False
        try:
            with cut:
                with self._dispatcher.unopened(self._outbox):
                    opened = await self._open(receive)
                if opened:
                    reason = await self._conversation.run(scope, receive)
                elif not self._gone:
                    await self._leave(scope, receive)
        finally:
            if opened:
                await self._conversation.end(self._dispatcher, reason)
            with anyio.CancelScope(shield=True):
                await self._outbox.aclose()

    async def _open(self, receive: Receive) -> bool:
        """Read `open` and begin the session that it asks for; False when it was refused."""
        settings = self._settings
        try:
            async with asyncio.timeout(settings.open_timeout):
                message = await receive()
        except TimeoutError:
            self._outbox.close(CloseCode.OPEN_TIMEOUT, "expected the op open in time")
            return False
        payload = payload_of(message)
        if payload is None:
            self._outbox.lose()
            self._gone = True
            return False
        if size_of(payload) > settings.max_frame:
            reason = f"a message has at most {settings.max_frame} bytes"
            self._outbox.close(CloseCode.TOO_LARGE, reason)
            return False
        try:
            envelope = self._codec.envelope(payload)
            auth = read_auth(self._codec, envelope)
        except _UNREADABLE as error:
            self._outbox.close(CloseCode.PROTOCOL_ERROR, f"expected the op open: {error}")
            return False
        if envelope.op != "open" or envelope.event is not UNSET:
            self._outbox.close(CloseCode.PROTOCOL_ERROR, "expected the op open first")
            return False
        assert isinstance(envelope, SessionEnvelope)
        self._handshake = structs.replace(self._handshake, auth=auth)
        return await self._begin(envelope)

    async def _begin(self, envelope: SessionEnvelope) -> bool:
        dispatcher = self._dispatcher
        try:
            opening = await dispatcher.open(self._path, self._handshake, self._converted)
        except EventError as error:
            self._outbox.close(refusal_code(error), error.message or error.code)
            return False
        except BackplaneError as error:
            self._lost_touch(error)
            return False
        if dispatcher.stopping:
            await opening.aclose()
            self._outbox.close(CloseCode.RESTART, "the server stops")
            return False
        limit = asyncio.timeout(self._settings.open_timeout)
        try:
            async with limit:
                await self._take(opening, envelope)
        except BaseException as error:
            await opening.abandon(error)
            if not isinstance(error, Exception):
                raise
            if limit.expired():
                self._outbox.close(CloseCode.OPEN_TIMEOUT, "opening took too long")
            elif isinstance(error, BackplaneError):
                self._lost_touch(error)
            else:
                logger.exception("%s: no session could be made", self._handshake.namespace)
                self._outbox.close(CloseCode.INTERNAL, "internal error")
            return False
        return True

    def _lost_touch(self, error: BackplaneError) -> None:
        logger.warning("%s: nobody can be let in: %s", self._handshake.namespace, error)
        self._outbox.close(CloseCode.BEHIND, LOST_TOUCH)

    async def _take(self, opening: Opening, envelope: SessionEnvelope) -> None:
        """Take over the session that the client asks for, or begin a new one."""
        conversation, dispatcher = self._conversation, self._dispatcher
        way = Way(
            conversation.outlet,
            self._codec,
            conversation,
            conversation.control,
            calls_last=True,
            tells_gaps=True,
        )
        asked = envelope.resume
        if asked is not UNSET:
            after = Position(asked.epoch, asked.seq)
            ticket = Ticket(asked.token, after, asked.session, int(asked.sent), self._token)
            resumed = await dispatcher.resume(self._path, opening, way, ticket)
            if resumed is not None:
                conversation.go_on(resumed.session, after, resumed.missed, resumed.gap)
                return
        session = await dispatcher.keep(self._path, opening, way, self._token)
        keeper = session.connection.keeper
        assert keeper is not None
        conversation.begin(session, keeper.start)

    async def _leave(self, scope: Scope, receive: Receive) -> None:
        """Wait for the client's own goodbye, as long as one waits for such."""
        try:
            async with asyncio.timeout(self._settings.open_timeout):
                await read(scope, receive, lambda _: None)
        except TimeoutError:
            self._outbox.abort()
