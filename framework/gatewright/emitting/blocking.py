"""The emitter for programs without an event loop: it has one in a thread of its own."""

import os
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal, overload

from anyio.from_thread import BlockingPortal, start_blocking_portal
from msgspec import Struct
from typing_extensions import TypeForm, TypeVar

from gatewright.backplane import Backplane
from gatewright.calls import Answers
from gatewright.emitter import Emitter, Target
from gatewright.emitting.opening import emitting
from gatewright.errors import NotStartedError
from gatewright.protocol.codecs import DecHook, EncHook
from gatewright.settings import Settings

__all__ = ["BlockingEmitter", "BlockingTarget", "emitting_sync"]

T = TypeVar("T")


@contextmanager
def emitting_sync(
    backplane: Backplane | None = None,
    *,
    gateways: Sequence[type] | None = None,
    settings: Settings | None = None,
    dec_hook: DecHook | None = None,
    enc_hook: EncHook | None = None,
) -> Generator["BlockingEmitter"]:
    """The same as `emitting`, for threads: each call returns when it is done.

    Several threads may share it. A process that was forked from this one needs its own.
    """
    opening = emitting(
        backplane, gateways=gateways, settings=settings, dec_hook=dec_hook, enc_hook=enc_hook
    )
    with (
        start_blocking_portal(name="gatewright: emitting") as portal,
        portal.wrap_async_context_manager(opening) as emitter,
    ):
        yield BlockingEmitter(_Loop(portal), emitter)


class _Loop:
    """Where the emitter lives, as long as it does, for this process."""

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal
        self._process = os.getpid()

    def run(self, function: Callable[[], Awaitable[T]]) -> T:
        if os.getpid() != self._process:
            # The thread has stayed behind: nobody would answer, ever.
            raise NotStartedError(
                "expected an emitter of this process, got one that was opened before a fork; "
                "open it in the process that uses it"
            )
        try:
            future = self._portal.start_task_soon(function)
        except RuntimeError as error:
            raise NotStartedError(
                f"expected an emitter that is open, from outside of its own loop: {error}"
            ) from None
        return future.result()


class BlockingTarget:
    """A `Target` each of whose calls returns when it is done; it raises the same."""

    def __init__(self, loop: _Loop, target: Target) -> None:
        self._loop = loop
        self._target = target

    def to(self, *rooms: str) -> "BlockingTarget":
        """Add rooms; a connection's id is a room. `to()` with none reaches nobody."""
        return BlockingTarget(self._loop, self._target.to(*rooms))

    def to_user(self, *users: str) -> "BlockingTarget":
        """Add every connection of these users."""
        return BlockingTarget(self._loop, self._target.to_user(*users))

    def except_(self, *rooms: str) -> "BlockingTarget":
        """Leave out the members of these rooms."""
        return BlockingTarget(self._loop, self._target.except_(*rooms))

    @overload
    def emit(self, event: Struct, *, volatile: Literal[False] = False) -> int: ...
    @overload
    def emit(self, event: Struct, *, volatile: Literal[True], key: str | None = None) -> None: ...
    def emit(self, event: Struct, *, volatile: bool = False, key: str | None = None) -> int | None:
        """Send an event; returns its number in the namespace's sequence."""
        if volatile:
            return self._loop.run(partial(self._target.emit, event, volatile=True, key=key))
        return self._loop.run(partial(self._target.emit, event))

    def call(
        self, event: Struct, reply: TypeForm[T], *, timeout: float | None = None
    ) -> Answers[T]:
        """Ask every receiver and wait for all answers, decoded as `reply`."""
        return self._loop.run(partial(self._target.call, event, reply, timeout=timeout))

    def join(self, *rooms: str) -> int:
        """Make all of them join rooms; returns how many did, without those who were refused."""
        return self._loop.run(partial(self._target.join, *rooms))

    def leave(self, *rooms: str) -> None:
        """Make all of them leave rooms."""
        self._loop.run(partial(self._target.leave, *rooms))

    def disconnect(self, reason: str = "") -> None:
        """Close their connections for good (4500)."""
        self._loop.run(partial(self._target.disconnect, reason))

    def members(self) -> list[str]:
        """The ids of the connections that an emit would reach."""
        return self._loop.run(self._target.members)

    def count(self) -> int:
        """How many connections an emit would reach."""
        return self._loop.run(self._target.count)


class BlockingEmitter(BlockingTarget):
    """An `Emitter` each of whose calls returns when it is done; several threads may use it."""

    def __init__(self, loop: _Loop, emitter: Emitter) -> None:
        super().__init__(loop, emitter)
        self._emitter = emitter

    @property
    def namespace(self) -> str | None:
        """The namespace that it is bound to, path parameters filled in."""
        return self._emitter.namespace

    def of(self, namespace: str, /, **path: object) -> "BlockingEmitter":
        """Bind it to a namespace: `emitter.of("/lab/{bench}", bench=7)`."""
        return BlockingEmitter(self._loop, self._emitter.of(namespace, **path))
