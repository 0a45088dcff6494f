"""Sending to rooms, connections, users and everyone, from anywhere."""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self, cast, overload
from urllib.parse import quote

from msgspec import Struct
from typing_extensions import TypeForm, TypeVar

from gatewright.backplane.base import Entry
from gatewright.calls import Answers
from gatewright.declare.events import check_event_name
from gatewright.errors import EmitError, NotStartedError, StartupError
from gatewright.node import Address, Node
from gatewright.protocol.outgoing import Outgoing
from gatewright.relays import Whom, all_answers

__all__ = ["Emitter", "Named", "Target", "event_name", "fill", "locate"]

_PARAMETER = re.compile(r"{([^{}]*)}")

T = TypeVar("T")


class Named(Struct, frozen=True):
    """An event of a program that has no class for it: its name, and data of builtin types."""

    event: str
    data: Any = None


class Target:
    """Whom an emit is for. Immutable: every method that narrows it returns a new one."""

    def __init__(
        self,
        node: Node | None,
        address: Address | None,
        rooms: tuple[str, ...] | None = None,
        users: tuple[str, ...] | None = None,
        out: tuple[str, ...] = (),
    ) -> None:
        self._node = node
        self._address = address
        self._rooms = rooms
        self._users = users
        self._out = out

    def to(self, *rooms: str) -> "Target":
        """Add rooms; a connection's id is a room. `to()` with none reaches nobody."""
        return Target(
            self._node, self._address, (*(self._rooms or ()), *rooms), self._users, self._out
        )

    def to_user(self, *users: str) -> "Target":
        """Add every connection of these users."""
        return Target(
            self._node, self._address, self._rooms, (*(self._users or ()), *users), self._out
        )

    def except_(self, *rooms: str) -> "Target":
        """Leave out the members of these rooms."""
        return Target(self._node, self._address, self._rooms, self._users, (*self._out, *rooms))

    @overload
    async def emit(self, event: Struct, *, volatile: Literal[False] = False) -> int: ...
    @overload
    async def emit(
        self, event: Struct, *, volatile: Literal[True], key: str | None = None
    ) -> None: ...
    async def emit(
        self, event: Struct, *, volatile: bool = False, key: str | None = None
    ) -> int | None:
        """Send an event; returns its number in the namespace's sequence.

        A volatile event has no number and may be lost where a socket is slow; with a `key` the
        newest one replaces those of the same key that still wait. Raises `EmitError` for an event
        that is unnamed or not among the namespace's `emits`.
        """
        node, address = self._bound()
        namespace = address.namespace
        data = event.data if isinstance(event, Named) else event
        outgoing = Outgoing(event_name(event, address), data, namespace=namespace)
        # Encoded before it is sent: what cannot be encoded fails here, with the emitter, and in
        # every format or in none.
        for codec in node.namespaces.codecs(namespace) or node.codecs.values():
            outgoing.prepare(codec)
        if volatile:
            await node.receivers.volatile(self._whom(address), outgoing, key)
            self._relay(node, address, outgoing)
            return None
        if node.backplane.durable or node.backplane.shared:
            outgoing.store(node.states.enc_hook)
        entry = Entry(outgoing, self._rooms, self._users, self._out)
        seq = await node.backplane.publish(namespace, (entry,))
        self._relay(node, address, outgoing)
        return seq

    async def call(
        self, event: Struct, reply: TypeForm[T], *, timeout: float | None = None
    ) -> Answers[T]:
        """Ask every receiver and wait for all answers, decoded as `reply`.

        Raises `CallTimeout`, with the answers that did arrive, when one is missing after `timeout`
        seconds (default `settings.call_timeout`).
        """
        node, address = self._bound()
        name, whom = event_name(event, address), self._whom(address)
        limit = node.settings.call_timeout if timeout is None else timeout
        ask = node.receivers.call(whom, name, event, reply, limit)
        if not node.relays:
            return await ask
        there = [relay.call(whom, name, event, reply, limit) for relay in node.relays]
        return await all_answers([ask, *there], limit)

    async def join(self, *rooms: str) -> int:
        """Make all of them join rooms; returns how many did, without those who were refused.

        Those that are away join as well; so it is with `leave` and `disconnect`.
        """
        node, whom = self._meant()
        for relay in node.relays:
            relay.join(whom, rooms)
        return (await node.receivers.do(whom, "join", rooms)).count

    async def leave(self, *rooms: str) -> None:
        """Make all of them leave rooms."""
        node, whom = self._meant()
        for relay in node.relays:
            relay.leave(whom, rooms)
        await node.receivers.do(whom, "leave", rooms)

    async def disconnect(self, reason: str = "") -> None:
        """Close their connections for good (4500); the sessions of those that are away end."""
        node, whom = self._meant()
        for relay in node.relays:
            relay.disconnect(whom)
        await node.receivers.do(whom, "disconnect", (), reason)

    async def members(self) -> list[str]:
        """The ids of the connections that an emit would reach now, those that are away not."""
        node, whom = self._meant()
        found = (await node.receivers.do(whom, "members")).ids
        for relay in node.relays:
            found += await relay.members(whom)
        return found

    async def count(self) -> int:
        """How many connections an emit would reach now."""
        node, whom = self._meant()
        found = (await node.receivers.do(whom, "count")).count
        for relay in node.relays:
            found += len(await relay.members(whom))
        return found

    def _relay(self, node: Node, address: Address, outgoing: Outgoing) -> None:
        for relay in node.relays:
            relay.emit(self._whom(address), outgoing)

    def _whom(self, address: Address) -> Whom:
        return Whom(address.namespace, self._rooms, self._users, self._out)

    def _meant(self) -> tuple[Node, Whom]:
        node, address = self._bound()
        return node, self._whom(address)

    def _bound(self) -> tuple[Node, Address]:
        if self._node is None:
            raise NotStartedError(
                "emit before the application has started: its lifespan has not run"
            )
        if self._node.stopped:
            raise NotStartedError("expected an emitter that is open, got one that has been closed")
        if self._address is None:
            known = ", ".join(sorted(self._node.templates))
            raise EmitError(
                "expected an emitter bound to a namespace, got an unbound one; "
                f"bind it first: emitter.of(namespace){known and f', one of {known}'}"
            )
        return self._node, self._address


class Emitter(Target):
    """Sends from anywhere: injected in services, gateways and handlers, or `app.emitter`."""

    def __init__(self, node: Node | None = None, address: Address | None = None) -> None:
        super().__init__(node, address)

    @property
    def namespace(self) -> str | None:
        """The namespace that it is bound to, path parameters filled in."""
        return self._address.namespace if self._address is not None else None

    def of(self, namespace: str, /, **path: object) -> "Emitter":
        """Bind it to a namespace as declared: `emitter.of("/lab/{bench}", bench=7)`."""
        if self._node is None:
            raise NotStartedError(
                "emit before the application has started: its lifespan has not run"
            )
        return Emitter(self._node, locate(self._node, namespace, path))

    def attach(self, node: Node | None) -> Self:
        """Give an emitter made before start its running node, or take it away at the end."""
        self._node = node
        return self


def locate(node: Node, namespace: str, path: Mapping[str, object]) -> Address:
    """A namespace as declared, with its path parameters; raises `EmitError` where it is none."""
    template = node.templates.get(namespace)
    if template is None:
        known = ", ".join(sorted(node.templates))
        raise EmitError(f"expected a declared namespace, one of {known}, got {namespace!r}")
    if set(path) != set(template.parameters):
        wanted = ", ".join(template.parameters) or "none"
        got = ", ".join(path) or "none"
        raise EmitError(f"{namespace}: expected path parameters {wanted}, got {got}")
    filled = fill(template.path, {name: str(value) for name, value in path.items()})
    return Address(filled, template.emits)


def fill(path: str, values: Mapping[str, str]) -> str:
    """Fill a declared path in, each value quoted so that no value can name another namespace."""
    return _PARAMETER.sub(lambda match: quote(values[match[1]], safe=""), path)


def event_name(event: object, address: Address) -> str:
    """The name of an event that may be emitted here; raises `EmitError` for any other."""
    if isinstance(event, Named):
        return _named(event, address)
    kind = type(event)
    name = getattr(kind, "__event__", None)
    if name is None:
        raise EmitError(
            f"expected an Event with a name, got {kind.__name__}; "
            f'declare it as: class {kind.__name__}(Event, event="…")'
        )
    if address.emits is not None and kind not in address.emits:
        listed = ", ".join(sorted(each.__name__ for each in address.emits)) or "nothing"
        raise EmitError(
            f"{address.namespace}: expected one of its declared events ({listed}), got "
            f"{kind.__name__}; add it: @gateway(…, emits=[{kind.__name__}])"
        )
    return cast(str, name)


def _named(event: Named, address: Address) -> str:
    try:
        check_event_name(event.event, "the event")
    except StartupError as error:
        raise EmitError(f"expected {error.expected}, got {error.got}") from None
    names = {getattr(kind, "__event__", None) for kind in address.emits or ()}
    if address.emits is not None and event.event not in names:
        raise EmitError(
            f"{address.namespace}: expected one of its declared events "
            f"({', '.join(sorted(filter(None, names)))}), got {event.event!r}"
        )
    return event.event
