"""The application, a connection, an event: who holds which instances, and who closes them."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from injector import Injector
from typing_extensions import TypeForm

from gatewright.di.graph import Graph, out_of_reach
from gatewright.di.naming import describe
from gatewright.di.node import NOTHING, Node
from gatewright.di.scopes import Depth
from gatewright.di.shield import Mark, Shield, marks, stronger

__all__ = ["Level", "LevelInjector"]

T = TypeVar("T")

log: logging.Logger = logging.getLogger("gatewright.di")


class Level:
    """One length of life; use it as an async context manager, or call `aclose` yourself.

    Belongs to one event loop. Closing it closes none of its child levels: close those first.
    """

    __slots__ = (
        "_closed",
        "_graph",
        "_injector",
        "_mark",
        "_open",
        "_opening",
        "_swept",
        "depth",
        "instances",
        "parent",
    )

    def __init__(
        self,
        graph: Graph,
        depth: Depth,
        seeds: Mapping[Any, object],
        parent: "Level | None",
        injector: "LevelInjector | None" = None,
    ) -> None:
        self._graph = graph
        self.depth: Depth = depth
        self.parent: Level | None = parent
        self.instances: dict[object, Any] = dict(seeds)
        self._closed = False
        self._swept = False
        # Made when first needed: most connections and many events never open anything.
        self._injector = injector
        self._mark: Mark | None = None
        self._open: list[tuple[Node, AsyncGenerator[Any, None]]] = []
        self._opening: dict[object, asyncio.Lock] = {}

    def event(self, seeds: Mapping[Any, object] = NOTHING) -> "Level":
        """A level for one event of this connection, holding its `seeds` by type."""
        if self.depth is not Depth.CONNECTION:
            raise RuntimeError(f"expected a connection level to open an event, got {self.depth}")
        return Level(self._graph, Depth.EVENT, seeds, self)

    def at(self, depth: Depth) -> "Level":
        """This level or the one around it that lives as long as `depth` says."""
        level = self
        while level.depth > depth:
            level = cast(Level, level.parent)
        return level

    @property
    def root(self) -> "Level":
        return self.at(Depth.APP)

    @property
    def injector(self) -> "LevelInjector":
        """This level for code that wants an `injector.Injector`."""
        if self._injector is None:
            self._injector = LevelInjector(self)
        return self._injector

    async def aget(self, interface: TypeForm[T]) -> T:
        """What is bound to a type, after its resources have been opened, each at its level.

        Raises `StartupError` as `Container.recipe` does, and whatever opening raises.
        """
        node = self._node(interface)
        if node.resources:
            await self._open_all(node)
        return cast(T, node.get(self))

    def get(self, interface: TypeForm[T]) -> T:
        """As `aget`, for what needs no resource that is still to be opened."""
        return cast(T, self._node(interface).get(self))

    async def create(self, cls: type[T], given: Mapping[str, object] = NOTHING) -> T:
        """Build a class that need not be bound; `given` goes to its parameters by name."""
        call, node = self._graph.call(cls, given)
        self._check(node)
        await self._open_all(node)
        return cast(T, call(self, given))

    def build(self, cls: type[T], given: Mapping[str, object] = NOTHING) -> T:
        """As `create`, for what needs no resource that is still to be opened."""
        call, node = self._graph.call(cls, given)
        self._check(node)
        return cast(T, call(self, given))

    async def aclose(self, error: BaseException | None = None) -> None:
        """Close what is open here, last opened first, whatever fails or is cancelled meanwhile.

        Every resource gets `error`, or the failure of one closed before it. One failed clean-up
        is raised as it is, several as an `ExceptionGroup`; `error` itself is the caller's to
        raise. Cancelling does not interrupt: `CancelledError` is raised at the end. What failed
        in a cancelled level is logged, for the cancellation goes on.
        """
        if self._closed:
            return
        self._closed = True
        own = cancelled = error if isinstance(error, asyncio.CancelledError) else None
        try:
            # Somebody is about to open one more; the order would be lost if we went first.
            for lock in [each for each in self._opening.values() if each.locked()]:
                async with lock:
                    pass
        except asyncio.CancelledError as interrupted:
            # Go first all the same: whoever is opening closes it again then.
            cancelled = stronger(cancelled, interrupted)
        failures: list[BaseException] = []
        self._swept = True
        if self._open:
            shield = Shield(self._close_all(error), self._marked())
            failures = await shield
            cancelled = stronger(cancelled, shield.cancelled)
        for failure in failures:
            if isinstance(failure, asyncio.CancelledError):
                cancelled = stronger(cancelled, failure)
        if cancelled is not None:
            for failure in failures:
                if not isinstance(failure, asyncio.CancelledError):
                    log.error("clean-up of a cancelled %s failed", self.depth, exc_info=failure)
            if cancelled is not own:
                raise cancelled
        elif len(failures) == 1:
            raise failures[0]
        elif failures:
            raise BaseExceptionGroup(
                f"{len(failures)} resources of the {self.depth} level failed to close", failures
            )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose(error)

    def _node(self, interface: object) -> Node:
        node = self._graph.node(interface)
        self._check(node)
        return node

    def _check(self, node: Node) -> None:
        if self._closed:
            raise self._over(node)
        if node.level > self.depth:
            raise out_of_reach(node, self.depth)

    def _over(self, node: Node) -> RuntimeError:
        return RuntimeError(
            f"expected an open {self.depth} level to ask for {describe(node.key)}, got one that "
            "is closed"
        )

    def _marked(self) -> Mark:
        if self._mark is None:
            self._mark = Mark()
        return self._mark

    async def _open_all(self, node: Node) -> None:
        for needed in node.resources:
            home = self.at(needed.level)
            if needed.key not in home.instances:
                await home.enter(needed)

    async def enter(self, node: Node) -> None:
        """Open one resource of this level, whose own resources are open; once for all who ask."""
        lock = self._opening.get(node.key)
        if lock is None:
            lock = self._opening[node.key] = asyncio.Lock()
        async with lock:
            if node.key in self.instances:
                return
            self._check(node)
            generator = cast(AsyncGenerator[Any, None], node.make(self))
            token = marks.set((*marks.get(), self._marked()))
            try:
                instance = await anext(generator)
            except StopAsyncIteration:
                raise _wrong_yields(node, "none") from None
            finally:
                marks.reset(token)
            if not self._swept:
                self.instances[node.key] = instance
                self._open.append((node, generator))
                return
            # Closed meanwhile, by somebody who could not wait for us.
            shield = Shield(_leave(node, generator, None), self._marked())
            raised = await shield
            if shield.cancelled is not None:
                raise shield.cancelled from raised
            raise raised or self._over(node)

    async def _close_all(self, error: BaseException | None) -> list[BaseException]:
        failures: list[BaseException] = []
        current = error
        while self._open:
            node, generator = self._open.pop()
            raised = await _leave(node, generator, current)
            if raised is not None:
                # `raise Conflict from error` says that the first one has become the second.
                failures = [f for f in failures if f is not raised.__cause__]
                failures.append(raised)
                current = raised
        return failures


async def _leave(
    node: Node, generator: AsyncGenerator[Any, None], error: BaseException | None
) -> BaseException | None:
    """Resume a resource after its yield; what it raises of its own is returned."""
    traceback = error.__traceback__ if error is not None else None
    try:
        if error is None:
            await anext(generator)
        else:
            await generator.athrow(error)
    except StopAsyncIteration:
        return None
    except BaseException as raised:
        if raised is error:
            raised.__traceback__ = traceback  # without the frames of this clean-up
            return None
        if isinstance(error, (StopIteration, StopAsyncIteration)) and raised.__cause__ is error:
            return None  # a generator cannot let these two through as they are
        if isinstance(raised, GeneratorExit):
            raise  # our own coroutine is being closed, not the level
        return raised
    try:
        await generator.aclose()
    except BaseException as raised:
        return raised
    return _wrong_yields(node, "a second one")


def _wrong_yields(node: Node, got: str) -> RuntimeError:
    return RuntimeError(
        f"resource {describe(node.key)}: expected exactly one yield, got {got}. Yield the value "
        "once, between what opens it and what closes it"
    )


class LevelInjector(Injector):
    """A level as an `injector.Injector`, for what asks for one: it cannot await."""

    level: Level

    def __init__(self, level: Level | None = None) -> None:
        around = level.parent if level is not None else None
        super().__init__(auto_bind=False, parent=around.injector if around is not None else None)
        if level is not None:
            self.level = level

    def get(self, interface: Any, scope: Any = None) -> Any:
        if scope is not None:
            raise RuntimeError(
                f"expected the binding of {describe(interface)} to name its scope, got "
                f"get(…, scope={scope!r})"
            )
        return self.level.get(interface)

    def create_object(self, cls: type[T], additional_kwargs: Any = None) -> T:
        return self.level.build(cls, additional_kwargs or {})
