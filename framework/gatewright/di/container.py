"""The application level: modules in, recipes and instances out."""

from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from typing_extensions import TypeForm

from gatewright.di.bindings import Bind, install
from gatewright.di.graph import Graph, out_of_reach
from gatewright.di.levels import Level, LevelInjector
from gatewright.di.naming import describe
from gatewright.di.node import NOTHING, Node
from gatewright.di.scopes import Depth
from gatewright.errors import StartupError

__all__ = ["Container", "Recipe"]

T = TypeVar("T")


class Recipe(NamedTuple):
    """What it takes to resolve a type, known before the first connection."""

    level: Depth
    """The narrowest level that it needs; `APP` means that one ask at startup is enough."""
    resources: tuple[object, ...]
    """The types whose resources must be open, in the order in which they are opened."""
    path: tuple[object, ...]
    """From the type asked for down to what makes its level so narrow."""


class Container:
    """Everything bound for one application; independent of any other, even of the same modules.

    `overrides` are modules whose bindings replace those with the same key, whatever their scope.
    `app` holds instances by type, which modules may replace; `connection` and `event` are the
    types that `connection()` and `event()` will be given, which they may not.

    Raises `StartupError` for a module that binds wrongly; `recipe` finds what is missing.
    """

    def __init__(
        self,
        modules: Sequence[Bind] = (),
        *,
        overrides: Sequence[Bind] = (),
        app: Mapping[Any, object] = NOTHING,
        connection: Collection[object] = (),
        event: Collection[object] = (),
    ) -> None:
        seeds: dict[object, Depth] = dict.fromkeys(connection, Depth.CONNECTION)
        seeds |= dict.fromkeys(event, Depth.EVENT)
        injector = LevelInjector()
        table = install(injector, app, modules, overrides)
        for key, depth in seeds.items():
            if key in table:
                raise StartupError(
                    f"modules: {describe(key)}",
                    expected=f"no binding for what every {depth} is given",
                    got="one",
                    fix="Remove it; bind a type of your own instead.",
                )
        self._graph = Graph(table, seeds)
        self._root = injector.level = Level(self._graph, Depth.APP, {}, None, injector)

    def recipe(self, interface: object, *, at: Depth = Depth.EVENT) -> Recipe:
        """What a bound type takes; `at` is the level on which it will be asked for.

        Raises `StartupError`, with the chain of who asked, for a type that is unbound or needs
        more than `at` can hold, a parameter without annotation, an Optional, a cycle, something
        that would outlive what it holds, a @provider that is async or a generator.
        """
        return _recipe(self._graph.node(interface), at)

    def create_recipe(
        self, cls: type, given: Collection[str] = (), *, at: Depth = Depth.EVENT
    ) -> Recipe:
        """As `recipe`, for a class that need not be bound.

        `given` names the constructor parameters that the caller will pass in.
        """
        return _recipe(self._graph.call(cls, given)[1], at)

    async def aget(self, interface: TypeForm[T]) -> T:
        """What is bound to a type on the application's level; see `Level.aget`."""
        return await self._root.aget(interface)

    def get(self, interface: TypeForm[T]) -> T:
        """As `aget`, for what needs no resource that is still to be opened."""
        return self._root.get(interface)

    async def create(self, cls: type[T], given: Mapping[str, object] = NOTHING) -> T:
        """Build a class on the application's level; see `Level.create`."""
        return await self._root.create(cls, given)

    def connection(self, seeds: Mapping[Any, object] = NOTHING) -> Level:
        """A level for one connection, holding its `seeds` by type; nothing is opened yet."""
        return Level(self._graph, Depth.CONNECTION, seeds, self._root)

    async def aclose(self, error: BaseException | None = None) -> None:
        """Close what the application opened; see `Level.aclose`."""
        await self._root.aclose(error)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose(error)


def _recipe(node: Node, at: Depth) -> Recipe:
    if node.level > at:
        raise out_of_reach(node, at)
    return Recipe(node.level, tuple(r.key for r in node.resources), node.narrow)
