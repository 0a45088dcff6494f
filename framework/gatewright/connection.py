"""The connection that a handler talks to."""

from collections.abc import Awaitable, Callable
from time import time
from typing import Any, Protocol, cast
from unicodedata import category

import msgspec
from msgspec import Struct
from typing_extensions import TypeForm, TypeVar

from gatewright.calls import Answers
from gatewright.emitter import Target, event_name
from gatewright.errors import ErrorCode, EventError
from gatewright.node import Address, Node
from gatewright.outlets import Outlet
from gatewright.presence import Tracked
from gatewright.protocol.close import CloseCode
from gatewright.protocol.codecs import Codec
from gatewright.receivers import Deed
from gatewright.recovery import Keeper
from gatewright.relays import Whom
from gatewright.rooms import OWN_ROOM
from gatewright.types import Handshake, Identity, Position

__all__ = ["Connection"]

T = TypeVar("T")


class Refresh(Protocol):
    """Asks `authenticate` again; raises what it raises, or for somebody else than before."""

    def __call__(
        self, connection: "Connection", auth: object, /, *, same_user: bool = False
    ) -> Awaitable[Identity[Any] | None]: ...


class Connection:
    """One client in one namespace; its id is its session's, and a room of its own."""

    __slots__ = (
        "_address",
        "_admit",
        "_identity",
        "_node",
        "_refresh",
        "_state",
        "codec",
        "dismissed",
        "ended",
        "final",
        "handshake",
        "id",
        "joined",
        "keeper",
        "moved",
        "outbox",
        "renewed",
        "since",
        "tracked",
        "unwanted",
    )

    def __init__(
        self,
        id: str,
        node: Node,
        address: Address,
        handshake: Handshake,
        identity: Identity[Any] | None,
        state: Struct | None,
        codec: Codec,
        outbox: Outlet,
        *,
        admit: Callable[["Connection", str], Awaitable[None]],
        refresh: "Refresh",
    ) -> None:
        self.id: str = id
        self.handshake: Handshake = handshake
        self.codec: Codec = codec
        self.outbox: Outlet = outbox
        self.joined: set[str] = set()
        self.since: float = time()
        """When it connected, in seconds of Unix time; the latest time, if it has returned."""
        self._node = node
        self._address = address
        self._identity = identity
        self._state = state
        self._admit = admit
        self._refresh = refresh
        self.keeper: Keeper | None = None
        """Its session record, where the transport lets sessions return."""
        self.tracked: Tracked | None = None
        """What it has asked of presence."""
        self.renewed: Callable[[], None] | None = None
        """Called when the identity has changed."""
        self.unwanted: bool = False
        """Whether the application has closed it for good."""
        self.dismissed: Callable[[], None] | None = None
        """Called when it has while the connection is away."""
        self.final: bool = False
        """Whether its client will not return, although its last handlers may still run."""
        self.ended: bool = False
        """Whether it is over for good; one that has only lost its socket is not."""
        self.moved: str | None = None
        """The node that has its session now, while handlers of it still run here."""

    def __repr__(self) -> str:
        return f"<Connection {self.id} of {self.namespace}>"

    @property
    def namespace(self) -> str:
        """Where it is connected, path parameters filled in."""
        return self._address.namespace

    @property
    def user(self) -> str | None:
        """Who it is, as `authenticate` said; None is anonymous."""
        return self._identity.user if self._identity is not None else None

    @property
    def position(self) -> Position | None:
        """Where its node stands in the namespace's sequence."""
        return self._node.namespaces.position(self.namespace)

    @property
    def generation(self) -> int:
        """Which of its session's sockets it has, or had last."""
        return 1 if self.keeper is None else self.keeper.generation

    @property
    def principal(self) -> Any:
        """What `authenticate` knows about its user; `Principal[T]` is the typed way to it."""
        return self._identity.principal if self._identity is not None else None

    @property
    def identity(self) -> Identity[Any] | None:
        return self._identity

    @property
    def patient(self) -> bool:
        """Whether its client answers a call after it has lost its socket and returned."""
        resumable = self.keeper is not None and self.codec.resends
        return resumable and not (self.final or self.ended)

    def move(
        self,
        handshake: Handshake,
        identity: Identity[Any] | None,
        state: Struct | None,
        codec: Codec,
        outbox: Outlet,
        *,
        admit: Callable[["Connection", str], Awaitable[None]],
        refresh: "Refresh",
    ) -> None:
        """Go on with another socket, and with what its opening has brought."""
        self.handshake = handshake
        self.codec = codec
        self.outbox = outbox
        self.since = time()
        self._identity = identity
        self._state = state
        self._admit = admit
        self._refresh = refresh

    @property
    def state(self) -> Any:
        """What `save` kept; `State[T]` is the typed way to it."""
        return self._state

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms that it joined; still readable in `@on_disconnect`."""
        return frozenset(self.joined)

    async def join(self, *rooms: str) -> None:
        """Join rooms; an emit to them that follows reaches this connection.

        Raises `EventError`: `forbidden` by `@authorize_room`, `too_many` over the limit, `invalid`
        for a name that is empty, too long or has control characters.
        """
        if self.moved is not None:
            await self._elsewhere("join", rooms)
            return
        new = [room for room in dict.fromkeys(rooms) if room not in self.joined]
        settings = self._node.settings
        for room in new:
            check_room(room, settings.max_room_name)
        for room in new:
            await self._admit(self, room)
        # `authorize_room` may have waited: whatever joined meanwhile counts too.
        new = [room for room in new if room not in self.joined]
        # A connection that has ended meanwhile would be a member for ever.
        if not new or self.ended:
            return
        if len(self.joined) + len(new) > settings.max_rooms:
            raise EventError(
                ErrorCode.TOO_MANY, f"a connection may be in {settings.max_rooms} rooms"
            )
        await self._node.backplane.mark(self.namespace, "join", self.id, new)
        if not self._node.namespaces.here(self.namespace, self):
            # Away, and a handler of its last socket still runs: only its record was told.
            self.joined.update(new)

    async def admit(self, room: str) -> None:
        """Ask `@authorize_room` again; raises the `EventError` of a refusal."""
        await self._admit(self, room)

    async def leave(self, *rooms: str) -> None:
        """Leave rooms; those it is not in are passed over."""
        if self.moved is not None:
            await self._elsewhere("leave", rooms)
            return
        old = [room for room in dict.fromkeys(rooms) if room in self.joined]
        if old:
            await self._node.backplane.mark(self.namespace, "leave", self.id, old)
            if not self._node.namespaces.here(self.namespace, self):
                self.joined.difference_update(old)

    async def track(self, meta: object = None) -> None:
        """List this connection in all its rooms, now and later, and tell it who is there.

        It gets `presence:state` of every room, then `presence:diff`; docs/presence.md has more.
        `meta` is what the list shows of it, anything that msgspec can encode, until the next call
        replaces it. `ValueError`: it has more than `settings.presence_meta` bytes.
        """
        limit = self._node.settings.presence_meta
        encoded = msgspec.msgpack.encode(meta, enc_hook=self._node.states.enc_hook)
        if len(encoded) > limit:
            raise ValueError(
                f"{self.namespace}: expected at most {limit} bytes to track, got {len(encoded)}; "
                "track what a list shows of somebody, and keep the rest elsewhere"
            )
        await self._present(Tracked.now(encoded, self.tracked))

    async def watch(self) -> None:
        """Tell this connection who is in its rooms, as `track` does, without listing it."""
        await self._present(Tracked.now(None, self.tracked))

    async def untrack(self) -> None:
        """List this connection nowhere, and tell it nothing more of who is there."""
        await self._present(None)

    async def _present(self, tracked: Tracked | None) -> None:
        if tracked == self.tracked:
            return
        if self.moved is not None:
            raise EventError(
                ErrorCode.INTERRUPTED, "the connection goes on at another node: track it there"
            )
        if self.keeper is not None:
            await self.keeper.track(tracked)
        self.tracked = tracked
        self._node.presence.track(self)

    async def emit(self, event: Struct) -> int:
        """Send an event to this connection alone; returns its number in the sequence."""
        return await Target(self._node, self._address, (self.id,)).emit(event)

    def to(self, *rooms: str) -> Target:
        """The members of these rooms without this connection."""
        return Target(self._node, self._address, rooms, None, (self.id,))

    async def call(self, event: Struct, reply: TypeForm[T], *, timeout: float | None = None) -> T:
        """Ask the client and wait for its answer, decoded as `reply`.

        Raises `EventError`: the client's own, `invalid` for an answer of another type,
        `interrupted` when it left; and `CallTimeout`. A client that is away is asked when it is
        back.
        """
        node, namespace = self._node, self.namespace
        name = event_name(event, self._address)
        limit = node.settings.call_timeout if timeout is None else timeout
        answers: Answers[T] = Answers()
        if self.moved is not None:
            whom = Whom(namespace, (self.id,))
            ask_there = node.receivers.call(whom, name, event, reply, limit, patient=True)
            answers = await ask_there
        elif self.patient or node.namespaces.here(namespace, self):
            ask = node.receivers.call_here
            answers = await ask(self, namespace, name, event, reply, limit)
        if answers:
            return answers[0]
        raise answers.errors.get(self.id) or EventError(
            ErrorCode.INTERRUPTED, "the connection was lost before it answered"
        )

    async def save(self, state: Struct) -> None:
        """Replace this connection's `State[T]`; the next event sees it."""
        expected = cast(type[Struct], type(self._state))
        if self._state is None or type(state) is not expected:
            declared = expected.__name__ if self._state is not None else "a State[T] parameter"
            raise TypeError(
                f"{self.namespace}: expected {declared}, got {type(state).__name__}; "
                "save() takes the Struct that the gateway's State[T] names"
            )
        kept = self._node.states.encode(state).data if self.keeper is not None else b""
        if self.moved is not None:
            await self._elsewhere("save", kept=kept)
        elif self.keeper is not None:
            await self.keeper.save(kept)
        self._state = state

    async def replace(self, kept: bytes) -> None:
        """Replace its state with one that another node has encoded."""
        if self._state is None or self.keeper is None:
            return
        state = self._node.states.decoder(type(self._state))(kept)
        await self.keeper.save(kept)
        self._state = state

    async def authenticate(self, auth: object) -> None:
        """Ask `authenticate` again with `handshake.auth` set, and take the identity it returns.

        Raises what it raises; nothing changes then.
        """
        await self.renew(auth)

    async def renew(self, auth: object, *, same_user: bool = False) -> None:
        """`authenticate`; with `same_user` raises `EventError` if it is somebody else now."""
        if self.moved is not None:
            raise EventError(
                ErrorCode.INTERRUPTED, "the connection goes on at another node: nobody to refresh"
            )
        identity = await self._refresh(self, auth, same_user=same_user)
        before = self.user
        self._identity = identity
        if self.keeper is not None and self.user != before:
            await self.keeper.rename(self.user)
        self._node.namespaces[self.namespace].rename(self, before)
        self._node.presence.track(self)
        if self.renewed is not None:
            self.renewed()

    async def disconnect(self, reason: str = "") -> None:
        """Close this connection for good (4500), after everything that was emitted to it.

        Of one that is away the session ends.
        """
        if self.moved is not None:
            await self._elsewhere("disconnect", reason=reason)
            return
        self.unwanted = True
        await self._node.receivers.catch_up(self.namespace)
        self.shut(reason)

    def shut(self, reason: str = "") -> None:
        """`disconnect` at once, whatever is still on its way to it."""
        self.unwanted = True
        self.outbox.close(CloseCode.DISCONNECTED, reason)
        if self.dismissed is not None:
            self.dismissed()

    async def _elsewhere(
        self, what: Deed, rooms: tuple[str, ...] = (), reason: str = "", kept: bytes = b""
    ) -> None:
        """Have something done where its session is now; raises the `EventError` of a refusal."""
        whom = Whom(self.namespace, (self.id,))
        done = await self._node.receivers.do(whom, what, rooms, reason, kept)
        if done.refusal is not None:
            raise EventError(*done.refusal)
        if not done.count and what in ("join", "save"):
            raise EventError(ErrorCode.INTERRUPTED, "the connection has gone")


def check_room(room: object, limit: int) -> None:
    """Refuse a name that cannot be a room's."""
    if not isinstance(room, str) or not room:
        raise EventError(ErrorCode.INVALID, "expected a room's name, got an empty one")
    if len(room.encode("utf-8", "replace")) > limit:
        raise EventError(ErrorCode.INVALID, f"a room's name has at most {limit} bytes of UTF-8")
    if room.startswith(OWN_ROOM):
        raise EventError(
            ErrorCode.INVALID,
            f"a room's name does not begin with {OWN_ROOM!r}: connection ids do, and each is a "
            "room of its own",
        )
    if any(category(character) == "Cc" for character in room):
        raise EventError(ErrorCode.INVALID, "a room's name has no control characters")
