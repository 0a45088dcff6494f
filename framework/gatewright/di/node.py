"""One resolved type: where it lives and how it is made."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from gatewright.di.naming import describe
from gatewright.di.scopes import Depth

if TYPE_CHECKING:
    from gatewright.di.levels import Level

__all__ = ["Call", "Node", "collect", "listing", "mapping"]

NOTHING: Mapping[str, object] = {}


class Node:
    """A type that can be asked for on `level` and narrower ones.

    `scope` is where its one instance is kept; None makes a new one per ask. `resources` must be
    open, in this order, before `get`. `narrow` is the path to what made its level so narrow.
    """

    __slots__ = ("key", "level", "make", "narrow", "opens", "resources", "scope")

    def __init__(
        self,
        key: object,
        scope: Depth | None,
        level: Depth,
        resources: tuple["Node", ...],
        narrow: tuple[object, ...],
        make: "Callable[[Level], object]",
        *,
        opens: bool = False,
    ) -> None:
        self.key: object = key
        self.scope: Depth | None = scope
        self.level: Depth = level
        self.resources: tuple[Node, ...] = (*resources, self) if opens else resources
        self.narrow: tuple[object, ...] = narrow
        self.make: Callable[[Level], object] = make
        """For a resource: the async generator that yields the instance."""
        self.opens: bool = opens

    def get(self, level: "Level") -> Any:
        """The instance, for a level that is narrow enough and has the resources open."""
        if self.scope is None:
            return self.make(level)
        home = level.at(self.scope)
        try:
            return home.instances[self.key]
        except KeyError:
            pass
        if self.opens:
            raise RuntimeError(
                f"expected {describe(self.key)} to be open on the {self.scope} level, got a "
                "resource that nobody awaited. Ask with `await level.aget(…)`, or declare it as "
                "a parameter; ProviderOf[…].get() and Injector.get() cannot await"
            )
        made = home.instances[self.key] = self.make(home)
        return made


class Call:
    """Calls a class or a provider with what its parameters ask for."""

    __slots__ = ("named", "positional", "target")

    def __init__(
        self,
        target: Callable[..., Any],
        positional: tuple[Node, ...],
        named: tuple[tuple[str, Node], ...],
    ) -> None:
        self.target: Callable[..., Any] = target
        self.positional: tuple[Node, ...] = positional
        self.named: tuple[tuple[str, Node], ...] = named

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (*self.positional, *(node for _, node in self.named))

    def __call__(self, level: "Level", given: Mapping[str, object] = NOTHING) -> Any:
        return self.target(
            *[node.get(level) for node in self.positional],
            **{name: node.get(level) for name, node in self.named},
            **given,
        )


def collect(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """The resources of several nodes in the order in which they must be opened."""
    return tuple(dict.fromkeys(r for node in nodes for r in node.resources))


def listing(found: Sequence[tuple[object, Node]]) -> "Callable[[Level], object]":
    """A multibinding: its providers give one item, or a list of them."""

    def make(level: "Level") -> object:
        items: list[object] = []
        for _, node in found:
            item = node.get(level)
            if isinstance(item, list):
                items.extend(cast(list[object], item))
            else:
                items.append(item)
        return items

    return make


def mapping(found: Sequence[tuple[object, Node]]) -> "Callable[[Level], object]":
    """A multibinding under keys: its providers give a value for their key, or a whole dict."""

    def make(level: "Level") -> object:
        items: dict[object, object] = {}
        for key, node in found:
            value = node.get(level)
            if key is None:
                items.update(value)
            else:
                items[key] = value
        return items

    return make
