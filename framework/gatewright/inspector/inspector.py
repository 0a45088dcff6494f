"""What the admin's pages are told, as long as there are any."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, cast

from injector import Binder
from msgspec import json

from gatewright.connection import Connection
from gatewright.declare.events import Event
from gatewright.errors import NotStartedError
from gatewright.inspector.events import (
    AggregatedEvent,
    AllSockets,
    Config,
    EventSent,
    NamespaceCount,
    ServerStats,
    SessionBegun,
    Socket,
    instant,
)
from gatewright.inspector.feed import Feed
from gatewright.inspector.sockets import describe
from gatewright.inspector.traffic import Traffic
from gatewright.node import Node
from gatewright.observing import Observer
from gatewright.protocol.outgoing import Outgoing
from gatewright.rooms import send, send_volatile
from gatewright.transports.socketio.details import carrier
from gatewright.transports.socketio.engine import Engine

__all__ = ["Inspector"]

logger: logging.Logger = logging.getLogger("gatewright")

STATS_EVERY: Final = 2.0
"""Seconds between two figures, as the reference's."""

MAX_NAMESPACES: Final = 1000
"""How many are counted one by one: with path parameters there may be any number."""


class Inspector:
    """Watches a node while somebody watches the admin's page, and tells what it sees.

    It speaks to its pages directly: what is told about a lane must not pass through a lane, be
    kept in a history or wait for a backplane. A page shows the node that it is connected to.
    """

    def __init__(
        self, gateway: type, namespace: str, features: Sequence[str], server_id: str | None
    ) -> None:
        """`features` are what the page may offer; all sockets and events if `ALL_EVENTS`."""
        self.gateway: type = gateway
        """The class to be served along with the application's own."""
        self._namespace = namespace
        self._features = features
        self._server_id = server_id or f"{socket.gethostname()}#{os.getpid()}"
        self._pages: dict[str, Connection] = {}
        self._observers: list[Observer] = []
        self._traffic = Traffic()
        self._feed: Feed | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._node: Node | None = None
        self._engine: Engine | None = None
        self._started = 0.0

    def bind(self, binder: Binder) -> None:
        """The gateway is injected with this inspector."""
        binder.bind(Inspector, to=self)

    def attach(self, node: Node, engine: Engine) -> None:
        """The application has started."""
        self._node, self._engine = node, engine
        self._started = time.monotonic()

    def detach(self) -> None:
        """The application stops."""
        self._rest()
        self._pages.clear()
        self._node = self._engine = None

    @property
    def node(self) -> Node:
        if self._node is None:
            raise NotStartedError("the application is not running: its lifespan has not started")
        return self._node

    # Pages

    def watch(self, page: Connection, session: str | None) -> None:
        """A page has logged in, with a new `session` unless it had one."""
        if not self._pages:
            self._begin()
        self._pages[page.id] = page
        if session is not None:
            self._tell([page], SessionBegun(session))
        self._tell([page], Config(self._features))
        if self._feed is not None:
            self._list_sockets(page)
        self._tell([page], self._stats([]))

    def _list_sockets(self, page: Connection) -> None:
        """Tell a page who is there: as many as it can be told at once."""
        left = self.node.settings.outbox // 2
        listed: list[Socket] = []
        connections = self.connections()
        for each in connections:
            found = describe(each)
            left -= len(json.encode(found))
            if left < 0:
                text = f"({sum(1 for _ in connections) + 1} more sockets are not listed)"
                self._tell([page], EventSent(self._namespace, "", [text], instant()))
                break
            listed.append(found)
        self._tell([page], AllSockets(listed))

    def unwatch(self, page: Connection) -> None:
        """A page has gone."""
        if self._pages.get(page.id) is page:
            del self._pages[page.id]
            if not self._pages:
                self._rest()

    def _begin(self) -> None:
        self._traffic = Traffic()
        self._observers = [self._traffic]
        if "ALL_EVENTS" in self._features:
            self._feed = Feed(self._tell_all, self._namespace, self.connections())
            self._observers.append(self._feed)
        self.node.observers.extend(self._observers)
        self._later()

    def _rest(self) -> None:
        if self._node is not None:
            for observer in self._observers:
                self._node.observers.remove(observer)
        self._observers = []
        self._feed = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def connections(self) -> Iterator[Connection]:
        """All connections of this node."""
        for namespace in self.node.namespaces:
            # The members of a namespace are connections; that floor knows them as members.
            yield from cast("list[Connection]", list(namespace.members.values()))

    # What they are told

    def _later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(STATS_EVERY, self._tick)

    def _tick(self) -> None:
        self._later()
        if self._feed is not None:
            self._feed.pause()
        self._tell_all(self._stats(self._traffic.take()), volatile=True)

    def _stats(self, events: Sequence[AggregatedEvent]) -> ServerStats:
        node, engine = self.node, self._engine
        sockets = list(engine.sockets.values()) if engine is not None else []
        # Namespaces that are declared are there for the page, even while nobody is.
        counts = dict.fromkeys((p for p, each in node.templates.items() if not each.parameters), 0)
        counts |= {namespace.name: len(namespace.members) for namespace in node.namespaces}
        plain = sum(carrier(each) is None for each in self.connections())
        return ServerStats(
            self._server_id,
            socket.gethostname(),
            os.getpid(),
            time.monotonic() - self._started,
            len(sockets) + plain,
            sum(each.transport == "polling" for each in sockets),
            events,
            [NamespaceCount(*each) for each in islice(counts.items(), MAX_NAMESPACES)],
        )

    def _tell_all(self, event: Event, volatile: bool) -> None:  # noqa: FBT001 - a callback
        self._tell(list(self._pages.values()), event, volatile=volatile)

    def _tell(self, pages: Sequence[Connection], event: Event, *, volatile: bool = False) -> None:
        """Queue an event for pages.

        A page too slow for its lists is disconnected (4002), and gets them anew when it returns;
        what is volatile is left out instead.
        """
        outgoing = Outgoing(cast(str, event.__event__), event, namespace=self._namespace)
        try:
            if volatile:
                send_volatile(pages, outgoing, None)
            else:
                send(pages, outgoing)
        except Exception:
            # It is called in the middle of what it tells about, which must go on.
            logger.exception("the admin's page cannot be told of %s", event.__event__)
