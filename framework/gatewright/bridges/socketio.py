"""One cluster with servers of Socket.IO, over the Redis that they have in common."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from secrets import token_hex
from typing import Any, TypeVar

from gatewright.bridges.adapter import Common
from gatewright.bridges.asking import Asking
from gatewright.bridges.base import Bridge
from gatewright.bridges.clients import connector, without_password
from gatewright.bridges.cluster import Cluster
from gatewright.bridges.figures import Complaints, Figures
from gatewright.bridges.line import Line
from gatewright.bridges.server_events import Function, ServerEvents, check_server_event
from gatewright.bridges.users import UserRooms
from gatewright.bridges.wire import Writer, head_of
from gatewright.errors import NotStartedError, StartupError
from gatewright.node import Node

__all__ = ["SocketIORedis"]

F = TypeVar("F", bound=Function)


class SocketIORedis(Bridge):
    """`Gatewright(bridges=[SocketIORedis("redis://…")])`: shares rooms with servers of Socket.IO.

    Those have `@socket.io/redis-adapter` (`createAdapter`, not the sharded one), and whoever emits
    with `@socket.io/redis-emitter` is heard. What passes is outside the sequence of a namespace,
    and arrives once or not at all.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str = "socket.io",
        namespaces: Sequence[str] | None = None,
        user_room: str | None = None,
        group: str = "gatewright",
        credentials: bool = False,
        requests_timeout: float = 5.0,
    ) -> None:
        """`key` is what the other servers have, and `namespaces` are those shared with them.

        By default those are all, named as declared. `user_room`, for instance `"user:{}"`, is the
        room that the other servers have for a user. Nodes with one backplane have one `group`, and
        those with another backplane another one. With `credentials` other servers see the headers,
        parameters and `auth` of handshakes whole, without them what is secret of it is left out.
        `requests_timeout` is how many seconds other servers have to answer.
        """
        self.figures: Figures = Figures()
        """What has passed, and what was lost."""
        self._complaints = Complaints(self.figures)
        connector()
        self._url = url
        self._key = key
        self._namespaces = namespaces
        self._users = UserRooms(user_room)
        self._group = group
        self._credentials = credentials
        self._patience = requests_timeout
        self._events = ServerEvents()
        self._tasks: set[asyncio.Task[None]] = set()
        self._line: Line | None = None
        self._cluster: Cluster | None = None

    def __repr__(self) -> str:
        return f"SocketIORedis({without_password(self._url)!r}, key={self._key!r})"

    @property
    def up(self) -> bool:
        """Whether it has started, and Redis is not lost."""
        return self._line is not None and self._line.up

    async def start(self, node: Node, namespaces: Collection[str]) -> None:
        if self._cluster is not None:
            raise StartupError(
                repr(self),
                expected="a bridge of one application",
                got="one that another application has started",
                fix="Make one for each.",
            )
        for each in self._namespaces or ():
            if each not in namespaces:
                raise StartupError(
                    "SocketIORedis(namespaces=…)",
                    expected=f"declared namespaces, of {', '.join(sorted(namespaces))}",
                    got=repr(each),
                    fix="Write it as its gateway does.",
                )
        shared = namespaces if self._namespaces is None else self._namespaces
        self._events.check(shared)
        own = token_hex(8)
        # Who has a backplane of its own reaches others only here, and is a stranger to them.
        family = f"{self._group}." if node.backplane.shared else f"{own}."
        line = Line(self._url, f"{self._key}-gatewright#", self.figures, self._complaints)
        writer = Writer(family + own, node.states.enc_hook)
        common = Common(
            line,
            writer,
            Asking(line, writer),
            self._events,
            self.figures,
            self._complaints,
            family,
            head_of(family, own),
            self._tasks,
        )
        cluster = Cluster(
            node,
            common,
            shared,
            self._users,
            self._key,
            self._patience,
            credentials=self._credentials,
        )
        cluster.open()
        try:
            await line.open()
        except BaseException:
            cluster.close()
            raise
        self._cluster, self._line = cluster, line

    async def stop(self) -> None:
        cluster, line = self._cluster, self._line
        if cluster is None or line is None:
            return
        self._cluster = self._line = None
        cluster.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await line.aclose()

    # Events of servers

    def on(self, event: str, *, namespace: str = "/") -> Callable[[F], F]:
        """Have an `async def` called with what other servers emit to servers.

        What it returns is the answer to those who want one; `None` answers for events that nobody
        handles. The arguments are converted to its annotations.
        """

        def add(function: F) -> F:
            self._events.add(namespace, event, function)
            return function

        return add

    def server_side_emit(self, event: str, *arguments: Any, namespace: str = "/") -> None:
        """Emit an event to all other servers, and to none of their clients."""
        check_server_event(event, "server_side_emit")
        self._running().server_side_emit(namespace, event, arguments)

    async def server_side_emit_with_ack(
        self, event: str, *arguments: Any, namespace: str = "/", timeout: float | None = None
    ) -> list[Any]:
        """The same, and wait for the answers of all other servers.

        Raises `CallTimeout` with those that came, `BridgeError` if Redis cannot be reached.
        """
        check_server_event(event, "server_side_emit_with_ack")
        limit = self._patience if timeout is None else timeout
        return await self._running().server_side_emit_with_ack(namespace, event, arguments, limit)

    def _running(self) -> Cluster:
        if self._cluster is None:
            raise NotStartedError("the bridge is not running: its application has not started")
        return self._cluster
