"""Opens connections and hands their events to the plans of their namespace."""

import asyncio
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from secrets import token_urlsafe
from typing import Any, TypeGuard

from msgspec import Struct

from gatewright.absences import Absences
from gatewright.arguments import Arguments, convert_path
from gatewright.backplane.base import Record
from gatewright.blueprint import Blueprint
from gatewright.catching import stray
from gatewright.compiling import Compiler, GatewayPlan
from gatewright.connection import Connection
from gatewright.context import Context, Place
from gatewright.di import Container, Level
from gatewright.emitter import Emitter
from gatewright.errors import ErrorCode, EventError
from gatewright.expiry import Expiry
from gatewright.namespaces import NamespacePlan, NamespaceTable, logged
from gatewright.node import Address, Node
from gatewright.outbox import Outlet
from gatewright.plans import EventPlan, open_level
from gatewright.protocol.close import CloseCode
from gatewright.protocol.codecs import Codec
from gatewright.recovery import Keeper, Ticket, hash_secret, replay
from gatewright.rooms import OWN_ROOM
from gatewright.session import Entrance, Session
from gatewright.types import DisconnectReason, Frame, Handshake, Identity

__all__ = ["Dispatcher", "NoSuchPath", "Opening", "Way"]


logger: logging.Logger = logging.getLogger("gatewright")


class NoSuchPath(Exception):
    """A path parameter that is none of the values its handlers take."""


class Way(Struct, frozen=True):
    """How a connection is reached: where its frames go, and in which format."""

    outlet: Outlet
    codec: Codec
    entrance: Entrance | None = None
    """Who is told how the opening ended; a plain WebSocket is open before it."""


class Opening(Struct):
    """A connection that has passed its guards and waits for its socket."""

    place: Place
    level: Level


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
        self._tasks: set[asyncio.Task[Any]] = set()
        self._started = 0
        self._authenticate: tuple[Callable[..., Any], Arguments] | None = None
        self._table = NamespaceTable(blueprint.namespaces)
        self._absences = Absences(node, container)
        self.node: Node = node
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
            self._authenticate = known.function, compiler.arguments(known.parameters)
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
        await self._run_hooks("on_start")

    async def stop(self) -> None:
        """Close what is still open, and run `@on_stop` of all gateways, the last one first."""
        self.stopping = True
        self.node.stopping = True
        for session in self._sessions:
            self._dismiss(session)
        if self._tasks:
            # Their transports end them as their clients answer the goodbye; who does not is cut.
            # Who is still opening is told at the end of that.
            limit = self.node.settings.finish_timeout
            _, late = await asyncio.wait(self._tasks, timeout=limit)
            for session in list(self._sessions):
                session.connection.outbox.abort()
            if late:
                await asyncio.wait(late, timeout=3 * limit)
        await self._absences.stop()
        await self._run_hooks("on_stop")

    @staticmethod
    def _dismiss(session: Session) -> None:
        session.connection.outbox.close(CloseCode.RESTART, "the server stops")

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

    async def open(
        self, path: str, handshake: Handshake, converted: Mapping[tuple[str, Any], Any]
    ) -> Opening:
        """Authenticate and ask the connect guards; raises `EventError` for a refusal."""
        namespace = self._namespaces[path]
        place = Place(handshake, converted)
        context = Context(place)
        seeds: dict[type, Any] = {Handshake: handshake}
        level = self._container.connection(seeds)
        asked = self._authenticate is not None and not namespace.blueprint.apart
        if not asked and not namespace.guards:
            return Opening(place, level)
        limit = asyncio.timeout(self.node.settings.open_timeout)
        try:
            async with limit:
                if asked:
                    place.identity = await self._identify(context, level)
                async with open_level(context, level, namespace.guards.level):
                    await namespace.guards.check(context)
        except BaseException as error:
            await close(level, error)
            if isinstance(error, TimeoutError) and limit.expired():
                raise EventError(ErrorCode.TIMEOUT, "opening took too long") from None
            failed = stray(error) if isinstance(error, asyncio.CancelledError) else error
            if isinstance(failed, Exception):
                raise await namespace.refusal(failed, context) from error
            raise
        return Opening(place, level)

    async def _identify(self, context: Context, level: Level) -> Identity[Any] | None:
        if self._authenticate is None:
            return None
        function, arguments = self._authenticate
        async with open_level(context, level, arguments.level):
            identity: object = await (await arguments.call(function, context))
        if not _is_identity(identity):
            raise TypeError(
                f"authenticate: expected an Identity or None, got {type(identity).__name__}"
            )
        if identity is not None and identity.expires is not None and not identity.expires.tzinfo:
            raise TypeError(
                f"authenticate: expected expires with a time zone, got {identity.expires!r}; "
                "write datetime.now(UTC) + timedelta(…)"
            )
        return identity

    def session(self, path: str, opening: Opening, way: Way) -> Session:
        """Give an opened connection its way out: its hooks run, then its events."""
        return self._host(path, opening, self._connection(path, opening, way), way)

    async def keep(self, path: str, opening: Opening, way: Way, secret: str) -> Session:
        """The same, of a connection that can return with its secret after its socket was lost."""
        connection = self._connection(path, opening, way)
        backplane, namespace, id = self.node.backplane, connection.namespace, connection.id
        position = await backplane.open(namespace, id, hash_secret(secret), connection.user)
        connection.keeper = Keeper(backplane, namespace, id)
        session = self._host(path, opening, connection, way)
        self.node.namespaces[namespace].position = position
        self._absences.arrived(session)
        return session

    async def resume(
        self, path: str, opening: Opening, way: Way, ticket: Ticket
    ) -> tuple[Session, list[Frame]] | None:
        """Give a connection that returns its session back, and what it has missed.

        None where there is no such session, it is somebody else's, or something of what it missed
        is not there any more: then it begins anew.
        """
        namespace = opening.place.handshake.namespace
        record = await self.node.backplane.find(namespace, hash_secret(ticket.secret))
        identity = opening.place.identity
        if record is None or record.user != (None if identity is None else identity.user):
            return None
        async with self._absences.taking(namespace, record.id):
            return await self._take(path, opening, way, ticket, record)

    async def _take(
        self, path: str, opening: Opening, way: Way, ticket: Ticket, record: Record
    ) -> tuple[Session, list[Frame]] | None:
        """Take over a session that nobody else has or takes."""
        backplane, namespace = self.node.backplane, record.namespace
        key = hash_secret(ticket.secret)
        try:
            connection = self._connection(path, opening, way, record)
        except Exception:
            logger.exception("%s of %s: its state is not what it was", record.id, namespace)
            return None
        revoked = await self._revoked(connection, record.rooms)
        resumption = await backplane.resume(namespace, key, ticket.after, revoked)
        if resumption is None:
            return None
        record = resumption.record
        missed = None if resumption.gaps else replay(resumption, way.codec)
        if missed is None:
            if await backplane.end(namespace, record.id, record.generation):
                await self._absences.end(record)
            return None
        connection.keeper = Keeper(backplane, namespace, record.id, record.generation)
        session = self._host(path, opening, connection, way)
        hosted = self.node.namespaces[namespace]
        hosted.restore(connection, record.rooms)
        hosted.position = resumption.head
        self._absences.arrived(session)
        return session, missed

    async def _revoked(self, connection: Connection, rooms: Sequence[str]) -> list[str]:
        """The rooms that a connection may not be in any more."""
        revoked: list[str] = []
        for room in rooms:
            try:
                await connection.admit(room)
            except Exception as error:
                if not isinstance(error, EventError):
                    logger.exception("%r: authorize_room failed", connection)
                revoked.append(room)
        return revoked

    def _connection(
        self, path: str, opening: Opening, way: Way, record: Record | None = None
    ) -> Connection:
        namespace = self._namespaces[path]
        blueprint = namespace.blueprint
        place, node = opening.place, self.node
        address = Address(place.handshake.namespace, blueprint.template.emits)
        state: Struct | None = blueprint.state() if blueprint.state is not None else None
        if state is not None and record is not None and record.state:
            state = node.states.decoder(blueprint.state)(record.state)
        connection = Connection(
            OWN_ROOM + token_urlsafe(16) if record is None else record.id,
            node,
            address,
            place.handshake,
            place.identity,
            state,
            way.codec,
            way.outlet,
            admit=self._admit(namespace, opening),
            refresh=self._refresh(opening),
        )
        place.connection = connection
        place.emitter = Emitter(node, address)
        opening.level.instances[Connection] = connection
        return connection

    def _host(self, path: str, opening: Opening, connection: Connection, way: Way) -> Session:
        namespace = self._namespaces[path]
        session = Session(
            self.node,
            connection,
            opening.place,
            opening.level,
            namespace.plans,
            namespace,
            namespace.blueprint.concurrency,
            Expiry(connection),
            way.entrance,
        )
        self.node.namespaces.enter(connection.namespace, connection)
        self._sessions.add(session)
        if self.stopping:
            self._dismiss(session)
        return session

    async def end(self, session: Session, reason: DisconnectReason) -> None:
        """The socket of a session is lost; where it may return, what it needs for that is kept."""
        kept = False
        try:
            kept = await session.end(reason)
        finally:
            self._sessions.discard(session)
            self._absences.left(session, kept=kept)

    def _admit(self, namespace: NamespacePlan, opening: Opening) -> Any:
        async def admit(_: Connection, room: str) -> None:
            for hook in namespace.admit:
                context = Context(opening.place)
                context.room = room
                if not await hook.run(context, opening.level):
                    raise EventError(ErrorCode.FORBIDDEN, f"not allowed to join {room[:64]!r}")

        return admit

    def _refresh(self, opening: Opening) -> Any:
        async def refresh(connection: Connection, auth: object) -> Identity[Any] | None:
            before = connection.handshake
            handshake = Handshake(
                namespace=before.namespace,
                path=before.path,
                headers=before.headers,
                cookies=before.cookies,
                query=before.query,
                auth=auth,
                client=before.client,
            )
            context = Context(Place(handshake, opening.place.converted))
            identity = await self._identify(context, opening.level)
            connection.handshake = opening.place.handshake = handshake
            return identity

        return refresh


def _is_identity(value: object) -> TypeGuard[Identity[Any] | None]:
    return value is None or isinstance(value, Identity)


async def close(level: Level, error: BaseException) -> None:
    """Close what an opening has opened; what fails at that must not hide why it ended."""
    try:
        await level.aclose(error)
    except Exception:
        logger.exception("the resources of an opening failed to close")
