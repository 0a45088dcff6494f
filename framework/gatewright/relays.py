"""Where else goes what is emitted on a node: to connections of servers that are not of its kind."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from msgspec import Struct
from typing_extensions import TypeForm, TypeVar

from gatewright.calls import Answers
from gatewright.errors import CallTimeout, EventError
from gatewright.protocol.outgoing import Outgoing

__all__ = ["Relay", "Whom", "all_answers"]

T = TypeVar("T")


class Whom(Struct, frozen=True, array_like=True):
    """Whom an emit is for; see `gatewright.backplane.base.Entry`."""

    namespace: str
    rooms: tuple[str, ...] | None = None
    users: tuple[str, ...] | None = None
    except_: tuple[str, ...] = ()


class Relay(Protocol):
    """Hands on what was emitted on this node, once; `Node.relays` lists them.

    Other nodes of gatewright have backplanes for that. Nothing is promised: what cannot be handed
    on is lost, so these raise nothing but `CallTimeout`.
    """

    def emit(self, whom: Whom, outgoing: Outgoing) -> None: ...

    def join(self, whom: Whom, rooms: Sequence[str]) -> None: ...

    def leave(self, whom: Whom, rooms: Sequence[str]) -> None: ...

    def disconnect(self, whom: Whom) -> None: ...

    async def call(
        self, whom: Whom, event: str, data: object, reply: TypeForm[T], timeout: float
    ) -> Answers[T]:
        """Ask those who are there; see `Target.call`."""
        ...

    async def members(self, whom: Whom) -> Sequence[str]:
        """The ids of the connections there that an emit would reach."""
        ...


async def all_answers(
    asks: Sequence[Coroutine[Any, Any, Answers[T]]], timeout: float
) -> Answers[T]:
    """Run calls side by side, as if they were one; raises one `CallTimeout` for all."""
    tasks = [asyncio.ensure_future(each) for each in asks]
    answers: list[T] = []
    errors: dict[str, EventError] = {}
    missing: list[str] = []
    nodes: list[str] = []
    late = False
    try:
        for task in tasks:
            try:
                found = await task
            except CallTimeout as error:
                late = True
                answers += error.answers  # type: ignore[arg-type]
                errors |= error.errors
                missing += error.missing
                nodes += error.nodes
            else:
                answers += found
                errors |= found.errors
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if late:
        raise CallTimeout(timeout, answers, errors, missing, nodes)
    return Answers(answers, errors)
