"""What is emitted here, for the other servers of a cluster; and the namespaces shared with them."""

import logging
from collections.abc import AsyncGenerator, Collection, Container, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Final, get_origin

import msgspec
from msgspec.structs import replace
from typing_extensions import TypeForm, TypeVar

from gatewright.bridges.adapter import Adapter, Common
from gatewright.bridges.asking import Asked
from gatewright.bridges.local import Local
from gatewright.bridges.users import UserRooms
from gatewright.bridges.wire import (
    Channels,
    Described,
    Flags,
    Options,
    Packet,
    Request,
    RequestType,
)
from gatewright.calls import Answers
from gatewright.connection import Connection
from gatewright.errors import CallTimeout, EmitError, ErrorCode, EventError
from gatewright.namespaces import NamespaceTable
from gatewright.node import Node
from gatewright.observing import Observer
from gatewright.protocol.codecs import decode_errors, describe
from gatewright.protocol.outgoing import Outgoing
from gatewright.protocol.stored import arguments_of
from gatewright.relays import Whom
from gatewright.rooms import OWN_ROOM
from gatewright.types import DisconnectReason

__all__ = ["Cluster"]

logger: logging.Logger = logging.getLogger("gatewright")

T = TypeVar("T")

NONE: Final = Flags()
VOLATILE: Final = Flags(volatile=True)

FOREIGN: Final = "socket.io:"
"""What stands, numbered, for the id of a socket of another server that has answered badly."""


class Cluster(Observer):
    """This node among the servers of a cluster; a `Relay` of what it emits.

    A namespace with path parameters is heard while somebody is connected to it.
    """

    def __init__(
        self,
        node: Node,
        common: Common,
        namespaces: Collection[str],
        users: UserRooms,
        key: str,
        patience: float,
        *,
        credentials: bool,
    ) -> None:
        """`namespaces` are those to share, as declared; servers answer within `patience`."""
        self._node = node
        self._common = common
        self._users = users
        self._key = key
        self._patience = patience
        self._credentials = credentials
        self._adapters: dict[str, Adapter] = {}
        # All are looked at, so that `/lab/main` is never taken for `/lab/{bench}`.
        table = NamespaceTable(node.templates)

        def shared(namespace: str) -> str | None:
            found = table.find(namespace)
            return found[0] if found is not None and found[0] in namespaces else None

        self._shared = lru_cache(maxsize=4096)(shared)
        self._fixed = [path for path in namespaces if not node.templates[path].parameters]
        self._varying = len(self._fixed) < len(namespaces)

    def open(self) -> None:
        for namespace in self._fixed:
            self._hold(namespace, namespace)
        self._node.relays.append(self)
        if self._varying:
            self._node.observers.append(self)

    def close(self) -> None:
        self._node.relays.remove(self)
        if self._varying:
            self._node.observers.remove(self)
        for adapter in self._adapters.values():
            adapter.close()
        self._adapters.clear()

    # Namespaces

    def connected(self, connection: Connection) -> None:
        namespace = connection.namespace
        path = self._shared(namespace)
        if path is None or path in self._fixed:
            return
        adapter = self._adapters.get(namespace)
        if adapter is None or not adapter.populated:
            self._hold(namespace, path).populated = True

    def disconnected(self, connection: Connection, reason: DisconnectReason) -> None:
        adapter = self._adapters.get(connection.namespace)
        if adapter is None or not adapter.populated:
            return
        if not self._node.namespaces[adapter.namespace].members:
            adapter.populated = False
            self._let_go(adapter)

    def _hold(self, namespace: str, path: str) -> Adapter:
        adapter = self._adapters.get(namespace)
        if adapter is None:
            local = Local(
                self._node,
                namespace,
                self._users,
                self._common.writer,
                self._common.complaints,
                credentials=self._credentials,
            )
            adapter = Adapter(self._common, namespace, path, self._key, local)
            self._adapters[namespace] = adapter
            adapter.open()
        adapter.holders += 1
        return adapter

    def _let_go(self, adapter: Adapter) -> None:
        adapter.holders -= 1
        if not adapter.holders and self._adapters.pop(adapter.namespace, None) is not None:
            adapter.close()

    @asynccontextmanager
    async def _present(self, namespace: str) -> AsyncGenerator[Channels]:
        """Hear the answers of a namespace; raises `BridgeError`."""
        path = self._shared(namespace)
        assert path is not None
        adapter = self._hold(namespace, path)
        try:
            await self._common.line.listener.heard(
                adapter.channels.answers(self._common.writer.uid)
            )
            yield adapter.channels
        finally:
            self._let_go(adapter)

    def _channels(self, namespace: str) -> Channels:
        adapter = self._adapters.get(namespace)
        return Channels.of(self._key, namespace) if adapter is None else adapter.channels

    # Whom

    def _options(self, whom: Whom, flags: Flags = NONE) -> Options | None:
        """Whom it is for there; None for nobody."""
        if self._shared(whom.namespace) is None:
            return None
        out = (*whom.except_,)
        if whom.rooms is None and whom.users is None:
            return Options((), out, flags)
        here = self._node.namespaces[whom.namespace].members
        rooms = [room for room in whom.rooms or () if not self._is_ours(room, here)]
        rooms += self._users.rooms(whom.users or ())
        return Options(tuple(dict.fromkeys(rooms)), out, flags) if rooms else None

    def _is_ours(self, room: str, here: Container[str]) -> bool:
        """Whether it is the id of a connection that the backplane reaches."""
        return room.startswith(OWN_ROOM) and (self._node.backplane.shared or room in here)

    # Telling

    def emit(self, whom: Whom, outgoing: Outgoing) -> None:
        options = self._options(whom, VOLATILE if outgoing.volatile else NONE)
        if options is None:
            return
        arguments = (outgoing.event, *arguments_of(outgoing.data))
        try:
            message = self._common.writer.broadcast(whom.namespace, arguments, options)
        except Exception as error:
            self._common.complaints.lose(f"{outgoing.event!r}", error)
            return
        channel = self._channels(whom.namespace).broadcast
        if len(options.rooms) == 1:
            channel = f"{channel}{options.rooms[0]}#"
        self._common.line.teller.tell(channel, message)

    def join(self, whom: Whom, rooms: Sequence[str]) -> None:
        self._move(whom, RequestType.REMOTE_JOIN, rooms)

    def leave(self, whom: Whom, rooms: Sequence[str]) -> None:
        self._move(whom, RequestType.REMOTE_LEAVE, rooms)

    def disconnect(self, whom: Whom) -> None:
        self._move(whom, RequestType.REMOTE_DISCONNECT)

    def _move(self, whom: Whom, kind: RequestType, rooms: Sequence[str] = ()) -> None:
        options = self._options(whom)
        if options is not None:
            self._tell(whom.namespace, Request(kind, opts=options, rooms=rooms))

    def _tell(self, namespace: str, request: Request) -> None:
        writer = self._common.writer
        message = writer.request(replace(request, uid=writer.uid))
        self._common.line.teller.tell(self._channels(namespace).request, message)

    # Asking

    async def call(
        self, whom: Whom, event: str, data: object, reply: TypeForm[T], timeout: float
    ) -> Answers[T]:
        options = self._options(whom, Flags(timeout=1000 * timeout))
        if options is None:
            return Answers()
        packet = Packet((event, *arguments_of(data)), nsp=whom.namespace)
        request = Request(RequestType.BROADCAST, opts=options, packet=packet)
        asked = await self._ask(whom.namespace, request, timeout)
        if asked is None:
            return Answers()
        answers, errors = self._decoded(asked.acks, reply)
        silent = [f"{FOREIGN}?{number}" for number in range(1, asked.missing + 1)]
        if silent:
            raise CallTimeout(timeout, answers, errors, silent)
        return Answers(answers, errors)

    async def members(self, whom: Whom) -> Sequence[str]:
        options = self._options(whom)
        if options is None:
            return ()
        request = Request(RequestType.REMOTE_FETCH, opts=options)
        asked = await self._ask(whom.namespace, request, self._patience)
        if asked is None:
            return ()
        if asked.missing:
            self._common.complaints.lose("the list of sockets of a server", "it did not answer")
        sockets = [socket for answer in asked.answers for socket in answer.sockets]
        return [socket.id for socket in sockets if isinstance(socket, Described)]

    async def _ask(self, namespace: str, request: Request, timeout: float) -> Asked | None:
        """What the others answer; None if nobody could be asked."""
        try:
            async with self._present(namespace) as channels:
                return await self._common.asking.ask(channels, timeout, request)
        except Exception as error:
            # Those that are here are asked whatever happens there.
            self._common.complaints.lose(f"a request on {namespace}", error)
            return None

    def _decoded(
        self, acks: Sequence[Any], reply: TypeForm[T]
    ) -> tuple[list[T], dict[str, EventError]]:
        """Answers as wanted, and what is none; which socket one comes from is not said."""
        several = get_origin(reply) is tuple
        decode = self._node.states.decoder(reply)
        answers: list[T] = []
        errors: dict[str, EventError] = {}
        for number, ack in enumerate(acks, 1):
            try:
                # Of several arguments servers tell each other the first.
                answers.append(decode(msgspec.msgpack.encode([ack] if several else ack)))
            except decode_errors as error:
                errors[f"{FOREIGN}{number}"] = EventError(ErrorCode.INVALID, describe(error))
            except Exception:
                logger.exception("the answer of a socket of another server could not be decoded")
                text = "the answer could not be decoded"
                errors[f"{FOREIGN}{number}"] = EventError(ErrorCode.INTERNAL, text)
        return answers, errors

    # Events of servers

    def server_side_emit(self, namespace: str, event: str, arguments: Sequence[Any]) -> None:
        self._check(namespace)
        self._tell(namespace, Request(RequestType.SERVER_SIDE_EMIT, data=(event, *arguments)))

    async def server_side_emit_with_ack(
        self, namespace: str, event: str, arguments: Sequence[Any], timeout: float
    ) -> list[Any]:
        self._check(namespace)
        request = Request(RequestType.SERVER_SIDE_EMIT, data=(event, *arguments))
        async with self._present(namespace) as channels:
            asked = await self._common.asking.ask(channels, timeout, request)
        answers = [answer.data for answer in asked.answers]
        if asked.missing:
            silent = [f"{FOREIGN}?{number}" for number in range(1, asked.missing + 1)]
            raise CallTimeout(timeout, answers, {}, silent)
        return answers

    def _check(self, namespace: str) -> None:
        if self._shared(namespace) is None:
            known = ", ".join(sorted(self._fixed)) or "none without parameters"
            raise EmitError(
                f"expected a namespace that the bridge shares ({known}), got {namespace!r}"
            )
