"""The application: gateways put together, as one ASGI app or as routes of another."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from injector import Binder, Module
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Router, WebSocketRoute
from starlette.types import Receive, Scope, Send
from typing_extensions import TypeForm, TypeVar

from gatewright.backplane import Backplane
from gatewright.backplane.urls import choose, workers
from gatewright.blueprint import draw
from gatewright.compiling import check_injection
from gatewright.connection import Connection
from gatewright.context import Context
from gatewright.declare.decorators import listed
from gatewright.declare.specs import Catcher, Guard, Interceptor
from gatewright.di import Container
from gatewright.dispatcher import Dispatcher
from gatewright.drain import drained_at_signals
from gatewright.emitter import Emitter
from gatewright.errors import NotStartedError, StartupError
from gatewright.namespaces import specific
from gatewright.node import Node
from gatewright.nodes import Nodes
from gatewright.people import Presence
from gatewright.protocol.codecs import Codec, DecHook, EncHook, JsonCodec, MsgpackCodec
from gatewright.protocol.rates import TokenBucket
from gatewright.protocol.sessions.codecs import (
    SessionJsonCodec,
    SessionMsgpackCodec,
    new_mark,
)
from gatewright.protocol.socketio.codec import SocketIOCodec
from gatewright.protocol.socketio.msgpack import SocketIOMsgpackCodec
from gatewright.settings import Settings
from gatewright.static import client_routes
from gatewright.transports.socketio.channel import Codec as SocketIOFormat
from gatewright.transports.socketio.client import Client
from gatewright.transports.socketio.config import SocketIO
from gatewright.transports.socketio.door import EngineDoor
from gatewright.transports.socketio.engine import Engine, EngineSocket
from gatewright.transports.websocket import WebSocketDoor, deny
from gatewright.types import Handshake, Identity

if TYPE_CHECKING:
    # Extras: imported by those who use them.
    from gatewright.bridges import Bridge
    from gatewright.inspector import Admin

__all__ = ["Gatewright"]

T = TypeVar("T")

Modules = Sequence[Module | type[Module] | Callable[[Binder], None]]


class Gatewright:
    """An ASGI application of gateways: `uvicorn module:app`.

    Every declaration is read and checked here; `StartupError` names the first that is wrong.
    Inside a Starlette or FastAPI app use `routes` (or mount it) together with `lifespan`.
    """

    def __init__(
        self,
        gateways: Sequence[type],
        *,
        modules: Modules = (),
        guards: Sequence[Guard] = (),
        interceptors: Sequence[Interceptor] = (),
        errors: Sequence[Catcher] = (),
        authenticate: Callable[..., Awaitable[Identity[Any] | None]] | None = None,
        backplane: Backplane | None = None,
        settings: Settings | None = None,
        socketio: SocketIO | None = SocketIO(),  # noqa: B008 - frozen
        admin: "Admin | None" = None,
        bridges: "Sequence[Bridge]" = (),
        client_js: str | None = "/gatewright.js",
        debug: bool = False,
        dec_hook: DecHook | None = None,
        enc_hook: EncHook | None = None,
    ) -> None:
        self._inspector = admin.inspector() if admin is not None else None
        if self._inspector is not None:
            if socketio is None:
                raise StartupError(
                    "Gatewright(admin=…)",
                    expected="the Socket.IO door, which the admin's page comes through",
                    got="socketio=None",
                    fix="Leave socketio out, or drop admin.",
                )
            gateways = [*listed(gateways, "Gatewright", "gateways"), self._inspector.gateway]
            modules = (*modules, self._inspector.bind)
        self._blueprint = draw(
            gateways, guards, interceptors, errors, authenticate, hooked=dec_hook is not None
        )
        self._modules = tuple(modules)
        self._backplane = backplane
        self._bridges = tuple(bridges)
        self._debug = debug
        mark = new_mark()
        self._codecs: tuple[Codec, ...] = (
            JsonCodec(dec_hook, enc_hook),
            MsgpackCodec(dec_hook, enc_hook),
            SessionJsonCodec(dec_hook, enc_hook, mark),
            SessionMsgpackCodec(dec_hook, enc_hook, mark),
        )
        self._states = MsgpackCodec(dec_hook, enc_hook)
        self._socketio = socketio
        self._format = _format(socketio, dec_hook, enc_hook)
        self._engine: Engine | None = None
        self._dispatcher: Dispatcher | None = None
        self._container: Container | None = None
        self._accepting: TokenBucket | None = None
        self.settings: Settings = settings or Settings()
        self.emitter: Emitter = Emitter()
        """Emits from anywhere in this process, once the application has started."""
        self.nodes: Nodes = Nodes()
        """Asks the nodes of this application, once it has started."""
        self.presence: Presence = Presence()
        """Knows who is where, once the application has started."""
        self._routes: list[BaseRoute] = [
            WebSocketRoute(
                path,
                WebSocketDoor(path, lambda: self._dispatcher, lambda: self._accepting),
                name=path,
            )
            # `/lab/main` before `/lab/{bench}`, which would match it too.
            for path in sorted(self._blueprint.namespaces, key=specific)
            # Whoever opens a plain WebSocket has nothing to log in with.
            if not self._blueprint.namespaces[path].apart
        ]
        if socketio is not None:
            door = EngineDoor(
                socketio, self.settings.origins, lambda: self._engine, lambda: self._accepting
            )
            self._routes += door.routes
        if client_js is not None:
            self._routes += client_routes(client_js)
        self._router = Router(self._routes, default=_nowhere, lifespan=self.lifespan)
        check_injection(self._blueprint, self._build(()), self._build((), opening=True))

    @property
    def routes(self) -> list[BaseRoute]:
        """All its routes, one per namespace, for `Starlette(routes=[*realtime.routes])`."""
        return list(self._routes)

    @property
    def running(self) -> bool:
        """Whether its lifespan has started and not yet ended."""
        return self._dispatcher is not None

    @property
    def ready(self) -> bool:
        """Whether it takes new connections: it is running, and has not begun to stop."""
        return self._dispatcher is not None and not self._dispatcher.stopping

    async def readiness(self, request: Request) -> Response:
        """Answer 200 while `ready`, else 503: `Route("/ready", realtime.readiness)`."""
        if self.ready:
            return PlainTextResponse("ready")
        return PlainTextResponse("not ready", HTTPStatus.SERVICE_UNAVAILABLE)

    def __len__(self) -> int:
        """How many connections are open in this process."""
        return len(self._dispatcher) if self._dispatcher is not None else 0

    def __bool__(self) -> bool:
        # An application without connections is still an application.
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._router(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self, app: object = None, /) -> AsyncGenerator[None]:
        """Run the application: `Starlette(lifespan=realtime.lifespan)`, or inside your own."""
        async with self.run(), drained_at_signals(self.drain):
            yield

    @asynccontextmanager
    async def run(self, overrides: Modules = ()) -> AsyncGenerator[None]:
        """Run it with some bindings replaced, as `gatewright.testing` does."""
        if self._dispatcher is not None:
            raise NotStartedError(
                "expected a lifespan that has not started, got one that is running already; "
                "the application runs once in a process, pass its lifespan to one app only"
            )
        async with AsyncExitStack() as stack:
            container = self._build(overrides)
            stack.push_async_callback(container.aclose)
            namespaces = self._blueprint.namespaces
            templates = {path: each.template for path, each in namespaces.items()}
            codecs = (*self._codecs, self._format)
            backplane = choose(self._backplane)
            node = Node(self.settings, backplane, codecs, templates, self._states)
            await node.start()
            stack.push_async_callback(node.stop)
            own = [path for path, each in namespaces.items() if not each.apart]
            for bridge in self._bridges:
                await bridge.start(node, own)
                stack.push_async_callback(bridge.stop)
            self.emitter.attach(node)
            stack.callback(self.emitter.attach, None)
            self.presence.attach(node)
            stack.callback(self.presence.attach, None)
            rate = self.settings.accept_rate
            now = asyncio.get_running_loop().time()
            self._accepting = TokenBucket(rate, now) if rate is not None else None
            self._container = container
            dispatcher = Dispatcher(self._blueprint, container, node, debug=self._debug)
            engine = self._open_engine(self._socketio, dispatcher) if self._socketio else None
            if engine is not None:
                stack.push_async_callback(engine.aclose)
            stack.push_async_callback(dispatcher.stop)
            self.nodes.attach(node, dispatcher.requested)
            stack.callback(self.nodes.attach, None)
            await dispatcher.start()
            if engine is not None:
                stack.callback(engine.stop)
                if self._inspector is not None:
                    self._inspector.attach(node, engine)
                    stack.callback(self._inspector.detach)
            self._engine = engine
            self._dispatcher = dispatcher
            stack.callback(self._forget)
            yield

    async def drain(self) -> None:
        """Refuse new connections, close those that are open for them to come back, await their end.

        uvicorn's signals do it by themselves. Everything else goes on until the lifespan ends.
        """
        dispatcher, engine = self._dispatcher, self._engine
        if dispatcher is None:
            return
        if engine is not None:
            engine.dismiss()
        await dispatcher.drain()
        if engine is not None:
            await engine.last_polls()

    def _forget(self) -> None:
        """New connections are refused from here on; those that are open are closed next."""
        self._dispatcher = None
        self._container = None
        self._engine = None

    def _open_engine(self, config: SocketIO, dispatcher: Dispatcher) -> Engine:
        def client(socket: EngineSocket) -> Client:
            return Client(socket, config, dispatcher, self._format)

        node = dispatcher.node
        engine = Engine(config, node.flusher, node.wheel, node.settings.outbox, client)
        engine.alone = workers() == 1
        return engine

    async def aget(self, kind: TypeForm[T], /) -> T:
        """Something of the application's level, opened if it is a resource not yet open."""
        found: T = await self._running().aget(kind)
        return found

    def get(self, kind: TypeForm[T], /) -> T:
        """Something of the application's level that needs no opening, or is open already."""
        found: T = self._running().get(kind)
        return found

    def provide(self, kind: TypeForm[T], /) -> Callable[[], AsyncIterator[T]]:
        """A dependency of HTTP routes: `Depends(realtime.provide(Repository))`.

        The route gets what a handler would; event-scoped resources live as long as the request.
        """

        async def dependency() -> AsyncIterator[T]:
            container = self._running()
            async with container.connection({}) as connection, connection.event({}) as level:
                yield await level.aget(kind)

        return dependency

    def _running(self) -> Container:
        if self._container is None:
            raise NotStartedError("the application is not running: its lifespan has not started")
        return self._container

    def _build(self, overrides: Modules, *, opening: bool = False) -> Container:
        """A container; one for `opening` knows what is there before a connection exists."""
        app: Mapping[type, object] = {
            Emitter: self.emitter,
            Presence: self.presence,
            Nodes: self.nodes,
            Settings: self.settings,
            Gatewright: self,
        }
        return Container(
            self._modules,
            overrides=overrides,
            app=app,
            connection=(Handshake,) if opening else (Connection, Handshake),
            event=(Context,),
        )


def _format(
    socketio: SocketIO | None, dec_hook: DecHook | None, enc_hook: EncHook | None
) -> SocketIOFormat:
    parser = socketio.parser if socketio is not None else "json"
    offsets = socketio is not None and socketio.recovery
    kind = SocketIOCodec if parser == "json" else SocketIOMsgpackCodec
    return kind(dec_hook, enc_hook, offsets=offsets)


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """What is asked of a path without a gateway."""
    if scope["type"] == "websocket":
        await deny(scope, receive, send, HTTPStatus.NOT_FOUND, "Not Found")
        return
    text = "This is a WebSocket application."
    await PlainTextResponse(text, HTTPStatus.UPGRADE_REQUIRED, {"Upgrade": "websocket"})(
        scope, receive, send
    )
