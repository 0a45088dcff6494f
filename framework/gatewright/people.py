"""Who is in a room, for whoever asks."""

from typing import Any, Self, overload

from typing_extensions import TypeForm, TypeVar

from gatewright.emitter import locate
from gatewright.errors import EmitError, NotStartedError
from gatewright.node import Address, Node
from gatewright.presence import Person

__all__ = ["Presence"]

T = TypeVar("T")


class Presence:
    """Knows who is where, over all nodes: injected like an `Emitter`, or `app.presence`.

    Its answers are what this node knows at the moment; it waits for nobody.
    """

    def __init__(self, node: Node | None = None, address: Address | None = None) -> None:
        self._node = node
        self._address = address

    @property
    def namespace(self) -> str | None:
        """The namespace that it is bound to, path parameters filled in."""
        return self._address.namespace if self._address is not None else None

    def at(self, namespace: str, /, **path: object) -> "Presence":
        """Bind it to a namespace as declared: `presence.at("/lab/{bench}", bench=7)`."""
        node = self._started()
        return Presence(node, locate(node, namespace, path))

    @overload
    def of(self, room: str) -> list[Person]: ...
    @overload
    def of(self, room: str, kind: TypeForm[T]) -> list[Person[T]]: ...
    def of(self, room: str, kind: Any = Any) -> list[Person[Any]]:
        """The people in a room whose connections track, those who came first standing first.

        Their metas are decoded as `kind`; raises `msgspec.ValidationError` for one that is not.
        """
        node, namespace = self._bound()
        decode = node.states.decoder(kind)
        people = node.presence.people(namespace, room)
        return [Person(id, [decode(meta) for meta in metas]) for id, metas in people.items()]

    def count(self, room: str) -> int:
        """How many people they are; somebody with several connections counts once."""
        node, namespace = self._bound()
        return node.presence.count(namespace, room)

    def attach(self, node: Node | None) -> Self:
        """Give one that was made before start its running node, or take it away at the end."""
        self._node = node
        return self

    def _bound(self) -> tuple[Node, str]:
        node = self._started()
        if self._address is None:
            known = ", ".join(sorted(node.templates))
            raise EmitError(
                "expected presence bound to a namespace, got an unbound one; "
                f"bind it first: presence.at(namespace), one of {known}"
            )
        return node, self._address.namespace

    def _started(self) -> Node:
        if self._node is None:
            raise NotStartedError(
                "presence was asked before the application has started: its lifespan has not run"
            )
        return self._node
