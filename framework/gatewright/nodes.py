"""Requests between the nodes of an application: each answers by `@on_request`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, Self, TypeAlias, overload

import msgspec
from msgspec import UNSET, Struct
from typing_extensions import TypeForm, TypeVar

from gatewright.errors import ErrorCode, EventError, NotStartedError, RequestTimeout
from gatewright.node import Node
from gatewright.remote import Parts

__all__ = ["NodeAnswers", "Nodes", "Requested"]

T = TypeVar("T")

Requested: TypeAlias = Callable[[bytes], Awaitable[object]]
"""Answers a request whose data is MessagePack; raises the `EventError` that it ends with."""


class NodeAnswers(dict[str, T], Generic[T]):
    """The nodes' answers, by their ids.

    `errors` holds those who answered with an error, or died meanwhile.
    """

    def __init__(self, answers: Mapping[str, T], errors: Mapping[str, EventError]) -> None:
        super().__init__(answers)
        self.errors: dict[str, EventError] = dict(errors)


class _Request(Struct, array_like=True, frozen=True):
    event: str
    data: bytes


class Nodes:
    """The nodes of this application, this one among them; injected like `Emitter`."""

    def __init__(self) -> None:
        self._node: Node | None = None
        self._requested: Mapping[str, Requested] = {}

    def attach(self, node: Node | None, requested: Mapping[str, Requested] | None = None) -> Self:
        """Give it its running node and what answers there, or take both away at the end."""
        self._node = node
        self._requested = {} if requested is None else requested
        if node is not None:
            node.remote.serve("request", _Request, self._answer)
        return self

    @property
    def id(self) -> str:
        """This node's name, a new one at every start; empty where there are no others."""
        return self._running.remote.name

    @property
    def alive(self) -> list[str]:
        """The names of all nodes that live, this one first."""
        return [self.id, *self._running.remote.nodes]

    @overload
    async def request(
        self,
        event: str,
        data: object = UNSET,
        *,
        reply: TypeForm[T],
        node: None = None,
        own: bool = True,
        timeout: float | None = None,
    ) -> NodeAnswers[T]: ...
    @overload
    async def request(
        self,
        event: str,
        data: object = UNSET,
        *,
        reply: TypeForm[T],
        node: str,
        own: bool = True,
        timeout: float | None = None,
    ) -> T: ...
    async def request(
        self,
        event: str,
        data: object = UNSET,
        *,
        reply: TypeForm[T],
        node: str | None = None,
        own: bool = True,
        timeout: float | None = None,
    ) -> NodeAnswers[T] | T:
        """Ask every node and return their answers by node; without `own` all but this one.

        Of one `node` alone the answer is returned, or its error raised: `EventError`, with the code
        `interrupted` where there is no such node. Raises `RequestTimeout`, with the answers that
        did arrive, when one is missing after `timeout` seconds (default
        `settings.request_timeout`), and `BackplaneError` where nobody can be asked.
        """
        running = self._running
        limit = running.settings.request_timeout if timeout is None else timeout
        encode = msgspec.msgpack.Encoder(enc_hook=running.states.enc_hook).encode
        encoded = b"" if data is UNSET else encode(data)
        request, name = _Request(event, encoded), running.remote.name
        asked = None if node is None else [each for each in (node,) if each != name]
        here = node == name if node is not None else own
        bodies, errors, missing = await self._gather(request, asked, limit, here=here)
        if missing:
            raise RequestTimeout(limit, bodies, errors, missing)
        decode = running.states.decoder(reply)
        answers: dict[str, T] = {}
        for each, body in bodies.items():
            try:
                answers[each] = decode(body)
            except msgspec.MsgspecError as error:
                errors[each] = EventError(ErrorCode.INVALID, str(error))
        if node is None:
            return NodeAnswers(answers, errors)
        if node in errors:
            raise errors[node]
        return answers[node]

    async def _gather(
        self, request: _Request, nodes: list[str] | None, limit: float, *, here: bool
    ) -> tuple[dict[str, bytes], dict[str, EventError], list[str]]:
        remote = self._running.remote
        loop = asyncio.get_running_loop()
        end = loop.time() + limit
        own = loop.create_task(self._respond(request)) if here else None
        try:
            asked = await remote.ask("request", request, bytes, timeout=limit, nodes=nodes)
            if own is not None:
                await asyncio.wait([own], timeout=max(0.0, end - loop.time()))
        finally:
            if own is not None and not own.done():
                own.cancel()
                await asyncio.wait([own])
        bodies, errors, missing = dict(asked.answers), dict(asked.errors), list(asked.missing)
        if own is not None:
            if own.cancelled():
                missing.append(remote.name)
            elif (error := own.exception()) is None:
                bodies[remote.name] = own.result()
            elif isinstance(error, EventError):
                errors[remote.name] = error
            else:
                raise error
        return bodies, errors, missing

    async def _answer(self, sender: str, message: _Request, part: Parts) -> bytes:
        return await self._respond(message)

    async def _respond(self, request: _Request) -> bytes:
        requested = self._requested.get(request.event)
        if requested is None:
            raise EventError(
                ErrorCode.UNKNOWN_EVENT, f"no @on_request for {request.event[:64]!r} at this node"
            )
        result: Any = await requested(request.data)
        return msgspec.msgpack.encode(result, enc_hook=self._running.states.enc_hook)

    @property
    def _running(self) -> Node:
        if self._node is None:
            raise NotStartedError("the application is not running: its lifespan has not started")
        return self._node
