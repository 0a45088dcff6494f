"""Opens connections and hands their events to the plans of their namespace."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from gatewright.absences import Absences
from gatewright.arguments import convert_path
from gatewright.blueprint import Blueprint
from gatewright.compiling import Compiler, GatewayPlan
from gatewright.connections import Connections, Way
from gatewright.context import Context, Place
from gatewright.di import Container
from gatewright.farewell import dismiss, see_off
from gatewright.moves import Moves
from gatewright.namespaces import NamespacePlan, NamespaceTable, logged
from gatewright.node import Node
from gatewright.openings import Opening, Openings
from gatewright.outlets import Outlet
from gatewright.plans import EventPlan, RequestPlan
from gatewright.recovery import Ticket
from gatewright.returns import Resumed, Returns
from gatewright.session import Session
from gatewright.types import DisconnectReason, Handshake

__all__ = ["Dispatcher", "NoSuchPath"]


logger: logging.Logger = logging.getLogger("gatewright")


class NoSuchPath(Exception):
    """A path parameter that is none of the values its handlers take."""


class Dispatcher:
    """The running gateways of one application, whatever door a client comes through."""

    def __init__(
        self,
        blueprint: Blueprint,
        container: Container,
        node: Node,
        *,
        debug: bool,
    ) -> None:
        self._blueprint = blueprint
        self._container = container
        self._debug = debug
        self._namespaces: dict[str, NamespacePlan] = {}
        self._sessions: set[Session] = set()
        self._unopened: set[Outlet] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._started = 0
        self._openings = Openings(container, node)
        self._table = NamespaceTable(blueprint.namespaces)
        self._connections = Connections(
            node, container, self._openings, self._namespaces, self.find, self.convert
        )
        self._absences = Absences(node, container, self.end, self._connections.revive)
        self._moves = Moves(node, self._absences)
        self._returns = Returns(node, self._connections, self._absences, self._moves)
        self.node: Node = node
        self.requested: dict[str, Callable[[bytes], Awaitable[object]]] = {}
        """What answers to requests of nodes, by name."""
        self.stopping: bool = False
        """Whether new connections are to be refused."""

    def __len__(self) -> int:
        """How many connections are open."""
        return len(self._sessions)

    async def start(self) -> None:
        """Create the gateways, compile their plans, run `@on_start`."""
        compiler = Compiler(self._blueprint, self._container, self.node, debug=self._debug)
        await compiler.prepare()
        if (known := self._blueprint.authenticate) is not None:
            self._openings.ask(known.function, compiler.arguments(known.parameters))
        for path, namespace in self._blueprint.namespaces.items():
            gateways: list[GatewayPlan] = []
            plans: dict[str, EventPlan] = {}
            for each in namespace.gateways:
                gateway, own = await compiler.gateway(namespace, each)
                gateways.append(gateway)
                plans.update(own)
            guards = compiler.guards(
                (
                    *self._blueprint.around(namespace).guards,
                    *(guard for each in namespace.gateways for guard in each.guards),
                )
            )
            catchers = compiler.catchers(namespace, gateways)
            self._namespaces[path] = NamespacePlan(namespace, gateways, plans, guards, catchers)
        for path, plan in self._namespaces.items():
            for running in plan.gateways:
                for name, request in running.requests.items():
                    self.requested[name] = partial(self._respond, path, name, request)
        await self._run_hooks("on_start")
        self._absences.start()

    async def _respond(self, path: str, name: str, plan: RequestPlan, data: bytes) -> Any:
        """Answer what a node asks."""
        return await plan.run(Context(Place(Handshake(namespace=path)), name, data))

    async def drain(self) -> None:
        """Let nobody in any more, send everybody away, and wait until they have gone."""
        self.stopping = True
        self.node.stopping = True
        await see_off(self._sessions, self._unopened, self._tasks, self.node.settings)

    async def stop(self) -> None:
        """Close what is still open, and run `@on_stop` of all gateways, the last one first."""
        await self.drain()
        await self._absences.stop()
        await self._moves.stop()
        await self._run_hooks("on_stop")

    async def _run_hooks(self, kind: str) -> None:
        gateways = [
            (path, gateway)
            for path, namespace in self._namespaces.items()
            for gateway in namespace.gateways
        ]
        starting = kind == "on_start"
        for path, gateway in gateways if starting else reversed(gateways[: self._started]):
            hook = gateway.hooks.get(kind)
            if hook is not None:
                context = Context(Place(Handshake(namespace=path)))
                async with self._container.connection({}) as level:
                    if starting:
                        await hook.run(context, level)
                    else:
                        await logged(hook, context, level)
            # Whose start failed is not told of a stop, nor are those that come after it.
            self._started += starting

    # Opening

    def find(self, namespace: str) -> tuple[str, Mapping[str, str]] | None:
        """The declared path of a namespace and its parameters, None for one nobody serves."""
        return self._table.find(namespace)

    def convert(self, path: str, values: Mapping[str, str]) -> Mapping[tuple[str, Any], Any]:
        """The path parameters as their handlers want them; raises `NoSuchPath`."""
        converted: dict[tuple[str, Any], Any] = {}
        for name, kind in self._namespaces[path].blueprint.conversions:
            try:
                converted[name, kind] = convert_path(values[name], kind)
            except ValueError as error:
                raise NoSuchPath(f"{name}: {error}") from None
        return converted

    @contextmanager
    def arriving(self) -> Generator[None]:
        """Around everything that one connection is: `stop` waits for its end."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)

    @contextmanager
    def unopened(self, outlet: Outlet) -> Generator[None]:
        """Around the time in which a socket waits for its session: `drain` closes it, too."""
        self._unopened.add(outlet)
        if self.stopping:
            dismiss(outlet)
        try:
            yield
        finally:
            self._unopened.discard(outlet)

    async def open(
        self, path: str, handshake: Handshake, converted: Mapping[tuple[str, Any], Any]
    ) -> Opening:
        """Authenticate and ask the connect guards; raises `EventError` for a refusal.

        `BackplaneError`: nobody is refused, but to let anybody in is impossible now.
        """
        return await self._openings.open(self._namespaces[path], handshake, converted)

    def session(self, path: str, opening: Opening, way: Way) -> Session:
        """Give an opened connection its way out: its hooks run, then its events."""
        connection = self._connections.make(path, opening, way)
        return self._add(self._connections.host(path, opening, connection, way))

    async def keep(self, path: str, opening: Opening, way: Way, secret: str) -> Session:
        """The same, of a connection that can return with its secret after its socket was lost."""
        return self._add(await self._returns.keep(path, opening, way, secret))

    async def resume(self, path: str, opening: Opening, way: Way, ticket: Ticket) -> Resumed | None:
        """Give a connection that returns its session back, and what it has missed.

        None where there is no such session, it is somebody else's, or something of what it missed
        is not there any more and cannot be told: then it begins anew.
        """
        resumed = await self._returns.resume(path, opening, way, ticket)
        if resumed is not None:
            self._add(resumed.session)
        return resumed

    def _add(self, session: Session) -> Session:
        self._sessions.add(session)
        if self.stopping:
            dismiss(session.connection.outbox)
        return session

    async def end(self, session: Session, reason: DisconnectReason) -> None:
        """The socket of a session is lost; where it may return, what it needs for that is kept.

        It goes on when whoever waits for it is cancelled.
        """
        await asyncio.shield(self.ending(session, reason))

    def ending(self, session: Session, reason: DisconnectReason) -> asyncio.Task[None]:
        """The task that ends a session, the same one for all who find that its socket is lost."""
        if session.ending is None:
            ending = asyncio.get_running_loop().create_task(self._end(session, reason))
            session.ending = ending
        return session.ending

    async def _end(self, session: Session, reason: DisconnectReason) -> None:
        kept = False
        try:
            kept = await session.end(reason)
        finally:
            self._sessions.discard(session)
            self._absences.left(session, kept=kept)
