"""What one running process shares between all its connections."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from gatewright.backplane.base import Backplane, Bounds
from gatewright.calls import Calls
from gatewright.flusher import Flusher
from gatewright.liveness import Wheel
from gatewright.observing import Observer
from gatewright.presence import Tracker
from gatewright.protocol.codecs import Codec, MsgpackCodec
from gatewright.protocol.sessions.codecs import SessionCodec
from gatewright.receivers import Receivers
from gatewright.relays import Relay
from gatewright.remote import Remote
from gatewright.rooms import Namespaces
from gatewright.settings import Settings

__all__ = ["Address", "Node", "Template"]


class Template(Struct, frozen=True):
    """A namespace as declared: its path with `{parameters}`, and what may be emitted there.

    None is anything, where declarations are not at hand.
    """

    path: str
    parameters: tuple[str, ...]
    emits: frozenset[type] | None


class Address(Struct, frozen=True):
    """One concrete namespace and what may be emitted there."""

    namespace: str
    emits: frozenset[type] | None


class Node:
    """The parts of a running application, below its gateways."""

    def __init__(
        self,
        settings: Settings,
        backplane: Backplane,
        codecs: Sequence[Codec],
        templates: Mapping[str, Template],
        states: MsgpackCodec | None = None,
    ) -> None:
        self.settings = settings
        self.backplane = backplane
        self.states: MsgpackCodec = states or MsgpackCodec()
        """How connections' states are kept."""
        self.stopping: bool = False
        """Whether the process is about to end."""
        self.stopped: bool = False
        """Whether it has ended: it knows nobody any more."""
        self.codecs: dict[str, Codec] = {codec.name: codec for codec in codecs}
        self.templates = templates
        self.observers: list[Observer] = []
        """All who watch this node."""
        self.relays: list[Relay] = []
        """Who hands on what is emitted here."""
        self.namespaces: Namespaces = Namespaces(self.observers)
        self.flusher: Flusher = Flusher(settings.stall, self.observers)
        self.wheel: Wheel = Wheel()
        """Where the heartbeats of all sockets are."""
        self.remote: Remote = Remote(backplane)
        """The other nodes."""
        self.calls: Calls = Calls(self.remote, self.codecs, self.states.enc_hook)
        self.receivers: Receivers = Receivers(
            self.namespaces,
            self.calls,
            self.remote,
            backplane,
            self.observers,
            self.states.enc_hook,
            settings.request_timeout,
        )
        self.presence: Tracker = Tracker(
            settings,
            self.namespaces,
            self.observers,
            self.remote if backplane.shared else None,
        )
        """Who is in which room, as far as they are tracked."""

    async def start(self) -> None:
        await self.backplane.start(
            self.namespaces.lane,
            bounds(self.settings),
            mail=self.remote.mail,
            peers=self.remote.peers,
        )
        if self.backplane.shared:
            for codec in self.codecs.values():
                if isinstance(codec, SessionCodec):
                    codec.mark = self.backplane.node
        self.presence.start()

    async def stop(self) -> None:
        self.stopped = True
        self.wheel.stop()
        self.flusher.stop()
        self.presence.stop()
        await self.remote.stop()
        await self.backplane.stop()

    async def follow(self, namespace: str) -> None:
        """Have a namespace's lane delivered, where this does not go without saying.

        Raises `BackplaneError`. It ends with `unfollow`.
        """
        if self.backplane.shared:
            await self.backplane.follow(namespace)

    async def unfollow(self, namespace: str) -> None:
        if self.backplane.shared:
            await self.backplane.unfollow(namespace)


def bounds(settings: Settings) -> Bounds:
    """How much is kept for connections that are away."""
    return Bounds(
        per_room=settings.history,
        per_room_bytes=settings.history_bytes,
        age=settings.history_age,
        namespace_bytes=settings.history_total,
        replay=settings.replay,
        replay_bytes=settings.outbox // 2,
        grace=settings.grace,
    )
